"""Popen: a command in a container while it runs, in the shape of subprocess.Popen."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import types
from collections.abc import Iterable

from crabcan._arguments import command_of, of_subprocess, text_mode
from crabcan._run import TimeoutExpired
from crabcan._streams import Mode, Streams
from crabcan.container import Container, refuse_with_tty
from crabcan.spec import Spec

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from typing import Any, Unpack

    from crabcan.container import Stdio
    from crabcan.pool import Pool
    from crabcan.spec import Command, SubprocessOptions
    from crabcan.terminal import Terminal
    from crabcan.usage import Usage


class Popen:
    r"""A command that has been started in a container of its own.

    Args:
        args: the program and its arguments, or a crabcan.Spec.
        bufsize: of the files stdin, stdout and stderr, as open() has it.
        stdin: a descriptor, an open file, PIPE or DEVNULL; the caller's own if not given.
        stdout: see stdin.
        stderr: see stdin; STDOUT sends it where stdout goes.
        text: strings and not bytes; so encoding (UTF-8 if not given) and errors.
        encoding: see text.
        errors: see text.
        universal_newlines: another name of text.
        pass_fds: descriptors that the command gets by the same numbers.
        pipesize: bytes that a pipe holds, F_SETPIPE_SZ of fcntl(2); the kernel's choice if not
            given.
        pool: a crabcan.Pool to take the container from; it has the options.
        options: what else run() takes: root, mounts, uid, limits, network, shell, ...

    Attributes:
        args: as given.
        stdin: the file to write to, where stdin is PIPE; else None.
        stdout: the file to read from, where stdout is PIPE; so stderr.
        returncode: the exit code, or minus the signal; None before poll() or wait() has seen it.

    Raises:
        CommandNotFound: there is no such command inside; a FileNotFoundError.
        Error: its subclasses, where the container could not be made.

    Example:
        >>> import crabcan
        >>> with crabcan.Popen(["cat"], stdin=crabcan.PIPE, stdout=crabcan.PIPE) as process:
        ...     process.communicate(b"hello")
        (b'hello', None)

    """

    def __init__(
        self,
        args: Command | Spec,
        bufsize: int | None = -1,
        *,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        pass_fds: Iterable[int] = (),
        pipesize: int = -1,
        pool: Pool | None = None,
        **options: Unpack[SubprocessOptions],
    ) -> None:
        if not (bufsize is None or isinstance(bufsize, int)):
            raise TypeError(f"bufsize: {bufsize!r} is a {type(bufsize).__name__}, not an int")
        self.args = command_of(args)
        self.returncode: int | None = None
        self._pool = pool
        self._mode = Mode(text_mode(text, universal_newlines), encoding, errors)
        spec = self._spec_of(args, options, pass_fds)
        if spec.tty:
            refuse_with_tty(stdin=stdin, stdout=stdout, stderr=stderr)
        self._communicating = False
        self._streams = Streams(stdin, stdout, stderr, pipesize)
        try:
            self._container = self._make(spec, self._streams.childs, pass_fds)
            self._container.create()
        except BaseException:
            self._streams.close()
            raise
        self._streams.close_childs()
        self._terminal = self._container._give_up_terminal()
        size = -1 if bufsize is None else bufsize
        self.stdin = self._streams.lend(0, lambda fd: self._mode.open(fd, "w", size))
        self.stdout = self._streams.lend(1, lambda fd: self._mode.open(fd, "r", size))
        self.stderr = self._streams.lend(2, lambda fd: self._mode.open(fd, "r", size))

    def _spec_of(
        self, args: Command | Spec, options: SubprocessOptions, pass_fds: Iterable[int]
    ) -> Spec:
        return of_subprocess(args, options, pass_fds, self._pool)

    def _make(self, spec: Spec, ends: list[Stdio], pass_fds: Iterable[int]) -> Container:
        stdin, stdout, stderr = ends
        return Container(
            spec, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, pool=self._pool
        )

    __class_getitem__: Any = classmethod(types.GenericAlias)  # Popen[bytes], as subprocess has it

    def __enter__(self) -> Popen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Close the pipes, or the terminal, and wait, as subprocess does; after Ctrl-C, kill."""
        try:
            for file in (self.stdout, self.stderr, self.stdin):
                if file is not None:
                    file.close()  # a BrokenPipeError of what was still to be written is told
        finally:
            self._streams.close()
            if self._terminal is not None:
                self._terminal.close()
            if kind is KeyboardInterrupt:
                self.kill()
            self.wait()

    def __repr__(self) -> str:
        return f"<crabcan.Popen returncode: {self.returncode} args: {self.args!r}>"

    @property
    def terminal(self) -> Terminal | None:
        """Its terminal, to read and to write, where tty is set (crabcan.Terminal)."""
        return self._terminal

    @property
    def pid(self) -> int:
        """The process id of the container's init; signals to it reach the command."""
        return self._container.child_pid or 0

    def poll(self) -> int | None:
        """The returncode if it has ended, or None."""
        if self.returncode is None:
            self._take_end(self._container.poll())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the returncode.

        Raises:
            TimeoutExpired: it has not ended in time, in seconds; it goes on.

        """
        if self.returncode is None:
            try:
                self._take_end(self._container.wait(timeout))
            except subprocess.TimeoutExpired:
                raise TimeoutExpired(self.args, timeout or 0) from None
        return self.returncode if self.returncode is not None else 0

    def _take_end(self, code: int | None) -> None:
        """Give the container's groups and descriptors back as soon as it has ended."""
        if code is not None:
            self.returncode = code
            self._container.close()

    def communicate(
        self, input: bytes | str | None = None, timeout: float | None = None
    ) -> tuple[Any, Any]:
        """Give the input, read both outputs to their ends, and wait.

        Returns:
            stdout and stderr, None for what is no pipe.

        Raises:
            TimeoutExpired: not in time, in seconds. Nothing is lost: it can be called again.

        """
        if self._communicating and input:
            raise ValueError("input: it has been given by an earlier communicate()")
        if input is not None and self.stdin is None:
            raise ValueError("input: stdin is not PIPE")
        if self._terminal is not None:
            raise ValueError("communicate: read and write the terminal")
        if timeout is None and not self._communicating and self._pipes() <= 1:
            return self._communicate_one(input)
        given = self._begin(input)
        deadline = None if timeout is None else time.monotonic() + timeout
        done = self._streams.communicate(given, deadline, None)
        output = self._streams.output(1), self._streams.output(2)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            if not done:
                raise subprocess.TimeoutExpired([], 0)
            self.wait(left)
        except subprocess.TimeoutExpired:
            raise TimeoutExpired(self.args, timeout or 0, *output) from None
        return self._mode.decoded(output[0], False), self._mode.decoded(output[1], False)

    def _pipes(self) -> int:
        return sum(file is not None for file in (self.stdin, self.stdout, self.stderr))

    def _communicate_one(self, given: bytes | str | None) -> tuple[Any, Any]:
        """Where there is one pipe at most, nothing has to be done at the same time."""
        if self.stdin is not None:
            if given:
                with contextlib.suppress(BrokenPipeError):
                    self.stdin.write(given)
            self._close_stdin()
        output = []
        for file in (self.stdout, self.stderr):
            output.append(None if file is None else file.read())
            if file is not None:
                file.close()
        self.wait()
        return output[0], output[1]

    def _begin(self, given: bytes | str | None) -> bytes:
        """What was written before comes first; stdin is closed where nothing is to follow."""
        encoded = self._mode.encoded(given)
        if self.stdin is not None and not self._communicating:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.flush()
            if not given:
                self._close_stdin()
        self._communicating = True
        return encoded

    def _close_stdin(self) -> None:
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()

    def send_signal(self, signum: int) -> None:
        """Send a signal to the command; one that has ended is left alone."""
        if self.poll() is None and self._container.returncode is None:
            self._container.send_signal(signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole container at once."""
        self.send_signal(signal.SIGKILL)

    @property
    def usage(self) -> Usage | None:
        """What it has used, once it has ended."""
        return self._container.usage

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel killed in it because its memory limit was reached."""
        return self._container.oom_killed

    @property
    def timed_out(self) -> bool:
        """Whether its limit of wall_time or cpu_time ended it."""
        return self._container.timed_out
