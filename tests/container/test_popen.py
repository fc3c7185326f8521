"""Popen: a command while it runs."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

import crabcan
from crabcan import PIPE, Limits, Popen


def test_communicate() -> None:
    big = os.urandom(2_000_000)
    with Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
        assert process.communicate(big) == (big, None)
    assert process.returncode == 0
    with Popen(["sh", "-c", "cat >&2"], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.communicate("h\u00e9\n") == ("", "h\u00e9\n")


def test_what_was_written_before_comes_first() -> None:
    with Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"first ")
        assert process.communicate(b"second") == (b"first second", None)


def test_files() -> None:
    with Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is None
        assert process.stdin is process.stdin
        for line in ("one\n", "two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(timeout=10) == 0


def test_poll_wait_and_signals() -> None:
    script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done"
    with Popen(["sh", "-c", script], stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
        os.kill(process.pid, 0)
        process.terminate()
        assert process.wait(timeout=10) == 9
        process.send_signal(signal.SIGTERM)  # has ended: left alone
        process.kill()
    assert process.poll() == 9
    assert process.usage is not None


def test_kill_ends_the_whole_container() -> None:
    with Popen(["sh", "-c", "sleep 1234 & sleep 1234"]) as process:
        process.kill()
        assert process.wait(timeout=10) == -signal.SIGKILL


def test_a_timeout_of_communicate_loses_nothing() -> None:
    with Popen(["sh", "-c", "echo early; sleep 0.5; echo late"], stdout=PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0.1)
        assert process.communicate(timeout=30) == (b"early\nlate\n", None)


def test_a_command_that_is_missing_leaves_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        Popen(["no-such-command"], stdin=PIPE, stdout=PIPE, stderr=PIPE)


def test_limits() -> None:
    with Popen(["sleep", "60"], limits=Limits(wall_time=0.2)) as process:
        assert process.wait() == -9
    assert process.timed_out
    assert not process.oom_killed
    with pytest.raises(crabcan.ArgumentInvalid, match=r"limits\.output"):
        Popen(["true"], limits=Limits(output=1), stdout=PIPE)


def test_input_without_a_pipe() -> None:
    with Popen(["true"]) as process, pytest.raises(ValueError, match="stdin is not PIPE"):
        process.communicate(b"x")
