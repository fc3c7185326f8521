"""What tests/container/test_dask.py runs in a process of its own: tells as JSON what it saw.

python dask_program.py SCHEDULER_FILE DIRECTORY PID_OF_THE_WORKER_TO_LOSE
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from distributed import Client

import crabcan


def on_every_worker(client: Client) -> dict[str, Any]:
    """Many short runs: who has the results, and what they are."""
    commands = [["sh", "-c", f"echo {number}; exit {number % 3}"] for number in range(30)]
    futures = client.map(crabcan.run, commands, capture_output=True, pure=False)
    results = client.gather(futures)
    holders = {address for addresses in client.who_has(futures).values() for address in addresses}
    return {
        "workers": len(holders),
        "outputs": [done.stdout.decode() for done in results],
        "codes": [done.returncode for done in results],
        "used": all(done.usage.wall_time > 0 for done in results),
        "kinds": sorted({type(done).__name__ for done in results}),
    }


def a_spec_and_a_limit(client: Client) -> dict[str, Any]:
    """A Spec travels; a limit is that of the call."""
    spec = crabcan.Spec(["hostname"], hostname="moon", channel=False)
    named = client.submit(crabcan.run, spec, capture_output=True, pure=False)
    limits = crabcan.Limits(wall_time=0.2)
    slow = client.submit(crabcan.run, ["sleep", "60"], limits=limits, pure=False)
    return {"hostname": named.result().stdout.decode(), "timed_out": slow.result().timed_out}


def errors(client: Client) -> list[str]:
    """They come back as themselves."""
    seen = []
    for command, options in (
        (["no-such-command"], {}),
        (["true"], {"hostname": ""}),
        (["sh", "-c", "exit 4"], {"check": True}),
        (["sleep", "60"], {"timeout": 0.2}),
    ):
        error = client.submit(crabcan.run, command, **options, pure=False).exception()
        assert isinstance(error, crabcan.Error)
        seen.append(type(error).__name__)
    return seen


def double(number: int) -> int:
    """Called in a container, on a worker."""
    return 2 * number


def in_an_executor(numbers: list[int]) -> list[int]:
    """A task that has functions of its own called in containers."""
    with crabcan.Executor(max_workers=1) as executor:
        return list(executor.map(double, numbers))


def lost_worker(client: Client, directory: str, pid: int) -> dict[str, Any]:
    """Runs that tell of their start by a file; one worker is killed while they are on their way."""
    marks = Path(directory)
    bind = crabcan.Bind(directory, "/marks", writable=True)
    script = "mktemp -p /marks $0.XXXXXX; sleep 3"
    commands = [["sh", "-c", script, str(number)] for number in range(6)]
    futures = client.map(crabcan.run, commands, mounts=[bind], check=True, pure=False)
    while len(list(marks.iterdir())) < 3:  # one on each worker
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    codes = [done.returncode for done in client.gather(futures)]
    starts = [name.partition(".")[0] for name in os.listdir(directory)]
    again = sorted({name for name in starts if starts.count(name) > 1})
    left = len(client.scheduler_info()["workers"])
    return {"codes": codes, "run_again": len(again), "workers": left}


def main() -> None:
    """All of it."""
    scheduler, directory, pid = sys.argv[1:]
    with Client(scheduler_file=scheduler, set_as_default=False) as client:
        client.wait_for_workers(3)
        told = {
            "every": on_every_worker(client),
            "spec": a_spec_and_a_limit(client),
            "errors": errors(client),
            "executor": client.submit(in_an_executor, [1, 2], pure=False).result(),
            "lost": lost_worker(client, directory, int(pid)),
        }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
