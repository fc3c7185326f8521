"""What describes a container on the command line: a table from options to Container's arguments.

Its order is that of the help. Docker's long names stand beside crabcan's where they differ; of
short ones the tutorial's win (-d, -m, -u).
"""

from __future__ import annotations

from crabcan.cli import values
from crabcan.cli.options import Option, Parsed, UsageError

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    # Puts what the words mean into the arguments; None: somebody else looks at the option.
    Put: TypeAlias = Callable[[dict[str, Any], list[str]], None] | None
    Row: TypeAlias = tuple[Option, Put]


def _argument(name: str, convert: values.Convert) -> Put:
    return lambda given, words: given.update({name: convert(name, words)})


def _mount(name: str, convert: values.MountOf) -> Put:
    """Each use is one more of the mounts, in the order of the table."""
    return lambda given, words: given.setdefault("mounts", []).extend(
        convert(name, word) for word in words
    )


def _flag(name: str, value: bool) -> Put:
    return lambda given, _words: given.update({name: value})


def _limit(name: str) -> Put:
    return lambda given, words: given.setdefault("limits", {}).update(
        {name: values.plain(words[-1])}
    )


def _limits(given: dict[str, Any], words: list[str]) -> None:
    given.setdefault("limits", {}).update(values.table("limits", words))


_SEES: tuple[Row, ...] = (
    (
        Option("-m", "--root", "DIR", "the root directory (default: the host's system, read-only)",
               aliases=("--mount",)),
        _argument("root", values.last),
    ),
    (Option("", "--root-writable", None, "let the container write to the root"),
     _flag("root_writable", True)),
    (Option("", "--read-only", None, "do not, which is the default"),
     _flag("root_writable", False)),
    (Option("", "--no-root-idmap", None, "show the root's owners as nobody, if it must be"),
     _flag("root_idmap", False)),
    (Option("", "--no-default-mounts", None, "mount nothing but what is asked for"),
     _flag("default_mounts", False)),
    (Option("", "--overlay", "/ | SRC:DST[:UPPER]", "a writable layer over the root or SRC"),
     _mount("overlay", values.overlay)),
    (Option("", "--export", "DIR", "keep what the overlay's layer holds, in DIR/upper"), None),
    (Option("-a", "--add", "FROM:TO", "show FROM of the host at TO, read-only; repeat"),
     _mount("add", values.added)),
    (Option("-v", "--volume", "SRC:DST[:ro|rw]", "show SRC of the host at DST (default: ro)"),
     _mount("volume", values.volume)),
    (Option("", "--tmpfs", "DST[:size=64M]", "an empty file system in memory; repeat"),
     _mount("tmpfs", values.tmpfs)),
    (Option("", "--mounts", "TYPE,NAME=VALUE,...", "any mount by its arguments in Python; repeat"),
     _mount("mounts", values.mount)),
)  # fmt: skip

_IS: tuple[Row, ...] = (
    (Option("-u", "--uid", "UID", "user id inside (default: 0)"), _argument("uid", values.number)),
    (Option("", "--gid", "GID", "group id inside (default: the same number as the uid)"),
     _argument("gid", values.number)),
    (Option("", "--groups", "GID,...", "supplementary group ids", aliases=("--group-add",)),
     _argument("groups", values.numbers)),
    (Option("", "--user", "NAME[:GROUP]", "a user of the root's own passwd"),
     _argument("user", values.last)),
    (Option("", "--hostname", "NAME", "hostname inside (default: generated)"),
     _argument("hostname", values.last)),
    (Option("-e", "--env", "NAME[=VALUE]", "add to the clean environment; without =, the caller's"),
     None),
    (Option("", "--env-file", "FILE", "a file of such lines; repeat"), None),
    (Option("-w", "--cwd", "DIR", "working directory inside (default: /)", aliases=("--workdir",)),
     _argument("cwd", values.last)),
    (Option("", "--umask", "OCTAL", "umask inside (default: 022)"),
     _argument("umask", values.octal)),
    (Option("", "--executable", "FILE", "the program, where COMMAND is to be its name only"),
     _argument("executable", values.last)),
)  # fmt: skip

_MAY: tuple[Row, ...] = (
    (Option("", "--network", "HOW", "none (default), host, pasta, a path, or pid:N"),
     _argument("network", values.last)),
    (Option("-p", "--publish", "HOST:INSIDE", "ports, with --network pasta; repeat"),
     _argument("publish", values.listed)),
    (Option("", "--capabilities", "NAME,...", "capabilities to keep (default: none)",
            aliases=("--cap-add",)),
     _argument("capabilities", values.capabilities)),
    (Option("", "--cap-drop", "NAME,...", "not those, if they were kept; all"), None),
    (Option("", "--seccomp", "PROFILE", "default, off, or a file as Docker and Podman use"),
     _argument("seccomp", values.last)),
    (Option("", "--allow-syscalls", "NAME,...", "system calls to allow besides"),
     _argument("allow_syscalls", values.listed)),
    (Option("", "--deny-syscalls", "NAME,...", "system calls to refuse besides"),
     _argument("deny_syscalls", values.listed)),
    (Option("", "--landlock", "KIND=WHERE,...", "read=PATH, write=PATH, connect=PORT, bind=PORT"),
     _argument("landlock", values.landlock)),
    (Option("", "--userns", "HOW", "auto, subids, or host (root only)"),
     _argument("userns", values.last)),
    (Option("", "--namespaces", "NAME=WHERE", "host, a path, or pid:N for a namespace; repeat"),
     _argument("namespaces", values.pairs)),
)  # fmt: skip

_USES: tuple[Row, ...] = (
    (Option("", "--memory", "SIZE", "256m, 1g; beyond it the kernel kills"), _limit("memory")),
    (Option("", "--pids-limit", "NUMBER", "processes and threads at once"), _limit("pids")),
    (Option("", "--cpus", "NUMBER", "0.5 for half of one"), _limit("cpus")),
    (Option("", "--limits", "NAME=VALUE,...", "any of memory, swap, pids, cpus, cpu_weight, "
            "io_weight,\ncpu_time, wall_time, file_size"), _limits),
    (Option("", "--rlimits", "NAME=SOFT[:HARD]", "of each process: nofile=64:128; repeat",
            aliases=("--ulimit",)),
     _argument("rlimits", values.rlimits)),
    (Option("", "--cpu-affinity", "CPU,...", "the CPUs to run on: 0,2-3",
            aliases=("--cpuset-cpus",)),
     _argument("cpu_affinity", values.numbers)),
    (Option("", "--nice", "NUMBER", "from -20 to 19"), _argument("nice", values.number)),
    (Option("", "--oom-score-adj", "NUMBER", "from -1000 to 1000 (default: 1000)"),
     _argument("oom_score_adj", values.number)),
    (Option("", "--timeout", "SECONDS", "kill the container after that long (exit code 124)"),
     None),
)  # fmt: skip

_RUNS: tuple[Row, ...] = (
    (Option("-t", "--tty", None, "a terminal of its own, connected with yours"),
     _flag("tty", True)),
    (Option("-i", "--interactive", None, "stdin is yours, which is the default"), None),
    (Option("", "--rm", None, "leave nothing behind, which is the default"), None),
    (Option("-c", "--command", "COMMAND", "the command and its arguments in one string"), None),
    (Option("", "--profile", "NAME|FILE", "judge, build, shell, python, agent, or a TOML file of\n"
            "the same names; what is given here wins"),
     None),
)  # fmt: skip

# Title, and what describes the container.
SECTIONS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("what it sees", _SEES),
    ("who it is", _IS),
    ("what it may do", _MAY),
    ("what it may use", _USES),
    ("how it is run", _RUNS),
)


def rows() -> Iterator[Row]:
    """All of them."""
    for _, section in SECTIONS:
        yield from section


def arguments_of(parsed: Parsed) -> dict[str, Any]:
    """What Container takes by keyword: from the profile, and what was given beside it."""
    given: dict[str, Any] = {"channel": False}  # nobody here would answer
    if "read_only" in parsed.flags and "root_writable" in parsed.flags:
        raise UsageError("--read-only and --root-writable are both given", "leave one out")
    for option, put in rows():
        if put is not None and (option.name in parsed.flags or option.name in parsed.values):
            put(given, parsed.values.get(option.name, []))
    if "limits" in given:
        from crabcan.limits import Limits

        given["limits"] = Limits.from_mapping(given["limits"])
    given = _with_profile(parsed, given)
    if "export" in parsed.values:
        given["mounts"] = _exporting(given.get("mounts") or [], parsed.values["export"][-1])
    if "cap_drop" in parsed.values and given.get("capabilities"):
        dropped = values.capabilities("cap_drop", parsed.values["cap_drop"])
        given["capabilities"] = [c for c in given["capabilities"] if c not in dropped]
    if {"env", "env_file"} & parsed.values.keys() or "env" in given:
        given["env"] = _environment(parsed, given)
    return given


def _with_profile(parsed: Parsed, given: dict[str, Any]) -> dict[str, Any]:
    path = parsed.last("profile")
    if path is None:
        return given
    from crabcan import profile, spec

    return profile.merge(profile.load(path, known={*spec.names(), "command", "timeout"}), given)


def _exporting(mounts: list[Any], directory: str) -> list[Any]:
    """With the one layer that is thrown away kept there."""
    from crabcan.mounts import Overlay

    thrown = [m for m in mounts if isinstance(m, Overlay) and m.upper is None]
    if len(thrown) != 1:
        raise UsageError(f"--export keeps what one overlay holds, and there are {len(thrown)}",
                         "give --overlay SRC:DST, or --profile build")  # fmt: skip
    (old,) = thrown
    new = Overlay(old.target, old.source, upper=directory, idmap=old.idmap)
    return [new if mount is old else mount for mount in mounts]


def _environment(parsed: Parsed, given: dict[str, Any]) -> dict[str, str]:
    from crabcan import defaults

    environment = defaults.environment(given.get("uid", 0), given.get("root"))
    environment.update(given.get("env") or {})
    for path in parsed.values.get("env_file", []):
        environment.update(values.env_file(path))
    environment.update(values.environment("env", parsed.values.get("env", [])))
    return environment


def timeout_of(parsed: Parsed, options: dict[str, Any]) -> float | None:
    """Seconds; taken out of the options, where a profile's is."""
    profiles = options.pop("timeout", None)
    given = parsed.last("timeout")
    try:
        return profiles if given is None else float(given)
    except ValueError:
        raise UsageError(f"--timeout {given!r} is no number", "write --timeout 2.5") from None


def command_of(parsed: Parsed, options: dict[str, Any]) -> list[str]:
    """The command's words; a profile's is taken out of the options."""
    given = parsed.last("command")
    profiles = options.pop("command", None)
    if given is None:
        if not parsed.rest and profiles:
            return list(profiles)
        if not parsed.rest:
            raise UsageError("no command was given", "say: crabcan run COMMAND [ARG...]")
        return parsed.rest
    if parsed.rest:
        raise UsageError(
            f"two commands were given: --command and {parsed.rest[0]!r}", "give one of them"
        )
    import shlex

    try:
        words = shlex.split(given)
    except ValueError as error:
        raise UsageError(f"--command {given!r}: {error}", "close the quotation") from None
    if not words:
        raise UsageError("--command is empty", "give the program to execute")
    return words
