"""Ranges of ids: for root's containers, and for an ordinary user by subuid(5) and newuidmap(1)."""

from __future__ import annotations

import os

from crabcan.errors import Error, NotSupported

# Above any that useradd(8) or systemd give to people, services and sub-id ranges (systemd's
# UIDS-GIDS document), below 2^31, which some programs take for negative.
HIGH_START = 0x70000000
COUNT = 65536  # the ids that files of distributions use, nobody (65534) among them

PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
FILES = {"uid": "/etc/subuid", "gid": "/etc/subgid"}


def high_range(path: str = FILES["uid"]) -> tuple[int, int]:
    """Start and count of the ids that root's containers have on the host.

    The first range of root in /etc/subuid that is large enough and leaves the host's own ids
    alone, if there is one; a fixed high one otherwise.
    """
    for start, count in ranges(path, 0):
        if count >= COUNT and start >= COUNT:
            return start, COUNT
    return HIGH_START, COUNT


def ranges(path: str, uid: int) -> list[tuple[int, int]]:
    """The ranges that a file of subuid(5)'s form gives a user, by name or number."""
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    names = {str(uid), _name_of(uid)}
    found = []
    for line in lines:
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names and all(f.isdecimal() for f in fields[1:]):
            start, count = int(fields[1]), int(fields[2])
            if start > 0 and count > 0 and start + count < 2**32:
                found.append((start, count))
    return found


def maps(uid: int | None = None, files: dict[str, str] = FILES) -> tuple[str, str]:
    """The uid and gid map of a user with sub-ids: 0 is the user, what follows are the sub-ids.

    Raises:
        NotSupported: there are none, or newuidmap(1) is not installed.

    """
    user = os.geteuid() if uid is None else uid
    own = {"uid": user, "gid": os.getegid()}
    return _map("uid", user, own["uid"], files), _map("gid", user, own["gid"], files)


def _map(kind: str, user: int, own: int, files: dict[str, str]) -> str:
    from shutil import which

    program = PROGRAMS[kind]
    if which(program) is None:
        raise _unsupported(f"{program} is not installed", "apt-get install uidmap")
    found = ranges(files[kind], user)
    if not found:
        name = _name_of(user)
        raise _unsupported(
            f"{files[kind]} gives {name} no range of ids",
            f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
        )
    lines = [f"0 {own} 1"]
    inside = 1
    for start, count in found:
        lines.append(f"{inside} {start} {count}")
        inside += count
    return "\n".join(lines) + "\n"


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _unsupported(what: str, advice: str) -> Error:
    error = NotSupported(f"userns 'subids': {what}")
    error.advice = advice
    return error
