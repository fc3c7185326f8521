"""crabcan run."""

from __future__ import annotations

import signal
import sys

from crabcan import log
from crabcan.cli import values
from crabcan.cli.options import Option, Parsed, UsageError, help_text, parse
from crabcan.container import Container
from crabcan.errors import CommandNotExecutable, CommandNotFound, Error

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from typing import Any

# What is an argument of Container by the same name, and how its words become the value.
ARGUMENTS: tuple[tuple[Option, values.Convert], ...] = (
    (
        Option("", "--executable", "FILE", "the program, where COMMAND is to be its name only"),
        values.last,
    ),
    (
        Option("", "--root", "DIR", "the root directory (default: the host's system, read-only)"),
        values.last,
    ),
    (Option("-u", "--uid", "UID", "user id inside (default: 0)"), values.number),
    (
        Option("", "--gid", "GID", "group id inside (default: the same number as the uid)"),
        values.number,
    ),
    (Option("", "--groups", "GID,...", "supplementary group ids"), values.numbers),
    (Option("", "--user", "NAME[:GROUP]", "a user of the root's own passwd"), values.last),
    (Option("", "--userns", "HOW", "auto, subids, or host (root only)"), values.last),
    (
        Option("", "--namespaces", "NAME=WHERE", "host, a path, or pid:N for a namespace; repeat"),
        values.pairs,
    ),
    (Option("", "--network", "HOW", "none, host, pasta, a path, or pid:N"), values.last),
    (Option("", "--publish", "PORTS", "HOST:INSIDE, with --network pasta; repeat"), values.listed),
    (Option("", "--hostname", "NAME", "hostname inside (default: generated)"), values.last),
    (Option("", "--cwd", "DIR", "working directory inside (default: /)"), values.last),
    (Option("", "--umask", "OCTAL", "umask inside (default: 022)"), values.octal),
    (
        Option("", "--capabilities", "NAME,...", "capabilities to keep (default: none)"),
        values.listed,
    ),
    (
        Option("", "--seccomp", "PROFILE", "default, off, or a file as Docker and Podman use"),
        values.last,
    ),
    (Option("", "--allow-syscalls", "NAME,...", "system calls to allow besides"), values.listed),
    (Option("", "--deny-syscalls", "NAME,...", "system calls to refuse besides"), values.listed),
    (
        Option(
            "", "--landlock", "KIND=WHERE,...", "read=PATH, write=PATH, connect=PORT, bind=PORT"
        ),
        values.landlock,
    ),
    (
        Option("", "--limits", "NAME=VALUE,...", "memory=64M, pids=20, cpus=0.5, ... (see docs)"),
        values.limits,
    ),
    (
        Option(
            "", "--rlimits", "NAME=SOFT[:HARD]", "limits of each process: nofile=64:128; repeat"
        ),
        values.rlimits,
    ),
    (Option("", "--nice", "NUMBER", "from -20 to 19"), values.number),
    (Option("", "--oom-score-adj", "NUMBER", "from -1000 to 1000 (default: 1000)"), values.number),
    (Option("", "--cpu-affinity", "CPU,...", "the CPUs to run on: 0,2-3"), values.numbers),
)

# Each use is one more of the mounts, in the order of this table.
MOUNTS: tuple[tuple[Option, values.MountOf], ...] = (
    (
        Option("", "--overlay", "/ | SRC:DST[:UPPER]", "a writable layer over the root or SRC"),
        values.overlay,
    ),
    (
        Option("-a", "--add", "FROM:TO", "show FROM of the host at TO, read-only; repeat"),
        values.added,
    ),
    (
        Option("-v", "--volume", "SRC:DST[:ro|rw]", "show SRC of the host at DST; repeat"),
        values.volume,
    ),
    (
        Option("", "--tmpfs", "DST[:size=64M]", "an empty file system in memory; repeat"),
        values.tmpfs,
    ),
    (
        Option(
            "", "--mounts", "TYPE,NAME=VALUE,...", "any mount by its arguments in Python; repeat"
        ),
        values.mount,
    ),
)

# Flags that set an argument of Container.
FLAGS: tuple[tuple[Option, str, bool], ...] = (
    (Option("", "--root-writable", None, "let the container write to the root"),
     "root_writable", True),
    (Option("", "--no-root-idmap", None, "show the root's owners as nobody, if it must be"),
     "root_idmap", False),
    (Option("", "--no-default-mounts", None, "mount nothing but what is asked for"),
     "default_mounts", False),
    (Option("-t", "--tty", None, "a terminal of its own, connected with yours"), "tty", True),
)  # fmt: skip

OPTIONS = (
    Option("-d", "--debug", None, "log each step to stderr"),
    Option("-c", "--command", "COMMAND", "the command and its arguments in one string"),
    Option("-m", "--mount", "DIR", "the same as --root"),
    Option("-e", "--env", "NAME=VALUE", "add to the clean environment; repeat"),
    Option("", "--timeout", "SECONDS", "kill the container after that long (exit code 124)"),
    Option("-p", "--profile", "FILE", "a TOML file of the same names; what is given here wins"),
    *(option for option, _ in ARGUMENTS),
    *(option for option, _ in MOUNTS),
    *(option for option, _, _ in FLAGS),
    Option("-n", "--dry-run", None, "print what would be done, in order, and do nothing"),
    Option("", "--json", None, "with --dry-run: as JSON"),
    Option("-h", "--help", None, "show this help"),
)

HELP = """\
usage: crabcan run [OPTIONS] [--] COMMAND [ARG...]

Run a command in a container of its own: new user, mount, cgroup, PID, IPC, network and
UTS namespaces, no capabilities, a system call filter, limits. Each option widens or
narrows one of them; its name is the same in Python and in a profile.

options:
{options}
exit code: the command's; 128+N if signal N ended it; 124 at the timeout; 125 if crabcan
failed, 126 if the command cannot be executed, 127 if it is not found.

examples:
  crabcan run -- python3 -c 'print(1)'
  crabcan run --root ./rootfs -- /bin/sh
  crabcan run -v ./src:/src -v ./out:/out:rw --limits memory=64M,pids=20 -- make -C /src
  crabcan run --overlay / --root ./rootfs -- /bin/sh -c 'rm -rf /bin; echo gone, and not'
"""

# What a person or a supervisor sends to end a program, or to tell it something.
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

# As timeout(1), env(1) and the shell have it.
TIMED_OUT, FAILED, NOT_EXECUTABLE, NOT_FOUND = 124, 125, 126, 127


def run(words: list[str]) -> int:
    """Carry out ``crabcan run`` and return the exit code."""
    parsed = parse(OPTIONS, words)
    if "help" in parsed.flags:
        print(HELP.format(options=help_text(OPTIONS)), end="")
        return 0
    try:
        code = _run(parsed)
    except CommandNotFound as error:
        return _fail(error, NOT_FOUND)
    except CommandNotExecutable as error:
        return _fail(error, NOT_EXECUTABLE)
    except Error as error:
        return _fail(error, FAILED)
    except OSError as error:
        return _fail(error, FAILED)
    log.debug("crabcan.errors", "Exit without any error, returning %s", code)
    return code


def _run(parsed: Parsed) -> int:
    options = arguments_of(parsed)
    command = _command(parsed, options)
    if "debug" in parsed.flags:
        _log_to_stderr()
    log.info("crabcan", "Args %s", _seed_arguments(parsed, command, options))
    if "dry_run" in parsed.flags:
        return _print_plan(parsed, command, options)
    return _run_container(parsed, command, options)


def arguments_of(parsed: Parsed) -> dict[str, Any]:
    """What Container takes by keyword: from the profile, and what was given beside it."""
    given: dict[str, Any] = {"channel": False}  # nobody here would answer
    for option, convert in ARGUMENTS:
        if option.name in parsed.values:
            given[option.name] = convert(option.name, parsed.values[option.name])
    if "mount" in parsed.values:
        given.setdefault("root", parsed.last("mount"))
    given.update({name: value for option, name, value in FLAGS if option.name in parsed.flags})
    mounts = [
        convert(option.name, word)
        for option, convert in MOUNTS
        for word in parsed.values.get(option.name, ())
    ]
    if mounts:
        given["mounts"] = mounts
    given = _with_profile(parsed, given)
    if "env" in parsed.values or "env" in given:
        given["env"] = _environment(parsed, given)
    return given


def _with_profile(parsed: Parsed, given: dict[str, Any]) -> dict[str, Any]:
    path = parsed.last("profile")
    if path is None:
        return given
    from crabcan import profile, spec

    return profile.merge(profile.load(path, known={*spec.names(), "command", "timeout"}), given)


def _environment(parsed: Parsed, given: dict[str, Any]) -> dict[str, str]:
    from crabcan import defaults

    environment = defaults.environment(given.get("uid", 0), given.get("root"))
    environment.update(given.get("env") or {})
    environment.update(values.pairs("env", parsed.values.get("env", [])))
    return environment


def _run_container(parsed: Parsed, command: list[str], options: dict[str, Any]) -> int:
    timeout = _timeout(parsed, options)
    with Container(command, **options) as container:
        container.create()
        if not container.spec.tty:  # else what ends us is to leave our terminal as it was
            for number in FORWARDED:
                signal.signal(number, lambda signum, _frame: container.send_signal(signum))
        code = _wait(container, timeout)
        log.debug("crabcan.container", "Finished, cleaning & exit")
    return 128 - code if code < 0 else code


def _wait(container: Container, timeout: float | None) -> int:
    end = container.interact if container.spec.tty else container.wait
    if timeout is None:
        return _say_what_happened(container, end())
    from subprocess import TimeoutExpired

    try:
        return _say_what_happened(container, end(timeout=timeout))
    except TimeoutExpired:
        print(f"crabcan: killed at its timeout of {timeout} s", file=sys.stderr)
        return TIMED_OUT


def _say_what_happened(container: Container, code: int) -> int:
    """A limit that ended the command is told: its exit code alone would not."""
    if container.oom_killed:
        print("crabcan: it ran out of its memory limit\n  raise it: --limits memory=SIZE",
              file=sys.stderr)  # fmt: skip
    if container.timed_out:
        print("crabcan: it ran out of its time limit\n  raise it: --limits wall_time=SECONDS or "
              "cpu_time=SECONDS", file=sys.stderr)  # fmt: skip
        return TIMED_OUT
    return code


def _timeout(parsed: Parsed, options: dict[str, Any]) -> float | None:
    profiles = options.pop("timeout", None)
    given = parsed.last("timeout")
    try:
        return profiles if given is None else float(given)
    except ValueError:
        raise UsageError(f"--timeout {given!r} is no number", "write --timeout 2.5") from None


def _print_plan(parsed: Parsed, command: list[str], options: dict[str, Any]) -> int:
    from crabcan import dry_run

    _timeout(parsed, options)
    print(dry_run.describe(command, options, as_json="json" in parsed.flags))
    return 0


def _command(parsed: Parsed, options: dict[str, Any]) -> list[str]:
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


def _seed_arguments(parsed: Parsed, command: list[str], options: dict[str, Any]) -> str:
    debug = str("debug" in parsed.flags).lower()
    return (
        f"{{ debug: {debug}, command: {' '.join(command)!r}, "
        f"uid: {options.get('uid', 0)}, mount_dir: {options.get('root')!r} }}"
    )


def _log_to_stderr() -> None:
    import logging
    import time

    formatter = logging.Formatter(
        "[%(asctime)s %(levelname)-5s %(name)s] %(message)s", "%Y-%m-%dT%H:%M:%SZ"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.DEBUG, handlers=[handler])


def _fail(error: Exception, code: int) -> int:
    what = str(error)
    advice = getattr(error, "advice", "")
    if advice:
        what = what.removesuffix(f" - {advice}")
    print(f"crabcan: {what}" + (f"\n  {advice}" if advice else ""), file=sys.stderr)
    log.debug("crabcan.errors", "Error on exit: %s, returning %s", what, code)
    return code
