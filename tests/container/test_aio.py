"""crabcan.aio: containers on an event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import crabcan
import crabcan.aio
from crabcan import PIPE, Limits


def test_run_is_that_of_crabcan() -> None:
    async def main() -> None:
        done = await crabcan.aio.run(
            ["sh", "-c", "cat; echo err >&2; exit 3"],
            input="h\u00e9\n",
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (3, "h\u00e9\n", "err\n")
        assert isinstance(done, crabcan.CompletedProcess)
        assert done.usage is not None
        big = os.urandom(3_000_000)
        assert (await crabcan.aio.run(["cat"], input=big, stdout=PIPE)).stdout == big
        assert (await crabcan.aio.run(["true"], input=big)).returncode == 0  # nobody reads
        both = await crabcan.aio.run(
            "echo $0; echo 2 >&2", shell=True, stdout=PIPE, stderr=crabcan.STDOUT
        )
        assert both.stdout == b"/bin/sh\n2\n"
        with pytest.raises(crabcan.CalledProcessError) as caught:
            await crabcan.aio.run(["sh", "-c", "echo why; exit 4"], check=True, stdout=PIPE)
        assert (caught.value.returncode, caught.value.stdout) == (4, b"why\n")
        with pytest.raises(FileNotFoundError, match="ENOENT"):
            await crabcan.aio.run(["no-such-command"])
        with pytest.raises(crabcan.ArgumentInvalid, match="hostname"):
            await crabcan.aio.run(["true"], hostname="")

    asyncio.run(main())


def test_timeout_kills_and_keeps_what_came() -> None:
    async def main() -> None:
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            await crabcan.aio.run(
                ["sh", "-c", "echo early; sleep 100 & sleep 100"], capture_output=True, timeout=0.5
            )
        assert caught.value.output == b"early\n"

    asyncio.run(main())


def test_limit_of_output() -> None:
    async def main() -> None:
        done = await crabcan.aio.run(["yes"], capture_output=True, limits=Limits(output="10K"))
        assert done.output_limited
        assert done.stdout == b"y\n" * 5120
        assert done.returncode == -9

    asyncio.run(main())


def test_streams() -> None:
    async def main() -> None:
        async with crabcan.aio.Container(["cat"], stdin=PIPE, stdout=PIPE) as container:
            assert container.stdin is not None
            assert container.stdout is not None
            assert container.stderr is None
            for line in (b"one\n", b"two\n"):
                container.stdin.write(line)
                await container.stdin.drain()
                assert await container.stdout.readline() == line
            assert container.returncode is None
            container.stdin.close()
            assert await container.stdout.read() == b""
            assert await container.wait() == 0
            assert await container.wait() == 0
            container.kill()  # has ended: left alone
        assert container.usage is not None
        async with crabcan.aio.Container(
            ["sh", "-c", "cat; echo err >&2"], stdin=PIPE, stdout=PIPE, stderr=PIPE
        ) as container:
            assert await container.communicate(b"in") == (b"in", b"err\n")

    asyncio.run(main())


def test_booleans() -> None:
    script = (
        "import crabcan\n"
        "channel = crabcan.inside()\n"
        "for _ in range(20000): channel.send_bool(not channel.recv_bool())\n"
    )

    async def main() -> None:
        async with crabcan.aio.Container(["python3", "-c", script]) as container:
            sending = asyncio.create_task(send_all(container))
            received = [await container.recv_bool() for _ in range(20000)]
            await sending
            assert received == [i % 2 != 0 for i in range(20000)]
            with pytest.raises(crabcan.SocketError):
                await container.recv_bool()
            assert await container.wait() == 0

    async def send_all(container: crabcan.aio.Container) -> None:
        for i in range(20000):
            await container.send_bool(i % 2 == 0)

    asyncio.run(main())


def test_one_that_does_not_read_holds_nobody_up() -> None:
    async def send_forever(container: crabcan.aio.Container) -> None:
        while True:
            await container.send_bool(True)

    async def main() -> None:
        async with crabcan.aio.Container(["sleep", "100"]) as container:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(send_forever(container), 0.5)

    asyncio.run(main())


def alive(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("after", [0.0, 0.001, 0.003, 0.3])
def test_cancelling_kills(after: float) -> None:
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")

    async def main() -> None:
        task = asyncio.create_task(
            crabcan.aio.run(["sh", "-c", "sleep 100 & sleep 100"], capture_output=True)
        )
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children.read_text() == ""

    asyncio.run(main())


def test_cancelling_twice_kills_as_well() -> None:
    pids = []

    async def hold() -> None:
        async with crabcan.aio.Container(["sleep", "100"]) as container:
            pids.append(container.pid)
            await container.wait()

    async def main() -> None:
        task = asyncio.create_task(hold())
        while not pids:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert pids
    assert not alive(pids[0])


def test_loop_that_ends_first() -> None:
    """asyncio.run() cancels what is left, and so kills it."""
    pids = []

    async def hold() -> None:
        async with crabcan.aio.Container(["sleep", "100"]) as container:
            pids.append(container.pid)
            await container.wait()

    async def main() -> None:
        task = asyncio.create_task(hold())
        while not pids:
            await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(main())
    assert not alive(pids[0])


def test_two_hundred_at_once_without_a_thread() -> None:
    threads = set()
    alive_at_once = 0

    async def one(number: int, together: asyncio.Barrier) -> bytes:
        nonlocal alive_at_once
        limits = Limits(pids=10)
        async with crabcan.aio.Container(
            ["sh", "-c", f"read x; echo {number}"], stdin=PIPE, stdout=PIPE, limits=limits
        ) as container:
            alive_at_once += 1
            await together.wait()
            threads.update(os.listdir("/proc/self/task"))
            assert alive(container.pid)
            out, _ = await container.communicate(b"go\n")
            assert out is not None
            return out

    async def main() -> list[bytes]:
        together = asyncio.Barrier(200)
        return await asyncio.gather(*(one(number, together) for number in range(200)))

    before = set(os.listdir("/proc/self/task"))
    assert asyncio.run(main()) == [b"%d\n" % number for number in range(200)]
    assert alive_at_once == 200
    assert threads == before


def test_the_loop_goes_on_meanwhile() -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await asyncio.gather(*(crabcan.aio.run(["sleep", "0.5"]) for _ in range(5)))
        ticking.cancel()
        assert ticks >= 5

    asyncio.run(main())


@pytest.mark.parametrize("what", ["wait", "send_bool", "recv_bool"])
def test_before_it_is_created(what: str) -> None:
    async def main() -> None:
        container = crabcan.aio.Container(["true"])
        arguments: tuple[Any, ...] = (True,) if what == "send_bool" else ()
        with pytest.raises(crabcan.ContainerError, match=what):
            await getattr(container, what)(*arguments)
        await container.close()

    asyncio.run(main())


def test_created_twice_and_after_close() -> None:
    async def main() -> None:
        container = crabcan.aio.Container(["sleep", "100"])
        async with container:
            with pytest.raises(crabcan.ContainerError, match="already"):
                await container.create()

    asyncio.run(main())


def test_what_has_ended_needs_no_second_look() -> None:
    async def main() -> None:
        async with crabcan.aio.Container(["true"]) as container:
            deadline = time.monotonic() + 30
            while container.returncode is None:  # nobody waits: the loop sees it
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            assert container.returncode == 0

    asyncio.run(main())
