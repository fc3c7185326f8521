"""From a Spec to a Plan: every default spelled out, in the order in which init takes it."""

from __future__ import annotations

import os

from crabcan import _channel, _core, defaults
from crabcan.errors import of_step
from crabcan.spec import Spec

NAMESPACES = (
    _core.CLONE_NEWNS
    | _core.CLONE_NEWCGROUP
    | _core.CLONE_NEWPID
    | _core.CLONE_NEWIPC
    | _core.CLONE_NEWNET
    | _core.CLONE_NEWUTS
)

_SAFE = _core.NOSUID | _core.NODEV
_READ = _SAFE | _core.READONLY

Mount = tuple[int, int, int, bytes | None, bytes, bytes | None]


def _bind(source: str, target: str, flags: int) -> Mount:
    return (_core.BIND, flags, 0, os.fsencode(source), os.fsencode(target), None)


def _filesystem(kind: str, target: str, flags: int, options: str | None = None) -> Mount:
    data = options.encode() if options else None
    return (_core.FILESYSTEM, flags, 0, kind.encode(), os.fsencode(target), data)


def _directory(target: str, mode: int) -> Mount:
    return (_core.DIRECTORY, 0, mode, None, os.fsencode(target), None)


def _symlink(text: str, target: str) -> Mount:
    return (_core.SYMLINK, 0, 0, os.fsencode(text), os.fsencode(target), None)


def _tmpfs(target: str, size: str, mode: str) -> Mount:
    return _filesystem("tmpfs", target, _SAFE, f"size={size},mode={mode}")


def _proc_and_dev() -> list[Mount]:
    """What every container has of its own, whatever its root."""
    mounts = [
        _filesystem("proc", "/proc", _SAFE | _core.NOEXEC),
        _filesystem("tmpfs", "/dev", _core.NOSUID | _core.NOEXEC, "size=64k,mode=0755"),
    ]
    for name in defaults.DEVICES:
        # No NODEV on these: it is what they are for.
        mounts.append(_bind(f"/dev/{name}", f"/dev/{name}", _core.NOSUID | _core.NOEXEC))
    mounts += [_symlink(text, f"/dev/{name}") for name, text in defaults.DEVICE_LINKS.items()]
    mounts += [
        _filesystem(
            "devpts", "/dev/pts", _core.NOSUID | _core.NOEXEC, "newinstance,ptmxmode=0666,mode=0620"
        ),
        _tmpfs("/dev/shm", defaults.SHM_SIZE, "1777"),
        _tmpfs("/tmp", defaults.TMP_SIZE, "1777"),
    ]
    return mounts


def _host_system(uid: int) -> list[Mount]:
    """The host's programs and libraries, read-only, on an empty tmpfs."""
    mounts = []
    for tree in defaults.HOST_TREES:
        if os.path.islink(tree):  # /bin -> usr/bin, where /usr is merged
            mounts.append(_symlink(os.readlink(tree), tree))
        elif os.path.isdir(tree):
            mounts.append(_bind(tree, tree, _READ))
    for name in defaults.HOST_ETC:
        path = f"/etc/{name}"
        # By its real path: resolv.conf, for one, may be a link into /run.
        if os.access(path, os.R_OK):
            mounts.append(_bind(os.path.realpath(path), path, _READ))
    home = defaults.home_of(uid)
    mounts.append(_tmpfs(home, defaults.HOME_SIZE, "0700" if uid == 0 else "1777"))
    mounts += [_directory("/run", 0o755), _tmpfs("/var/tmp", defaults.TMP_SIZE, "1777")]
    # Last: a Python may live below any of the above, a virtual environment in /var/tmp for one.
    mounts += [_bind(prefix, prefix, _READ) for prefix in defaults.python_prefixes()]
    return mounts


def mounts_of(spec: Spec) -> list[Mount]:
    """All mounts, in order: a later one covers an earlier one."""
    if spec.root is not None:
        return _proc_and_dev()
    return _proc_and_dev() + _host_system(spec.uid)


def executables_of(spec: Spec) -> list[str]:
    """The paths to try for the command, as execvp(3) finds them."""
    command = spec.command[0]
    if "/" in command:
        return [command]
    path = dict(spec.env).get("PATH", defaults.PATH)
    return [os.path.join(folder or ".", command) for folder in path.split(":")]


def _identity(spec: Spec) -> tuple[int, int, bytes | None, bytes | None]:
    """The user namespace's part: flags, clone flags, uid map and gid map.

    None for root yet; the single-id map, which needs no privilege, for anybody else.
    """
    if os.geteuid() == 0:
        return _core.SET_GROUPS, 0, None, None
    return (
        _core.USER_NAMESPACE | _core.DENY_SETGROUPS,
        _core.CLONE_NEWUSER,
        f"{spec.uid} {os.geteuid()} 1\n".encode(),
        f"{spec.gid} {os.getegid()} 1\n".encode(),
    )


def _flags(spec: Spec, trace: bool) -> int:
    flags = _core.LOOPBACK
    if spec.root_writable:
        flags |= _core.ROOT_WRITABLE
    if spec.channel:
        flags |= _core.CHANNEL
    if trace:
        flags |= _core.TRACE
    return flags


def compile_plan(spec: Spec, *, trace: bool = False) -> _core.Plan:
    """Compile a plan; it can be launched any number of times, from any thread."""
    identity_flags, clone_flags, uid_map, gid_map = _identity(spec)
    environ = dict(spec.env)
    if spec.channel:
        environ[_channel.VARIABLE] = str(_core.CHANNEL_FD)
    try:
        return _core.Plan(
            flags=_flags(spec, trace) | identity_flags,
            clone_flags=NAMESPACES | clone_flags,
            uid=spec.uid,
            gid=spec.gid,
            hostname=os.fsencode(spec.hostname),
            root=None if spec.root is None else os.fsencode(spec.root),
            cwd=os.fsencode(spec.cwd),
            uid_map=uid_map,
            gid_map=gid_map,
            executables=tuple(os.fsencode(name) for name in executables_of(spec)),
            argv=tuple(os.fsencode(word) for word in spec.command),
            environ=tuple(os.fsencode(f"{name}={value}") for name, value in environ.items()),
            mounts=tuple(mounts_of(spec)),
        )
    except _core.StepError as failure:
        step, index, errnum = failure.args
        raise of_step(step, index, errnum, "") from None
