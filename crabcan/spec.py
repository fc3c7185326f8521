"""What the user says: one immutable value, validated once."""

from __future__ import annotations

import os

from crabcan import _check, defaults
from crabcan._check import Path
from crabcan._value import Value
from crabcan.errors import invalid

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeAlias, TypedDict, Unpack

    from crabcan.container import Container
    from crabcan.landlock import Landlock
    from crabcan.limits import Limits
    from crabcan.mounts import Mount
    from crabcan.namespaces import Join

    Namespace: TypeAlias = "str | int | os.PathLike[str] | Join | Container"
    Rlimit: TypeAlias = "int | str | tuple[int | str, int | str]"

    class Options(TypedDict, total=False):
        """What Spec, Container and run() take by keyword, and a profile by the same names."""

        executable: Path | None
        root: Path | None
        root_writable: bool
        root_idmap: bool
        mounts: Iterable[Mount]
        default_mounts: bool
        uid: int | None
        gid: int | None
        groups: Iterable[int] | None
        user: str | int | None
        userns: str
        namespaces: Mapping[str, Namespace]
        network: Namespace
        publish: Iterable[str]
        hostname: str | None
        env: Mapping[str, str] | None
        cwd: Path | None
        umask: int
        capabilities: Iterable[str]
        seccomp: Path
        allow_syscalls: Iterable[str]
        deny_syscalls: Iterable[str]
        landlock: Landlock | None
        limits: Limits | None
        rlimits: Mapping[str, Rlimit]
        nice: int | None
        oom_score_adj: int | None
        cpu_affinity: Iterable[int] | None
        channel: bool
        tty: bool

    class SubprocessOptions(Options, total=False):
        """What run() and Popen take: Container's options, and subprocess's names for some."""

        shell: bool
        group: int | str | None
        extra_groups: Iterable[int | str] | None
        close_fds: bool
        restore_signals: bool
        start_new_session: bool
        process_group: int | None
        preexec_fn: None
        startupinfo: None
        creationflags: int

    Command: TypeAlias = str | bytes | os.PathLike[str] | Sequence[str | bytes | os.PathLike[str]]

MAX_HOSTNAME = 64  # sethostname(2)
MAX_CPU = 8191  # NR_CPUS of the largest kernels


class Spec(Value):
    """A container, described. Its fields are Container's arguments, checked and complete.

    It compares, hashes and pickles by what it holds, and can be given to Container, run() and Popen
    instead of the command and its options.

    Example:
        >>> import crabcan
        >>> spec = crabcan.Spec(["true"], hostname="moon", umask=0o77)
        >>> spec.hostname, spec.network, spec.uid
        ('moon', 'none', 0)
        >>> spec == crabcan.Spec(["true"], hostname="moon", umask=0o77)
        True

    """

    __slots__ = (
        "command",
        "executable",
        "root",
        "root_writable",
        "root_idmap",
        "mounts",
        "default_mounts",
        "uid",
        "gid",
        "groups",
        "user",
        "userns",
        "namespaces",
        "network",
        "publish",
        "hostname",
        "env",
        "cwd",
        "umask",
        "capabilities",
        "seccomp",
        "allow_syscalls",
        "deny_syscalls",
        "landlock",
        "limits",
        "rlimits",
        "nice",
        "oom_score_adj",
        "cpu_affinity",
        "channel",
        "tty",
    )

    command: tuple[str, ...]
    executable: str | None
    root: str | None
    root_writable: bool
    root_idmap: bool
    mounts: tuple[Mount, ...]
    default_mounts: bool
    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str | None
    userns: str
    namespaces: tuple[tuple[str, str | Join], ...]
    network: str | Join
    publish: tuple[str, ...]
    hostname: str
    env: tuple[tuple[str, str], ...]
    cwd: str
    umask: int
    capabilities: tuple[str, ...]
    seccomp: str
    allow_syscalls: tuple[str, ...]
    deny_syscalls: tuple[str, ...]
    landlock: Landlock | None
    limits: Limits | None
    rlimits: tuple[tuple[str, int, int], ...]
    nice: int | None
    oom_score_adj: int | None
    cpu_affinity: tuple[int, ...]
    channel: bool
    tty: bool

    def __init__(self, command: Command, **options: Unpack[Options]) -> None:
        for name in options:
            if name not in _CHECKS:
                raise TypeError(str(_check.unknown("option", name, _CHECKS)))
        given: dict[str, Any] = {
            name: _CHECKS[name](name, value) for name, value in options.items() if value is not None
        }
        values = {"command": _command(command), **_DEFAULTS, **given}
        _take_user(values, given)
        values["gid"] = given.get("gid", values["gid"])
        if values["hostname"] is None:
            shared = "uts" in dict(values["namespaces"])  # then it has another, which is not ours
            values["hostname"] = "localhost" if shared else defaults.hostname()
        if values["env"] is None:
            environment = defaults.environment(values["uid"], values["root"])
            values["env"] = tuple(environment.items())
        _check_together(values, given)
        self._set(**values)

    def arguments(self) -> dict[str, Any]:
        """The options that make an equal Spec of the same command: what is not the default.

        A `user` is kept by name, and looked up again.

        Example:
            >>> import crabcan
            >>> spec = crabcan.Spec(["true"], umask=0o77)
            >>> crabcan.Spec(spec.command, **spec.arguments()) == spec
            True

        """
        values = {name: getattr(self, name) for name in _CHECKS}
        changed = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
        changed["env"] = dict(self.env)
        if "namespaces" in changed:
            changed["namespaces"] = dict(self.namespaces)
        if "rlimits" in changed:
            changed["rlimits"] = {name: (soft, hard) for name, soft, hard in self.rlimits}
        if "uts" in dict(self.namespaces):
            del changed["hostname"]
        if self.user is not None:
            changed.pop("uid", None)
        elif self.gid == self.uid:
            del changed["gid"]
        return changed

    def _for(self, command: Command, given: Mapping[str, Any]) -> Spec:
        """The same for another command, which is all that is checked; see Pool."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["command"] = _command(command)
        for name in given.keys() - {"channel"}:
            if given[name] is not None:
                values[name] = _CHECKS[name](name, given[name])
        other = object.__new__(Spec)
        other._set(**values)
        return other

    def replace(self, **options: Unpack[Options]) -> Spec:
        """Another one, with these options instead.

        Raises:
            ArgumentInvalid: a value is refused.

        Example:
            >>> import crabcan
            >>> crabcan.Spec(["true"], hostname="moon").replace(hostname="sun").hostname
            'sun'

        """
        return Spec(self.command, **{**self.arguments(), **options})

    @staticmethod
    def from_profile(
        profile: str | os.PathLike[str], command: Command | None = None, **options: Unpack[Options]
    ) -> Spec:
        """What a profile describes, and what is given beside it, which wins.

        Args:
            profile: a file, or a name (crabcan profile list).
            command: the program and its arguments; the profile's if not given.
            options: what else Container takes; mounts and tables add to the profile's.

        Raises:
            ArgumentInvalid: there is no such profile, or a name or a value in it is refused.

        Example:
            >>> import crabcan
            >>> crabcan.Spec.from_profile("shell").command
            ('bash',)

        """
        from crabcan import profile as profiles

        held = profiles.load(profile, known={*names(), "command"})
        kept = held.pop("command", ())
        return Spec(kept if command is None else command, **profiles.merge(held, options))

    def to_json(self) -> str:
        """As JSON; a profile of the command line in another notation.

        Raises:
            ArgumentInvalid: it joins a namespace by a Container or a pidfd.

        Example:
            >>> import crabcan
            >>> spec = crabcan.Spec(["true"], hostname="moon")
            >>> crabcan.Spec.from_json(spec.to_json()) == spec
            True

        """
        from crabcan import serialize

        return serialize.to_json(self)

    @staticmethod
    def from_json(text: str) -> Spec:
        """The Spec that to_json() was called on.

        Raises:
            ArgumentInvalid: it is no JSON, or has a name or a value that is refused.

        """
        from crabcan import serialize

        return serialize.from_json(text)

    def to_toml(self) -> str:
        """As TOML: a profile, for ``crabcan run --profile``.

        Raises:
            ArgumentInvalid: it joins a namespace by a Container or a pidfd, or a string in it is
                not UTF-8, as TOML must be; JSON need not.

        Example:
            >>> import crabcan
            >>> spec = crabcan.Spec(["true"], hostname="moon")
            >>> crabcan.Spec.from_toml(spec.to_toml()) == spec
            True

        """
        from crabcan import serialize

        return serialize.to_toml(self)

    @staticmethod
    def from_toml(text: str) -> Spec:
        """The Spec that to_toml() was called on.

        Raises:
            ArgumentInvalid: it is no TOML, or has a name or a value that is refused.

        """
        from crabcan import serialize

        return serialize.from_toml(text)


def spec_of(command: Command | Spec, options: Mapping[str, Any]) -> Spec:
    """The one that was given, or a new one."""
    if not isinstance(command, Spec):
        return Spec(command, **options)
    if options:
        names = ", ".join(options)
        raise TypeError(f"{names}: the Spec has the options: give spec.replace({names}=...)")
    return command


def names() -> frozenset[str]:
    """The names of all options."""
    return frozenset(_CHECKS)


def _take_user(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Ids, groups and home by the user's name; the gid is the uid's number otherwise."""
    if values["user"] is None:
        values["gid"] = values["uid"]
        return
    if "uid" in given:
        raise invalid("user", values["user"], "give user or uid, not both")
    from crabcan import users

    found = users.look_up(values["user"], values["root"])
    values["uid"] = found.uid
    values["gid"] = found.gid
    if "groups" not in given:
        values["groups"] = found.groups
    if values["env"] is None:
        environment = defaults.environment(found.uid, values["root"])
        values["env"] = tuple({**environment, "HOME": found.home}.items())


def _check_together(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """What is wrong only beside something else."""
    shared = dict(values["namespaces"])
    if values["root_writable"] and values["root"] is None:
        raise invalid("root_writable", True, "give a root: the host's own system is read-only")
    if values["publish"] and values["network"] != "pasta":
        raise invalid("publish", values["publish"], "ports are published with network='pasta'")
    for name, twin in (("network", "network"), ("user", "userns")):
        if name in shared and twin in given:
            raise invalid(f"namespaces[{name!r}]", shared[name], f"{twin} is given as well")
    if "hostname" in given and "uts" in shared:
        raise invalid("hostname", values["hostname"], "it is the hostname of a UTS namespace that "
                      "is not new: leave one of the two out")  # fmt: skip
    if "mount" in shared and (values["root"] is not None or values["mounts"]):
        raise invalid("namespaces['mount']", shared["mount"], "root and mounts need one that is "
                      "new: leave them out")  # fmt: skip
    overlaid = any(getattr(mount, "source", "") is None for mount in values["mounts"])
    if overlaid and values["root"] is None:
        raise invalid("mounts", "Overlay('/')", "give a root for it to lie over")
    if values["tty"]:
        _check_tty(values["default_mounts"], values["mounts"], shared)


def _check_tty(default_mounts: bool, mounts: tuple[Mount, ...], shared: Mapping[str, Any]) -> None:
    """Whether there will be a /dev/pts of the container's own."""
    if "mount" in shared:
        raise invalid("tty", True, "it needs a mount namespace that is new: leave out "
                      "namespaces['mount']")  # fmt: skip
    if not default_mounts and not any(type(mount).__name__ == "Dev" for mount in mounts):
        raise invalid("tty", True, "it needs a /dev/pts: add crabcan.Dev() to mounts")


def _command(command: Command) -> tuple[str, ...]:
    if isinstance(command, str | bytes | os.PathLike):
        words: tuple[str, ...] = (_check.text("command", command),)
    elif _check.is_iterable(command):
        words = tuple(_check.text(f"command[{i}]", word) for i, word in enumerate(command))
    else:
        raise _check.wrong_type("command", command, "the program and its arguments")
    if not words or not words[0]:
        raise invalid("command", words, "give the program to execute, and its arguments")
    if len(words) == 1 and isinstance(command, str) and " " in command:
        raise invalid("command", command, f"give its words as a list: {command.split()!r}")
    return words


def _root(field: str, root: object) -> str:
    path = _check.existing_directory(field, root)
    if os.path.realpath(path) == "/":
        raise invalid(field, path, "leave root out to show the host's system, read-only")
    return path


def _mounts(field: str, value: object) -> tuple[Mount, ...]:
    if value == () or value == []:
        return ()
    from crabcan import mounts

    return mounts.checked(field, value)


def _groups(field: str, value: object) -> tuple[int, ...]:
    from crabcan import users

    return users.groups(field, value)


def _user(field: str, value: object) -> str:
    if isinstance(value, int):
        return str(_check.identity(field, value))
    return _check.text(field, value)


def _userns(field: str, value: object) -> str:
    return _check.one_of(field, value, ("auto", "subids", "host"))


def _namespaces(field: str, value: object) -> tuple[tuple[str, str | Join], ...]:
    from crabcan import namespaces

    return namespaces.checked_all(field, value)


def _network(field: str, value: object) -> str | Join:
    if value in ("none", "host", "pasta"):
        return str(value)
    from crabcan import namespaces

    return namespaces.checked(field, value, frozenset({"none", "host", "pasta"}))


def _publish(field: str, value: object) -> tuple[str, ...]:
    entries = _check.words(field, value)
    if entries:
        from crabcan import pasta

        for i, entry in enumerate(entries):
            pasta.parse_publish(f"{field}[{i}]", entry)
    return entries


def _hostname(field: str, hostname: object) -> str:
    name = _check.text(field, hostname)
    if not name or len(os.fsencode(name)) > MAX_HOSTNAME:
        raise invalid(field, name, f"give 1 to {MAX_HOSTNAME} bytes")
    if not name.isprintable():  # it is shown in prompts and tables
        raise invalid(field, name, "give characters that can be shown")
    return name


def _env(field: str, env: object) -> tuple[tuple[str, str], ...]:
    if not _check.is_mapping(env):
        raise _check.wrong_type(field, env, "a mapping of names to values")
    pairs = []
    for key, value in env.items():
        name = _check.text(field, key)
        if not name or "=" in name:
            raise invalid(field, name, "a name is not empty and has no '='")
        pairs.append((name, _check.text(f"{field}[{name!r}]", value)))
    return tuple(pairs)


def _cwd(field: str, cwd: object) -> str:
    path = _check.text(field, cwd)
    if not path.startswith("/"):
        raise invalid(field, path, "give an absolute path inside the container")
    return path


def _capabilities(field: str, value: object) -> tuple[str, ...]:
    given = _check.words(field, value)
    if not given:
        return ()
    from crabcan import capabilities

    return capabilities.names_of(capabilities.mask_of(given))


def _seccomp(field: str, value: object) -> str:
    if value in ("default", "off"):
        return str(value)
    return _check.existing(field, value)


def _landlock(field: str, value: object) -> Landlock:
    from crabcan.landlock import Landlock

    if not isinstance(value, Landlock):
        raise _check.wrong_type(field, value, "a crabcan.Landlock")
    return value


def _limits(field: str, value: object) -> Limits:
    from crabcan.limits import Limits

    if not isinstance(value, Limits):
        raise _check.wrong_type(field, value, "a crabcan.Limits")
    return value


def _rlimits(field: str, value: object) -> tuple[tuple[str, int, int], ...]:
    from crabcan import rlimits

    return rlimits.checked(field, value)


def _cpu_affinity(field: str, value: object) -> tuple[int, ...]:
    if not _check.is_iterable(value):
        raise _check.wrong_type(field, value, "a list of CPU numbers")
    cpus = sorted(_check.integer(f"{field}[{i}]", cpu, 0, MAX_CPU) for i, cpu in enumerate(value))
    if not cpus:
        raise invalid(field, (), "give the numbers of the CPUs to run on")
    return tuple(dict.fromkeys(cpus))


def _between(low: int, high: int) -> Callable[[str, object], int]:
    return lambda field, value: _check.integer(field, value, low, high)


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "executable": _check.name,
    "root": _root,
    "root_writable": _check.flag,
    "root_idmap": _check.flag,
    "mounts": _mounts,
    "default_mounts": _check.flag,
    "uid": _check.identity,
    "gid": _check.identity,
    "groups": _groups,
    "user": _user,
    "userns": _userns,
    "namespaces": _namespaces,
    "network": _network,
    "publish": _publish,
    "hostname": _hostname,
    "env": _env,
    "cwd": _cwd,
    "umask": _between(0, 0o777),
    "capabilities": _capabilities,
    "seccomp": _seccomp,
    "allow_syscalls": _check.words,
    "deny_syscalls": _check.words,
    "landlock": _landlock,
    "limits": _limits,
    "rlimits": _rlimits,
    "nice": _between(-20, 19),
    "oom_score_adj": _between(-1000, 1000),
    "cpu_affinity": _cpu_affinity,
    "channel": _check.flag,
    "tty": _check.flag,
}

# None: it follows from the others, or nothing is changed.
_DEFAULTS: dict[str, object] = {
    "executable": None,
    "root": None,
    "root_writable": False,
    "root_idmap": True,
    "mounts": (),
    "default_mounts": True,
    "uid": 0,
    "gid": None,
    "groups": (),
    "user": None,
    "userns": "auto",
    "namespaces": (),
    "network": "none",
    "publish": (),
    "hostname": None,
    "env": None,
    "cwd": "/",
    "umask": 0o022,
    "capabilities": (),
    "seccomp": "default",
    "allow_syscalls": (),
    "deny_syscalls": (),
    "landlock": None,
    "limits": None,
    "rlimits": (),
    "nice": None,
    "oom_score_adj": defaults.OOM_SCORE_ADJ,
    "cpu_affinity": (),
    "channel": True,
    "tty": False,
}
