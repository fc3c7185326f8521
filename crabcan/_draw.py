"""What pictures in text share: how wide, in which characters, in which colours."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Mapping
from typing import TextIO

WIDTH = 80  # where nobody tells: what terminals have had since the VT100
_NARROWEST, _WIDEST = 60, 120

STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
_ASCII = str.maketrans("│┌┐└┘─├┬…█▏▎▍▌▋▊▉", "|++++-|-~#.::+++#")


class Look:
    """How a stream is drawn on: columns, whether it shows Unicode, and colours."""

    __slots__ = ("colour", "unicode", "width")

    def __init__(self, *, width: int = WIDTH, unicode: bool = True, colour: bool = False) -> None:
        self.width = min(max(width, _NARROWEST), _WIDEST)
        self.unicode = unicode
        self.colour = colour

    @classmethod
    def of(cls, stream: TextIO) -> Look:
        """As the stream can show it; colours for a terminal only, and not with NO_COLOR."""
        is_terminal = stream.isatty()
        return cls(
            width=_columns(stream) if is_terminal else WIDTH,
            unicode=_can_encode(stream),
            colour=is_terminal and _wants_colour(os.environ),
        )

    def text(self, drawn: str) -> str:
        """In characters that can be shown: lines and blocks have others in ASCII."""
        if self.unicode:
            return drawn
        return drawn.translate(_ASCII).encode("ascii", "backslashreplace").decode()

    def paint(self, drawn: str, style: str) -> str:
        """In a colour, where there are any."""
        if not (self.colour and style and drawn.strip()):
            return drawn
        return f"\033[{STYLES[style]}m{drawn}\033[0m"


def _wants_colour(environment: Mapping[str, str]) -> bool:
    """https://no-color.org, and terminals that know no escape sequence."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except (OSError, ValueError):
        return WIDTH


def _can_encode(stream: TextIO) -> bool:
    try:
        "│█▏…".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def cells(text: str) -> int:
    """How many columns a text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut to a width, which shows, and filled up to it."""
    if cells(text) > width:
        text = text[: 4 * width]  # before what follows takes a character at a time
        while cells(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - cells(text))


def wrap(text: str, width: int, most: int = sys.maxsize) -> list[str]:
    """In lines of a width, at blanks where there are any; what is more than `most` is cut off."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(joined) <= width or not lines[-1]:
            lines[-1] = joined
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] = joined  # too long, and so cut
            break
    return [fit(line, width).rstrip() for line in lines]
