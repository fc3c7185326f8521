"""SIGKILL at random moments of a launch: for the caller, for init, and for the payload.

    python tests/robustness/kills.py [COUNT]

kills COUNT times each, 1,000 if not told. After each, no process of the container is left, no
mount, no file, and no control group once the same user has launched again; and where the caller
lives, it is told what happened, and holds nothing more than before.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import glob
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from machine import Machine

import crabcan
from crabcan import cgroup

COUNT = 1000
PATIENCE = 30.0  # seconds; what is killed is gone in a thousandth of that
PR_SET_CHILD_SUBREAPER = 36


def launch() -> None:
    """What is interrupted: about all that a container can hold on the host."""
    limits = crabcan.Limits(pids=20, memory="64M" if os.geteuid() == 0 else None)
    done = crabcan.run(["sh", "-c", "echo begun; sleep 0.03; exit 3"], limits=limits,
                       mounts=[crabcan.File("/tmp/file", "text")], capture_output=True)  # fmt: skip
    assert (done.returncode, done.stdout) == (3, b"begun\n"), done


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


def _caller(writer: int) -> None:
    """Launches once, and tells what came of it and what is left."""
    cgroup._cleaned.clear()
    before = Machine()
    try:
        launch()
        answer: dict[str, Any] = {"end": "done"}
    except crabcan.Error as error:
        answer = {"end": "raised", "text": str(error)}
    except AssertionError as error:
        answer = {"end": "killed" if "returncode=-9" in str(error) else f"wrong: {error}"}
    answer["left"] = [] if Machine() == before else [repr(before), repr(Machine())]
    os.write(writer, json.dumps(answer).encode())


def _spawn() -> tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.close(reader)
            _caller(writer)
        os._exit(0)
    os.close(writer)
    return pid, reader


def _all_gone() -> bool:
    """Whatever a killed caller leaves becomes ours, since we are the subreaper."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except ChildProcessError:
            return True
    return False


def _is_again(before: Machine) -> bool:
    """Others may mount something on this machine meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while Machine() != before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def groups() -> list[str]:
    """Of callers that are gone."""
    found = []
    for hierarchy in cgroup.hierarchies().values():
        for group in cgroup.ancestors(hierarchy):
            for path in glob.glob(f"{group}/{cgroup.PREFIX}-*"):
                pid = os.path.basename(path).split("-")[1]
                if not os.path.exists(f"/proc/{pid}") and pid in _killed:
                    found.append(path)
    return found


_killed: set[str] = set()


def _target(victim: str, caller: int) -> int | None:
    """The process to kill, None where it is not there."""
    if victim == "caller":
        return caller
    for init in children_of(caller):
        if victim == "init":
            return init
        for payload in children_of(init):
            return payload
    return None


def kill_at(victim: str, moment: float) -> str:
    """What came of it: not there, done, raised, killed; or what is wrong."""
    before = Machine()
    caller, reader = _spawn()
    _killed.add(str(caller))
    time.sleep(moment)
    target = _target(victim, caller)
    if target is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
    gone = _all_gone()
    with os.fdopen(reader) as file:
        text = file.read() if gone else ""
    if not gone:
        return "wrong: a process is left"
    if victim == "caller":
        cgroup._cleaned.clear()
        launch()
        if groups():
            return f"wrong: groups are left: {groups()}"
    if not _is_again(before):
        return f"wrong: {before}, then {Machine()}"
    if not text:
        return "killed" if victim == "caller" else "wrong: the caller died"
    answer = json.loads(text)
    if answer["left"]:
        return f"wrong: the caller holds {answer['left']}"
    if target is None:
        return "not there" if answer["end"] == "done" else f"wrong: {answer}"
    return str(answer["end"])


def length() -> float:
    """Seconds of a launch: the median of some."""
    times = []
    for _ in range(9):
        start = time.monotonic()
        caller, reader = _spawn()
        os.waitpid(caller, 0)
        times.append(time.monotonic() - start)
        os.close(reader)
    return sorted(times)[4]


def kill(count: int) -> dict[str, collections.Counter[str]]:
    """Kill each kind of victim that many times, at moments over the whole of a launch."""
    become_subreaper()
    launch()
    whole = length() * 1.1
    counts: dict[str, collections.Counter[str]] = {}
    for victim in ("caller", "init", "payload"):
        counts[victim] = collections.Counter(
            kill_at(victim, random.uniform(0, whole)) for _ in range(count)
        )
    return counts


def become_subreaper() -> None:
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError("prctl: no subreaper")


def main(words: list[str]) -> int:
    counts = kill(int(words[0]) if words else COUNT)
    wrong = 0
    for victim, ends in counts.items():
        print(f"{victim}: {dict(ends)}")
        wrong += sum(number for end, number in ends.items() if end.startswith("wrong"))
    tried = sum(ends.total() for ends in counts.values())
    print(f"tried {tried}, held {tried - wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
