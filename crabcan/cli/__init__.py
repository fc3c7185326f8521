"""The command line."""

from __future__ import annotations

import sys

from crabcan import __version__
from crabcan.cli.options import UsageError

# Each is a module here, with OPTIONS, HELP and run(words), but those for named containers.
SUBCOMMANDS = {
    "run": "run a command in a container",
    "ps": "list your named containers",
    "exec": "run a further command in one",
    "attach": "connect your terminal with one",
    "logs": "show what one has written",
    "kill": "end some, or send their command a signal",
    "stop": "ask some to end, and kill them if they do not",
    "wait": "wait for some to end",
    "pause": "stop every process in some",
    "unpause": "let them go on",
    "inspect": "show all that is known of some",
    "stats": "show what they use",
    "top": "show it live",
    "rm": "forget those that have ended",
    "explain": "show a container as the walls around it",
    "root": "make a root directory",
    "profile": "list the profiles, or show one",
    "completion": "print what makes a shell complete all this",
    "doctor": "tell what works on this machine, and what to do about what does not",
}
NAMED = ("ps", "exec", "attach", "logs", "kill", "stop", "wait", "pause", "unpause", "inspect",
         "stats", "top", "rm")  # fmt: skip


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

        if words[0] in NAMED:
            named: int = import_module("crabcan.cli.named").run(words[0], words[1:])
            return named
        code: int = import_module(f"crabcan.cli.{words[0]}").run(words[1:])
        return code
    from difflib import get_close_matches

    close = get_close_matches(words[0], SUBCOMMANDS, n=1)
    advice = f"did you mean {close[0]}?" if close else "say: crabcan run COMMAND"
    raise UsageError(f"there is no subcommand {words[0]!r}", advice)
