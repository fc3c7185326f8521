"""Draws docs/pictures, in text and as SVG: how a container came to be, and the walls around it."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import crabcan
from crabcan import defaults, explain, trace

PICTURES = Path(__file__).parent / "pictures"
COMMAND = ["sh", "-c", "echo hello"]

# Pixels of a character, and of a line.
WIDTH, HEIGHT = 8.4, 17
COLOURS = {"1": "#f0f6fc", "2": "#6e7681", "32": "#3fb950", "33": "#d29922", "36": "#39c5cf"}
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}">
<rect width="100%" height="100%" rx="6" fill="#0d1117"/>
<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" \
fill="#c9d1d9">
{lines}
</g>
</svg>
"""


def launch() -> str:
    """The chart of one launch, the second: the first one imports modules as well."""
    for _ in range(2):
        with crabcan.Container(COMMAND, hostname="moon", stdout=2) as container:
            container.create()
            container.wait()
    assert container.usage is not None
    return trace.chart(container.timeline, ran=container.usage.wall_time, colour=True)


def walls() -> str:
    """A default container's, without what tells of the machine that this runs on."""
    drawn = explain.picture(explain.dry_run(COMMAND, hostname="moon"), colour=True)
    return re.sub(r"(Linux \d+\.\d+)(\S*)( on \S+)", lambda m: m[1] + m[3] + " " * len(m[2]), drawn)


def svg(drawn: str) -> str:
    """The lines of a terminal as a picture; each piece at the column where it stands."""
    lines = drawn.splitlines()
    rows = ["".join(pieces(line, (number + 1.5) * HEIGHT)) for number, line in enumerate(lines)]
    columns = max(len(plain(line)) for line in lines)
    return SVG.format(
        width=(columns + 4) * WIDTH, height=(len(lines) + 2) * HEIGHT, lines="\n".join(rows)
    )


def pieces(line: str, y: float) -> Iterator[str]:
    """What is of one colour, stretched to its columns whatever the font."""
    column = 2
    for colour, text in coloured(line):
        fill = f' fill="{colour}"' if colour else ""
        if text.strip():
            yield (
                f'<text xml:space="preserve" x="{column * WIDTH:.1f}" y="{y:g}"{fill} '
                f'textLength="{len(text) * WIDTH:.1f}">{html.escape(text)}</text>'
            )
        column += len(text)


def coloured(line: str) -> list[tuple[str, str]]:
    """Each colour and its text; neighbours of one colour are one."""
    found: list[tuple[str, str]] = []
    colour = ""
    for text in re.split(r"(\033\[\d*m)", line):
        if text.startswith("\033"):
            colour = COLOURS.get(text[2:-1], "")
        elif text and found and found[-1][0] == colour:
            found[-1] = (colour, found[-1][1] + text)
        elif text:
            found.append((colour, text))
    return found


def plain(drawn: str) -> str:
    """Without colours."""
    return re.sub(r"\033\[\d*m", "", drawn)


def main() -> None:
    """Write them."""
    # As on a host where Python is Debian's own: no virtual environment is shown inside.
    defaults.python_prefixes = list
    PICTURES.mkdir(exist_ok=True)
    for name, drawn in (("trace", launch()), ("explain", walls())):
        (PICTURES / f"{name}.txt").write_text(f"{plain(drawn)}\n")
        (PICTURES / f"{name}.svg").write_text(svg(drawn))
        print(PICTURES / f"{name}.txt", file=sys.stderr)


if __name__ == "__main__":
    main()
