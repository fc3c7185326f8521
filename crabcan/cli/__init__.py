"""The command line."""

from __future__ import annotations

import sys

from crabcan import __version__
from crabcan.cli.options import UsageError

USAGE = """\
crabcan: subprocess, but every child is a container

usage: crabcan run [OPTIONS] [--] COMMAND [ARG...]
       crabcan doctor [--json]
       crabcan --version | --help

Try 'crabcan run --help'.
"""

SUBCOMMANDS = ("run", "doctor")  # each a module here, with run(words)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if words and words[0] == "--version":
        print(f"crabcan {__version__}")
        return 0
    try:
        return _run(words)
    except KeyboardInterrupt:  # before the command was there to be told
        return 128 + 2
    except UsageError as error:
        print(f"crabcan: {error}\n  {error.advice}", file=sys.stderr)
        return 125


def _run(words: list[str]) -> int:
    if not words:
        raise UsageError("no subcommand was given", "say: crabcan run COMMAND")
    if words[0] == "run":
        from crabcan.cli import run

        return run.run(words[1:])
    if words[0] == "doctor":
        from crabcan.cli import doctor

        return doctor.run(words[1:])
    from difflib import get_close_matches

    close = get_close_matches(words[0], SUBCOMMANDS, n=1)
    advice = f"did you mean {close[0]}?" if close else "say: crabcan run COMMAND"
    raise UsageError(f"there is no subcommand {words[0]!r}", advice)
