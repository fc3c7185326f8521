"""The user namespace of a container: who its ids are on the host (user_namespaces(7))."""

from __future__ import annotations

import os

from crabcan import _core
from crabcan.errors import invalid

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from crabcan.spec import Spec

_ALL_IDS = "0          0 4294967295"  # uid_map of the initial user namespace


class Identity:
    """The plan's part of it: flags, clone flags, maps, and whether owners need an idmap."""

    __slots__ = ("clone_flags", "flags", "gid_map", "idmap", "uid_map")

    def __init__(
        self,
        flags: int,
        *,
        maps: tuple[str, str] | None = None,
        idmap: bool = False,
    ) -> None:
        self.flags = flags | (_core.USER_NAMESPACE if maps else 0)
        self.clone_flags = _core.CLONE_NEWUSER if maps else 0
        self.uid_map = maps[0].encode() if maps else None
        self.gid_map = maps[1].encode() if maps else None
        self.idmap = idmap


def is_privileged() -> bool:
    """Whether the caller is root of the host, and not of a user namespace only."""
    if os.geteuid() != 0:
        return False
    fd = os.open("/proc/self/uid_map", os.O_RDONLY | os.O_CLOEXEC)  # open() takes twice as long
    try:
        return os.read(fd, 4096).decode().strip() == _ALL_IDS
    finally:
        os.close(fd)


def of(spec: Spec, joins_user: bool) -> Identity:
    """Who the container's ids are.

    Root's are a range of high ids, so that the container's root is never the host's. Anybody else
    has the single-id map, which needs no privilege, or by userns='subids' a range of his own.

    Raises:
        ArgumentInvalid: an id or a group that the map cannot hold.
        NotSupported: there are no sub-ids to be had.

    """
    privileged = is_privileged()
    if joins_user:
        return _of_the_joined(spec, privileged)
    if dict(spec.namespaces).get("user", spec.userns) == "host":
        return _of_the_host(spec, privileged)
    if privileged:
        return _of_root(spec)
    if spec.userns == "subids":
        return _of_sub_ids(spec)
    return _single(spec)


def _of_the_joined(spec: Spec, privileged: bool) -> Identity:
    """Its maps are there already."""
    if privileged:
        return Identity(_core.INIT_ROOT | _core.SET_GROUPS | _core.HOST_TREES, idmap=True)
    if spec.groups:
        raise invalid("groups", spec.groups, "a user namespace that is joined has its own")
    return Identity(0)


def _of_the_host(spec: Spec, privileged: bool) -> Identity:
    if not privileged:
        raise invalid("userns", "host", "only root can do without a user namespace")
    return Identity(_core.SET_GROUPS | _core.HOST_TREES)


def _of_root(spec: Spec) -> Identity:
    from crabcan import subids

    start, count = subids.high_range()
    _check_range(spec, count, count)
    line = f"0 {start} {count}\n"
    flags = _core.INIT_ROOT | _core.SET_GROUPS | _core.HOST_TREES
    return Identity(flags, maps=(line, line), idmap=True)


def _of_sub_ids(spec: Spec) -> Identity:
    from crabcan import subids

    uid_map, gid_map = subids.maps()
    _check_range(spec, _count(uid_map), _count(gid_map))
    flags = _core.NEWIDMAP | _core.INIT_ROOT | _core.SET_GROUPS
    return Identity(flags, maps=(uid_map, gid_map))


def _single(spec: Spec) -> Identity:
    if spec.groups:
        raise invalid(
            "groups",
            spec.groups,
            "one id cannot have others: give userns='subids', or run as root",
        )
    maps = (f"{spec.uid} {os.geteuid()} 1\n", f"{spec.gid} {os.getegid()} 1\n")
    return Identity(_core.DENY_SETGROUPS, maps=maps)


def _check_range(spec: Spec, uids: int, gids: int) -> None:
    for name, ids, count in (
        ("uid", (spec.uid,), uids),
        ("gid", (spec.gid,), gids),
        ("groups", spec.groups, gids),
    ):
        for number in ids:
            if number >= count:
                raise invalid(name, number, f"the container has the ids 0 to {count - 1}")


def _count(text: str) -> int:
    return sum(int(line.split()[2]) for line in text.splitlines())
