"""What every subcommand says in the same way: errors, exit codes, tables."""

from __future__ import annotations

import sys

from crabcan import log

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Sequence


def fail(error: Exception, code: int) -> int:
    """What went wrong, and what to do: two lines on stderr."""
    what = str(error)
    advice = getattr(error, "advice", "")
    if advice:
        what = what.removesuffix(f" - {advice}")
    print(f"crabcan: {what}" + (f"\n  {advice}" if advice else ""), file=sys.stderr)
    log.debug("crabcan.errors", "Error on exit: %s, returning %s", what, code)
    return code


def exit_code(code: int) -> int:
    """As a shell has it: 128 and the signal."""
    return 128 - code if code < 0 else code


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns; drawn where stdout is a terminal, plain for programs."""
    if not sys.stdout.isatty():
        for row in (head, *rows):
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
