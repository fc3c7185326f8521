"""Plays the exhibits and prints a table: name, reference, wall, tried, held, without the wall.

With -v each call of a payload and what it gave.
"""

from __future__ import annotations

import collections
import sys

from museum.catalogue import EXHIBITS
from museum.exhibit import CONTRASTS, Exhibit, Outcome, stage


def row(exhibit: Exhibit, outcome: Outcome) -> str:
    tried = "tried" if outcome.tried else "NOT TRIED"
    held = "held" if outcome.held else "ESCAPED"
    return " | ".join(
        (exhibit.name, exhibit.reference, exhibit.wall, tried, held, outcome.contrast)
    )


def main() -> int:
    outcomes = []
    with stage() as place:
        for exhibit in EXHIBITS:
            outcome = exhibit.play(place)
            outcomes.append(outcome)
            print(row(exhibit, outcome))
            if "-v" in sys.argv[1:] or not outcome.held:
                print("    " + outcome.transcript.replace("\n", "\n    "))
    tried = [outcome for outcome in outcomes if outcome.tried]
    held = [outcome for outcome in tried if outcome.held]
    counts = collections.Counter(outcome.contrast for outcome in outcomes)
    print("without the wall:", ", ".join(f"{counts[name]} {name}" for name in CONTRASTS))
    print(f"tried {len(tried)}, held {len(held)}")
    return 0 if len(held) == counts.total() and set(counts) <= set(CONTRASTS) else 1


if __name__ == "__main__":
    sys.exit(main())
