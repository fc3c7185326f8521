"""Every subcommand as data: what completion, man pages and the reference are made from."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from importlib import import_module

from crabcan.cli import NAMED, SUBCOMMANDS
from crabcan.cli.options import Option

# What follows the options, for completion.
COMMAND, RUNNING, KNOWN, NOTHING = "command", "running", "known", ""

_WORDS = {
    "run": COMMAND,
    "explain": COMMAND,
    "logs": KNOWN,
    "wait": KNOWN,
    "inspect": KNOWN,
    "rm": KNOWN,
    **dict.fromkeys(("exec", "attach", "kill", "stop", "pause", "unpause", "stats"), RUNNING),
}


class Page:
    """One subcommand."""

    def __init__(
        self,
        name: str,
        usage: Sequence[str],
        what: str,
        sections: Sequence[tuple[str, Sequence[Option]]],
        notes: str,
    ) -> None:
        self.name = name
        self.brief = SUBCOMMANDS[name]
        self.usage = usage
        self.what = what
        self.sections = sections
        self.notes = notes

    @property
    def options(self) -> list[Option]:
        """Of all sections."""
        return [option for _, options in self.sections for option in options]

    @property
    def words(self) -> str:
        """What follows the options: COMMAND, RUNNING or KNOWN containers, or NOTHING."""
        return _WORDS.get(self.name, NOTHING)


def pages() -> Iterator[Page]:
    """All subcommands, in the order of ``crabcan --help``."""
    for name in SUBCOMMANDS:
        yield _of_named(name) if name in NAMED else _of_module(name)


def _of_named(name: str) -> Page:
    from crabcan.cli.named import COMMANDS

    command = COMMANDS[name]
    usage = [f"crabcan {name} {command.words}".rstrip()]
    return Page(name, usage, command.what, [("options", command.options)], "")


def _of_module(name: str) -> Page:
    """Its help: the usage, what it does and examples, the options, and what comes after them."""
    module = import_module(f"crabcan.cli.{name}")
    sections = getattr(module, "SECTIONS", [("options", module.OPTIONS)])
    before, _, notes = module.HELP.partition("{options}")
    head, _, what = before.partition("\n\n")
    usage = [line.removeprefix("usage:").strip() for line in head.splitlines()]
    what = what.strip("\n").removesuffix("options:").rstrip()
    return Page(name, usage, what, sections, notes.strip())


def choices(option: Option) -> Sequence[str]:
    """The values that an option can be completed to; none where anything goes."""
    if option.name == "capabilities":
        from crabcan.capabilities import names_of

        return names_of(2**64 - 1)
    if option.metavar == "SIGNAL":
        return [number.name.removeprefix("SIG") for number in signal.Signals]
    return _CHOICES.get(option.name, ())


_CHOICES: dict[str, Sequence[str]] = {
    "network": ("none", "host", "pasta"),
    "userns": ("auto", "subids", "host"),
    "seccomp": ("default", "off"),
}

_FILES = ("FILE", "DIR", "PROFILE")


def takes_file(option: Option) -> bool:
    """Whether its value is a path."""
    return option.metavar in _FILES or option.name in ("volume", "add", "overlay")
