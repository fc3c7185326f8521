"""The command line."""

from __future__ import annotations

import sys

from crabcan import __version__
from crabcan.cli.options import UsageError

USAGE = """\
crabcan: subprocess, but every child is a container

usage: crabcan run [OPTIONS] [--] COMMAND [ARG...]
       crabcan --version | --help

Try 'crabcan run --help'.
"""


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
        if not words:
            raise UsageError("no subcommand was given", "say: crabcan run COMMAND")
        if words[0] != "run":
            raise UsageError(f"there is no subcommand {words[0]!r}", "say: crabcan run COMMAND")
        from crabcan.cli.run import run

        return run(words[1:])
    except KeyboardInterrupt:  # before the command was there to be told
        return 128 + 2
    except UsageError as error:
        print(f"crabcan: {error}\n  {error.advice}", file=sys.stderr)
        return 125
