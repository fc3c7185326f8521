"""crabcan run."""

from __future__ import annotations

import signal
import sys

from crabcan import log
from crabcan.cli.options import Option, Parsed, UsageError, help_text, parse
from crabcan.container import Container
from crabcan.errors import CommandNotExecutable, CommandNotFound, Error

OPTIONS = (
    Option("-d", "--debug", None, "log each step to stderr"),
    Option("-c", "--command", "COMMAND", "the command and its arguments in one string"),
    Option("-u", "--uid", "UID", "user id inside (default: 0)"),
    Option("-m", "--mount", "DIR", "the directory to be the root; also --root"),
    Option("", "--root", "DIR", "the same as --mount (default: the host's system, read-only)"),
    Option("", "--root-writable", None, "let the container write to the root"),
    Option("", "--gid", "GID", "group id inside (default: the same number as the uid)"),
    Option("", "--hostname", "NAME", "hostname inside (default: generated)"),
    Option("", "--cwd", "DIR", "working directory inside (default: /)"),
    Option("-e", "--env", "NAME=VALUE", "add to the clean environment", many=True),
    Option("-h", "--help", None, "show this help"),
)

HELP = """\
usage: crabcan run [OPTIONS] [--] COMMAND [ARG...]

Run a command in a container of its own: new mount, cgroup, PID, IPC, network and UTS
namespaces, and a user namespace unless you are root.

options:
{options}
exit code: the command's; 128+N if signal N ended it; 125 if crabcan failed, 126 if the
command cannot be executed, 127 if it is not found.

examples:
  crabcan run -- python3 -c 'print(1)'
  crabcan run --root ./rootfs -- /bin/sh
"""

# What a person or a supervisor sends to end a program, or to tell it something.
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


def run(words: list[str]) -> int:
    """Carry out ``crabcan run`` and return the exit code."""
    parsed = parse(OPTIONS, words)
    if "help" in parsed.flags:
        print(HELP.format(options=help_text(OPTIONS)), end="")
        return 0
    command = _command(parsed)
    if "debug" in parsed.flags:
        _log_to_stderr()
    log.info("crabcan", "Args %s", _arguments(parsed, command))
    try:
        code = _run_container(parsed, command)
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


def _run_container(parsed: Parsed, command: list[str]) -> int:
    with Container(
        command,
        root=parsed.last("root") or parsed.last("mount"),
        root_writable="root_writable" in parsed.flags,
        uid=_number(parsed, "uid"),
        gid=_number(parsed, "gid"),
        hostname=parsed.last("hostname"),
        cwd=parsed.last("cwd"),
        env=_environment(parsed),
        channel=False,  # nobody here would answer
    ) as container:
        container.create()
        for number in FORWARDED:
            signal.signal(number, lambda signum, _frame: container.send_signal(signum))
        code = container.wait()
        log.debug("crabcan.container", "Finished, cleaning & exit")
    return 128 - code if code < 0 else code


def _command(parsed: Parsed) -> list[str]:
    given = parsed.last("command")
    if given is None:
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


def _number(parsed: Parsed, name: str) -> int | None:
    value = parsed.last(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()):
        raise UsageError(f"--{name} {value!r} is no number", f"write --{name} 1000, for example")
    return int(value)


def _environment(parsed: Parsed) -> dict[str, str] | None:
    given = parsed.values.get("env")
    if not given:
        return None
    from crabcan import defaults

    root = parsed.last("root") or parsed.last("mount")
    environment = defaults.environment(_number(parsed, "uid") or 0, root)
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--env {pair!r} has no '='", f"write --env {pair}=VALUE")
        environment[name] = value
    return environment


def _arguments(parsed: Parsed, command: list[str]) -> str:
    root = parsed.last("root") or parsed.last("mount")
    debug = str("debug" in parsed.flags).lower()
    return (
        f"{{ debug: {debug}, command: {' '.join(command)!r}, "
        f"uid: {_number(parsed, 'uid') or 0}, mount_dir: {root!r} }}"
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
