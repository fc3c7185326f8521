"""crabcan run."""

from __future__ import annotations

import sys

from crabcan import _core, log
from crabcan.cli import arguments
from crabcan.cli.arguments import arguments_of, command_of, timeout_of
from crabcan.cli.options import Option, Parsed, UsageError, parse, sections_text
from crabcan.cli.report import exit_code, fail
from crabcan.container import Container
from crabcan.errors import CommandNotExecutable, CommandNotFound, Error
from crabcan.spec import Spec

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from typing import IO, Any

    from crabcan._keeper import Keeper
    from crabcan._state import Entry
    from crabcan.cli.relay import Relay

# Beside what describes the container.
OWN = (
    Option("", "--name", "NAME", "to find it by, for crabcan exec, stop, logs, ..."),
    Option("", "--detach", None, "leave it running, and print its name"),
    Option("-d", "--debug", None, "log each step to stderr"),
    Option("", "--trace", "FILE", "draw each step and its time afterwards; with =FILE write it as\n"
           "JSON for Perfetto (ui.perfetto.dev)", optional=True),
    Option("-n", "--dry-run", None, "print what would be done, in order, and do nothing"),
    Option("", "--json", None, "with --dry-run: as JSON"),
    Option("-h", "--help", None, "show this help"),
)  # fmt: skip
SECTIONS = (
    *((title, [option for option, _ in rows]) for title, rows in arguments.SECTIONS),
    ("to find and to look at it", list(OWN)),
)
OPTIONS = tuple(option for _, options in SECTIONS for option in options)

HELP = """\
usage: crabcan run [OPTIONS] [--] COMMAND [ARG...]

Run a command in a container of its own: new user, mount, cgroup, PID, IPC, network and
UTS namespaces, no capabilities, a system call filter, limits. It sees the host's programs,
read-only, and nothing else of the host. Each option widens or narrows one of these walls.

  run a program                   crabcan run -- python3 -c 'print(1)'
  look around in a shell          crabcan run -it -- bash
  let it write to one directory   crabcan run -v ./out:/out:rw -- touch /out/made
  limit it                        crabcan run --memory 256m --pids-limit 20 -- make
  give it a root of its own       crabcan run --root ./rootfs -- /bin/sh
  ... and throw changes away      crabcan run --root ./rootfs --overlay / -- /bin/sh
  see what would be done          crabcan run --dry-run -- true

{options}
Long names are those of Python and of profiles, or docker's. Exit code: the command's; 128+N
if signal N ended it; 124 at a limit of time; 125 if crabcan failed, 126 if the command cannot
be executed, 127 if it is not found.
"""

# What a person or a supervisor sends to end a program, or to tell it something.
FORWARDED = (_core.SIGTERM, _core.SIGINT, _core.SIGHUP, _core.SIGQUIT)

# As timeout(1), env(1) and the shell have it.
TIMED_OUT, FAILED, NOT_EXECUTABLE, NOT_FOUND = 124, 125, 126, 127


def run(words: list[str]) -> int:
    """Carry out ``crabcan run`` and return the exit code."""
    parsed = parse(OPTIONS, words)
    if "help" in parsed.flags:
        print(HELP.format(options=sections_text(SECTIONS)), end="")
        return 0
    try:
        code = _run(parsed)
    except CommandNotFound as error:
        return fail(error, NOT_FOUND)
    except CommandNotExecutable as error:
        return fail(error, NOT_EXECUTABLE)
    except Error as error:
        return fail(error, FAILED)
    except OSError as error:
        return fail(error, FAILED)
    log.debug("crabcan.errors", "Exit without any error, returning %s", code)
    return code


def _run(parsed: Parsed) -> int:
    options = arguments_of(parsed)
    command = command_of(parsed, options)
    if "debug" in parsed.flags:
        _log_to_stderr()
    log.info("crabcan", "Args %s", _seed_arguments(parsed, command, options))
    if "dry_run" in parsed.flags:
        return _print_plan(parsed, command, options)
    if "detach" in parsed.flags:
        return _detach(parsed, command, options)
    return _run_container(parsed, command, options)


def _detach(parsed: Parsed, command: list[str], options: dict[str, Any]) -> int:
    from crabcan import named

    if timeout_of(parsed, options) is not None:
        raise UsageError("--timeout needs somebody who waits", "write --limits wall_time=SECONDS")
    stdin = "interactive" in parsed.flags
    print(named.start(command, name=parsed.last("name"), stdin=stdin, **options).name)
    return 0


def _run_container(parsed: Parsed, command: list[str], options: dict[str, Any]) -> int:
    timeout = timeout_of(parsed, options)
    with _trace_file(parsed) as file, _claim(parsed) as entry:
        spec = Spec(command, **options)
        relay = _relay(spec)
        with Container(spec) if relay is None else relay.container(spec) as container:
            try:
                code = _create_and_wait(container, relay, entry, timeout)
            finally:  # also of one that could not be made: it shows how far that came
                if file is not None or "trace" in parsed.flags:
                    from crabcan import trace

                    trace.write(container, file)
    return exit_code(code)


class _Nothing:
    """Of what was not asked for."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _claim(parsed: Parsed) -> Entry | _Nothing:
    """Forgotten at the end: whoever called us knows how it ended."""
    name = parsed.last("name")
    if name is None:
        return _Nothing()
    from crabcan import _state

    return _state.claim(_state.checked(name))


def _keep(container: Container, entry: Entry) -> Keeper:
    from crabcan._keeper import Keeper

    keeper = Keeper(container, entry)
    keeper.serve()
    return keeper


def _trace_file(parsed: Parsed) -> IO[str] | _Nothing:
    """Opened before anything starts, which a path that is refused does not."""
    path = parsed.last("trace")
    return _Nothing() if path is None else open(path, "w")


def _relay(spec: Spec) -> Relay | None:
    """Where the output is limited, it is counted on its way."""
    if spec.tty or spec.limits is None or spec.limits.output is None:
        return None
    from crabcan.cli.relay import Relay

    return Relay(spec.limits.output)


def _create_and_wait(
    container: Container, relay: Relay | None, entry: Entry | None, timeout: float | None
) -> int:
    container.create()
    if relay is not None:
        relay.start(container)
    keeper = None if entry is None else _keep(container, entry)
    if not container.spec.tty:  # else what ends us is to leave our terminal as it was
        _core.forward_signals(container.pidfd, FORWARDED)
    code = _wait(container, timeout)
    if relay is not None:
        relay.join()
        if relay.over_limit:
            advice = "raise it: --limits output=SIZE"
            print(f"crabcan: it reached its limit of output\n  {advice}", file=sys.stderr)
    if keeper is not None:
        keeper.end(code)
    log.debug("crabcan.container", "Finished, cleaning & exit")
    return code


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
        print("crabcan: it ran out of its memory limit\n  raise it: --memory SIZE",
              file=sys.stderr)  # fmt: skip
    if container.timed_out:
        print("crabcan: it ran out of its time limit\n  raise it: --limits wall_time=SECONDS or "
              "cpu_time=SECONDS", file=sys.stderr)  # fmt: skip
        return TIMED_OUT
    return code


def _print_plan(parsed: Parsed, command: list[str], options: dict[str, Any]) -> int:
    from crabcan import dry_run

    timeout_of(parsed, options)
    print(dry_run.describe(command, options, as_json="json" in parsed.flags))
    return 0


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
