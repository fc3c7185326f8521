"""A caller with a large heap and many threads."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import crabcan

CONTAINERS = 1000
BUSY_THREADS = 16
HEAP = 1 << 30


@pytest.mark.timeout(600)
def test_thousand_containers_from_a_large_threaded_process(busybox_root: Path) -> None:
    """The fixture `nothing_left` looks at descriptors, zombies, mounts and files afterwards."""
    heap = bytearray(HEAP)
    for page in range(0, HEAP, 4096):
        heap[page] = 1
    stop = threading.Event()

    def work() -> None:
        block = bytes(1 << 20)
        while not stop.is_set():
            hashlib.sha256(block).digest()  # without the GIL
            sum(range(100))  # with it

    busy = [threading.Thread(target=work) for _ in range(BUSY_THREADS)]
    codes: list[int] = []

    def launch(count: int) -> None:
        for _ in range(count):
            codes.append(crabcan.run(["true"], root=busybox_root).returncode)

    launchers = [threading.Thread(target=launch, args=(CONTAINERS // 4,)) for _ in range(4)]
    try:
        for thread in busy + launchers:
            thread.start()
        for thread in launchers:
            thread.join()
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    assert codes == [0] * CONTAINERS
    assert len(heap) == HEAP


def test_fork_of_the_caller_leaves_the_container_alone() -> None:
    with crabcan.Container(["sh", "-c", "sleep 0.3; exit 9"]) as container:
        container.create()
        pid = os.fork()
        if pid == 0:
            container.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert container.wait(timeout=10) == 9


MIXED: tuple[dict[str, Any], ...] = (
    {},
    {"limits": crabcan.Limits(pids=5)},
    {"seccomp": "off"},
    {"mounts": [crabcan.Tmpfs("/t"), crabcan.File("/f", "x")]},
    {"network": "host"},
    {"namespaces": {"pid": "host"}},
    {"deny_syscalls": ["bind"]},
)


def test_many_threads_and_all_walls() -> None:
    command = ["sh", "-c", "echo $((6 * 7)); sleep 1234 & exit 3"]
    wrong: list[object] = []

    def launch(first: int) -> None:
        for k in range(10):
            options = MIXED[(first + k) % len(MIXED)]
            done = crabcan.run(command, capture_output=True, **options)
            if (done.stdout, done.returncode) != (b"42\n", 3):
                wrong.append((options, done))

    threads = [threading.Thread(target=launch, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
