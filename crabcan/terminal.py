"""The terminal of a container: its master, which is the caller's."""

from __future__ import annotations

import errno
import os
import termios
from types import TracebackType

from crabcan import _check, defaults

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK = 65536
MAX_CELLS = 65535  # struct winsize, ioctl_tty(2)


class Terminal:
    r"""What a person would have before them: the screen to read, the keyboard to write.

    Container.terminal and Popen.terminal are one, with ``tty=True``. What is read is what the
    container writes, and the echo of what is written; its lines end with ``\r\n``.

    Example:
        >>> import crabcan
        >>> with crabcan.Popen(["sh"], tty=True) as shell:
        ...     _ = shell.terminal.write(b"stty -echo; exec tty\n")
        ...     while chunk := shell.terminal.read():
        ...         last = chunk
        >>> last.endswith(b"/dev/pts/0\r\n")
        True

    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<crabcan.Terminal {'closed' if self._fd < 0 else f'fd {self._fd}'}>"

    def fileno(self) -> int:
        """The descriptor, for select and selectors; it stays this object's.

        Raises:
            ValueError: the terminal is closed.

        """
        if self._fd < 0:
            raise ValueError("the terminal is closed")
        return self._fd

    def read(self, size: int = CHUNK) -> bytes:
        """What is on the screen next, at most `size` bytes; ``b""`` once the container has ended.

        Sleeps until there is something.
        """
        try:
            return os.read(self.fileno(), size)
        except OSError as error:
            if error.errno == errno.EIO:  # the last of the other side is closed (pty(7))
                return b""
            raise

    def write(self, data: bytes) -> int:
        """Type `data`, and return how many bytes of it were taken.

        Sleeps while the container does not read what was typed before.
        """
        return os.write(self.fileno(), data)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return termios.tcgetwinsize(self.fileno())

    def resize(self, rows: int, columns: int) -> None:
        """Change the size, which programs inside are told of by SIGWINCH.

        Raises:
            ArgumentInvalid: a number that is none from 0 to 65535.

        """
        size = (
            _check.integer("rows", rows, 0, MAX_CELLS),
            _check.integer("columns", columns, 0, MAX_CELLS),
        )
        termios.tcsetwinsize(self.fileno(), size)

    def close(self) -> None:
        """Hang up: what runs in the terminal gets SIGHUP. Doing it again does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def window_of(fds: Iterable[int | None]) -> tuple[int, int]:
    """Rows and columns of the first that is a terminal and knows them."""
    for fd in fds:
        if fd is not None and os.isatty(fd):
            rows, columns = termios.tcgetwinsize(fd)
            if rows and columns:
                return rows, columns
    return defaults.WINDOW
