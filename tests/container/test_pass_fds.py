"""Descriptors that are passed on, by their own numbers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crabcan

LIST = "for fd in /proc/self/fd/*; do echo ${fd##*/}; done"


@contextlib.contextmanager
def files(directory: Path, numbers: list[int]) -> Iterator[None]:
    """A file under each number that tells it; numbers that are taken are an error."""
    for number in numbers:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(number)
        path = directory / str(number)
        path.write_text(f"{number}\n")
        fd = os.open(path, os.O_RDONLY)
        os.dup2(fd, number, inheritable=False)
        if fd != number:
            os.close(fd)
    yield
    for number in numbers:
        os.close(number)


def free(count: int, above: int = 2) -> list[int]:
    """The lowest numbers that nothing is open by."""
    taken = {int(name) for name in os.listdir("/proc/self/fd")}
    return [n for n in range(above + 1, 4000) if n not in taken][1 : count + 1]


def test_they_keep_their_numbers(tmp_path: Path) -> None:
    numbers = [*free(12), 150, 900]
    with files(tmp_path, numbers):
        script = "".join(f"cat <&{n}; " for n in numbers)
        done = crabcan.run(
            ["bash", "-c", script], capture_output=True, text=True, pass_fds=numbers[::-1]
        )
    assert done.stdout.split() == [str(n) for n in numbers], done


def test_nothing_else_is_there(tmp_path: Path) -> None:
    numbers = free(3)
    with files(tmp_path, numbers):
        script = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
        done = crabcan.run(
            [sys.executable, "-c", script], capture_output=True, text=True, pass_fds=numbers[:2]
        )
    listed = {int(word) for word in done.stdout.strip("[]\n").split(",")}
    assert set(numbers[:2]) <= listed
    assert len(listed) == 6, listed  # 0, 1, 2, the two, and the one that lists


def test_numbers_that_the_core_uses_itself() -> None:
    """3 to 6 are init's own: a fresh process can have its files there."""
    script = (
        "import os, sys, crabcan\n"
        "numbers = [3, 4, 5, 6, 7, 8, 9, 10, 11]\n"
        "crabcan.run(['true'])\n"  # makes what is kept once a process
        "os.closerange(3, 12)\n"
        "for n in numbers:\n"
        "    r, w = os.pipe(); os.write(w, b'%d\\n' % n); os.close(w)\n"
        "    os.dup2(r, 50 + n); os.close(r)\n"
        "for n in numbers: os.dup2(50 + n, n); os.close(50 + n)\n"
        "script = ''.join(f'cat <&{n}; ' for n in numbers)\n"
        "done = crabcan.run(['bash', '-c', script], pass_fds=numbers, capture_output=True)\n"
        "assert done.stdout.split() == [b'%d' % n for n in numbers], done\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_end_of_a_pipe_is_seen() -> None:
    """Neither the caller nor init keeps a copy of what was passed."""
    reader, writer = os.pipe()
    with crabcan.Popen(
        ["bash", "-c", f"echo here >&{writer}; exec {writer}>&-; sleep 100"], pass_fds=[writer]
    ) as process:
        os.close(writer)
        with open(reader) as file:
            assert file.read() == "here\n"
        process.kill()


def test_with_the_channel_and_what_is_refused() -> None:
    reader, writer = os.pipe()
    try:
        with crabcan.Container(["true"], pass_fds=[reader, 0, 1, 2]) as container:
            container.create()
            assert container.wait() == 0
        with pytest.raises(crabcan.ArgumentInvalid, match=r"pass_fds: -1 .*open"):
            crabcan.run(["true"], pass_fds=[-1])
        with pytest.raises(crabcan.ArgumentInvalid, match="open"):
            crabcan.run(["true"], pass_fds=[3999])
        with pytest.raises(TypeError, match="pass_fds: 'a'"):
            crabcan.run(["true"], pass_fds=["a"])  # type: ignore[list-item]
    finally:
        os.close(reader)
        os.close(writer)
    with pytest.raises(crabcan.ArgumentInvalid, match=r"channel|open"):
        crabcan.Container(["true"], pass_fds=[3])
