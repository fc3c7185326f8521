"""crabcan top: a live screen of what all of a user's containers use."""

from __future__ import annotations

import contextlib
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

import crabcan
from crabcan.cli.named import STATS, Row, _measured, _row, shown
from crabcan.cli.options import Parsed, UsageError

BAR = 20  # cells


def run(parsed: Parsed) -> int:
    """Draw until q, Ctrl-C, or the count is reached."""
    count, interval = _number(parsed, "count", 0), _number(parsed, "interval", 1.0)
    console = Console()
    before = {named.name: _measured(named) for named in crabcan.list()}
    drawn = 0
    with _keys() as pressed, Live(console=console, screen=console.is_terminal) as live:
        while not count or drawn < count:
            if pressed(interval if drawn else min(interval, 0.2)):
                break
            found = crabcan.list()
            after = {named.name: _measured(named) for named in found}
            rows = [_row(n, before[n.name], after[n.name]) for n in found if n.name in before]
            live.update(picture(rows), refresh=True)
            before = after
            drawn += 1
    return 0


def picture(rows: list[Row]) -> Table:
    """The busiest first."""
    title = f"{len(rows)} containers, {time.strftime('%H:%M:%S')}; q leaves"
    drawn = Table(*STATS, "", title=title, box=None, pad_edge=False, header_style="bold")
    for row in sorted(rows, key=lambda row: -row[1]):
        full = min(round(row[1] * BAR), BAR)
        bar = Text("\u2588" * full, "green") + Text("\u2591" * (BAR - full), "dim")
        drawn.add_row(*map(Text, shown(row)), bar)
    return drawn


def _number(parsed: Parsed, name: str, default: float) -> float:
    given = parsed.last(name)
    try:
        return default if given is None else float(given)
    except ValueError:
        raise UsageError(f"--{name} {given!r} is no number", f"write --{name} 2") from None


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """A function that waits, and says whether q was pressed; keys are not shown meanwhile."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        yield lambda seconds: bool(select.select([0], [], [], seconds)[0]) and _read() == "q"
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _sleep(seconds: float) -> bool:
    """Nobody can press a key."""
    time.sleep(seconds)
    return False


def _read() -> str:
    return sys.stdin.read(1)
