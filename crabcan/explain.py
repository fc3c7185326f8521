"""A container as the walls around it: collected as data, drawn as a picture.

`dry_run` collects from what would be made, `running` from the kernel's own files (_running.py);
both give the same kind of data, which `picture` draws (_walls.py).

Example:
    >>> from crabcan import explain
    >>> facts = explain.dry_run(["true"], network="none")
    >>> facts["capabilities"]["kept"], facts["syscalls"]["others"]
    ([], 'ENOSYS')
    >>> "no_new_privs" in explain.picture(facts)
    True

"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crabcan import _core, cgroup, defaults, identity
from crabcan._resources import Resources
from crabcan._running import collect
from crabcan._walls import picture
from crabcan.compile import Mount, mounts_of, namespaces_to_join
from crabcan.namespaces import KINDS, Join
from crabcan.seccomp import default_checks, default_names
from crabcan.spec import Spec, spec_of

if TYPE_CHECKING:
    from crabcan.spec import Command

__all__ = ["WHY", "dry_run", "picture", "running"]

# What each wall stops: docs/security.md in a line.
WHY = {
    "namespaces": "the host's processes, users, queues and names are out of reach",
    "mounts": "what is not shown is not there; what is the host's cannot be changed",
    "network": "nothing to connect to, and nobody to send secrets to",
    "ids": "root inside is not root outside, should it ever get there",
    "capabilities": "root inside has no power over the kernel, nor can get any",
    "syscalls": "parts of the kernel that attacks begin with cannot be called",
    "landlock": "a second wall for files and ports, whatever the mounts show",
    "limits": "a fork bomb or a memory hog ends itself, and not the host",
}


def dry_run(command: Command | Spec, **options: Any) -> dict[str, Any]:
    """The walls of a container that is not started; as data that json.dump() takes.

    Args:
        command: the program and its arguments, or a crabcan.Spec.
        options: what Container takes.

    Raises:
        ArgumentInvalid, NotSupported: as Container would.

    """
    spec = spec_of(command, options)
    with namespaces_to_join(spec) as joined:
        who = identity.of(spec, joined.has_user)
        joins_user = joined.has_user
    return {
        "of": "dry run",
        "pid": None,
        "command": list(spec.command),
        "hostname": None if "uts" in dict(spec.namespaces) else spec.hostname,
        "namespaces": list(_namespaces(spec, joins_user)),
        "mounts": list(_mounts(spec, who)),
        "network": {"state": _state_of(spec.network), "publish": list(spec.publish)},
        "ids": _ids(spec, who),
        "capabilities": {
            "kept": list(spec.capabilities),
            "bounding": list(spec.capabilities),
            "no_new_privs": True,
        },
        "syscalls": _syscalls(spec),
        "landlock": _landlock(spec),
        "limits": _limits(spec),
        **_common(),
    }


def running(pid: int) -> dict[str, Any]:
    """The walls around a process, as dry_run() gives them.

    What the kernel does not tell is None or empty: which calls are refused, and Landlock's rules.

    Args:
        pid: of any process inside. For a container's init the command is looked at, since init
            keeps what the command has given up.

    Raises:
        ArgumentInvalid: there is no such process, it may not be looked at, or it is in no
            container.

    Example:
        >>> import crabcan
        >>> from crabcan import explain
        >>> with crabcan.Container(["sleep", "60"]) as container:
        ...     container.create()
        ...     facts = explain.running(container.child_pid)
        >>> facts["command"], facts["capabilities"]["bounding"]
        (['sleep', '60'], [])

    See proc(5).

    """
    return {**collect(pid), **_common()}


def _common() -> dict[str, Any]:
    system = os.uname()
    return {"kernel": f"{system.sysname} {system.release}", "machine": system.machine, "why": WHY}


def _state_of(namespace: str | Join) -> str:
    if isinstance(namespace, str):
        return namespace
    if namespace.path is not None:
        return f"joined: {namespace.path}"
    if namespace.pid is not None:
        return f"joined: that of process {namespace.pid}"
    return "joined"


def _namespaces(spec: Spec, joins_user: bool) -> Iterator[dict[str, Any]]:
    given = dict(spec.namespaces)
    if spec.network not in ("none", "pasta"):
        given["network"] = spec.network
    if spec.userns == "host":
        given.setdefault("user", "host")
    for name in KINDS:
        state = _state_of(given.get(name, "new"))
        if name == "user" and joins_user and name not in given:
            state = "joined: the owner of another that is"
        yield {"name": name, "state": state, "inode": None}


_FLAGS = {
    "nosuid": _core.NOSUID,
    "nodev": _core.NODEV,
    "noexec": _core.NOEXEC,
    "idmapped": _core.IDMAP | _core.IDMAP_IF_POSSIBLE,
}
_KINDS = {
    _core.BIND: "bind",
    _core.DIRECTORY: "directory",
    _core.SYMLINK: "link",
    _core.OVERLAY: "overlay",
    _core.FILE: "file",
    _core.MASK: "masked",
    _core.PROTECT: "protected",
}


def _mounts(spec: Spec, who: identity.Identity) -> Iterator[dict[str, Any]]:
    if "mount" in dict(spec.namespaces):
        return
    yield {
        "target": "/",
        "kind": "tmpfs" if spec.root is None else "bind",
        "source": spec.root,
        "flags": ["rw" if spec.root_writable else "ro", "nosuid", "nodev"],
        "size": None,
        "upper": None,
    }
    bases = [""]
    for mount in mounts_of(spec, who):
        found = _mount(mount, bases)
        if mount[1] & _core.BASE:
            bases.append(found["target"])
        yield found


def _mount(mount: Mount, bases: list[str]) -> dict[str, Any]:
    number, flags, _mode, source, target, options, upper, base = mount
    name = os.fsdecode(target)
    shown = None if source is None else os.fsdecode(source)
    kind = _KINDS.get(number) or shown or ""  # a file system's type is its source
    sizes = [o.removeprefix("size=") for o in (options or b"").decode().split(",") if "size=" in o]
    return {
        "target": f"{bases[base]}/{name}" if base else name,
        "kind": kind,
        "source": shown if kind in ("bind", "link", "overlay") else None,
        "flags": [] if kind in ("directory", "link", "masked") else _words(kind, flags),
        "size": sizes[0] if sizes else None,
        "upper": None if upper is None else os.fsdecode(upper),
    }


def _words(kind: str, flags: int) -> list[str]:
    if kind == "protected":
        return ["ro"]
    named = [name for name, flag in _FLAGS.items() if flags & flag]
    return ["ro" if flags & _core.READONLY else "rw", *named]


def _ids(spec: Spec, who: identity.Identity) -> dict[str, Any]:
    return {
        "uid": spec.uid,
        "gid": spec.gid,
        "groups": list(spec.groups),
        "uid_map": _ranges(who.uid_map),
        "gid_map": _ranges(who.gid_map),
    }


def _ranges(text: bytes | None) -> list[list[int]] | None:
    """Inside, outside, count; None where no map is written."""
    if text is None:
        return None
    return [[int(number) for number in line.split()] for line in text.splitlines()]


def _syscalls(spec: Spec) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "profile": spec.seccomp,
        "filters": 1,
        "allowed": None,
        "besides": [],
        "refused": dict.fromkeys(spec.deny_syscalls, "by deny_syscalls"),
        "others": None,
        "by_arguments": {},
    }
    if spec.seccomp == "off":
        facts["filters"] = 1 if spec.deny_syscalls else 0
    elif spec.seccomp == "default":
        from crabcan import syscalls

        names = spec.allow_syscalls, spec.deny_syscalls, spec.capabilities
        allowed, refused = default_names(*names)
        facts["allowed"] = len(allowed)
        facts["besides"] = sorted(allowed - set(syscalls.ALLOWED.split()))
        facts["refused"] = {
            name: syscalls.REFUSED.get(name, "by deny_syscalls") for name in sorted(refused)
        }
        facts["others"] = "ENOSYS"
        checks = {name for name, _ in default_checks(spec.allow_syscalls, spec.capabilities)}
        facts["by_arguments"] = {name: _refused_arguments(name) for name in sorted(checks)}
    return facts


def _refused_arguments(name: str) -> str:
    from crabcan import syscalls

    words = {
        "clone": syscalls.CLONE_NAMESPACES,
        "ioctl": syscalls.TERMINAL_INJECTION,
        "socket": syscalls.SOCKET_FAMILIES,
    }
    return ", ".join(words[name]) if name in words else "set-user-ID, set-group-ID"


def _landlock(spec: Spec) -> dict[str, Any] | None:
    wall = spec.landlock
    if wall is None:
        return None
    given = {name: getattr(wall, name) for name in wall.__slots__}
    return {name: list(value) for name, value in given.items() if value is not None}


def _limits(spec: Spec) -> list[dict[str, Any]]:
    """By making the groups and removing them: whether they can be made is not known otherwise."""
    resources = Resources()
    try:
        resources.take(spec)
        found = [
            _limit(name, value, f"cgroup v{version}", _unnamed(path))
            for name, value, version, path in resources.places()
        ]
        rlimits = {**defaults.RLIMITS, **resources.stand_ins}
    finally:
        resources.release()
    rlimits.update({name: (soft, hard) for name, soft, hard in spec.rlimits})
    for name in ("wall_time", "cpu_time", "output"):
        value = getattr(spec.limits, name, None)
        if value is not None:
            found.append(_limit(name, value, "crabcan" if name == "output" else "init", None))
    found += [_limit(name, soft, "rlimit", None) for name, (soft, _) in rlimits.items()]
    return found


def _limit(name: str, value: float, by: str, path: str | None) -> dict[str, Any]:
    return {"name": name, "value": value, "now": None, "by": by, "path": path}


def _unnamed(path: str) -> str:
    """The group's name is another each time."""
    return f"{os.path.dirname(path)}/{cgroup.PREFIX}-*"
