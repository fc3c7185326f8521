"""Threads, forks, interpreters and wrong use around containers that live."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading

import pytest

import crabcan


def python(script: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own: what ends it shows in its code."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "call", ["signal(Closes())", "tell(Closes(), 0, 0)", "exec(plan, (0, 1, Closes()), 1)"]
)
def test_an_argument_that_closes_meanwhile(call: str) -> None:
    """Freed memory is filled by malloc, so that its use shows."""
    done = python(f"""
import crabcan
container = crabcan.Container(["sleep", "60"])
container.create()
process, plan = container._process, container._plan

class Closes:
    def __index__(self):
        process.close()
        return 9

try:
    process.{call}
except ValueError as error:
    print(error)
container.__class__.__del__ = lambda self: None
""")
    assert (done.stdout, done.returncode) == ("the process is closed\n", 0), done.stderr


@pytest.mark.parametrize("call", ["kill", "wait", "poll", "recv_bool", "pause"])
def test_a_fork_has_no_say(call: str) -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        pid = os.fork()
        if pid == 0:
            try:
                getattr(container, call)()
            except crabcan.ContainerError as error:
                what = "send_signal" if call == "kill" else call
                expected = f"{what}: the container is of process {os.getppid()}, not ours"
                os._exit(0 if str(error).startswith(expected) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert container.poll() is None


@pytest.mark.parametrize("daemon", [False, True])
def test_interpreter_that_exits_before_its_containers(daemon: bool) -> None:
    done = python(f"""
import threading, crabcan
made = threading.Event()
kept = []
def work():
    kept.append(crabcan.Container(["sleep", "60"]))
    kept[0].create()
    print(kept[0].child_pid, flush=True)
    made.set()
    if {daemon}:
        kept[0].wait()
threading.Thread(target=work, daemon={daemon}).start()
made.wait()
""")
    assert (done.returncode, done.stderr) == (0, "")
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(int(done.stdout))
        assert select.select([pidfd], [], [], 30)[0], "it lives on"
        os.close(pidfd)


def test_threads_that_wait_for_and_kill_the_same() -> None:
    codes: list[int] = []
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        waiting = [
            threading.Thread(target=lambda: codes.append(container.wait())) for _ in range(8)
        ]
        killing = [threading.Thread(target=container.kill) for _ in range(8)]
        for thread in waiting + killing:
            thread.start()
        for thread in waiting + killing:
            thread.join()
    assert codes == [-9] * 8


def test_subinterpreter() -> None:
    done = python("""
import _xxsubinterpreters as interpreters
one = interpreters.create()
interpreters.run_string(one, "import crabcan; print(crabcan.run(['true']).returncode)")
interpreters.destroy(one)
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n"
