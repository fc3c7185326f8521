"""The program's own side of the boolean channel, for payloads written in Python."""

from __future__ import annotations

import os

from crabcan import _channel
from crabcan.errors import ContainerError


class Inside:
    """The end of the channel that the program in the container has.

    Example:
        >>> import crabcan
        >>> script = "import crabcan; crabcan.inside().send_bool(True)"
        >>> with crabcan.Container(["python3", "-c", script]) as container:
        ...     container.create()
        ...     container.recv_bool(timeout=60)
        True

    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The channel's descriptor."""
        return self._fd

    def send_bool(self, value: bool) -> None:
        """Send one boolean to the caller. Raises TypeError, or SocketError (code 1)."""
        _channel.send(self._fd, value)

    def recv_bool(self, timeout: float | None = None) -> bool:
        """Receive one boolean from the caller; timeout in seconds.

        Raises ReceiveTimeout, or SocketError (code 2) when the caller's end is closed.
        """
        return _channel.receive(self._fd, timeout)


def inside() -> Inside:
    """The channel to whoever made this container, found through CRABCAN_CHANNEL_FD.

    Raises:
        ContainerError: this program was not given a channel.

    Example:
        >>> import crabcan
        >>> script = "import crabcan; c = crabcan.inside(); c.send_bool(c.recv_bool())"
        >>> with crabcan.Container(["python3", "-c", script]) as container:
        ...     container.create()
        ...     container.send_bool(False)
        ...     container.recv_bool(timeout=60)
        False

    """
    number = os.environ.get(_channel.VARIABLE, "")
    if not number.isdecimal():
        error = ContainerError(f"{_channel.VARIABLE} is not set: this program has no channel")
        error.advice = "make its container with channel=True"
        raise error
    return Inside(int(number))
