"""One boolean at a time over a socket pair, the same for both sides."""

from __future__ import annotations

from crabcan import _core
from crabcan.errors import of_socket

# The environment variable that holds the number of the program's end.
VARIABLE = "CRABCAN_CHANNEL_FD"


def pair() -> tuple[int, int]:
    """Two connected sockets. Raises SocketError (code 0)."""
    try:
        return _core.socketpair()
    except OSError as error:
        raise of_socket(error, "creating the socket pair", 0) from None


def send(fd: int, value: bool) -> None:
    """Send one boolean. Raises TypeError, or SocketError (code 1)."""
    if not isinstance(value, bool):
        raise TypeError(f"value: {value!r} is a {type(value).__name__}, not a bool")
    try:
        _core.send_bool(fd, value)
    except OSError as error:
        raise of_socket(error, "sending a boolean", 1) from None


def receive(fd: int, timeout: float | None) -> bool:
    """Receive one boolean. Raises ReceiveTimeout, or SocketError (code 2)."""
    try:
        return _core.recv_bool(fd, timeout)
    except OSError as error:
        raise of_socket(error, "receiving a boolean", 2) from None
