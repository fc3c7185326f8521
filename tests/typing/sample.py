"""Uses everything that crabcan has, for the type checkers; a test runs it as well."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile

import crabcan
import crabcan.aio
from crabcan import DEVNULL, PIPE, STDOUT
from crabcan.mounts import Mount


def results() -> None:
    """run() and what it gives."""
    done: crabcan.CompletedProcess = crabcan.run(
        ["cat"], input="hello", capture_output=True, text=True, timeout=60, check=True
    )
    returncode: int = done.returncode
    ended_by: int | None = done.signal
    usage: crabcan.Usage | None = done.usage
    assert (returncode, ended_by, done.stdout) == (0, None, "hello")
    assert not any((done.oom_killed, done.timed_out, done.output_limited))
    assert usage is not None
    seconds: float = usage.wall_time + usage.cpu_time + usage.user_time + usage.system_time
    peaks: list[int | None] = [usage.peak_memory, usage.peak_process_memory, usage.peak_pids]
    assert seconds > 0
    assert len(peaks) == 3
    crabcan.run("exit 0", shell=True, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, pass_fds=[0])
    crabcan.run(
        ["true"],
        cwd="/tmp",
        env={"A": "b"},
        umask=0o77,
        user="root",
        group=0,
        universal_newlines=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def walls(directory: str) -> crabcan.Spec:
    """Every option, and every kind of mount."""
    mounts: list[Mount] = [
        crabcan.Bind(directory, "/data", writable=True),
        crabcan.Tmpfs("/work", size="1M", mode=0o700),
        crabcan.Overlay("/layer", directory),
        crabcan.Directory("/run/app"),
        crabcan.Symlink("/run/link", "/data"),
        crabcan.File("/etc/motd", "hello", mode=0o600),
        crabcan.Proc("/mnt/proc"),
        crabcan.Dev("/mnt/dev"),
        crabcan.Mqueue("/mnt/mqueue"),
        crabcan.Sysfs(),
    ]
    limits = crabcan.Limits(pids=50, wall_time=60.0, file_size="1M", cpu_time=30)
    return crabcan.Spec(
        ["sh", "-c", "echo $A; cat /etc/motd"],
        executable="/bin/sh",
        root=None,
        mounts=mounts,
        default_mounts=True,
        uid=0,
        gid=0,
        userns="auto",
        namespaces={"uts": "new"},
        network="none",
        publish=[],
        hostname="moon",
        env={"A": "b", "PATH": "/bin"},
        cwd="/data",
        umask=0o22,
        capabilities=["net_bind_service"],
        seccomp="default",
        allow_syscalls=["personality"],
        deny_syscalls=["socket"],
        landlock=crabcan.Landlock(read=["/"], write=["/data"]),
        limits=limits,
        rlimits={"nofile": 64, "stack": (1 << 20, 1 << 20)},
        nice=1,
        oom_score_adj=1000,
        cpu_affinity=[min(os.sched_getaffinity(0))],
        channel=False,
    )


def container() -> None:
    """Container: the channel, the timeline, signals, namespaces to join."""
    with crabcan.Container(["sleep", "60"], hostname="moon") as held:
        held.create()
        step: crabcan.Step = held.timeline[0]
        told: tuple[str, int, str, str, float, float] = (
            step.name, step.index, step.text, step.side, step.start, step.duration
        )  # fmt: skip
        assert told[0] == "groups"
        held.send_bool(True)
        try:
            received: bool = held.recv_bool(timeout=0.01)
        except crabcan.ReceiveTimeout as error:
            received = error.errno is None
        assert not received
        shared = crabcan.Join(container=held)
        done = crabcan.run(["hostname"], namespaces={"uts": shared}, stdout=PIPE, text=True)
        assert done.stdout == "moon\n"
        process: crabcan.Exec = held.exec(["cat"], stdin=PIPE, stdout=PIPE, cwd="/tmp")
        assert process.communicate(b"x") == (b"x", None)
        held.pause()
        held.unpause()
        pid: int | None = held.child_pid
        numbers: tuple[int, int, tuple[int, int] | None] = held.pidfd, held.fileno(), held.sockets
        assert pid is not None
        assert numbers[0] == numbers[1]
        assert held.poll() is None
        held.send_signal(signal.SIGTERM)
        code: int = held.wait(timeout=60)
        assert code == held.returncode == -signal.SIGTERM


def popen() -> None:
    """Popen, in the shape of subprocess's."""
    with crabcan.Popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        assert process.stdin is not None
        process.stdin.write(b"a")
        assert process.poll() is None
        assert process.pid > 0
        assert process.communicate(b"b", timeout=60) == (b"ab", None)
    process.terminate()
    process.kill()
    code: int | None = process.returncode
    assert code == process.wait() == 0


def terminals() -> None:
    """Terminals, to be driven and to be connected with the caller's."""
    with crabcan.Popen(["cat"], tty=True) as process:
        terminal: crabcan.Terminal | None = process.terminal
        assert terminal is not None
        terminal.resize(30, 90)
        size: tuple[int, int] = terminal.size
        taken: int = terminal.write(b"a\n")
        shown: bytes = terminal.read(1)
        assert (size, taken, shown) == ((30, 90), 2, b"a")
    with crabcan.Container(["true"], tty=True) as held, open(os.devnull, "rb") as nothing:
        held.create()
        code: int = held.interact(stdin=nothing, timeout=60)
        assert code == 0


def failures() -> list[str]:
    """Each kind of error, by its own class and by those that it stands below."""
    seen: list[str] = []
    try:
        crabcan.run(["no-such-command"])
    except crabcan.CommandNotFound as error:
        seen.append(f"{error.step} {error.errno} {error.advice} {error.code}")
    try:
        crabcan.run(["sleep", "60"], timeout=0.1)
    except subprocess.TimeoutExpired as error:
        seen.append(f"{error.timeout}")
    try:
        crabcan.run(["true"], hostname="")
    except (crabcan.ArgumentInvalid, crabcan.NotSupported) as error:
        seen.append(str(error))
    return seen


async def on_a_loop() -> None:
    """crabcan.aio."""
    done: crabcan.CompletedProcess = await crabcan.aio.run(["echo", "hi"], capture_output=True)
    assert done.stdout == b"hi\n"
    async with crabcan.aio.Container(["cat"], stdin=PIPE, stdout=PIPE) as container:
        assert container.stdin is not None
        assert container.stdout is not None
        container.stdin.write(b"line\n")
        line: bytes = await container.stdout.readline()
        assert line == b"line\n"
        container.stdin.close()
        code: int = await container.wait()
        assert code == 0


def double(number: int) -> int:
    """Called in a container."""
    return 2 * number


def calls() -> None:
    """Executor."""
    limits = crabcan.Limits(wall_time=60)
    with crabcan.Executor(max_workers=2, limits=limits, raises=[KeyError]) as executor:
        future: crabcan.Future[int] = executor.submit(double, 21)
        value: int = future.result(timeout=60)
        doubled: list[int] = list(executor.map(double, [1, 2]))
        assert (value, doubled) == (42, [2, 4])
        strict = executor.with_options(limits=crabcan.Limits(wall_time=0.2))
        try:
            strict.submit(signal.pause).result()
        except crabcan.CallTimeout as error:
            print(error.completed)


def made_ahead() -> None:
    """Pool."""
    with crabcan.Pool(size=2, idle=30, hostname="moon") as pool:
        done: crabcan.CompletedProcess = pool.run(["true"], check=True)
        assert done.returncode == 0
        assert crabcan.run(["true"], pool=pool).returncode == 0
        ready: bool = pool.wait_ready(timeout=60)
        count: int = pool.ready
        print(ready, count)


def named_ones() -> None:
    """Named containers."""
    started: crabcan.Named = crabcan.start(["sleep", "60"], name=f"sample-{os.getpid()}")
    found: crabcan.Named = crabcan.get(started.name)
    assert started.name in [named.name for named in crabcan.list(all=True)]
    with found.exec(["true"]) as process:
        assert process.wait(timeout=60) == 0
    found.pause()
    found.unpause()
    code: int = found.stop(grace=0.1)
    told: tuple[str, bytes, int | None] = found.status, found.logs(), found.returncode
    assert told[2] == code
    found.remove()
    try:
        crabcan.get(started.name)
    except crabcan.NoSuchContainer as error:
        assert_advice(error.advice)


def assert_advice(advice: str) -> None:
    """There is some."""
    assert advice


def main() -> None:
    """Everything, once."""
    named_ones()
    results()
    with tempfile.TemporaryDirectory() as directory:
        spec = walls(directory)
        assert spec.hostname == "moon"
    container()
    popen()
    terminals()
    assert len(failures()) == 3
    asyncio.run(on_a_loop())
    calls()
    made_ahead()


if __name__ == "__main__":
    main()
