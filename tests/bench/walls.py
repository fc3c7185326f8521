"""What each wall costs: run() of a static `true`, with all walls and with one of them left out.

Prints the median and the quartiles of each, interleaved in one run. Run it as
`python tests/bench/walls.py ROOT`; without a user namespace for root only.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Any

import crabcan

ROUNDS = 400

WITHOUT: dict[str, dict[str, Any]] = {
    "nothing: all walls stand": {},
    "the system call filters": {"seccomp": "off"},
    "control groups": {"limits": crabcan.Limits(memory="max", pids="max")},
    "a network namespace": {"network": "host"},
    "/proc, /dev and /tmp": {"default_mounts": False},
}
if os.geteuid() == 0:
    WITHOUT["a user namespace"] = {"userns": "host"}


def main() -> None:
    """Interleave the kinds and print a table."""
    times: dict[str, list[float]] = {name: [] for name in WITHOUT}
    for _ in range(ROUNDS):
        for name, options in WITHOUT.items():
            start = time.perf_counter()
            crabcan.run(["/bin/true"], root=sys.argv[1], **options)
            times[name].append((time.perf_counter() - start) * 1e3)
    print("| left out | lower quartile | median | upper quartile |")
    print("| --- | --- | --- | --- |")
    for name, samples in times.items():
        low, median, high = statistics.quantiles(samples, n=4)
        print(f"| {name} | {low:.2f} ms | {median:.2f} ms | {high:.2f} ms |")


if __name__ == "__main__":
    main()
