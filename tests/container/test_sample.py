"""tests/typing/sample.py, which `make lint` gives to the type checkers, runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import crabcan

SAMPLE = Path(__file__).parents[1] / "typing" / "sample.py"

# Raised, and there caught by a class above, or the command's own side.
NOT_USED = {"AnswerInvalid", "ArgumentTypeInvalid", "CallDied", "CallError", "CalledProcessError",
            "ChildProcessError", "CommandNotExecutable", "ContainerError", "DirectoryNotFound",
            "Error", "Inside",
            "LimitUnavailable", "RemoteError", "SetupError", "SocketError", "TimeoutExpired",
            "inside"}  # fmt: skip


def test_sample_runs() -> None:
    done = subprocess.run([sys.executable, SAMPLE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sample_uses_every_public_name() -> None:
    text = SAMPLE.read_text()
    assert {name for name in crabcan.__all__ if f"crabcan.{name}" not in text} - {
        "DEVNULL",
        "PIPE",
        "STDOUT",
    } == NOT_USED
