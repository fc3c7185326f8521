"""Containers through Dask on one machine, against a plain loop; see docs/how-to/dask.md.

    python tests/bench/dask_map.py ROOT

ROOT has /bin/true and /bin/sh, static. Each round runs all kinds in turn.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from distributed import Client, LocalCluster

import crabcan

JOBS = 100
ROUNDS = 9
SHORT, LONG = ["/bin/true"], ["/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def through(client: Client, command: list[str], root: str) -> None:
    """All jobs as tasks."""
    jobs = [command] * JOBS
    client.gather(client.map(crabcan.run, jobs, root=root, check=True, pure=False))


def main() -> None:
    """Print a table."""
    root = sys.argv[1]
    options = {"threads_per_worker": 1, "dashboard_address": None}
    figures: dict[tuple[str, str], list[float]] = {}
    with (
        LocalCluster(n_workers=1, **options) as one,
        LocalCluster(n_workers=2, **options) as two,
        Client(one, set_as_default=False) as client_of_one,
        Client(two, set_as_default=False) as client_of_two,
    ):
        for _ in range(ROUNDS + 1):
            for job, command in (("true", SHORT), ("a loop in sh", LONG)):
                kinds: dict[str, Callable[[], object]] = {
                    "a loop": lambda c=command: [  # type: ignore[misc]
                        crabcan.run(c, root=root, check=True) for _ in range(JOBS)
                    ],
                    "1 worker": lambda c=command: through(client_of_one, c, root),  # type: ignore[misc]
                    "2 workers": lambda c=command: through(client_of_two, c, root),  # type: ignore[misc]
                }
                for kind, work in kinds.items():
                    figures.setdefault((job, kind), []).append(timed(work))
    print("| job | run by | median | quartiles |\n| --- | --- | --- | --- |")
    for (job, kind), values in figures.items():
        low, middle, high = statistics.quantiles(values[1:], n=4)  # the first one warms up
        each = [f"{value / JOBS * 1000:.2f}" for value in (middle, low, high)]
        print(f"| {job} | {kind} | {each[0]} ms | {each[1]}-{each[2]} ms |")


if __name__ == "__main__":
    main()
