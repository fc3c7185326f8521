"""Compiles and runs the C unit tests, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

TOP = Path(__file__).parents[2]
SOURCES = ("host/plan.c", "host/sealed.c", "host/describe.c", "init/plan.c", "init/prepare.c")


def test_plan(tmp_path: Path) -> None:
    program = tmp_path / "test_plan"
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-g", "-Wall", "-Wextra", "-Werror"]
    command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += [str(TOP / "tests/csrc/test_plan.c")]
    command += [str(TOP / "csrc" / source) for source in SOURCES]
    subprocess.run([*command, "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
