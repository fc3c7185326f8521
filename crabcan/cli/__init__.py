"""The command line."""

from __future__ import annotations

import sys

from crabcan import __version__
from crabcan.cli.options import UsageError

# Each is a module here, with OPTIONS, HELP and run(words).
SUBCOMMANDS = {
    "run": "run a command in a container",
    "doctor": "tell what works on this machine, and what to do about what does not",
}


def usage() -> str:
    """What ``crabcan --help`` shows."""
    width = max(map(len, SUBCOMMANDS))
    lines = "".join(f"  {name:<{width}}  {what}\n" for name, what in SUBCOMMANDS.items())
    return (
        "crabcan: subprocess, but every child is a container\n\n"
        "usage: crabcan SUBCOMMAND [OPTIONS] [ARG...]\n"
        "       crabcan --version | --help\n\n"
        f"subcommands:\n{lines}\n"
        "Try 'crabcan run --help'.\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in ("-h", "--help"):
        print(usage(), end="")
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
    if words[0] in SUBCOMMANDS:
        from importlib import import_module

        code: int = import_module(f"crabcan.cli.{words[0]}").run(words[1:])
        return code
    from difflib import get_close_matches

    close = get_close_matches(words[0], SUBCOMMANDS, n=1)
    advice = f"did you mean {close[0]}?" if close else "say: crabcan run COMMAND"
    raise UsageError(f"there is no subcommand {words[0]!r}", advice)
