"""What a launch holds on the host beside its processes: groups, pasta, and the account."""

from __future__ import annotations

import os
import time

from crabcan import _core

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from crabcan.cgroup import Group
    from crabcan.limits import Limits
    from crabcan.pasta import Pasta
    from crabcan.spec import Spec
    from crabcan.usage import Usage

# What _core.Process.wait() gives: reported, code, status, user ns, system ns, peak bytes, the limit
# of time that ended it, and when it ended.
End = tuple[bool, int, int, int, int, int, int, int]


class Resources:
    """Taken before the launch, released after the end; nothing of it outlives the container."""

    __slots__ = ("_group", "_limits", "_pasta", "_usage", "started_at", "oom_killed", "stand_ins",
                 "timed_out")  # fmt: skip

    def __init__(self) -> None:
        self._group: Group | None = None
        self._limits: Limits | None = None
        self._pasta: Pasta | None = None
        self.started_at = 0  # by init's clock, CLOCK_MONOTONIC in nanoseconds
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
        if limits.cpu_time is not None:  # for a process that outruns init's looks at the account
            import math

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

    def places(self) -> list[tuple[str, float, int, str]]:
        """What its groups limit, and where: see Group.places()."""
        if self._group is None or self._limits is None:
            return []
        return self._group.places(self._limits)

    @property
    def cgroup_fd(self) -> int:
        """The group of version 2 to be born in, or -1."""
        return -1 if self._group is None else self._group.fd

    @property
    def group_count(self) -> int:
        """How many groups of version 1 there are to enter."""
        return 0 if self._group is None else len(self._group.tasks())

    def open_groups(self) -> tuple[int, ...]:
        """Descriptors of the groups to enter, and of the account to watch; to be closed."""
        if self._group is None:
            return ()
        files = [(path, os.O_WRONLY) for path in self._group.tasks()]
        if self._limits is not None and self._limits.cpu_time is not None:
            files.append((self._group.account(), os.O_RDONLY))
        fds: list[int] = []
        try:
            for path, mode in files:
                fds.append(os.open(path, mode | os.O_CLOEXEC))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        return tuple(fds)

    def connect(self, spec: Spec, pid: int) -> None:
        """Do to the waiting child what is done from outside."""
        if spec.network == "pasta":
            from crabcan.pasta import Pasta

            self._pasta = Pasta.start(pid, spec.publish)

    def started(self, when: int) -> None:
        """The command runs, since then."""
        self.started_at = when

    def ended(self, end: End) -> None:
        """Read the account, while there is one."""
        self.timed_out = end[6] != _core.TIME_NOT_LIMITED
        wall = ((end[7] or time.monotonic_ns()) - self.started_at) / 1e9
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

    def account(self) -> Resources:
        """What is known of it, without what it holds."""
        known = Resources()
        known.started_at, known._usage = self.started_at, self._usage
        known.oom_killed, known.timed_out = self.oom_killed, self.timed_out
        return known

    def release(self) -> None:
        """Give everything back, once all processes are dead. Again is harmless."""
        if self._pasta is not None:
            self._pasta.stop()
            self._pasta = None
        if self._group is not None:
            self._group.remove()
            self._group = None


def _counts_by_user_namespace(spec: Spec) -> bool:
    """Whether RLIMIT_NPROC counts this container's processes, all of them and no other's."""
    shared = {"user", "pid"} & {name for name, _ in spec.namespaces}
    return not shared and spec.userns != "host" and "setuid" not in spec.capabilities
