"""Further processes in a container that runs, started by its init behind the same walls."""

from __future__ import annotations

import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import crabcan
from crabcan import PIPE, Container


@pytest.fixture
def container() -> Iterator[Container]:
    with Container(["sleep", "1000"], hostname="moon", env={"A": "b", "PATH": "/bin"}) as container:
        container.create()
        yield container


def said(container: Container, script: str, **options: object) -> str:
    with container.exec(["sh", "-c", script], stdout=PIPE, text=True, **options) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    return str(out)


def test_it_is_in_the_container(container: Container) -> None:
    assert said(container, "hostname; echo $A; pwd; cat /proc/1/comm") == (
        "moon\nb\n/\ncrabcan-init\n"
    )
    links = "readlink /proc/self/ns/user /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/pid"
    theirs = [
        os.readlink(f"/proc/{container.child_pid}/ns/{n}") for n in ("user", "mnt", "net", "pid")
    ]
    assert said(container, links).split() == theirs
    assert said(container, "echo $A $B; pwd", env={"B": "c"}, cwd="/tmp") == "c\n/tmp\n"


def test_it_stands_behind_the_same_walls(container: Container) -> None:
    """What /proc says of the payload, it says of the other."""
    wanted = r"^(?:Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp\w*|SigIgn|SigBlk|Umask):.*$"
    status = said(container, "cat /proc/self/status")
    payload = said(container, "cat /proc/2/status")
    assert re.findall(wanted, status, re.M) == re.findall(wanted, payload, re.M)
    assert "Seccomp:\t2" in status
    assert "CapEff:\t0000000000000000" in status
    limits = said(container, "cat /proc/self/limits; cat /proc/self/oom_score_adj")
    assert limits == said(container, "cat /proc/2/limits; cat /proc/2/oom_score_adj")
    groups = Path(f"/proc/{container.child_pid}/cgroup").read_text()
    assert len(said(container, "cat /proc/self/cgroup").splitlines()) == len(groups.splitlines())
    # A group leader of its own, with no descriptor but its own three.
    script = "import os; print(os.getsid(0) == os.getpid(), len(os.listdir('/proc/self/fd')))"
    with container.exec(["/usr/bin/python3", "-c", script], stdout=PIPE) as process:
        assert process.communicate()[0] == b"True 4\n"


def test_in_the_shape_of_popen(container: Container) -> None:
    with container.exec(["cat"], stdin=PIPE, stdout=PIPE) as process:
        assert process.poll() is None
        assert process.communicate(b"x" * 300_000) == (b"x" * 300_000, None)
    assert process.returncode == 0
    assert container.exec(["sh", "-c", "exit 7"]).wait() == 7
    process = container.exec(["sleep", "1000"])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.1)
    process.terminate()
    assert process.wait(timeout=30) == -15
    process.kill()  # has ended: left alone
    assert container.poll() is None


@pytest.mark.parametrize(
    ("command", "options", "error"),
    [
        (["no-such-command"], {}, crabcan.CommandNotFound),
        (["/etc/passwd"], {}, crabcan.CommandNotExecutable),
        (["true"], {"cwd": "/nonexistent"}, crabcan.DirectoryNotFound),
        (["true"], {"cwd": "relative"}, crabcan.ArgumentInvalid),
        ([], {}, crabcan.ArgumentInvalid),
        (["true"], {"hostname": "sun"}, TypeError),
    ],
)
def test_what_goes_wrong(
    container: Container, command: list[str], options: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        container.exec(command, **options)
    if isinstance(caught.value, FileNotFoundError):
        assert caught.value.filename in ("no-such-command", "/nonexistent")
    assert said(container, "echo on") == "on\n"


def test_it_ends_with_the_container() -> None:
    with Container(["sleep", "0.5"]) as container:
        container.create()
        long = container.exec(["sleep", "1000"])
        short = container.exec(["sh", "-c", "exit 3"])
        assert container.wait() == 0
        assert (long.wait(), short.wait()) == (-9, 3)
        with pytest.raises(crabcan.ContainerError):
            container.exec(["true"])
    with pytest.raises(crabcan.ContainerError, match="closed"):
        container.exec(["true"])


def test_before_it_is_created() -> None:
    with Container(["true"]) as container, pytest.raises(crabcan.ContainerError, match="create"):
        container.exec(["true"])


def test_many_at_once_from_many_threads(container: Container) -> None:
    codes: list[int] = []

    def some(number: int) -> None:
        for i in range(10):
            codes.append(container.exec(["sh", "-c", f"exit {(number + i) % 100}"]).wait())

    threads = [threading.Thread(target=some, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == sorted((n + i) % 100 for n in range(8) for i in range(10))
    alive = [container.exec(["sleep", "1000"]) for _ in range(100)]
    for process in alive:
        process.kill()
    assert {process.wait() for process in alive} == {-9}


def test_a_terminal_for_it(container: Container) -> None:
    with container.exec(["sh", "-c", "tty; stty size"], tty=True) as process:
        assert process.terminal is not None
        seen = b""
        while chunk := process.terminal.read():
            seen += chunk
        assert process.wait() == 0
    name, size = seen.decode().split("\r\n")[:2]
    assert re.fullmatch(r"/dev/pts/\d+", name)
    assert size == "24 80"


def test_limits_hold_for_all_of_it() -> None:
    with Container(["sleep", "1000"], limits=crabcan.Limits(pids=4)) as container:
        container.create()
        script = "for i in 1 2 3 4 5 6; do sleep 1000 & done; wait"
        with container.exec(["sh", "-c", script], stderr=PIPE) as process:
            assert process.stderr is not None
            assert b"fork" in process.stderr.readline()
            process.kill()
    with Container(["sleep", "1000"], limits=crabcan.Limits(wall_time=0.5)) as container:
        container.create()
        process = container.exec(["sleep", "1000"])
        assert container.wait() == -9
        assert process.wait() == -9
        assert container.timed_out


def test_root_whose_passwd_has_changed(busybox_root: Path) -> None:
    """The ids are those of the start: what is inside cannot choose them."""
    (busybox_root / "etc").mkdir()
    passwd = busybox_root / "etc" / "passwd"
    passwd.write_text("app:x:0:0::/:/bin/sh\n")
    with Container(["sleep", "1000"], root=busybox_root, user="app") as container:
        container.create()
        passwd.write_text("app:x:7:7::/:/bin/sh\n")
        assert said(container, "id -u") == "0\n"


def test_pause(container: Container) -> None:
    script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
    with container.exec(["sh", "-c", script], stdout=PIPE, bufsize=0) as process:
        assert process.stdout is not None
        fd = process.stdout.fileno()
        assert os.read(fd, 100)
        container.pause()
        deadline = time.monotonic() + 30
        while ") T " not in Path(f"/proc/{payload_of(container)}/stat").read_text():
            assert time.monotonic() < deadline
        while select.select([fd], [], [], 0.3)[0]:  # what was written before
            os.read(fd, 100)
        container.unpause()
        assert select.select([fd], [], [], 30)[0]
        process.kill()


def payload_of(container: Container) -> str:
    task = f"/proc/{container.child_pid}/task/{container.child_pid}/children"
    return Path(task).read_text().split()[0]


def test_pause_is_not_for_the_hosts_processes() -> None:
    with Container(["sleep", "1000"], namespaces={"pid": "host"}) as container:
        container.create()
        with pytest.raises(crabcan.ContainerError, match="PID namespace"):
            container.pause()
        assert said(container, "echo $A") == "\n"
