"""What a container has used, as one value."""

from __future__ import annotations

from crabcan._value import Value


class Usage(Value):
    """Times and peaks of everything that ran in a container.

    Attributes:
        wall_time: seconds from the command's start to its end.
        user_time: seconds of CPU time in programs.
        system_time: seconds of CPU time in the kernel for them.
        peak_memory: bytes at most at one time, of all together; None where no cgroup tells it.
        peak_process_memory: bytes that its largest process had at most (getrusage(2)); None where
            its init was killed.
        peak_pids: how many processes and threads at most at one time; None where no group
            counts them: ask for limits.pids.

    Example:
        >>> import crabcan
        >>> usage = crabcan.run(["sleep", "0.1"]).usage
        >>> 0.1 <= usage.wall_time < 60, usage.cpu_time < 10
        (True, True)

    """

    __slots__ = (
        "wall_time",
        "user_time",
        "system_time",
        "peak_memory",
        "peak_process_memory",
        "peak_pids",
    )

    wall_time: float
    user_time: float
    system_time: float
    peak_memory: int | None
    peak_process_memory: int | None
    peak_pids: int | None

    def __init__(
        self,
        *,
        wall_time: float,
        user_time: float,
        system_time: float,
        peak_memory: int | None,
        peak_process_memory: int | None,
        peak_pids: int | None,
    ) -> None:
        self._set(
            wall_time=wall_time,
            user_time=user_time,
            system_time=system_time,
            peak_memory=peak_memory,
            peak_process_memory=peak_process_memory,
            peak_pids=peak_pids,
        )

    @property
    def cpu_time(self) -> float:
        """Seconds of CPU time: user_time and system_time together."""
        return self.user_time + self.system_time
