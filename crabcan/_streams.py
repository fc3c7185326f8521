"""A command's standard streams: pipes to the caller, and what goes through them."""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import time

from crabcan.errors import invalid

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from crabcan.container import Stdio

CHUNK = 65536
NAMES = ("stdin", "stdout", "stderr")


class Streams:
    """What the three streams are, by subprocess's own words: PIPE, STDOUT, DEVNULL, files.

    The ends that the command gets are `childs`, to be given to Container and then closed.
    """

    def __init__(self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> None:
        self.childs: list[Stdio] = []
        self.over_limit = False
        self._ours: dict[int, int] = {}  # which stream -> our end of its pipe
        self._opened: list[int] = []  # the command's ends that we made
        self._chunks: dict[int, list[bytes]] = {}
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
        reader, writer = map(_above_stdio, os.pipe2(os.O_CLOEXEC))
        ours, childs = (writer, reader) if number == 0 else (reader, writer)
        self._ours[number] = ours
        self._opened.append(childs)
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
        while self._ours:
            os.close(self._ours.popitem()[1])

    def _close_ours(self, number: int) -> None:
        os.close(self._ours.pop(number))

    def communicate(self, given: bytes, deadline: float | None, limit: int | None) -> bool:
        """Write what is given to stdin, and read the others until both are at their end.

        True then; False where the deadline, on the monotonic clock, or the limit in bytes of one
        stream came first.
        """
        left = memoryview(given)
        with selectors.DefaultSelector() as selector:
            for number, fd in self._ours.items():
                event = selectors.EVENT_READ if number else selectors.EVENT_WRITE
                os.set_blocking(fd, number != 0)
                selector.register(fd, event, number)
            while selector.get_map():
                ready = selector.select(_left(deadline))
                if not ready and deadline is not None:
                    return False
                for key, _ in ready:
                    if key.data == 0:
                        left = left[_write(key.fd, left[:CHUNK]) :]
                        ended = not left
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
