"""crabcan explain."""

from __future__ import annotations

import os
import sys
from typing import Any

from crabcan.cli import arguments
from crabcan.cli.arguments import arguments_of, command_of, timeout_of
from crabcan.cli.options import Option, Parsed, UsageError, parse, sections_text
from crabcan.cli.report import fail
from crabcan.errors import Error

OWN = (
    Option("", "--pid", "PID", "of a container that runs, instead: its init, or any process in it"),
    Option("", "--json", None, "as JSON"),
    Option("-h", "--help", None, "show this help"),
)
SECTIONS = (
    *((title, [option for option, _ in rows]) for title, rows in arguments.SECTIONS),
    ("to look at it", list(OWN)),
)
OPTIONS = tuple(option for _, options in SECTIONS for option in options)

HELP = """\
usage: crabcan explain [OPTIONS] [--] COMMAND [ARG...]
       crabcan explain --pid PID

Show a container as the walls around it: namespaces, mounts, network, ids, capabilities,
system calls, limits, each with what it is good for. Nothing is started. The options are those
of crabcan run.

  the walls of a default container    crabcan explain -- true
  what an option changes              crabcan explain --network host -- true
  those of one that runs              crabcan explain --pid 1234

{options}
exit code: 0; 125 if it cannot be told.
"""


def run(words: list[str]) -> int:
    """Carry out ``crabcan explain`` and return the exit code."""
    parsed = parse(OPTIONS, words)
    if "help" in parsed.flags:
        print(HELP.format(options=sections_text(SECTIONS)), end="")
        return 0
    try:
        facts = _facts(parsed)
    except (Error, OSError) as error:
        return fail(error, 125)
    _show(_as_json(facts) if "json" in parsed.flags else _as_picture(facts))
    return 0


def _show(text: str) -> None:
    """Whoever reads it may have seen enough: `crabcan explain true | head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end


def _facts(parsed: Parsed) -> dict[str, Any]:
    from crabcan import explain

    pid = parsed.last("pid")
    if pid is None:
        options = arguments_of(parsed)
        command = command_of(parsed, options)
        timeout_of(parsed, options)
        return explain.dry_run(command, **options)
    if parsed.rest:
        raise UsageError(f"--pid and a command are both given: {parsed.rest[0]!r}", "give one")
    if not (pid.isascii() and pid.isdecimal()):
        raise UsageError(f"--pid {pid!r} is no number", "write --pid 1234")
    return explain.running(int(pid))


def _as_json(facts: dict[str, Any]) -> str:
    import json

    return json.dumps(facts, indent=2)


def _as_picture(facts: dict[str, Any]) -> str:
    from crabcan import explain
    from crabcan._draw import Look

    look = Look.of(sys.stdout)
    return explain.picture(facts, width=look.width, unicode=look.unicode, colour=look.colour)
