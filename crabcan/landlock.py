"""Landlock, a second wall behind the mounts (landlock(7)), with the kernel's rights as a table."""

from __future__ import annotations

import os

from crabcan import _check, _core
from crabcan._check import Path
from crabcan._value import Value
from crabcan.errors import NotSupported

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterable

# What each version of the interface knows of the file system (linux/landlock.h): 13 rights, then
# "refer" (2), "truncate" (3) and "ioctl on devices" (5), a bit each.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_BIND_TCP, _CONNECT_TCP = 1, 2
_TCP_VERSION = 4


class Landlock(Value):
    """What the command may touch, whatever the mounts show it.

    Args:
        read: paths inside, below which it may read, list and execute, and nothing else anywhere.
        write: paths inside, below which it may do everything. None for both: no wall for files.
        connect: TCP ports that it may connect to. None: no wall for connections.
        bind: TCP ports that it may listen on. None: no wall for that.

    Example:
        >>> import crabcan
        >>> wall = crabcan.Landlock(read=["/"], write=["/tmp"])

    """

    __slots__ = ("read", "write", "connect", "bind")

    read: tuple[str, ...] | None
    write: tuple[str, ...] | None
    connect: tuple[int, ...] | None
    bind: tuple[int, ...] | None

    def __init__(
        self,
        *,
        read: Iterable[Path] | None = None,
        write: Iterable[Path] | None = None,
        connect: Iterable[int] | None = None,
        bind: Iterable[int] | None = None,
    ) -> None:
        self._set(
            read=_paths("landlock.read", read),
            write=_paths("landlock.write", write),
            connect=_ports("landlock.connect", connect),
            bind=_ports("landlock.bind", bind),
        )


Rule = tuple[int, bytes | None, int]


def rules_of(wall: Landlock | None) -> tuple[tuple[Rule, ...], int, int]:
    """The rules for a plan, and the rights that are walled in: of files, and of ports.

    Raises:
        NotSupported: this kernel has no Landlock, or none that knows of ports.

    """
    if wall is None:
        return (), 0, 0
    version = _core.landlock_version()
    ports = (_CONNECT_TCP if wall.connect is not None else 0) | (
        _BIND_TCP if wall.bind is not None else 0
    )
    files = wall.read is not None or wall.write is not None
    _require(version, 1 if files else 0)
    _require(version, _TCP_VERSION if ports else 0)
    rules: list[Rule] = []
    for kind, paths in ((_core.LANDLOCK_READ, wall.read), (_core.LANDLOCK_WRITE, wall.write)):
        rules += [(kind, os.fsencode(path), 0) for path in paths or ()]
    for kind, numbers in ((_core.LANDLOCK_CONNECT, wall.connect), (_core.LANDLOCK_BIND, wall.bind)):
        rules += [(kind, None, port) for port in numbers or ()]
    known = _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))] if files else 0
    return tuple(rules), (1 << known) - 1, ports


def _require(version: int, wanted: int) -> None:
    if version >= wanted:
        return
    what = f"has version {version}" if version else "is not there"
    error = NotSupported(f"landlock: version {wanted} is needed, and this kernel's {what}")
    error.advice = "leave landlock out, or boot a kernel with it (lsm=landlock,... and Linux 6.7)"
    raise error


def _paths(field: str, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(_check.target(field, path, root=True) for path in _check.words(field, value))


def _ports(field: str, value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not _check.is_iterable(value):
        raise _check.wrong_type(field, value, "a list of ports")
    return tuple(_check.integer(f"{field}[{i}]", port, 0, 65535) for i, port in enumerate(value))
