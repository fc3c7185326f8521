"""From a Spec to a Plan: every default spelled out, in the order in which init takes it."""

from __future__ import annotations

import os

from crabcan import _channel, _core, defaults, identity
from crabcan.errors import of_call, of_step
from crabcan.spec import Spec

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from crabcan.mounts import Bind as _Bind
    from crabcan.mounts import Overlay as _Overlay
    from crabcan.mounts import Tmpfs as _Tmpfs
    from crabcan.namespaces import Join as _Join
    from crabcan.namespaces import Joined as _Joined

_NEW = {
    "mount": _core.CLONE_NEWNS,
    "pid": _core.CLONE_NEWPID,
    "ipc": _core.CLONE_NEWIPC,
    "network": _core.CLONE_NEWNET,
    "uts": _core.CLONE_NEWUTS,
}

_SAFE = _core.NOSUID | _core.NODEV
_READ = _SAFE | _core.READONLY

# Kind, flags, mode, source, target, options, upper, base: struct crab_mount.
Mount = tuple[int, int, int, bytes | None, bytes, bytes | None, bytes | None, int]


def _mount(
    kind: int,
    target: str,
    flags: int = 0,
    *,
    mode: int = 0,
    source: str | bytes | None = None,
    options: str | None = None,
    upper: str | None = None,
    base: int = 0,
) -> Mount:
    return (
        kind,
        flags,
        mode,
        None if source is None else os.fsencode(source),
        os.fsencode(target),
        None if options is None else options.encode(),
        None if upper is None else os.fsencode(upper),
        base,
    )


def _tmpfs(target: str, size: str | int, mode: int, flags: int = _SAFE, base: int = 0) -> Mount:
    options = f"size={size},nr_inodes={_inodes(size)},mode={mode:04o}"
    return _mount(_core.FILESYSTEM, target, flags, source="tmpfs", options=options, base=base)


def _inodes(size: str | int) -> int:
    """As many as take half of the tmpfs's size: an empty file counts nothing against that."""
    if isinstance(size, str):
        size = int(size[:-1]) * {"k": 1 << 10, "m": 1 << 20}[size[-1]]
    return max(defaults.TMPFS_MIN_INODES, size // (2 * defaults.TMPFS_INODE))


# By what they depend on: the same few for nearly every container of a process.
_known_defaults: dict[tuple[bool, bool, int], tuple[list[Mount], int]] = {}


class _Mounts:
    """The list as it grows: it knows which mounts others count from."""

    def __init__(self, spec: Spec, who: identity.Identity) -> None:
        self.list: list[Mount] = []
        self._bases = 0
        self._shared = dict(spec.namespaces)
        self._idmap = who.idmap

    def add(self, mount: Mount) -> None:
        self.list.append(mount)

    def add_base(self, mount: Mount) -> int:
        """Add a mount that later ones count from, and return its number for them."""
        kind, flags, *rest = mount
        self.list.append((kind, flags | _core.BASE, *rest))  # type: ignore[arg-type]
        self._bases += 1
        return self._bases

    def proc(self, target: str) -> None:
        """A new one, or the caller's: only the owner of a PID namespace may mount its /proc."""
        flags = _SAFE | _core.NOEXEC
        if self._shared.get("pid") == "host":
            base = self.add_base(_mount(_core.BIND, target, flags, source="/proc"))
        else:
            base = self.add_base(_mount(_core.FILESYSTEM, target, flags, source="proc"))
        for name in defaults.PROC_MASKED:
            self.add(_mount(_core.MASK, name, base=base))
        for name in defaults.PROC_READONLY:
            self.add(_mount(_core.PROTECT, name, base=base))

    def dev(self, target: str) -> None:
        flags = _core.NOSUID | _core.NOEXEC
        base = self.add_base(_tmpfs(target, defaults.DEV_SIZE, 0o755, flags))
        for name in defaults.DEVICES:
            # No NODEV on these: it is what they are for.
            self.add(_mount(_core.BIND, name, flags, source=f"/dev/{name}", base=base))
        for name, text in defaults.DEVICE_LINKS.items():
            self.add(_mount(_core.SYMLINK, name, source=text, base=base))
        pts = "newinstance,ptmxmode=0666,mode=0620"
        self.add(_mount(_core.FILESYSTEM, "pts", flags, source="devpts", options=pts, base=base))
        self.add(_tmpfs("shm", defaults.SHM_SIZE, 0o1777, _SAFE | _core.NOEXEC, base))

    def mqueue(self, target: str) -> None:
        self.add(_mount(_core.FILESYSTEM, target, _SAFE | _core.NOEXEC, source="mqueue"))

    def sysfs(self, target: str) -> None:
        flags = _READ | _core.NOEXEC
        base = self.add_base(_mount(_core.FILESYSTEM, target, flags, source="sysfs"))
        for name in defaults.SYS_MASKED:
            self.add(_mount(_core.MASK, name, base=base))

    def show(self, source: str, target: str) -> None:
        """A part of the host's system; owners that cannot be shown are nobody, and harmless."""
        flags = _READ | (_core.IDMAP_IF_POSSIBLE if self._idmap else 0)
        self.add(_mount(_core.BIND, target, flags, source=source))

    def defaults(self) -> None:
        """What every container has of its own, whatever its root."""
        key = self._shared.get("pid") == "host", "ipc" in self._shared, self._bases
        if key not in _known_defaults:
            before = len(self.list)
            self.proc("/proc")
            self.dev("/dev")
            if "ipc" not in self._shared:
                self.mqueue("/dev/mqueue")
            self.add(_tmpfs("/tmp", defaults.TMP_SIZE, 0o1777))
            _known_defaults[key] = self.list[before:], self._bases
        else:
            made, self._bases = _known_defaults[key]
            self.list += made

    def host_system(self, spec: Spec) -> None:
        """The host's programs and libraries, read-only, on an empty tmpfs."""
        for tree in defaults.HOST_TREES:
            if os.path.islink(tree):  # /bin -> usr/bin, where /usr is merged
                self.add(_mount(_core.SYMLINK, tree, source=os.readlink(tree)))
            elif os.path.isdir(tree):
                self.show(tree, tree)
        self._etc(spec)
        home = dict(spec.env).get("HOME") or defaults.home_of(spec.uid)
        if home in ("/root", "/home/user"):
            mode = 0o700 if spec.uid == 0 else 0o1777
            self.add(_tmpfs(home, defaults.HOME_SIZE, mode))
        self.add(_mount(_core.DIRECTORY, "/run", mode=0o755))
        self.add(_tmpfs("/var/tmp", defaults.TMP_SIZE, 0o1777))
        # Last: a Python may live below any of the above, a virtual environment in /var/tmp for one.
        for prefix in defaults.python_prefixes():
            self.show(prefix, prefix)

    def _etc(self, spec: Spec) -> None:
        shown = () if spec.network == "none" else defaults.HOST_ETC_NETWORK
        for name in (*defaults.HOST_ETC, *shown):
            path = f"/etc/{name}"
            # By its real path: resolv.conf, for one, may be a link into /run.
            if os.access(path, os.R_OK):
                self.show(os.path.realpath(path), path)
        for name, content in defaults.made_etc(spec.uid, spec.gid, spec.hostname).items():
            self.file(f"/etc/{name}", content.encode(), 0o644)

    def file(self, target: str, content: bytes, mode: int) -> None:
        self.add(_mount(_core.FILE, target, _READ, mode=mode, source=content))

    def user(self, spec: Spec) -> None:
        """What was asked for, in its order; the overlay over the root has been made before."""
        from crabcan import mounts

        for mount in spec.mounts:
            if isinstance(mount, mounts.Bind):
                self._bind(mount)
            elif isinstance(mount, mounts.Tmpfs):
                self.add(_tmpfs(mount.target, mount.size, mount.mode, _flags_of(mount)))
            elif isinstance(mount, mounts.Overlay):
                if mount.source is not None:
                    self.overlay(mount)
            elif isinstance(mount, mounts.File):
                self.file(mount.target, mount.content, mount.mode)
            elif isinstance(mount, mounts.Directory):
                self.add(_mount(_core.DIRECTORY, mount.target, mode=mount.mode))
            elif isinstance(mount, mounts.Symlink):
                self.add(_mount(_core.SYMLINK, mount.target, source=mount.source))
            else:  # Proc, Dev, Mqueue, Sysfs
                getattr(self, type(mount).__name__.lower())(mount.target)

    def overlay(self, mount: _Overlay) -> None:
        self.add(
            _mount(
                _core.OVERLAY,
                mount.target,
                _SAFE | (_core.IDMAP if mount.idmap and self._idmap else 0),
                source=mount.source,
                options=f"size={mount.size},nr_inodes={_inodes(mount.size)},mode=0755",
                upper=mount.upper,
            )
        )

    def _bind(self, mount: _Bind) -> None:
        flags = _flags_of(mount) | (0 if mount.writable else _core.READONLY)
        flags |= 0 if mount.recursive else _core.NOT_RECURSIVE
        flags |= _core.IDMAP if mount.idmap and self._idmap else 0
        self.add(_mount(_core.BIND, mount.target, flags, source=mount.source))


def _flags_of(mount: _Bind | _Tmpfs) -> int:
    allowed = ((mount.suid, _core.NOSUID), (mount.dev, _core.NODEV), (mount.exec, _core.NOEXEC))
    return sum(flag for allow, flag in allowed if not allow)


def mounts_of(spec: Spec, who: identity.Identity) -> list[Mount]:
    """All mounts, in order: a later one covers an earlier one."""
    mounts = _Mounts(spec, who)
    if "mount" in dict(spec.namespaces):
        return []
    for mount in spec.mounts:  # before anything is mounted below it
        if getattr(mount, "source", "") is None:
            mounts.overlay(mount)  # type: ignore[arg-type]
    if spec.default_mounts:
        mounts.defaults()
        if spec.root is None:
            mounts.host_system(spec)
    if spec.mounts:
        mounts.user(spec)
    return mounts.list


def executables_of(spec: Spec) -> list[str]:
    """The paths to try for the command, as execvp(3) finds them."""
    command = spec.executable or spec.command[0]
    if "/" in command:
        return [command]
    path = dict(spec.env).get("PATH", defaults.PATH)
    return [os.path.join(folder or ".", command) for folder in path.split(":")]


def _clone_flags(spec: Spec) -> int:
    given = {**dict(spec.namespaces), **_network_namespace(spec)}
    return sum(flag for name, flag in _NEW.items() if name not in given)


def _network_namespace(spec: Spec) -> dict[str, str | _Join]:
    """The network as the mapping of namespaces has it; pasta serves one that is new."""
    return {} if spec.network in ("none", "pasta") else {"network": spec.network}


class _NothingJoined:
    """What most containers join, without importing what could."""

    def __init__(self, has_user: bool = False) -> None:
        self.has_user = has_user

    fds: tuple[int, ...] = ()
    flags: tuple[int, ...] = ()

    def __enter__(self) -> _NothingJoined:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def namespaces_to_join(spec: Spec) -> _Joined | _NothingJoined:
    """The files of the namespaces that a launch joins, open; to be closed."""
    given = {**dict(spec.namespaces), **_network_namespace(spec)}
    joins = [(name, join) for name, join in given.items() if not isinstance(join, str)]
    if not joins:
        return _NothingJoined()
    from crabcan import namespaces

    return namespaces.Joined(joins)


def _flags(spec: Spec, warm: bool) -> int:
    shared = dict(spec.namespaces)
    wanted = (
        ("network" not in shared and spec.network == "none", _core.LOOPBACK),
        ("cgroup" not in shared, _core.CGROUP_NAMESPACE),
        ("mount" in shared, _core.NO_MOUNTS),
        ("pid" in shared, _core.SUBREAPER),
        (spec.root_writable, _core.ROOT_WRITABLE),
        (spec.channel, _core.CHANNEL),
        (spec.oom_score_adj is not None, _core.OOM_SCORE),
        (spec.nice is not None, _core.NICE),
        (spec.tty, _core.TTY),
        (warm, _core.WARM),
    )
    return sum(flag for is_wanted, flag in wanted if is_wanted)


def _rlimits(spec: Spec, stand_ins: dict[str, tuple[int, int]]) -> bytes:
    from crabcan import rlimits

    limits = {**defaults.RLIMITS, **stand_ins}
    limits.update({name: (soft, hard) for name, soft, hard in spec.rlimits})
    return rlimits.packed(limits)


def _affinity(spec: Spec) -> bytes:
    """The mask of sched_setaffinity(2), in words of 64 bits."""
    mask = sum(1 << cpu for cpu in spec.cpu_affinity)
    return mask.to_bytes((mask.bit_length() + 63) // 64 * 8, "little")


def _landlock(spec: Spec) -> tuple[tuple[tuple[int, bytes | None, int], ...], int, int]:
    if spec.landlock is None:
        return (), 0, 0
    from crabcan import landlock

    return landlock.rules_of(spec.landlock)


def _capabilities(spec: Spec) -> int:
    if not spec.capabilities:
        return 0
    from crabcan import capabilities

    return capabilities.mask_of(spec.capabilities)


def _seccomp(spec: Spec) -> bytes:
    if spec.seccomp == "off" and not spec.deny_syscalls:
        return b""
    from crabcan import seccomp

    return seccomp.compile_filter(
        spec.seccomp, spec.allow_syscalls, spec.deny_syscalls, spec.capabilities
    )


def _nanoseconds(spec: Spec, name: str) -> int:
    seconds = None if spec.limits is None else getattr(spec.limits, name)
    return 0 if seconds is None else max(int(min(seconds, 1e9) * 1e9), 1)


def compile_exec(
    spec: Spec, has_user: bool, stand_ins: dict[str, tuple[int, int]], window: tuple[int, int]
) -> _core.Plan:
    """The plan of a further process in a container, of which only its own steps are carried out.

    `has_user`: whether the container has joined a user namespace; `stand_ins` are the container's.
    """
    return compile_plan(
        spec,
        joined=_NothingJoined(has_user),
        stand_ins=stand_ins,
        window=window,
        with_mounts=False,
    )


def compile_plan(
    spec: Spec,
    *,
    joined: _Joined | _NothingJoined,
    stand_ins: dict[str, tuple[int, int]] | None = None,
    group_count: int = 0,
    passed: bytes = b"",
    window: tuple[int, int] = defaults.WINDOW,
    with_mounts: bool = True,
    warm: bool = False,
) -> _core.Plan:
    """Compile a plan; it can be launched any number of times, from any thread.

    `joined` are the namespaces that each launch will be given, `group_count` is the number of
    groups of version 1; `stand_ins` are resource limits for what no cgroup enforces here; `passed`
    are the numbers, each in four bytes, of the descriptors that a launch passes on; `window` are
    the rows and columns that a terminal begins with; with `warm` init
    waits to be asked for the command.
    """
    try:
        who = identity.of(spec, joined.has_user)
    except OSError as problem:
        raise of_call(_core.STEPS[_core.STEP_COMPILE][1], problem, "compile") from problem
    environ = dict(spec.env)
    if spec.channel:
        environ[_channel.VARIABLE] = str(_core.CHANNEL_FD)
    landlock, access, ports = _landlock(spec)
    flags = _flags(spec, warm) | who.flags
    if spec.root is not None and spec.root_idmap and who.idmap:
        flags |= _core.ROOT_IDMAP
    try:
        return _core.Plan(
            flags=flags,
            clone_flags=_clone_flags(spec) | who.clone_flags,
            uid=spec.uid,
            gid=spec.gid,
            hostname=None if "uts" in dict(spec.namespaces) else os.fsencode(spec.hostname),
            root=None if spec.root is None else os.fsencode(spec.root),
            cwd=os.fsencode(spec.cwd),
            uid_map=who.uid_map,
            gid_map=who.gid_map,
            executables=tuple(os.fsencode(name) for name in executables_of(spec)),
            argv=tuple(os.fsencode(word) for word in spec.command),
            environ=tuple(os.fsencode(f"{name}={value}") for name, value in environ.items()),
            mounts=tuple(mounts_of(spec, who)) if with_mounts else (),
            capabilities=_capabilities(spec),
            groups=b"".join(gid.to_bytes(4, "little") for gid in spec.groups),
            rlimits=_rlimits(spec, stand_ins or {}),
            affinity=_affinity(spec),
            seccomp=_seccomp(spec),
            joins=b"".join(flag.to_bytes(8, "little") for flag in joined.flags),
            passed=passed,
            landlock=landlock,
            landlock_access=access,
            landlock_ports=ports,
            wall_time=_nanoseconds(spec, "wall_time"),
            cpu_time=_nanoseconds(spec, "cpu_time"),
            group_count=group_count,
            umask=spec.umask,
            nice=spec.nice or 0,
            oom_score_adj=spec.oom_score_adj or 0,
            rows=window[0],
            columns=window[1],
        )
    except _core.StepError as failure:
        step, index, errnum = failure.args
        raise of_step(step, index, errnum, "") from None
