"""crabcan's calls as tasks of dask.distributed: a scheduler and workers, each a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("dask_program.py")
TOP = Path(__file__).parents[2]
HOW_TO = TOP / "docs" / "how-to" / "dask.md"


@contextlib.contextmanager
def started(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One of dask's programs, ended by its process id."""
    command = [sys.executable, "-m", "dask", *arguments]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """A scheduler and three workers; the file by which it is found, and the workers."""
    file = tmp_path / "scheduler.json"
    with contextlib.ExitStack() as stack:
        here = ("--host", "127.0.0.1", "--no-dashboard")
        found = f"--scheduler-file={file}"
        scheduler = started("scheduler", *here, "--port=0", found, log=tmp_path / "scheduler.log")
        stack.enter_context(scheduler)
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline, (tmp_path / "scheduler.log").read_text()
            time.sleep(0.05)
        workers = [
            stack.enter_context(
                started(
                    "worker",
                    *here,
                    found,
                    "--no-nanny",
                    "--nthreads=1",
                    f"--name=worker-{number}",
                    f"--local-directory={tmp_path}",
                    log=tmp_path / f"worker-{number}.log",
                )
            )
            for number in range(3)
        ]
        yield file, workers


@pytest.fixture
def told(cluster: tuple[Path, list[subprocess.Popen[bytes]]], tmp_path: Path) -> dict[str, Any]:
    """What the program saw."""
    file, workers = cluster
    marks = tmp_path / "marks"
    marks.mkdir(mode=0o777)
    marks.chmod(0o777)
    lost = workers[0]
    command = [sys.executable, str(PROGRAM), str(file), str(marks), str(lost.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert lost.wait(timeout=60) == -9
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_calls_are_tasks(told: dict[str, Any]) -> None:
    assert told["every"] == {
        "workers": 3,
        "outputs": [f"{number}\n" for number in range(30)],
        "codes": [number % 3 for number in range(30)],
        "used": True,
        "kinds": ["CompletedProcess"],
    }
    assert told["spec"] == {"hostname": "moon\n", "timed_out": True}
    assert told["errors"] == [
        "CommandNotFound",
        "ArgumentInvalid",
        "CalledProcessError",
        "TimeoutExpired",
    ]
    assert told["executor"] == [2, 4]
    # The tasks of the worker that was killed are run again, and nothing of it is left.
    assert told["lost"] == {"codes": [0] * 6, "run_again": told["lost"]["run_again"], "workers": 2}
    assert told["lost"]["run_again"] >= 1
    commands = map(read, Path("/proc").glob("[0-9]*/cmdline"))
    assert [command for command in commands if b"mktemp -p /marks" in command] == []


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_how_to(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    environment = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "20 runs, 0 failed, on 2 workers\n"
