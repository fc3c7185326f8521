"""What a caller runs out of: an exception that tells what failed, and nothing left."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kills import children_of

import crabcan
from crabcan import cgroup


@contextmanager
def soft_limit(which: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(which)
    resource.setrlimit(which, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


def test_descriptors_run_out_at_each_step(busybox_root: Path) -> None:
    """Lowered one by one, until none is left."""
    (busybox_root / "data").mkdir()
    texts = []

    def launch() -> None:
        done = crabcan.run(["true"], root=busybox_root, capture_output=True, input=b"",
                           mounts=[crabcan.Bind(busybox_root, "/data")])  # fmt: skip
        assert done.returncode == 0, done

    launch()
    for limit in range(3, 80):
        with soft_limit(resource.RLIMIT_NOFILE, limit):
            try:
                launch()
            except OSError as error:
                texts.append(f"{error.errno} {error}")
            except crabcan.Error as error:
                texts.append(str(error))
    assert [text for text in texts if "24" not in text and "EMFILE" not in text] == []
    print(f"failed {len(texts)} times, at {len(set(texts))} places")
    assert len(set(texts)) >= 4, texts
    launch()


MEMORY = """
import resource, sys
import crabcan
from crabcan import cgroup
crabcan.run(["true"], capture_output=True)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
kinds = {}
for room in range(0, 4 << 20, 64 << 10):
    resource.setrlimit(resource.RLIMIT_AS, (size + room, resource.RLIM_INFINITY))
    try:
        done = crabcan.run(["sh", "-c", "echo " + "x" * 9000], capture_output=True, input=b"y" * 99)
        kind = "done" if done.returncode == 0 and len(done.stdout) == 9001 else "killed"
        assert done.returncode in (0, 127, -9, -11, 1, 2), done
    except (crabcan.Error, MemoryError) as error:
        kind = type(error).__name__
    except OSError as error:
        assert error.errno == 12, error
        kind = "OSError"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    kinds[kind] = kinds.get(kind, 0) + 1
print(kinds)
"""


def test_memory_runs_out() -> None:
    """In a process of its own; it never crashes, and goes on when there is memory again."""
    import subprocess

    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done
    assert "done" in done.stdout


def test_a_full_root(busybox_root: Path) -> None:
    """ENOSPC for what init makes: more than the tmpfs that it is put on may hold."""
    mounts = [crabcan.Tmpfs("/small", size=4096)]
    files = [crabcan.File(f"/small/{n}", "text") for n in range(1100)]  # 1024 fit
    with pytest.raises(crabcan.SetupError, match="ENOSPC") as caught:
        crabcan.run(["true"], root=busybox_root, mounts=[*mounts, *files])
    assert caught.value.step == "mount"


def by_rlimit() -> None:
    """RLIMIT_NPROC, which is nothing to root."""
    if os.geteuid() == 0:
        os.setresgid(54321, 54321, 54321)
        os.setresuid(54321, 54321, 54321)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


def by_group() -> None:
    """A group of version 1 for this process alone; without one, as above."""
    known = cgroup.hierarchies().get("pids")
    if os.geteuid() or known is None or known.version != 1:
        by_rlimit()
        return
    group = Path(known.own, f"{cgroup.PREFIX}-{os.getpid()}-full")
    group.mkdir()
    (group / "pids.max").write_text("1")
    (group / "cgroup.procs").write_text(str(os.getpid()))


@pytest.mark.parametrize("limit", [by_rlimit, by_group])
def test_processes_run_out(limit: Callable[[], None]) -> None:
    """In a child, which is limited alone."""
    pid = os.fork()
    if pid == 0:
        try:
            limit()
            crabcan.run(["true"], stdin=crabcan.DEVNULL, stdout=crabcan.DEVNULL)
        except crabcan.ChildProcessError as error:
            os._exit(0 if "EAGAIN" in str(error) and "ulimit -u" in error.advice else 2)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert children_of(os.getpid()) == []
    for hierarchy in cgroup.hierarchies().values():
        for left in Path(hierarchy.own).glob(f"{cgroup.PREFIX}-{pid}-full"):
            left.rmdir()


def test_a_storm_of_signals() -> None:
    """EINTR never shows, and nothing is lost, whatever comes while containers run."""
    seen = dict.fromkeys((signal.SIGUSR1, signal.SIGALRM, signal.SIGWINCH, signal.SIGCHLD), 0)

    def count(signum: int, _: object) -> None:
        seen[signal.Signals(signum)] += 1

    before = {signum: signal.signal(signum, count) for signum in seen}
    over = threading.Event()
    main = threading.main_thread().ident
    assert main is not None
    target: int = main

    def storm() -> None:
        while not over.wait(0.0005):
            for thread in threading.enumerate():
                signal.pthread_kill(thread.ident or target, signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGWINCH)

    errors: list[BaseException] = []

    def launch() -> None:
        try:
            for number in range(8):
                given = bytes(range(256)) * 999
                done = crabcan.run(["sh", "-c", f"cat; exit {number}"], input=given,
                                   capture_output=True)  # fmt: skip
                assert (done.returncode, done.stdout) == (number, given)
                with crabcan.Container(["sh", "-c", "sleep 0.01; exit 5"]) as container:
                    container.create()
                    assert container.wait() == 5
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=launch) for _ in range(3)]
    stormer = threading.Thread(target=storm)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for thread in [stormer, *threads]:
            thread.start()
        launch()
        for thread in threads:
            thread.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        over.set()
        stormer.join()
        for signum, handler in before.items():
            signal.signal(signum, handler)
    print({signum.name: number for signum, number in seen.items()})
    assert errors == []
    assert min(seen.values()) > 0
