"""The museum of escapes: each payload really tries, and really fails; and not for want of a try."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from museum import EXHIBITS, Exhibit, Stage
from museum.exhibit import CONTRASTS, stage


@pytest.fixture(scope="module", name="place")
def a_stage() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_it_tries_and_fails(exhibit: Exhibit, place: Stage) -> None:
    outcome = exhibit.play(place)
    assert outcome.tried
    assert outcome.held, outcome.transcript
    assert outcome.contrast in CONTRASTS, outcome.contrast


def test_the_catalogue_is_complete() -> None:
    assert len(EXHIBITS) >= 80
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS)
    for exhibit in EXHIBITS:
        assert exhibit.reference
        assert exhibit.cause
        assert exhibit.wall
        shown = exhibit.without is not None or exhibit.bare is not None
        assert shown is (exhibit.why_not == ""), exhibit.name


def test_the_command_prints_the_counts() -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-m", "museum"], env=environ, stdout=subprocess.PIPE,
                          text=True)  # fmt: skip
    rows = done.stdout.splitlines()
    print("\n".join(rows[-2:]))
    assert rows[-1] == f"tried {len(EXHIBITS)}, held {len(EXHIBITS)}"
    assert done.returncode == 0
    escapes = [row for row in rows if row.endswith("| escapes")]
    assert len(escapes) >= 50
