"""Writes the first inputs of the corpus: plans of real containers, and messages as they are sent.

`python tests/fuzz/seeds.py DIRECTORY`; whatever a fuzzer finds beside them is kept with them.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crabcan
from crabcan import compile, container
from crabcan.landlock import Landlock

# csrc/plan/report.h
REPORT = struct.Struct("=3I3i4I3Q")
REQUEST = struct.Struct("=2Ii")
TIMELINE, FAILED, STARTED, ENDED, INIT, TERMINAL = range(1, 7)


class Kept:
    """A plan that leaves its bytes before its file is closed."""

    def __init__(self, plan: Any) -> None:
        self._plan = plan
        self.content = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plan, name)

    def close_file(self) -> None:
        for name in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{name}"
            if os.path.islink(path) and "memfd:crabcan-plan" in os.readlink(path):
                self.content = Path(path).read_bytes()
        self._plan.close_file()


ROOT = Path("/tmp/fuzz-root")  # empty: the host's system has paths of one machine


def plan_of(command: list[str], **options: Any) -> bytes:
    """What init of such a container is given; it finds no command there."""
    kept: list[Kept] = []

    def compiled(*args: Any, **named: Any) -> Any:
        kept.append(Kept(compile.compile_plan(*args, **named)))
        return kept[0]

    vars(container)["compile_plan"] = compiled
    try:
        with crabcan.Container(command, root=ROOT, hostname="h", **options) as made:
            made.create()
    except crabcan.CommandNotFound:
        pass
    finally:
        vars(container)["compile_plan"] = compile.compile_plan
    return kept[0].content


def plans() -> Iterator[tuple[str, bytes]]:
    yield "defaults", plan_of(["true"])
    yield "open", plan_of(["true"], seccomp="off", channel=False)
    mounts = [
        crabcan.Bind("/etc", "/mnt/etc"),
        crabcan.Overlay("/over", ROOT),
        crabcan.Tmpfs("/scratch", size="1M"),
        crabcan.File("/made", b"a\0b"),
    ]
    yield (
        "mounts",
        plan_of(
            ["true", "a", ""],
            mounts=mounts,
            env={"A": "b"},
            rlimits={"nofile": 64},
            cwd="/mnt",
            seccomp="off",
        ),
    )
    walls = Landlock(read=["/"], connect=[443])
    yield "landlock", plan_of(["true"], landlock=walls, seccomp="off", cpu_affinity=[0], nice=1)


def overlapping(plan: bytes) -> bytes:
    """Two of its lists are one, which would be turned into pointers twice."""
    executables, argv = (slice(at, at + 8) for at in (60, 68))  # csrc/plan/plan.h
    changed = bytearray(plan)
    changed[executables] = changed[argv]
    return bytes(changed)


def report(kind: int, step: int = 1, error: int = 0, code: int = 0, status: int = 0) -> bytes:
    return REPORT.pack(kind, step, 0, error, code, status, 0, 1024, 0, 2, 1, 2, 3)


def datagram(content: bytes, descriptor: int = 0) -> bytes:
    return struct.pack("<HB", len(content), descriptor) + content


def reports() -> Iterator[tuple[str, bytes]]:
    timeline = struct.pack("=2I", TIMELINE, 2) + struct.pack("=2IQ", 3, 0, 5) * 2
    started = datagram(timeline) + datagram(report(STARTED))
    ended = datagram(report(ENDED, code=1, status=3))
    yield "started", b"\0" + started + ended
    yield "failed", b"\0" + datagram(report(FAILED, step=9, error=1))
    yield "terminal", b"\1" + datagram(report(TERMINAL), 2) + started + ended
    yield "killed", b"\1" + datagram(report(ENDED, code=2, status=9))
    yield "booleans", b"\2" + datagram(b"\1") + datagram(b"\0", 1) + datagram(b"\2")
    yield "init", b"\3" + datagram(report(INIT), 3)
    yield "not joined", b"\3" + datagram(report(FAILED, step=2, error=22))


def requests(plan: bytes) -> Iterator[tuple[str, bytes]]:
    for name, kind, descriptors in (("exec", 1, 4), ("start", 2, 4), ("signal", 3, 0),
                                    ("stop", 4, 0), ("continue", 5, 8)):  # fmt: skip
        message = REQUEST.pack(kind, 7, 15)
        yield name, bytes([descriptors, len(message)]) + message + plan


def main() -> None:
    top = Path(sys.argv[1])
    ROOT.mkdir()
    try:
        made = dict(plans())
    finally:
        shutil.rmtree(ROOT)
    made["lists-overlap"] = overlapping(made["open"])
    inputs = {"plan": made, "report": dict(reports()), "request": dict(requests(made["open"]))}
    for target, contents in inputs.items():
        (top / target).mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (top / target / name.replace(" ", "-")).write_bytes(content)


if __name__ == "__main__":
    main()
