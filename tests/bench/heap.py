"""What a launch costs beside the caller's heap: a small and a 1 GiB process, interleaved.

Prints the median and the quartiles of Container.create() to the end of wait(), for each of both,
with and without 16 busy threads beside it. Run it as `python tests/bench/heap.py ROOT`.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import threading
import time
from multiprocessing.connection import Connection

import crabcan

ROUNDS = 20
PER_ROUND = 15
BUSY_THREADS = 16


def serve(root: str, heap_size: int, busy_threads: int, pipe: Connection) -> None:
    """Time PER_ROUND launches whenever asked to."""
    import hashlib

    heap = bytearray(heap_size)
    for page in range(0, heap_size, 4096):
        heap[page] = 1
    block = bytes(1 << 20)
    running = threading.Event()

    def work() -> None:
        while True:
            running.wait()
            hashlib.sha256(block).digest()

    for _ in range(busy_threads):
        threading.Thread(target=work, daemon=True).start()
    while pipe.recv():
        times = []
        running.set()
        for _ in range(PER_ROUND):
            start = time.perf_counter()
            crabcan.run(["true"], root=root)
            times.append((time.perf_counter() - start) * 1e3)
        running.clear()
        pipe.send(times)


def main() -> None:
    """Interleave the four kinds of process and print a table."""
    context = multiprocessing.get_context("spawn")
    kinds = [(heap, threads) for threads in (0, BUSY_THREADS) for heap in (0, 1 << 30)]
    pipes = []
    for heap, threads in kinds:
        ours, theirs = context.Pipe()
        context.Process(
            target=serve, args=(sys.argv[1], heap, threads, theirs), daemon=True
        ).start()
        pipes.append(ours)
    times: dict[tuple[int, int], list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, pipe in zip(kinds, pipes, strict=True):
            pipe.send(True)
            times[kind] += pipe.recv()
    print("| heap | busy threads | lower quartile | median | upper quartile |")
    print("| --- | --- | --- | --- | --- |")
    for (heap, threads), samples in times.items():
        low, median, high = statistics.quantiles(samples, n=4)
        size = "1 GiB" if heap else "small"
        print(f"| {size} | {threads} | {low:.2f} ms | {median:.2f} ms | {high:.2f} ms |")


if __name__ == "__main__":
    main()
