"""A command's options as a table, and the one parser for all tables.

argparse takes longer to import than a container takes to launch (docs/design.md); the table is also
what help, completion and reference are made from.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Sequence


class UsageError(Exception):
    """A command line that cannot be understood; `advice` says what to write."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


class Option:
    """One option: `metavar` is None for a flag; `aliases` are other long names.

    An `optional` value is given by ``=`` only; without it the option is a flag.
    """

    __slots__ = ("aliases", "help", "long", "metavar", "optional", "short")

    def __init__(
        self,
        short: str,
        long: str,
        metavar: str | None,
        help: str,
        *,
        aliases: tuple[str, ...] = (),
        optional: bool = False,
    ) -> None:
        self.short = short
        self.long = long
        self.metavar = metavar
        self.help = help
        self.aliases = aliases
        self.optional = optional

    @property
    def name(self) -> str:
        """The key of its value: ``--root-writable`` gives ``root_writable``."""
        return self.long.removeprefix("--").replace("-", "_")

    @property
    def spelling(self) -> str:
        """How help shows it: ``-w, --cwd, --workdir DIR``, ``--trace[=FILE]``."""
        names = ", ".join((self.long, *self.aliases))
        both = f"{self.short}, {names}" if self.short else f"    {names}"
        if self.optional:
            return f"{both}[={self.metavar}]"
        return f"{both} {self.metavar}" if self.metavar else both

    @property
    def names(self) -> tuple[str, ...]:
        """All by which it can be given."""
        return (*((self.short,) if self.short else ()), self.long, *self.aliases)


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
    known = {name: option for option in table for name in option.names}
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
    if option.metavar is None or (option.optional and not equals):
        if equals and not word.startswith("--"):  # -it: one flag, and more
            left.insert(0, f"-{value}")
        elif equals:
            raise UsageError(f"{name} takes no value: {word!r}", f"write {name} alone")
        found.flags.add(option.name)
        return
    if not equals:
        if not left:
            raise UsageError(f"{name} lacks its value", f"write {name} {option.metavar}")
        value = left.pop(0)
    elif option.optional and not value:
        raise UsageError(f"{name} lacks its value", f"write {name}={option.metavar}, or {name}")
    found.values.setdefault(option.name, []).append(value)


def _unknown(table: Sequence[Option], name: str) -> UsageError:
    from difflib import get_close_matches

    names = [name for option in table for name in option.names]
    close = get_close_matches(name, names, n=1)
    advice = f"did you mean {close[0]}?" if close else "see crabcan run --help"
    return UsageError(f"there is no option {name}", advice)


WIDTH = 34  # of the names; what is longer has its help below


def help_text(table: Sequence[Option]) -> str:
    """The options, a line each."""
    return "".join(_line(option) for option in table)


def _line(option: Option) -> str:
    first, *others = option.help.splitlines()
    if len(option.spelling) > WIDTH:
        lines = [f"  {option.spelling}", f"  {'':<{WIDTH}}  {first}"]
    else:
        lines = [f"  {option.spelling:<{WIDTH}}  {first}"]
    lines += [f"  {'':<{WIDTH}}  {line}" for line in others]
    return "\n".join(lines) + "\n"


def sections_text(sections: Sequence[tuple[str, Sequence[Option]]]) -> str:
    """The same under titles."""
    return "\n".join(f"{title}:\n{help_text(table)}" for title, table in sections)
