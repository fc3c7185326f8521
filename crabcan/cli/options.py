"""A command's options as a table, and the one parser for all tables.

argparse takes longer to import than a container takes to launch (docs/design.md); the table is also
what help, completion and reference are made from.
"""

from __future__ import annotations

from collections.abc import Sequence


class UsageError(Exception):
    """A command line that cannot be understood; `advice` says what to write."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


class Option:
    """One option: `metavar` is None for a flag; `many` collects each use."""

    __slots__ = ("help", "long", "many", "metavar", "short")

    def __init__(
        self, short: str, long: str, metavar: str | None, help: str, *, many: bool = False
    ) -> None:
        self.short = short
        self.long = long
        self.metavar = metavar
        self.help = help
        self.many = many

    @property
    def name(self) -> str:
        """The key of its value: ``--root-writable`` gives ``root_writable``."""
        return self.long.removeprefix("--").replace("-", "_")

    @property
    def spelling(self) -> str:
        """How help shows it: ``-u, --uid UID``."""
        both = f"{self.short}, {self.long}" if self.short else f"    {self.long}"
        return f"{both} {self.metavar}" if self.metavar else both


class Parsed:
    """What was found: flags, values by option name, and the words that follow."""

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []

    def last(self, name: str) -> str | None:
        """The value of an option; the last one given wins."""
        values = self.values.get(name)
        return values[-1] if values else None


def parse(table: Sequence[Option], words: list[str]) -> Parsed:
    """Parse options up to the first word that is none, or ``--``.

    Raises:
        UsageError: an unknown option, with the closest one, or a value missing or superfluous.

    """
    known = {spelling: option for option in table for spelling in (option.short, option.long)}
    found = Parsed()
    left = list(words)
    while left:
        word = left[0]
        if word == "--":
            found.rest = left[1:]
            return found
        if len(word) < 2 or not word.startswith("-"):
            break
        left.pop(0)
        _take(table, known, found, word, left)
    found.rest = left
    return found


def _take(
    table: Sequence[Option], known: dict[str, Option], found: Parsed, word: str, left: list[str]
) -> None:
    if word.startswith("--"):
        name, equals, value = word.partition("=")
    else:  # -uUID, as getopt(3) has it
        name, equals, value = word[:2], word[2:], word[2:]
    option = known.get(name)
    if option is None:
        raise _unknown(table, name)
    if option.metavar is None:
        if equals:
            raise UsageError(f"{name} takes no value: {word!r}", f"write {name} alone")
        found.flags.add(option.name)
        return
    if not equals:
        if not left:
            raise UsageError(f"{name} lacks its value", f"write {name} {option.metavar}")
        value = left.pop(0)
    found.values.setdefault(option.name, []).append(value)


def _unknown(table: Sequence[Option], name: str) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(name, [option.long for option in table], n=1)
    advice = f"did you mean {close[0]}?" if close else "see crabcan run --help"
    return UsageError(f"there is no option {name}", advice)


def help_text(table: Sequence[Option]) -> str:
    """The options, a line each."""
    width = max(len(option.spelling) for option in table)
    return "".join(f"  {option.spelling:<{width}}  {option.help}\n" for option in table)
