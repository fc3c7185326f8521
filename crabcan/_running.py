"""The walls of a container that runs, from proc(5). What is told there is hostile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from crabcan import cgroup
from crabcan._text import harmless
from crabcan.capabilities import names_of
from crabcan.errors import invalid
from crabcan.namespaces import KINDS

_MOST = 1 << 22  # bytes of a file: more is no container's that we made
_INIT = "crabcan-init"
_UNLIMITED = 1 << 62  # version 1 has a number near 2**63 for none
# By the kernel's words for them in /proc/PID/limits.
_RLIMITS = {"Max core file size": "core", "Max processes": "nproc", "Max open files": "nofile",
            "Max file size": "fsize", "Max cpu time": "cpu", "Max address space": "as"}  # fmt: skip
# The limit and what is used of it, in version 1 and in version 2. Of processes init is one.
_FILES: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "memory": (
        (("memory.limit_in_bytes",), ("memory.usage_in_bytes",)),
        (("memory.max",), ("memory.current",)),
    ),
    "pids": ((("pids.max",), ("pids.current",)), (("pids.max",), ("pids.current",))),
    "cpus": ((("cpu.cfs_quota_us", "cpu.cfs_period_us"), ()), (("cpu.max",), ())),
}


def collect(pid: int) -> dict[str, Any]:
    """What explain.running() gives, but for the host and the reasons.

    Raises:
        ArgumentInvalid: see there.

    """
    try:
        return _collect(_payload_of(pid))
    except PermissionError:
        raise invalid("pid", pid, "give a container of yours: this one is another's") from None
    except OSError:  # not there, or ending
        raise invalid("pid", pid, "give the number of a process that runs") from None


def _collect(pid: int) -> dict[str, Any]:
    namespaces = list(_namespaces(pid))
    if all(namespace["state"] == "host" for namespace in namespaces):
        raise invalid("pid", pid, "give a process of a container: this one is in none")
    status = _status(pid)
    return {
        "of": "running",
        "pid": pid,
        "command": [harmless(word) for word in _read(pid, "cmdline", 1 << 16).split("\0")[:-1]],
        "hostname": None,
        "namespaces": namespaces,
        "mounts": [] if _state(namespaces, "mount") == "host" else list(_mounts(pid)),
        "network": _network(pid, namespaces),
        "ids": _ids(pid, status),
        "capabilities": {
            "kept": list(names_of(int(status["CapEff"], 16))),
            "bounding": list(names_of(int(status["CapBnd"], 16))),
            "no_new_privs": status["NoNewPrivs"] == "1",
        },
        "syscalls": {
            "profile": None,
            "filters": int(status["Seccomp_filters"]) if status["Seccomp"] == "2" else 0,
            "allowed": None,
            "besides": [],
            "refused": {},
            "others": None,
            "by_arguments": {},
        },
        "landlock": None,
        "limits": [*_groups(pid), *_rlimits(pid)],
    }


def _read(pid: int | str, name: str, most: int = _MOST) -> str:
    path = f"/proc/{pid}/{name}"
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read(most)


def _lines(pid: int | str, name: str) -> list[str]:
    return cgroup.lines_of(_read(pid, name))


def _status(pid: int) -> dict[str, str]:
    pairs = (line.partition(":") for line in _lines(pid, "status"))
    return {name: value.strip() for name, _, value in pairs}


def _payload_of(pid: int) -> int:
    """The command's process, where the given one is a container's init."""
    status = _status(pid)
    if status["Name"] != _INIT or not status["NSpid"].endswith("\t1"):
        return pid
    children = [int(child) for child in _read(pid, f"task/{pid}/children").split()]
    return min(children, key=_started, default=pid)


def _started(pid: int) -> int:
    """In ticks since boot; the name in brackets may hold anything."""
    return int(_read(pid, "stat").rpartition(")")[2].split()[19])


def _namespaces(pid: int) -> Iterator[dict[str, Any]]:
    for name, (_, file) in KINDS.items():
        theirs = os.stat(f"/proc/{pid}/ns/{file}")
        shared = os.path.samestat(theirs, os.stat(f"/proc/self/ns/{file}"))
        yield {"name": name, "state": "host" if shared else "own", "inode": theirs.st_ino}


def _state(namespaces: list[dict[str, Any]], name: str) -> object:
    return next(namespace["state"] for namespace in namespaces if namespace["name"] == name)


def _mounts(pid: int) -> Iterator[dict[str, Any]]:
    """As explain.dry_run() has them; see proc_pid_mountinfo(5)."""
    for line in _lines(pid, "mountinfo"):
        fields = line.split(" ")
        root, target, flags = (harmless(cgroup.unescape(field)) for field in fields[3:6])
        filesystem, _source, options = fields[fields.index("-") + 1 :][:3]
        kind, source = _kind(filesystem, root, target, "ro" in flags.split(","))
        sizes = [o.removeprefix("size=") for o in options.split(",") if o.startswith("size=")]
        yield {
            "target": target,
            "kind": harmless(kind),
            "source": source,
            "flags": _kept(kind, flags.split(",")),
            "size": sizes[0] if sizes and kind == "tmpfs" else None,
        }


def _kept(kind: str, flags: list[str]) -> list[str]:
    """What tells something: of what is masked nothing does."""
    if kind in ("masked", "protected"):
        return ["ro"] if kind == "protected" else []
    return [flag for flag in flags if flag != "relatime"]


def _kind(filesystem: str, root: str, target: str, read_only: bool) -> tuple[str, str | None]:
    in_kernels = target.startswith(("/proc/", "/sys/"))
    if in_kernels and read_only and (root == "/null" or (filesystem, root) == ("tmpfs", "/")):
        return "masked", None
    if in_kernels and read_only and filesystem == "proc":
        return "protected", None
    if filesystem == "devtmpfs":
        return "bind", f"/dev{root}"
    if filesystem == "tmpfs" and root != "/" and root[1:].isdecimal():
        return "file", None  # in init's scratch file system, by its number
    if root == "/" and target != "/":
        return filesystem, None
    return (filesystem, None) if filesystem == "tmpfs" else ("bind", root)


def _network(pid: int, namespaces: list[dict[str, Any]]) -> dict[str, Any]:
    lines = _lines(pid, "net/dev")[2:]
    return {
        "state": _state(namespaces, "network"),
        "publish": [],
        "interfaces": [harmless(line.partition(":")[0].strip()) for line in lines],
    }


def _ids(pid: int, status: dict[str, str]) -> dict[str, Any]:
    uids, gids = _ranges(_lines(pid, "uid_map")), _ranges(_lines(pid, "gid_map"))
    groups = [int(group) for group in status["Groups"].split()]
    return {
        "uid": _inside(int(status["Uid"].split()[0]), uids),
        "gid": _inside(int(status["Gid"].split()[0]), gids),
        "groups": [_inside(group, gids) for group in groups],
        "uid_map": uids,
        "gid_map": gids,
    }


def _ranges(lines: list[str]) -> list[list[int]]:
    return [[int(number) for number in line.split()] for line in lines]


def _inside(outside: int, ranges: list[list[int]]) -> int:
    """An id as the container has it; nobody where it has none."""
    for first, start, count in ranges:
        if start <= outside < start + count:
            return first + outside - start
    return 65534


def _groups(pid: int) -> Iterator[dict[str, Any]]:
    """What the files of its groups say, where those are not ours as well."""
    ours = cgroup.hierarchies()
    theirs = cgroup.parse(_read("self", "mountinfo"), _read(pid, "cgroup"))
    for row in cgroup.TABLE:
        key = next((key for key in (row.controller, "") if key in theirs), None)
        if row.limit not in _FILES or key is None:
            continue
        group = theirs[key]
        if key in ours and group.own == ours[key].own:
            continue
        limit, now = (_numbers(group.own, names) for names in _FILES[row.limit][group.version - 1])
        if limit and limit[0] is not None and limit[0] < _UNLIMITED:
            yield {
                "name": row.limit,
                "value": _value(row.limit, limit),
                "now": _value(row.limit, now) if now else None,
                "by": f"cgroup v{group.version}",
                "path": harmless(group.own),
            }


def _numbers(directory: str, names: tuple[str, ...]) -> list[int | None]:
    """All numbers in the files; None for what is none, as "max" is."""
    words: list[str] = []
    for name in names:
        with contextlib.suppress(OSError), open(f"{directory}/{name}") as file:
            words += file.read().split()
    return [int(word) if word.isdecimal() else None for word in words]


def _value(limit: str, numbers: list[int | None]) -> float:
    """As crabcan.Limits has it."""
    first, *more = numbers
    if limit == "cpus" and more:
        return (first or 0) / (more[0] or 1)
    return (first or 0) - (limit == "pids")  # init is one of them


def _rlimits(pid: int) -> Iterator[dict[str, Any]]:
    """Those of each process that are not ours as well."""
    ours = _lines("self", "limits")
    for line in _lines(pid, "limits"):
        for words, name in _RLIMITS.items():
            if line.startswith(words) and line not in ours:
                soft = line.removeprefix(words).split()[0]
                value = int(soft) if soft.isdecimal() else soft
                yield {"name": name, "value": value, "now": None, "by": "rlimit", "path": None}
