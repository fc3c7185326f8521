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

from crabcan import spec

TOP = Path(__file__).parents[2]


WITH_EXAMPLES = (
    "crabcan",
    "crabcan._popen",
    "crabcan._run",
    "crabcan.container",
    "crabcan.landlock",
    "crabcan.limits",
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_python_examples(capfd: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    outputs = ["42\n\n", "True -9 True\n", ""]
    for example, output in zip(examples, outputs, strict=True):
        exec(compile(example, "README.md", "exec"), {})
        assert capfd.readouterr().out == output


def test_every_option_is_in_the_table_of_security() -> None:
    table = (TOP / "docs" / "security.md").read_text().partition("| option |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(spec.names())


def test_security_names_tests_that_are_there() -> None:
    page = (TOP / "docs" / "security.md").read_text()
    for name in set(re.findall(r"\btest_\w+", page)):
        assert (TOP / "tests" / "container" / f"{name}.py").is_file(), name


def test_readme_command_lines(busybox_root: Path) -> None:
    lines = re.findall(r"^    crabcan (.*)$", (TOP / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 6
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
    # Root has ids of its own; processes are counted by groups or by RLIMIT_NPROC.
    page = re.sub(r"\n.*(becoming id 0|limit nproc|entering a control group).*", "", page)
    return re.sub(r"sockets: \(\d+, \d+\)", "sockets: (A, B)", page)


def test_transcript_is_that_of_a_run() -> None:
    done = subprocess.run(
        [sys.executable, TOP / "docs" / "transcript.py"], capture_output=True, text=True, check=True
    )
    kept = (TOP / "docs" / "transcript.md").read_text()
    assert sorted(shape(done.stdout).splitlines()) == sorted(shape(kept).splitlines())
