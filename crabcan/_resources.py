"""What a launch holds on the host beside its processes: groups, pasta, and the account."""

from __future__ import annotations

import math
import os
import signal
import time

from crabcan import _core

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from crabcan.cgroup import Group
    from crabcan.limits import Limits
    from crabcan.pasta import Pasta
    from crabcan.spec import Spec
    from crabcan.usage import Usage

# What _core.Process.wait() gives: reported, code, status, user ns, system ns, peak bytes.
End = tuple[bool, int, int, int, int, int]

_CPU_CHECK = 0.01  # seconds at least between two looks at the CPU time
_GRACE = 1.0  # seconds that init has for a thousand processes and more


class Resources:
    """Taken before the launch, released after the end; nothing of it outlives the container."""

    __slots__ = ("_group", "_limits", "_pasta", "_started", "_usage", "oom_killed", "stand_ins",
                 "timed_out")  # fmt: skip

    def __init__(self) -> None:
        self._group: Group | None = None
        self._limits: Limits | None = None
        self._pasta: Pasta | None = None
        self._started = 0.0
        self._usage: tuple[float, int, int, int | None, int, int | None] | None = None
        self.stand_ins: dict[str, tuple[int, int]] = {}
        self.oom_killed = False
        self.timed_out = False

    def take(self, spec: Spec) -> None:
        """Make the group; what it cannot enforce, limits of each process stand in for.

        Raises:
            LimitUnavailable: a limit that was asked for cannot be enforced here.

        """
        from crabcan.cgroup import Group
        from crabcan.limits import Limits

        limits = self._limits = spec.limits or Limits()
        by_rlimit = _counts_by_user_namespace(spec)
        replaceable = frozenset({"pids"}) if by_rlimit else frozenset()
        self._group = Group.create(limits, replaceable=replaceable)
        enforced = set() if self._group is None else self._group.enforced
        if by_rlimit and "pids" not in enforced:
            self._stand_in_for_pids(limits)
        if limits.file_size is not None:
            self.stand_ins["fsize"] = (limits.file_size, limits.file_size)
        if limits.cpu_time is not None:  # a process that outruns the looks at the group
            seconds = math.ceil(limits.cpu_time) + 1
            self.stand_ins["cpu"] = (seconds, seconds)

    def _stand_in_for_pids(self, limits: Limits) -> None:
        """RLIMIT_NPROC counts in one user namespace, and so in one container (Linux 5.14)."""
        from crabcan.cgroup import DEFAULT_PIDS

        pids = DEFAULT_PIDS if limits.pids is None else limits.pids
        if isinstance(pids, int):
            self.stand_ins["nproc"] = (pids + 1, pids + 1)  # init has the same user

    def describe(self) -> list[str]:
        """What its groups limit, in words."""
        if self._group is None or self._limits is None:
            return []
        return self._group.describe(self._limits)

    @property
    def cgroup_fd(self) -> int:
        """The group of version 2 to be born in, or -1."""
        return -1 if self._group is None else self._group.fd

    def open_groups(self) -> tuple[int, ...]:
        """Descriptors of the groups of version 1 to enter; to be closed."""
        return () if self._group is None else self._group.open_tasks()

    def connect(self, spec: Spec, pid: int) -> None:
        """Do to the waiting child what is done from outside."""
        if spec.network == "pasta":
            from crabcan.pasta import Pasta

            self._pasta = Pasta.start(pid, spec.publish)

    def started(self) -> None:
        """The command runs: from here on its time counts."""
        self._started = time.monotonic()

    def wait(self, process: _core.Process, timeout: float | None) -> End | None:
        """Wait for the end, or for a limit of time, which kills; None at the timeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            wall, cpu = self._time_left()
            if min(wall, cpu) <= 0:
                self.timed_out = True
                return end_process(process)
            until = math.inf if deadline is None else max(deadline - time.monotonic(), 0)
            wait = min(until, wall, cpu)
            end = process.wait(None if wait == math.inf else wait)
            if end is not None or (deadline is not None and time.monotonic() >= deadline):
                return end

    def _time_left(self) -> tuple[float, float]:
        """Seconds until the wall time is over, and until the CPU time can be at the earliest."""
        limits = self._limits
        wall = cpu = math.inf
        if limits is not None and limits.wall_time is not None:
            wall = self._started + limits.wall_time - time.monotonic()
        if limits is not None and limits.cpu_time is not None and self._group is not None:
            left = limits.cpu_time - (self._group.cpu_time() or 0)
            cpu = max(left / (os.cpu_count() or 1), _CPU_CHECK) if left > 0 else 0
        return wall, cpu

    def next_check(self) -> float | None:
        """When the limits of time must be looked at again, on the monotonic clock, or None."""
        left = min(self._time_left())
        return None if left == math.inf else time.monotonic() + left

    def ended(self, end: End) -> None:
        """Read the account, while there is one."""
        wall = time.monotonic() - self._started
        memory = pids = None
        if self._group is not None:
            memory, pids = self._group.peak_memory(), self._group.peak_pids()
            self.oom_killed = self._group.oom_killed()
        self._usage = (wall, end[3], end[4], memory, end[5], pids)

    @property
    def usage(self) -> Usage | None:
        """What was used, once it has ended."""
        if self._usage is None:
            return None
        from crabcan.usage import Usage

        wall, user, system, memory, largest, pids = self._usage
        return Usage(
            wall_time=wall,
            user_time=user / 1e9,
            system_time=system / 1e9,
            peak_memory=memory,
            peak_process_memory=largest or None,
            peak_pids=pids,
        )

    def release(self) -> None:
        """Give everything back, once all processes are dead. Again is harmless."""
        if self._pasta is not None:
            self._pasta.stop()
            self._pasta = None
        if self._group is not None:
            self._group.remove()
            self._group = None


def end_process(process: _core.Process) -> End | None:
    """Have init end it, which counts what was used; or kill init, should it not."""
    process.end()
    end = process.wait(_GRACE)
    if end is None:
        process.signal(signal.SIGKILL)
        end = process.wait(None)
    return end


def _counts_by_user_namespace(spec: Spec) -> bool:
    """Whether RLIMIT_NPROC counts this container's processes, all of them and no other's."""
    shared = {"user", "pid"} & {name for name, _ in spec.namespaces}
    return not shared and spec.userns != "host" and "setuid" not in spec.capabilities
