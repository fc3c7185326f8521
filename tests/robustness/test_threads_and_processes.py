"""Threads, forks, interpreters and wrong use around containers that live."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

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


BY_MULTIPROCESSING = """
import multiprocessing, sys
import crabcan

def launch(number):
    return crabcan.run(["sh", "-c", f"exit {number}"]).returncode

if __name__ == "__main__":
    with crabcan.Popen(["sleep", "60"]) as alive:
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(4) as pool:
            assert pool.map(launch, range(16)) == list(range(16))
        assert alive.poll() is None
        alive.kill()
    assert alive.returncode == -9
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    """Four workers launch theirs, and the container of their parent is left alone."""
    program = tmp_path / "program.py"
    program.write_text(BY_MULTIPROCESSING)
    done = subprocess.run(
        [sys.executable, program, method], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


WRONG_USE = """
import contextlib, itertools
import crabcan
from crabcan import _core, _policy

VALUES = (None, True, -1, 2**70, "x", "\\0", b"x", b"", (), (1, 2, 3), [1], {}, 1.5, object())
tried = 0

def attempt(call, *arguments):
    global tried
    tried += 1
    with contextlib.suppress(TypeError, ValueError, OSError, OverflowError, AttributeError,
                             _core.StepError):
        call(*arguments)

for kind in (_core.Plan, _core.Process):
    attempt(object.__new__, kind)
    attempt(kind)
    attempt(lambda kind=kind: type("Sub", (kind,), {}))
    for name in dir(kind):
        attempt(getattr(kind, name), object())
for module in (_core, _policy):
    for name, function in vars(module).items():
        # The first waits for a descriptor, the other would take our signals.
        if callable(function) and name not in ("recv_bool", "forward_signals"):
            for count in range(3):
                for arguments in itertools.product(VALUES, repeat=count):
                    attempt(function, *arguments)
with crabcan.Container(["sleep", "60"]) as container:
    container.create()
    process = container._process
    plan = container._plan
    for thing in (plan, process):
        for name in dir(thing):
            method = getattr(thing, name, None)
            if name.startswith("__") or not callable(method) or name in ("report", "wait", "end"):
                continue
            for value in VALUES:
                attempt(method, value)
                attempt(method, value, value)
        attempt(setattr, thing, "pid", 1)
for name in dir(process):  # closed now
    attempt(getattr, process, name)
    method = getattr(type(process), name)
    if callable(method) and not name.startswith("__"):
        for count in range(4):
            attempt(method, process, *[1] * count)
print(tried)
"""


def test_wrong_use_of_the_core_ends_in_exceptions() -> None:
    """Wrong kinds, closed objects, objects that were never made: never a signal."""
    done = subprocess.run(
        [sys.executable, "-c", WRONG_USE], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1000


def test_sixteen_threads_with_containers_of_their_own() -> None:
    """Each launches, and kills what another one waits for."""
    alive = [crabcan.Popen(["sleep", "60"]) for _ in range(16)]
    codes: list[int] = []

    def work(number: int) -> None:
        assert crabcan.run(["sh", "-c", f"exit {number}"]).returncode == number
        alive[(number + 1) % 16].kill()
        codes.append(alive[number].wait(30))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for process in alive:
        process.__exit__(None, None, None)
    assert codes == [-9] * 16
