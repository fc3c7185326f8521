"""What of the caller's a command gets: its three streams, and descriptors that are passed on."""

from __future__ import annotations

import os
import sys

from crabcan import _core
from crabcan.errors import invalid

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterable

    from crabcan.container import Stdio, Stdio3


def numbers_of(stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Stdio3:
    """Of what is given for the three; the caller's own for None."""
    return (
        number_of("stdin", stdin, 0),
        number_of("stdout", stdout, 1),
        number_of("stderr", stderr, 2),
    )


def number_of(name: str, value: Stdio, own: int) -> int | None:
    """The number to give; None for /dev/null, where the caller has closed its own."""
    if value is None:
        return own if _is_open(own) else None
    if isinstance(value, int) and not isinstance(value, bool):
        if not _is_open(value):
            raise invalid(name, value, "give a descriptor that is open")
        return value
    if isinstance(value, int) or not hasattr(value, "fileno"):
        kind = type(value).__name__
        raise TypeError(f"{name}: {value!r} is a {kind}, not a descriptor or a file")
    return value.fileno()


def passed_on(fds: Iterable[int], channel: bool) -> bytes:
    """The numbers as the core takes them; 0 to 2 are there anyway."""
    numbers = sorted({fd for fd in fds if not isinstance(fd, int) or not 0 <= fd <= 2})
    for fd in numbers:
        if not isinstance(fd, int) or isinstance(fd, bool):
            raise TypeError(f"pass_fds: {fd!r} is a {type(fd).__name__}, not a descriptor")
        if fd < 0 or not _is_open(fd):
            raise invalid("pass_fds", fd, "give descriptors that are open")
        if channel and fd == _core.CHANNEL_FD:
            raise invalid("pass_fds", fd, "it is the channel's: give channel=False")
    if len(numbers) > _core.MAX_PASSED:
        raise invalid("pass_fds", f"{len(numbers)} of them", f"give at most {_core.MAX_PASSED}")
    return b"".join(fd.to_bytes(4, sys.byteorder) for fd in numbers)


class Descriptors:
    """Three descriptors, /dev/null for what the caller has closed."""

    def __init__(self, stdio: Stdio3) -> None:
        self._devnull = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) if None in stdio else -1
        self._stdio = stdio

    def __enter__(self) -> tuple[int, int, int]:
        stdin, stdout, stderr = (self._devnull if fd is None else fd for fd in self._stdio)
        return stdin, stdout, stderr

    def __exit__(self, *_: object) -> None:
        if self._devnull >= 0:
            os.close(self._devnull)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
