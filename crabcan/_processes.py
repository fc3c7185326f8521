"""What the processes of a container use right now, from /proc (proc(5)), with or without groups."""

from __future__ import annotations

import os
from collections.abc import Iterator

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def of(pid: int) -> Iterator[int]:
    """A container's processes, its init first."""
    yield pid
    for task in _names(f"/proc/{pid}/task"):
        for child in _text(f"/proc/{pid}/task/{task}/children").split():
            yield from of(int(child))


def usage(pid: int) -> dict[str, float]:
    """`cpu_time` in seconds so far, of living processes and of those they have reaped; `memory` in
    bytes, shared pages counted once for each process; `pids`, processes and threads.

    init's own are left out.
    """
    ticks = memory = tasks = 0
    for number in of(pid):
        fields = _text(f"/proc/{number}/stat").rpartition(")")[2].split()
        if len(fields) < 22:  # gone meanwhile
            continue
        # utime, stime, cutime, cstime, num_threads, rss: fields 14 to 17, 20 and 24 of proc(5).
        own, reaped = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        ticks += reaped if number == pid else own + reaped
        if number != pid:
            memory += int(fields[21]) * _PAGE
            tasks += int(fields[17])
    return {"cpu_time": ticks / _TICK, "memory": memory, "pids": tasks}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # gone meanwhile
        return ""


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
