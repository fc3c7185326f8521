"""A command's standard streams: pipes to the caller, and what goes through them."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import io
import os
import selectors
import subprocess
import time

from crabcan.errors import invalid, of_call

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from crabcan.container import Stdio

CHUNK = 65536
NAMES = ("stdin", "stdout", "stderr")


class Streams:
    """What the three streams are, by subprocess's own words: PIPE, STDOUT, DEVNULL, files.

    The ends that the command gets are `childs`, to be given to Container and then closed.
    """

    def __init__(self, stdin: Stdio, stdout: Stdio, stderr: Stdio, size: int = -1) -> None:
        self.childs: list[Stdio] = []
        self.over_limit = False
        self._ours: dict[int, int] = {}  # which stream -> our end of its pipe
        self._lent: dict[int, IO[Any]] = {}  # the same as a file, which closes it
        self._given: memoryview | None = None  # what stdin has still to get
        self._opened: list[int] = []  # the command's ends that we made
        self._chunks: dict[int, list[bytes]] = {}
        self._size = size  # of a pipe
        try:
            for number, wanted in enumerate((stdin, stdout, stderr)):
                self.childs.append(self._end(number, wanted))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _end(self, number: int, wanted: Stdio) -> Stdio:
        if wanted == subprocess.PIPE:
            return self._pipe(number)
        if wanted == subprocess.DEVNULL:
            self._opened.append(_above_stdio(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)))
            return self._opened[-1]
        if wanted == subprocess.STDOUT:
            if number != 2:
                raise invalid(NAMES[number], "STDOUT", "only stderr can go where stdout goes")
            return 1 if self.childs[1] is None else self.childs[1]
        return wanted

    def _pipe(self, number: int) -> int:
        try:
            ends = os.pipe2(os.O_CLOEXEC)
        except OSError as problem:
            raise of_call(f"making a pipe for {NAMES[number]}", problem, "streams") from problem
        reader, writer = map(_above_stdio, ends)
        ours, childs = (writer, reader) if number == 0 else (reader, writer)
        self._ours[number] = ours
        self._opened.append(childs)
        if self._size > 0:
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, self._size)
        if number:
            self._chunks[number] = []
        return childs

    def close_childs(self) -> None:
        """Our copies of the command's ends: while we held them, no end would ever show."""
        while self._opened:
            os.close(self._opened.pop())

    def close(self) -> None:
        """Close all that is ours."""
        self.close_childs()
        for number in list(self._ours):
            with contextlib.suppress(BrokenPipeError):  # what a file has kept for nobody
                self._close_ours(number)

    def _close_ours(self, number: int) -> None:
        fd = self._ours.pop(number)
        if number in self._lent:
            self._lent[number].close()
        else:
            os.close(fd)

    def lend(self, number: int, open_file: Callable[[int], IO[Any]]) -> IO[Any] | None:
        """Our end as a file, made once; None where the stream is no pipe of ours."""
        if number not in self._lent:
            if number not in self._ours:
                return None
            self._lent[number] = open_file(self._ours[number])
        return self._lent[number]

    def communicate(self, given: bytes, deadline: float | None, limit: int | None) -> bool:
        """Write what is given to stdin, and read the others until both are at their end.

        True then; False where the deadline, on the monotonic clock, or the limit in bytes of one
        stream came first. Called again it goes on, and `given` is that of the first call.
        """
        if self._given is None:
            self._given = memoryview(given)
        with selectors.DefaultSelector() as selector:
            for number, fd in self._ours.items():
                if number in self._lent and self._lent[number].closed:
                    continue
                event = selectors.EVENT_READ if number else selectors.EVENT_WRITE
                os.set_blocking(fd, number != 0)
                selector.register(fd, event, number)
            while selector.get_map():
                ready = selector.select(_left(deadline))
                if not ready and deadline is not None:
                    return False
                for key, _ in ready:
                    if key.data == 0:
                        self._given = self._given[_write(key.fd, self._given[:CHUNK]) :]
                        ended = not self._given
                    else:
                        ended = not self._read(key.data, limit)
                    if ended:
                        selector.unregister(key.fd)
                        self._close_ours(key.data)
                if self.over_limit:
                    return False
        return True

    def _read(self, number: int, limit: int | None) -> bool:
        """One chunk; False at the end."""
        chunk = os.read(self._ours[number], CHUNK)
        size = sum(map(len, self._chunks[number])) if limit is not None else 0
        if limit is not None and size + len(chunk) > limit:
            self.over_limit = True
            chunk = chunk[: limit - size]
        self._chunks[number].append(chunk)
        return bool(chunk)

    def output(self, number: int) -> bytes | None:
        """What came through a pipe; None where there is none."""
        return b"".join(self._chunks[number]) if number in self._chunks else None


def _write(fd: int, data: memoryview) -> int:
    """How much went; all of it where nobody reads, as subprocess has it."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return 1 << 62


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _above_stdio(fd: int) -> int:
    """The same file by a number above 2, which a caller may have closed and others mean."""
    if fd > 2:
        return fd
    higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return higher


class Mode:
    """Bytes, or strings of an encoding."""

    def __init__(self, text: bool | None, encoding: str | None, errors: str | None) -> None:
        self.text = bool(text or encoding or errors)
        self._encoding = encoding or "utf-8"
        self._errors = errors or "strict"
        if self.text:  # before anything starts, as the container's end is too late
            "".encode(self._encoding)
            codecs.lookup_error(self._errors)

    def open(self, fd: int, mode: str, bufsize: int) -> IO[Any]:
        """A file of this mode that owns the descriptor."""
        if not self.text:
            return open(fd, f"{mode}b", bufsize)
        binary = open(fd, f"{mode}b", -1 if bufsize == 1 else bufsize)  # noqa: SIM115
        return io.TextIOWrapper(
            binary,
            encoding=self._encoding,
            errors=self._errors,
            line_buffering=bufsize == 1,
            write_through=mode == "w",
        )

    def encoded(self, given: bytes | str | None) -> bytes:
        """What goes through a pipe."""
        if isinstance(given, str):
            if not self.text:
                raise TypeError("input: a string is given, and text is not set")
            return given.encode(self._encoding, self._errors)
        if given is not None and self.text:
            raise TypeError("input: bytes are given, and text is set")
        try:
            memoryview(given or b"")
        except TypeError:
            kind = type(given).__name__
            raise TypeError(f"input: {given!r} is a {kind}, not bytes or a string") from None
        return given or b""

    def decoded(self, data: bytes | None, cut: bool) -> Any:
        """What came through a pipe; `cut` where a limit has ended it."""
        if data is None or not self.text:
            return data
        # What a limit has cut may end within a character.
        text = data.decode(self._encoding, "replace" if cut else self._errors)
        return text.replace("\r\n", "\n").replace("\r", "\n")
