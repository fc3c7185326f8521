"""Who the command is: ids, groups, and the names that the root's own files give them."""

from __future__ import annotations

import os

from crabcan import _check, _core
from crabcan.errors import invalid

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE = 1 << 20  # of passwd and group: the root may be anybody's
MAX_GROUPS = 65536  # NGROUPS_MAX, setgroups(2)


class User:
    """What passwd(5) and group(5) say of a user; `groups` are the supplementary ones."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def look_up(user: str, root: str | None) -> User:
    """The user of that name in the root's own files; ``name``, ``uid``, and either with ``:group``.

    Raises:
        ArgumentInvalid: there is no such user or group.

    """
    name, colon, group = user.partition(":")
    people = dict(_entries(root, "passwd", 7))
    found = people.get(name)
    if found is None and name.isascii() and name.isdecimal():
        uid = _check.identity("user", int(name))
        home = next((row[5] for row in people.values() if row[2] == name), "/")
        found = [name, "", str(uid), str(uid), "", home, ""]
    if found is None:
        if people:
            raise _check.unknown("user", name, sorted(people))
        raise invalid("user", name, "the root has no /etc/passwd: give uid and gid")
    uid, gid = (_number("user", found[i], name) for i in (2, 3))
    if colon:
        return User(uid, group_id("user", group, root), (), found[5])
    return User(uid, gid, _memberships(name, gid, root), found[5])


def group_id(field: str, group: str, root: str | None) -> int:
    """The id of a group by its name in the root's own file, or by its number.

    Raises:
        ArgumentInvalid: there is no such group.

    """
    groups = dict(_entries(root, "group", 4))
    if group in groups:
        return _number(field, groups[group][2], group)
    if group.isascii() and group.isdecimal():
        return _check.identity(field, int(group))
    raise _check.unknown(field, group, sorted(groups))


def _memberships(name: str, gid: int, root: str | None) -> tuple[int, ...]:
    rows = [row for _, row in _entries(root, "group", 4) if name in row[3].split(",")]
    found = {_number("user", row[2], row[0]) for row in rows}
    return tuple(sorted(found - {gid}))


def _number(field: str, text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _check.MAX_ID):
        raise invalid(field, name, f"its entry in the root's files has the id {text!r}")
    return int(text)


def _entries(root: str | None, name: str, fields: int) -> Iterator[tuple[str, list[str]]]:
    """The rows of the root's passwd or group; none if it has no such file."""
    if root is None:
        text = passwd_of(0) if name == "passwd" else group_of(0)
    else:
        text = _read_inside(root, f"etc/{name}")
    for line in text.split("\n"):
        row = line.split(":")
        if len(row) == fields:
            yield row[0], row


def _read_inside(root: str, path: str) -> str:
    """A file of the root: links in it are resolved as the container would."""
    try:
        fd = _core.open_inside(os.fsencode(root), os.fsencode(path))
    except OSError:
        return ""
    with open(fd, "rb") as file:
        return file.read(MAX_FILE).decode("utf-8", "surrogateescape")


def groups(field: str, value: object) -> tuple[int, ...]:
    """Checked supplementary groups."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise _check.wrong_type(field, value, "a list of group ids")
    checked = tuple(_check.identity(f"{field}[{i}]", gid) for i, gid in enumerate(value))
    if len(checked) > MAX_GROUPS:
        raise invalid(field, f"{len(checked)} groups", f"give at most {MAX_GROUPS}")
    return checked


def passwd_of(uid: int) -> str:
    """The passwd(5) of the host view: the host's own would tell who its users are."""
    rows = ["root:x:0:0:root:/root:/bin/sh"]
    if uid not in (0, 65534):
        rows.append(f"user:x:{uid}:{uid}:user:/home/user:/bin/sh")
    rows.append("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin")
    return "\n".join(rows) + "\n"


def group_of(gid: int) -> str:
    """The group(5) of the host view."""
    rows = ["root:x:0:"]
    if gid not in (0, 65534):
        rows.append(f"user:x:{gid}:")
    rows.append("nogroup:x:65534:")
    return "\n".join(rows) + "\n"
