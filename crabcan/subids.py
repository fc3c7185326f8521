"""Ranges of subordinate ids, subuid(5): what a user namespace may hold beside one's own id."""

from __future__ import annotations

import os

from crabcan.errors import NotSupported, invalid

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Range = tuple[int, int]  # the first id and how many

# Both are looked up by the user: subgid(5) names login names too, not groups.
FILES: Mapping[str, str] = {"uid": "/etc/subuid", "gid": "/etc/subgid"}
# Whose names must not become a container's: getent(1)'s local part.
ACCOUNTS: Mapping[str, str] = {"uid": "/etc/passwd", "gid": "/etc/group"}
# Not the caller's PATH: these run as root. The last is where NixOS keeps its setuid programs.
FOLDERS = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin")

PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
# capabilities(7): CAP_SETUID and CAP_SETGID, which stand in for the setuid bit.
_CAPABILITY = {"uid": 7, "gid": 6}

# Ids are 32 bits, and the last one means "none", user_namespaces(7).
END_OF_IDS = 2**32 - 1
# The kernel takes less than one page of text as a map, user_namespaces(7).
MAP_BYTES = 4096
# Above everything that systemd sets aside for containers (uids-gids.7: up to 0x6fffffff), below
# the numbers that programs take for negative ones.
HIGH_START = 0x70000000
HIGH_END = 0x80000000
HIGH_COUNT = 65536
# Whose entry serves a privileged caller, podman's two in the order of preference.
OWNERS = ("root", "containers")


def ranges(kind: str, uid: int, *, name: str | None = None, file: str | None = None) -> list[Range]:
    """The sub-id ranges of a user, in the order of the file.

    Args:
        kind: ``"uid"`` or ``"gid"``.
        uid: the user, also for ``"gid"``.
        name: the user's login name; looked up in the password database if not given.
        file: where to read; /etc/subuid or /etc/subgid if not given.

    Returns:
        Pairs of the first id and how many. Id 0 and lines that make no sense are left out, and of
        overlapping ranges the part that was there before. Empty if the file is missing.

    Raises:
        ArgumentInvalid: `kind` is neither.

    Example:
        >>> from crabcan import subids
        >>> subids.ranges("uid", 1000)  # doctest: +SKIP
        [(100000, 65536)]

    See subuid(5), subgid(5). Ranges that come by nsswitch.conf(5) are not seen.

    """
    if kind not in FILES:
        raise invalid("kind", kind, "give 'uid' or 'gid'")
    keys = {str(uid), _name_of(uid) if name is None else name}
    taken: list[Range] = [(0, 1)]
    found: list[Range] = []
    for owner, start, count in _entries(file or FILES[kind]):
        if owner in keys:
            found += _without((start, count), taken)
            taken.append((start, count))
    return found


def programs(*, folders: Sequence[str] = FOLDERS) -> tuple[str, str]:
    """The paths of newuidmap(1) and newgidmap(1), able to do their work.

    Raises:
        NotSupported: one is missing, or lacks the privilege that it works with.

    """
    if _no_new_privs():
        error = NotSupported(
            "userns 'subids': no_new_privs is set, so newuidmap and newgidmap gain no privilege"
        )
        error.advice = "start it outside of what sets that: a container, or NoNewPrivileges= of a "
        error.advice += "systemd unit"
        raise error
    return _program("uid", folders), _program("gid", folders)


def maps(
    *,
    uid: int | None = None,
    gid: int | None = None,
    name: str | None = None,
    files: Mapping[str, str] = FILES,
    folders: Sequence[str] = FOLDERS,
) -> tuple[str, str]:
    r"""The maps of a user namespace for a caller without privilege.

    Id 0 inside is the caller's own, 1 and up are the sub-id ranges. newuidmap(1) and newgidmap(1)
    must write them: the kernel refuses the caller.

    Args:
        uid: the caller; the real user id if not given.
        gid: the caller's group; the real group id if not given. newgidmap lets one map it besides
            the ranges, and refuses to work at all unless it is the user's login group.
        name: the login name; looked up in the password database if not given.
        files: where to read the ranges, by kind.
        folders: where to look for the programs.

    Returns:
        The lines of uid_map and of gid_map: id inside, id outside, how many.

    Raises:
        NotSupported: the user has no range, or a program is missing.

    Example:
        >>> from crabcan import subids
        >>> subids.maps()  # doctest: +SKIP
        ('0 1000 1\n1 100000 65536\n', '0 1000 1\n1 100000 65536\n')

    See user_namespaces(7), newuidmap(1), newgidmap(1).

    """
    uid = os.getuid() if uid is None else uid
    gid = os.getgid() if gid is None else gid
    login = _name_of(uid) if name is None else name
    texts = {}
    for kind, own in (("uid", uid), ("gid", gid)):
        owned = ranges(kind, uid, name=login, file=files[kind])
        owned = [part for whole in owned for part in _without(whole, [(own, 1)])]
        if not owned:
            raise _no_entry(login or str(uid), files[kind])
        texts[kind] = _text([(own, 1), *owned])
    programs(folders=folders)
    return texts["uid"], texts["gid"]


def high_range(
    *, files: Mapping[str, str] = FILES, accounts: Mapping[str, str] = ACCOUNTS
) -> Range:
    """A range of ids, good as uids and as gids, that stand for nobody on the host.

    For a privileged caller, who may map what it likes. It is the entry of root or of the user
    `containers` in /etc/subuid and /etc/subgid, as podman has it, if it holds 65536 ids; else
    the first 65536 from 0x70000000 that are not handed out to anybody there.

    The range never holds id 0, nor an id of a user in /etc/passwd or of a group in /etc/group.

    Returns:
        The first id, and 65536.

    Raises:
        NotSupported: everything is taken.

    Example:
        >>> from crabcan import subids
        >>> subids.high_range()  # doctest: +SKIP
        (1879048192, 65536)

    See subuid(5), user_namespaces(7).

    """
    names = (*files.values(), *accounts.values())
    key = (names, tuple(map(_stamp, names)))
    found = _last.get(key)
    if found is None:
        found = _high_range(files, accounts)
        _last.clear()
        _last[key] = found
    return found


_last: dict[object, Range] = {}  # asked for at every launch of root's: 110 us, or 8


def _stamp(file: str) -> tuple[int, ...]:
    """What changes when somebody writes a file or puts another in its place."""
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _high_range(files: Mapping[str, str], accounts: Mapping[str, str]) -> Range:
    used = [(0, 1)]
    used += [(number, 1) for kind in ACCOUNTS for number in _numbers(accounts[kind])]
    for owner in OWNERS:
        for candidate in _common(owner, files):
            if not _overlaps(candidate, used):
                return candidate
    used += [(start, count) for kind in FILES for _, start, count in _entries(files[kind])]
    for start in range(HIGH_START, HIGH_END, HIGH_COUNT):
        if not _overlaps((start, HIGH_COUNT), used):
            return start, HIGH_COUNT
    error = NotSupported(f"no {HIGH_COUNT} ids from {HIGH_START} to {HIGH_END - 1} are free")
    error.advice = "set a range aside: usermod --add-subuids 100000-165535 "
    error.advice += "--add-subgids 100000-165535 root"
    raise error


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _lines(file: str) -> list[list[str]]:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            return [line.strip().split(":") for line in stream if not line.startswith("#")]
    except FileNotFoundError:
        return []


def _number(text: str) -> int | None:
    """A decimal number; None for 0100 too, which shadow's programs take for an octal one."""
    if not (text.isascii() and text.isdecimal()) or (len(text) > 1 and text.startswith("0")):
        return None
    return int(text)


def _entries(file: str) -> Iterable[tuple[str, int, int]]:
    """Owner, first id and count of each line that makes sense."""
    for fields in _lines(file):
        if len(fields) != 3 or not fields[0]:
            continue
        start, count = _number(fields[1]), _number(fields[2])
        if start is not None and count and start + count <= END_OF_IDS:
            yield fields[0], start, count


def _numbers(file: str) -> list[int]:
    """The third field of passwd(5) or group(5)."""
    numbers = [_number(fields[2]) for fields in _lines(file) if len(fields) > 2]
    return [number for number in numbers if number is not None]


def _overlaps(one: Range, others: Iterable[Range]) -> bool:
    start, count = one
    return any(start < first + n and first < start + count for first, n in others)


def _without(whole: Range, taken: Iterable[Range]) -> list[Range]:
    """What is left of a range; the kernel refuses maps that overlap."""
    left = [whole]
    for first, n in taken:
        parts = []
        for start, count in left:
            end = start + count
            for low, high in ((start, min(end, first)), (max(start, first + n), end)):
                if low < high:
                    parts.append((low, high - low))
        left = parts
    return left


def _common(owner: str, files: Mapping[str, str]) -> list[Range]:
    """The first HIGH_COUNT ids of each range that an owner has both as uids and as gids."""
    owned = {kind: [r for o, *r in _entries(files[kind]) if o == owner] for kind in FILES}
    found = []
    for uid_start, uid_count in owned["uid"]:
        for gid_start, gid_count in owned["gid"]:
            start = max(uid_start, gid_start)
            if min(uid_start + uid_count, gid_start + gid_count) - start >= HIGH_COUNT:
                found.append((start, HIGH_COUNT))
    return found


def _text(owned: list[Range]) -> str:
    text, inside = "", 0
    for start, count in owned:
        line = f"{inside} {start} {count}\n"
        if len(text) + len(line) >= MAP_BYTES:
            break
        text += line
        inside += count
    return text


def _no_entry(login: str, file: str) -> NotSupported:
    error = NotSupported(f"userns 'subids': user {login} has no range of sub-ids in {file}")
    error.advice = "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
    error.advice += login
    return error


def _program(kind: str, folders: Sequence[str]) -> str:
    name = PROGRAMS[kind]
    for folder in folders:
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            if _privileged(path, _CAPABILITY[kind]):
                return path
            error = NotSupported(
                f"userns 'subids': {path} has neither the setuid bit nor a file capability"
            )
            error.advice = f"as root: apt-get install --reinstall uidmap, or chmod u+s {path}"
            raise error
    error = NotSupported(f"userns 'subids': {name} is not in {':'.join(folders)}")
    error.advice = "as root: apt-get install uidmap"
    raise error


def _no_new_privs() -> bool:
    """PR_SET_NO_NEW_PRIVS(2const); without /proc nothing is known."""
    try:
        with open("/proc/self/status") as stream:
            return any(line.split() == ["NoNewPrivs:", "1"] for line in stream)
    except FileNotFoundError:
        return False


def _privileged(path: str, capability: int) -> bool:
    status = os.stat(path)
    if status.st_mode & 0o4000 and status.st_uid == 0:
        return True
    try:
        data = os.getxattr(path, "security.capability")
    except OSError:
        return False
    # struct vfs_cap_data of linux/capability.h: magic, then permitted's low word, little-endian.
    return bool(int.from_bytes(data[4:8], "little") & 1 << capability)
