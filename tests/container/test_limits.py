"""Limits and what the result tells of them, on whatever version of control groups there is."""

from __future__ import annotations

import glob
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import crabcan
from crabcan import Limits, cgroup

Run = Callable[..., str]


def usable(controller: str) -> bool:
    """Whether this caller can limit by it on this host."""
    return {name: ok for name, _, ok in cgroup.describe()}[controller]


def refused(limits: Limits, controller: str) -> bool:
    """Asserts the error where the controller is not to be had; False where it is."""
    if usable(controller):
        return False
    with pytest.raises(crabcan.LimitUnavailable, match=controller) as caught:
        crabcan.run(["true"], limits=limits)
    assert "run as root" in caught.value.advice
    return True


HOG = ["python3", "-c", "x = bytearray(256 << 20); print(len(x))"]


def test_memory() -> None:
    limits = Limits(memory="64M")
    if refused(limits, "memory"):
        return
    done = crabcan.run(HOG, limits=limits, capture_output=True)
    assert done.oom_killed
    assert (done.returncode, done.signal) == (-9, 9)
    assert done.usage is not None
    assert 32 << 20 < (done.usage.peak_memory or 0) <= 64 << 20
    done = crabcan.run(HOG, limits=Limits(memory="1G"), capture_output=True)
    assert (done.returncode, done.oom_killed) == (0, False)
    assert ((done.usage and done.usage.peak_memory) or 0) > 256 << 20


def test_memory_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    if not usable("memory"):
        return  # then the kernel takes the container first: test_defaults
    monkeypatch.setattr(cgroup, "total_memory", lambda: 128 << 20)
    assert crabcan.run(HOG, capture_output=True).oom_killed
    assert not crabcan.run(HOG, limits=Limits(memory="max"), capture_output=True).oom_killed


def test_pids(inside: Run) -> None:
    # Without a controller RLIMIT_NPROC does it: never an error.
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait"
    done = crabcan.run(["sh", "-c", script], limits=Limits(pids=5), capture_output=True, text=True)
    assert done.returncode == 2
    assert "fork" in done.stderr
    inside(script, limits=Limits(pids=50))
    if usable("pids"):
        assert done.usage is not None
        assert done.usage.peak_pids == 5


def test_a_fork_bomb_ends_with_its_container() -> None:
    bomb = "f() { f | f & }; f; sleep 60"
    with pytest.raises(subprocess.TimeoutExpired):
        crabcan.run(["sh", "-c", bomb], timeout=2, limits=Limits(pids=64), capture_output=True)


FORKS = """
import os, signal
count = 1
try:
    while os.fork():
        count += 1
    signal.pause()
except BlockingIOError:
    print(count)
"""


def test_defaults_are_in_force(inside: Run) -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        group = container._resources._group
        by_group = group is not None and "pids" in group.enforced
        assert by_group or container._resources.stand_ins["nproc"][0] == cgroup.DEFAULT_PIDS + 1
    assert crabcan.run(["python3", "-c", FORKS], capture_output=True).stdout == b"1024\n"
    # The limit of each process counts one user's only: who can change that has the group's.
    if usable("pids"):
        with crabcan.Container(["sleep", "60"], capabilities=["setuid"]) as container:
            container.create()
            assert container._resources._group is not None
            assert "pids" in container._resources._group.enforced


def test_cpus() -> None:
    limits = Limits(cpus=0.2)
    if refused(limits, "cpu"):
        return
    script = "import time\nt = time.monotonic()\nwhile time.monotonic() - t < 1: pass"
    done = crabcan.run(["python3", "-c", script], limits=limits)
    assert done.usage is not None
    assert done.usage.cpu_time < 0.6 * done.usage.wall_time


def test_weights() -> None:
    if not refused(Limits(cpu_weight=50), "cpu"):
        assert crabcan.run(["true"], limits=Limits(cpu_weight=50)).returncode == 0
    if usable("io"):  # the kernel may lack the file: then it says so
        try:
            assert crabcan.run(["true"], limits=Limits(io_weight=50)).returncode == 0
        except crabcan.LimitUnavailable as error:
            assert "io controller" in str(error)  # noqa: PT017
    else:
        refused(Limits(io_weight=50), "io")


def test_swap() -> None:
    if not refused(Limits(swap="1M"), "memory"):
        done = crabcan.run(["true"], limits=Limits(memory="64M", swap="1M"))
        assert done.returncode == 0


def test_cpu_time() -> None:
    limits = Limits(cpu_time=0.5)
    try:
        done = crabcan.run(["sh", "-c", "while :; do :; done"], limits=limits)
    except crabcan.LimitUnavailable as error:
        assert os.geteuid() != 0
        assert "rlimits={'cpu'" in error.advice  # noqa: PT017
        return
    assert done.timed_out
    assert done.returncode == -9
    assert done.usage is not None
    assert 0.4 < done.usage.cpu_time < 5
    # Of all its processes together, those that have ended among them.
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    script = f"for i in 1 2 3 4 5; do python3 -c '{spin}'; done"
    done = crabcan.run(["sh", "-c", script], limits=limits)
    assert done.timed_out
    assert crabcan.run(["true"], limits=limits).timed_out is False


def test_wall_time() -> None:
    for capture in (False, True):
        start = time.monotonic()
        done = crabcan.run(["sleep", "60"], limits=Limits(wall_time=0.3), capture_output=capture)
        assert done.timed_out
        assert done.returncode == -9
        assert 0.3 <= time.monotonic() - start < 30
    assert not crabcan.run(["true"], limits=Limits(wall_time=60)).timed_out


def test_wall_time_holds_without_anybody_waiting() -> None:
    with crabcan.Container(["sleep", "60"], limits=Limits(wall_time=0.2)) as container:
        container.create()
        assert container.poll() is None
        ended, _, _ = select.select([container], [], [], 30)
        assert ended == [container]
        assert container.poll() == -9
        assert container.timed_out


def test_output_is_counted_by_who_reads_it_only() -> None:
    limits = Limits(output=10)
    for make in (crabcan.Container, crabcan.run):
        with pytest.raises(crabcan.ArgumentInvalid, match="capture_output=True"):
            make(["true"], limits=limits)


def test_timeout_is_an_exception_with_the_output() -> None:
    script = "echo before; sleep 60"
    with pytest.raises(crabcan.TimeoutExpired) as caught:
        crabcan.run(["sh", "-c", script], timeout=3, capture_output=True)
    assert caught.value.stdout == b"before\n"


def test_output() -> None:
    done = crabcan.run(
        ["sh", "-c", "while :; do echo 0123456789; done"],
        limits=Limits(output=10000),
        capture_output=True,
    )
    assert len(done.stdout) == 10000
    assert done.output_limited
    assert done.returncode == -9
    done = crabcan.run(["echo", "hi"], limits=Limits(output=3), capture_output=True, text=True)
    assert (done.stdout, done.output_limited) == ("hi\n", False)


def test_file_size(inside: Run) -> None:
    script = "head -c 2000000 /dev/zero > /tmp/x; stat -c %s /tmp/x"
    done = crabcan.run(["sh", "-c", script], limits=Limits(file_size="1M"), capture_output=True)
    assert int(done.stdout) == 1 << 20


def test_usage_counts_what_background_processes_used() -> None:
    spin = "import time\nwhile time.process_time() < 0.5: pass\nprint(1)\ntime.sleep(60)"
    script = f"python3 -c '{spin}' > /tmp/ready & until [ -s /tmp/ready ]; do sleep 0.01; done"
    env = {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    done = crabcan.run(["sh", "-c", script], env=env, capture_output=True)
    assert done.returncode == 0, done
    assert done.usage is not None
    assert done.usage.cpu_time > 0.4
    assert done.usage.wall_time > 0.4
    assert (done.usage.peak_process_memory or 0) > 1 << 20


def test_wall_time_is_the_commands_and_not_the_callers() -> None:
    with crabcan.Container(["true"]) as container:
        container.create()
        time.sleep(0.5)
        container.wait()
        assert container.usage is not None
        assert 0 < container.usage.wall_time < 0.4


def groups_of(pid: int) -> list[str]:
    tops = {g for hierarchy in cgroup.hierarchies().values() for g in cgroup.ancestors(hierarchy)}
    return [path for top in tops for path in glob.glob(f"{top}/{cgroup.PREFIX}-{pid}-*")]


def test_groups_of_a_killed_caller_are_removed_by_the_next() -> None:
    script = (
        "import crabcan, sys, time\n"
        "c = crabcan.Container(['sleep', '60']); c.create(); print('up', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.read(3) == b"up\n"
        before = groups_of(caller.pid)
        caller.kill()
        caller.wait()
        caller.stdout.close()
    if usable("memory") or usable("pids"):
        assert before
    deadline = time.monotonic() + 10
    while groups_of(caller.pid) and time.monotonic() < deadline:
        subprocess.run([sys.executable, "-c", "import crabcan; crabcan.run(['true'])"], check=True)
    assert groups_of(caller.pid) == []


def test_nothing_is_left_where_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    mkdir = os.mkdir

    def note(path: str) -> None:
        mkdir(path)
        made.append(path)

    def fail(directory: str, name: str, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "mkdir", note)
    monkeypatch.setattr(cgroup, "_write", fail)
    with pytest.raises(crabcan.LimitUnavailable, match="memory"):
        crabcan.run(["true"], limits=Limits(memory="64M"))
    assert bool(made) is usable("memory")
    assert groups_of(os.getpid()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"memory": "lots"}, "limits.memory: 'lots'"),
        ({"memory": -1}, "limits.memory"),
        ({"memory": 5}, "nothing could start"),
        ({"memory": "64X"}, "limits.memory: '64X'"),
        ({"pids": 0}, "limits.pids"),
        ({"cpus": 0}, "above 0"),
        ({"cpus": float("nan")}, "above 0"),
        ({"cpu_weight": 10001}, "limits.cpu_weight"),
        ({"io_weight": 0}, "limits.io_weight"),
        ({"wall_time": 0}, "above 0"),
        ({"cpu_time": -1}, "above 0"),
        ({"output": "1Q"}, "limits.output"),
    ],
)
def test_values_that_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=message):
        Limits.from_mapping(values)


def test_types_that_are_refused() -> None:
    for values in ({"pids": "20"}, {"cpus": "half"}, {"memory": 1.5}, {"pids": True}):
        with pytest.raises(TypeError, match=r"limits\."):
            Limits.from_mapping(values)
    with pytest.raises(crabcan.ArgumentInvalid, match="did you mean 'memory'"):
        Limits.from_mapping({"memroy": 1})
    with pytest.raises(TypeError, match=r"crabcan\.Limits"):
        crabcan.run(["true"], limits={"memory": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"),
    [("64M", 64 << 20), ("64m", 64 << 20), ("1.5G", 3 << 29), ("200k", 204800), ("64MB", 64 << 20),
     ("64MiB", 64 << 20), ("1T", 1 << 40), ("100000", 100000), ("100000b", 100000)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert Limits(memory=text).memory == size


def test_it_is_a_value() -> None:
    limits = Limits(memory="64M", pids="max")
    assert limits == Limits(memory=64 << 20, pids="max")
    assert hash(limits) == hash(Limits(memory=64 << 20, pids="max"))
    assert limits != Limits(memory="65M", pids="max")
    assert "memory=67108864" in repr(limits)
    with pytest.raises(AttributeError, match="cannot be changed"):
        limits.memory = 1
