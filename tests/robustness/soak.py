"""Many containers one after the other, and what the machine looks like afterwards.

`python tests/robustness/soak.py [COUNT]`: 100,000 if not told. Every tenth of them it prints what
this process and its user hold; the last tenth must hold no more than the first one did.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from machine import Machine

import crabcan

COUNT = 100_000
PARTS = 10
GROWTH = 256  # KiB of resident memory: arenas of malloc's and of Python's
PATIENCE = 30.0  # seconds: keys, and groups on version 1, are freed by the kernel's own threads


def _run() -> None:
    assert crabcan.run(["true"]).returncode == 0


def _captured() -> None:
    done = crabcan.run(["echo", "hello"], capture_output=True, input=b"not read")
    assert done.stdout == b"hello\n"


def _limited() -> None:
    limits = crabcan.Limits(memory="64M", pids=8)
    with suppress(crabcan.LimitUnavailable):  # an ordinary user may have no groups
        assert crabcan.run(["sh", "-c", "exit 3"], limits=limits).returncode == 3


def _killed() -> None:
    with crabcan.Popen(["sleep", "60"]) as process:
        process.kill()
        assert process.wait() == -9


def _booleans() -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        container.send_bool(True)
        container.kill()


def _further() -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        with container.exec(["true"]) as further:
            assert further.wait() == 0


def _timed_out() -> None:
    with suppress(crabcan.TimeoutExpired):
        crabcan.run(["sleep", "60"], timeout=0.001)


def _not_found() -> None:
    with suppress(crabcan.CommandNotFound):
        crabcan.run(["no-such-command"])


def _mounts() -> None:
    mounts = (crabcan.Tmpfs("/a", size="1M"), crabcan.File("/b", b"x"), crabcan.Bind("/etc", "/c"))
    assert crabcan.run(["test", "-e", "/c/passwd"], mounts=mounts).returncode == 0


def _dropped() -> None:
    container = crabcan.Container(["sleep", "60"])
    container.create()
    container.close()


KINDS: tuple[Callable[[], None], ...] = (
    _run, _captured, _limited, _killed, _booleans, _further, _timed_out, _not_found, _mounts,
    _dropped,
)  # fmt: skip


def _resident() -> int:
    """KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _keys() -> int:
    """How many this host's users have: those of the containers' ids are users as well."""
    lines = Path("/proc/key-users").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines)


class Held:
    """What one look finds."""

    def __init__(self) -> None:
        gc.collect()
        self.machine = Machine()
        self.resident = _resident()
        self.keys = _keys()

    def __str__(self) -> str:
        return (
            f"{len(self.machine.descriptors)} descriptors, {len(self.machine.children)} children, "
            f"{self.machine.mounts} mounts, {len(self.machine.groups)} groups, "
            f"{len(self.machine.temporary)} files, {self.keys} keys, "
            f"{self.resident} KiB"
        )

    def more_than(self, before: Held) -> list[str]:
        """What there is now that was not; nothing in the end."""
        found = []
        if self.machine != before.machine:
            found.append(f"{before.machine} before, {self.machine} now")
        if self.resident > before.resident + GROWTH:
            found.append(f"{self.resident - before.resident} KiB more")
        if self.keys > before.keys:
            found.append(f"{self} now, {before} before")
        return found


def settled(before: Held) -> list[str]:
    """The same once the kernel has had its time."""
    deadline = time.monotonic() + PATIENCE
    while (found := Held().more_than(before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def soak(count: int, show: Callable[[str], None]) -> list[str]:
    """What `count` containers have left."""
    kinds: Iterator[Callable[[], None]] = itertools.cycle(KINDS)
    part = count // PARTS
    before = None
    for number in range(PARTS):
        for _ in range(part):
            next(kinds)()
        held = Held()
        show(f"{(number + 1) * part}: {held}")
        before = before or held  # after the first part: caches are full, and arenas made
    assert before is not None
    return settled(before)


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    found = soak(count, lambda line: print(line, flush=True))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{count} containers, {len(found)} kinds of leaks")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
