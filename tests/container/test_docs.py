"""What README and docs show is run."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["crabcan", "crabcan.container", "crabcan._run"])
def test_docstring_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_python_example(capfd: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert capfd.readouterr().out == "42\n\n"


def test_readme_command_lines(busybox_root: Path) -> None:
    lines = re.findall(r"^    crabcan (.*)$", (TOP / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        command = [sys.executable, "-m", "crabcan", *shlex.split(line)]
        done = subprocess.run(
            command,
            cwd=busybox_root.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def shape(page: str) -> str:
    """The page without what differs from run to run, and from host to host."""
    page = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", page)
    page = re.sub(r"[a-z]+-[a-z]+-\d+\b", "HOSTNAME", page)
    page = re.sub(r"/\S+/mountdir\b", "/mountdir", page)
    page = re.sub(r"(Linux release: )\S+", r"\1RELEASE", page)
    page = re.sub(r"\(pid \d+\)|(PID: )\d+", r"\1N", page)
    page = re.sub(r"as root|as an ordinary user", "WHO", page)
    # Root has ids of its own; an ordinary user's processes may be counted by RLIMIT_NPROC.
    page = re.sub(r"\n.*(becoming id 0|limit nproc|denying setgroups).*", "", page)
    return re.sub(r"sockets: \(\d+, \d+\)", "sockets: (A, B)", page)


def test_transcript_is_that_of_a_run() -> None:
    done = subprocess.run(
        [sys.executable, TOP / "docs" / "transcript.py"], capture_output=True, text=True, check=True
    )
    kept = (TOP / "docs" / "transcript.md").read_text()
    assert sorted(shape(done.stdout).splitlines()) == sorted(shape(kept).splitlines())
