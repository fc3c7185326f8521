"""SIGKILL at random moments of a launch: the short form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_killed_at_random_moments() -> None:
    """In a process of its own, which becomes a subreaper for good."""
    program = Path(__file__).with_name("kills.py")
    # Which finds its modules beside itself.
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, program, "15"], stdout=subprocess.PIPE, text=True, env=environ
    )
    print(done.stdout)
    assert done.stdout.splitlines()[-1] == "tried 45, held 45"
    assert done.returncode == 0
