"""The caller's own terminal, connected with that of a container."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import termios
import time
import tty

from crabcan.terminal import CHUNK, Terminal, window_of

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from crabcan.container import Container

# What ends a caller that has said nothing else about it.
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)

# poll(2) promises that as much goes into a pipe without sleeping.
WRITE = select.PIPE_BUF

WRITABLE = select.POLLOUT

# Seconds between two looks at the terminal's mode, once stdin has ended.
LOOK = 0.05


class _Ended(BaseException):
    """A signal that ends the caller has come."""


def connect(
    container: Container,
    terminal: Terminal,
    stdin: int | None,
    stdout: int | None,
    timeout: float | None,
    *,
    leave: bytes = b"",
) -> bool:
    """Copy both ways until the container has ended and all of its output is out.

    False where the timeout, in seconds, came first, or the keys `leave` were typed. However it is
    left, the attributes of the caller's terminal and its signal handlers are as before; a signal
    that would have ended the caller does so then, and the container first.
    """
    keyboard = _Keyboard(stdin)
    copy = _Copy(terminal.fileno(), stdin, stdout, container.pidfd, leave)

    def follow_size() -> None:
        rows, columns = window_of((stdout, stdin))
        terminal.resize(rows, columns)

    def come_back() -> None:
        keyboard.make_raw()
        follow_size()

    signals = _Signals(keyboard.restore, come_back, follow_size)
    # A signal can come between any two instructions: the outer `finally` holds where the inner
    # one is cut off by it, and by then no other of ours raises.
    try:
        try:
            signals.take_over()
            signals.armed = True
            come_back()
            return copy.run(signals.fd, timeout)
        finally:
            signals.armed = False
    except _Ended:
        return False
    finally:
        keyboard.restore()
        signals.give_back()
        copy.close()
        if signals.ended is not None:
            container.close()
            os.kill(os.getpid(), signals.ended)
            raise SystemExit(128 + signals.ended)  # PID 1 is not ended by it (pid_namespaces(7))


class _Keyboard:
    """The attributes of the caller's terminal, where stdin is one."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd if fd is not None and os.isatty(fd) else None
        self._before = None if self._fd is None else termios.tcgetattr(self._fd)

    def make_raw(self) -> None:
        """Each key goes to the container, Ctrl-C among them. Nothing typed before is lost."""
        if self._fd is not None:
            try:
                tty.setraw(self._fd, termios.TCSANOW)
            except termios.error as error:
                raise OSError(*error.args) from None

    def restore(self) -> None:
        """As it was; nothing where it has hung up."""
        if self._fd is not None and self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, self._before)


class _Signals:
    """What is sent to the caller while its terminal is raw; in the main thread only (signal)."""

    def __init__(
        self, leave: Callable[[], None], come_back: Callable[[], None], resize: Callable[[], None]
    ) -> None:
        self.fd = -1  # readable when one has come
        self.armed = False  # whether one that ends the caller raises, which it does once
        self.ended: int | None = None
        self._is_stopped = False
        self._leave = leave
        self._come_back = come_back
        self._resize = resize
        self._before: dict[int, Any] = {}
        self._writer = -1
        self._wakeup = -1

    def take_over(self) -> None:
        """Handlers only where the caller has none: its own mean something."""
        self.fd, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A signal that comes right before poll(2) sleeps is not noticed by its handler.
            self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        except ValueError:  # another thread than the main one
            return
        for number in ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._handle(number, self._end)
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            self._handle(signal.SIGTSTP, self._stop)
        self._handle(signal.SIGCONT, self._continue)
        self._handle(signal.SIGWINCH, self._follow)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        before = signal.getsignal(number)
        if before is not None:  # else it is none of Python's, and could not be put back
            self._before[number] = before
            signal.signal(number, handler)

    def give_back(self) -> None:
        """The handlers that were there before."""
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for fd in (self.fd, self._writer):
            if fd >= 0:
                os.close(fd)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self.ended = number
        if self.armed:
            self.armed = False
            raise _Ended

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Sent by somebody: the key is the container's. The shell gets its terminal back."""
        if self.armed:
            self._is_stopped = True
            self._leave()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            signal.signal(number, self._stop)  # before it is raw, or another would leave it so
            self._is_stopped = False
            self._come_back()

    def _continue(self, _number: int, _frame: FrameType | None) -> None:
        """After a SIGSTOP nobody had the time to leave."""
        if self.armed and not self._is_stopped:
            self._come_back()

    def _follow(self, _number: int, _frame: FrameType | None) -> None:
        self._resize()


class _Copy:
    """Bytes both ways; what cannot be written yet is not read, and neither side starves."""

    def __init__(
        self, master: int, stdin: int | None, stdout: int | None, pidfd: int, leave: bytes
    ) -> None:
        self._master = master
        self._stdin = stdin
        self._stdout = stdout
        self._pidfd = pidfd
        self._typed = b""  # read from stdin, not yet written
        self._shown = b""  # read from the master, not yet written
        self._line_is_complete = True
        self._has_ended = False
        self._is_drained = False
        self._leave = leave
        self._recent = b""  # keys, as many as those to leave by
        self._mode_of_end: int | None = None  # that the end of stdin was typed in
        os.set_blocking(master, False)

    def close(self) -> None:
        """The master is the caller's again."""
        os.set_blocking(self._master, True)

    def run(self, wakeup: int, timeout: float | None) -> bool:
        """Until the container has ended and its output is out; False at the timeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self._has_ended and self._is_drained and not self._shown):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            if self._mode_of_end is not None:
                self._type_end_anew()
                left = LOOK if left is None else min(left, LOOK)
            ready = self._wait(wakeup, left)
            if wakeup in ready:
                os.read(wakeup, CHUNK)  # its handler has run
            if self._pidfd in ready:
                self._has_ended = True
                self._stdin, self._typed, self._mode_of_end = None, b"", None
            self._pass_input(ready)
            if self._leave and self._recent.endswith(self._leave):
                return False
            self._pass_output(ready)
        return True

    def _wait(self, wakeup: int, left: float | None) -> dict[int, int]:
        """Which descriptors are ready; errors among them show when they are used."""
        wanted: dict[int, int] = {}
        for fd, event, condition in (
            (wakeup, select.POLLIN, wakeup >= 0),
            (self._pidfd, select.POLLIN, not self._has_ended),
            (self._stdin, select.POLLIN, not self._typed),
            (self._master, select.POLLOUT, bool(self._typed)),
            (self._master, select.POLLIN, not self._shown and not self._is_drained),
            (self._stdout, select.POLLOUT, bool(self._shown)),
        ):
            if fd is not None and condition:
                wanted[fd] = wanted.get(fd, 0) | event
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        if self._has_ended and not self._is_drained and not self._shown:
            left = 0  # another may hold the terminal: what is there now is all
        return dict(poll.poll(None if left is None else left * 1000))

    def _pass_input(self, ready: dict[int, int]) -> None:
        # It may be the same as stdout, and ready for that alone.
        if self._stdin is not None and not self._typed and ready.get(self._stdin, 0) & ~WRITABLE:
            chunk = _read(self._stdin)
            if chunk == b"":
                self._stdin = None
                chunk = self._end_of_input()
            if chunk:
                self._recent = (self._recent + chunk)[-len(self._leave) :] if self._leave else b""
                self._typed = chunk
                self._line_is_complete = chunk.endswith(b"\n")
        if self._typed and ready.get(self._master, 0) & WRITABLE:
            self._typed = self._typed[_write(self._master, self._typed) :]

    def _end_of_input(self) -> bytes:
        """What a person would type for it; the first one ends a line that is not complete."""
        self._mode_of_end = self._mode()
        return self._end_key() if self._line_is_complete else self._end_key() * 2

    def _end_key(self) -> bytes:
        key: bytes = termios.tcgetattr(self._master)[6][termios.VEOF]
        return key

    def _mode(self) -> int:
        local: int = termios.tcgetattr(self._master)[3]
        return local & termios.ICANON

    def _type_end_anew(self) -> None:
        """A shell changes the mode as it begins, and the end that waits is one no more (n_tty)."""
        if self._mode() != self._mode_of_end and not self._typed:
            self._mode_of_end = self._mode()
            self._typed = self._end_key()

    def _pass_output(self, ready: dict[int, int]) -> None:
        if self._shown and self._stdout in ready:
            self._shown = self._shown[_write(self._stdout, self._shown[:WRITE]) :]
        elif not self._shown and not self._is_drained:
            chunk = _read(self._master)
            if chunk:
                self._shown = b"" if self._stdout is None else chunk
            else:
                self._is_drained = chunk == b"" or self._has_ended


def _read(fd: int) -> bytes | None:
    """None where there is nothing yet, b"" at the end: EIO is that of a terminal (pty(7))."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _write(fd: int, data: bytes) -> int:
    """How much went."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
