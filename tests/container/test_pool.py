"""crabcan.Pool: containers made ahead, each used once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import crabcan
import crabcan.aio

# Not /tmp: a Python that lies below the host's is shown there.
SCRIPT = "id -u; hostname; ls -A /dev/shm | wc -l; touch /dev/shm/mine"


@pytest.fixture
def pool() -> Iterator[crabcan.Pool]:
    with crabcan.Pool(size=3) as made:
        assert made.wait_ready(20)
        yield made


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def inits() -> set[int]:
    """The children of this process."""
    return {
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    }


def test_each_is_used_once(pool: crabcan.Pool) -> None:
    seen = [
        pool.run(["sh", "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(7)
    ]
    assert {(uid, files) for uid, _, files in seen} == {("0", "0")}
    assert len({name for _, name, _ in seen}) >= 1
    assert pool.wait_ready(20)
    assert pool.ready == 3


def test_it_has_the_walls_of_any_other(pool: crabcan.Pool) -> None:
    script = (
        "grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status; cat /proc/self/oom_score_adj; "
        "ulimit -Hc; cat /proc/self/mountinfo | wc -l; cat /proc/net/dev | wc -l; "
        "readlink /proc/self/fd/*; umask; pwd; echo $HOME $PATH; cat /proc/1/environ; ls /proc/1/fd"
    )
    command = ["sh", "-c", script]
    pooled = pool.run(command, capture_output=True, text=True, stdin=crabcan.DEVNULL)
    cold = crabcan.run(command, capture_output=True, text=True, stdin=crabcan.DEVNULL)
    steady = [line for line in pooled.stdout.splitlines() if not line.startswith("pipe:")]
    assert steady == [line for line in cold.stdout.splitlines() if not line.startswith("pipe:")]
    assert "Seccomp:\t2" in steady


def test_what_belongs_to_one_command(pool: crabcan.Pool) -> None:
    done = pool.run(["sh", "-c", "echo $A; pwd; cat"], env={"A": "b", "PATH": "/bin:/usr/bin"},
                    cwd="/tmp", input="in", capture_output=True, text=True)  # fmt: skip
    assert done.stdout == "b\n/tmp\nin"
    assert pool.run("exit 4", shell=True).returncode == 4
    assert pool.run(["other", "-c", "echo $0"], executable="sh", capture_output=True).stdout
    with pytest.raises(crabcan.TimeoutExpired):
        pool.run(["sleep", "60"], timeout=0.2)
    with pytest.raises(crabcan.CommandNotFound) as caught:
        pool.run(["no-such-command"])
    assert caught.value.filename == "no-such-command"
    with pytest.raises(crabcan.DirectoryNotFound):
        pool.run(["true"], cwd="/no/such")


@pytest.mark.parametrize(
    "options",
    [{"uid": 5}, {"limits": crabcan.Limits(pids=4)}, {"root": "/tmp"}, {"tty": True},
     {"channel": True}, {"network": "host"}],
    ids=str,
)  # fmt: skip
def test_the_pool_has_the_options(pool: crabcan.Pool, options: dict[str, object]) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match="give it to Pool"):
        pool.run(["true"], **options)


def test_what_no_pool_can_have(tmp_path: Path) -> None:
    upper = crabcan.Overlay("/tmp/over", source=tmp_path, upper=tmp_path)
    for name, value in (("tty", True), ("channel", True), ("mounts", [upper]), ("size", 0),
                        ("rate", 0), ("idle", -1.0), ("memory", 0)):  # fmt: skip
        with pytest.raises(crabcan.ArgumentInvalid, match=name):
            crabcan.Pool(**{name: value})  # type: ignore[arg-type]
    with crabcan.Pool(size=1) as pool, open(os.devnull) as file:
        descriptor = file.fileno()
        with pytest.raises(crabcan.ArgumentInvalid, match="pass_fds"):
            crabcan.run(["true"], pool=pool, pass_fds=[descriptor])
        with pytest.raises(crabcan.ArgumentInvalid, match="give the command"):
            crabcan.run(crabcan.Spec(["true"]), pool=pool)


def test_limits_and_usage() -> None:
    limits = crabcan.Limits(wall_time=0.5, pids=20)
    with crabcan.Pool(size=1, limits=limits) as pool:
        assert pool.wait_ready(20)
        time.sleep(0.6)  # what it waited does not count
        assert pool.run(["true"]).returncode == 0
        assert pool.wait_ready(20)
        done = pool.run(["sh", "-c", "while :; do :; done"])
        assert done.timed_out
        assert done.usage is not None
        assert done.usage.user_time + done.usage.system_time > 0.1
        assert 0.4 < done.usage.wall_time < 20


def test_run_by_popen_asyncio_and_executor(pool: crabcan.Pool) -> None:
    with crabcan.Popen(["cat"], pool=pool, stdin=crabcan.PIPE, stdout=crabcan.PIPE) as process:
        assert process.communicate(b"abc") == (b"abc", None)
    assert process.returncode == 0

    async def several() -> list[bytes]:
        runs = [crabcan.aio.run(["echo", str(i)], pool=pool, capture_output=True) for i in range(6)]
        return [done.stdout for done in await asyncio.gather(*runs)]

    assert asyncio.run(several()) == [b"%d\n" % i for i in range(6)]
    with crabcan.Executor(2, pool=pool) as executor:
        assert list(executor.map(abs, [-1, 2, -3])) == [1, 2, 3]
    with crabcan.Container(["sleep", "60"], pool=pool) as container:
        container.create()
        with container.exec(["id", "-u"], stdout=crabcan.PIPE) as process:
            assert process.communicate()[0] == b"0\n"
        container.send_signal(signal.SIGTERM)
        assert container.wait(20) == -signal.SIGTERM


def test_a_drained_pool_falls_back() -> None:
    with crabcan.Pool(size=1, rate=0.01) as pool:
        assert pool.wait_ready(20)
        for _ in range(3):
            assert pool.run(["true"]).returncode == 0
        assert pool.ready == 0


def test_many_threads() -> None:
    codes: list[int] = []
    with crabcan.Pool(size=4) as pool:

        def work(number: int) -> None:
            for _ in range(5):
                codes.append(pool.run(["sh", "-c", f"exit {number}"]).returncode - number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == [0] * 40


def test_it_gives_back_what_it_holds_when_idle() -> None:
    before = inits()
    with crabcan.Pool(size=2, idle=0.3) as pool:
        assert pool.wait_ready(20)
        assert len(inits() - before) == 2
        until(lambda: pool.ready == 0)
        until(lambda: inits() == before)
        assert pool.run(["true"]).returncode == 0  # and begins anew
        assert pool.wait_ready(20)


def test_bound_of_memory() -> None:
    with crabcan.Pool(size=8, memory=1) as pool:
        assert pool.run(["true"]).returncode == 0
        until(lambda: pool.ready > 0)
        time.sleep(0.1)
        assert pool.ready <= 2  # one, and one that was begun before its size was known


def test_one_that_was_killed_is_passed_over(pool: crabcan.Pool) -> None:
    for warm in list(pool._ready):
        assert warm.child_pid is not None
        os.kill(warm.child_pid, signal.SIGKILL)
        os.waitid(os.P_PID, warm.child_pid, os.WEXITED | os.WNOWAIT)
    assert pool.run(["echo", "hello"], capture_output=True).stdout == b"hello\n"


def test_after_a_fork(pool: crabcan.Pool) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            good = pool.ready == 0 and pool.run(["true"]).returncode == 0 and pool.wait_ready(20)
            pool.close()
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert pool.ready == 3
    assert pool.run(["echo", "still"], capture_output=True).stdout == b"still\n"


def test_closed() -> None:
    pool = crabcan.Pool(size=2)
    with crabcan.Popen(["sleep", "60"], pool=pool) as running:
        pool.close()
        pool.close()
        assert running.poll() is None
        running.kill()
    with pytest.raises(crabcan.ContainerError, match="the pool is closed"):
        pool.run(["true"])
    assert "closed" in repr(pool)


def test_an_error_of_the_options_is_told_by_the_run(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with crabcan.Pool(size=1, rate=0.01, root=root) as pool:
        assert pool.wait_ready(20)
        with pytest.raises(crabcan.CommandNotFound):
            pool.run(["true"])
        root.rename(tmp_path / "other")
        with pytest.raises(crabcan.SetupError, match="root"):
            pool.run(["true"])
