"""Limits of a whole container, as one value."""

from __future__ import annotations

from crabcan import _check
from crabcan._value import Value
from crabcan.errors import invalid

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Mapping

# Powers of 1024, as docker and systemd have them.
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

MAX = "max"  # no limit
Amount = int | float | str


class Limits(Value):
    """What a container may use. None leaves crabcan's default, ``"max"`` means no limit.

    A limit that is given and cannot be enforced on this host is an error when the container is
    made. The defaults, half of the host's memory and 1024 processes, are enforced as far as the
    host allows.

    Args:
        memory: bytes, or a string such as ``"64M"`` (powers of 1024); beyond it the kernel kills.
        swap: bytes of swap beside the memory; none if not given.
        pids: how many processes and threads at once.
        cpus: how many CPUs' time, 0.5 for half of one.
        cpu_weight: the share under contention, from 1 to 10000; 100 is usual.
        io_weight: the same for block devices.
        cpu_time: seconds of CPU time of all its processes together; then it is killed.
        wall_time: seconds; then it is killed. Unlike run()'s timeout it is no exception: the result
            says timed_out.
        output: bytes of stdout, and of stderr, that run() collects; beyond it is killed, and the
            result says output_limited.
        file_size: bytes that a file may grow to (RLIMIT_FSIZE, setrlimit(2)).

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> crabcan.Limits(memory="64M", pids=20).memory
        67108864

    See cgroups(7) and the kernel's cgroup-v2.rst.

    """

    __slots__ = (
        "memory",
        "swap",
        "pids",
        "cpus",
        "cpu_weight",
        "io_weight",
        "cpu_time",
        "wall_time",
        "output",
        "file_size",
    )

    memory: int | str | None
    swap: int | str | None
    pids: int | str | None
    cpus: float | str | None
    cpu_weight: int | None
    io_weight: int | None
    cpu_time: float | None
    wall_time: float | None
    output: int | None
    file_size: int | None

    def __init__(
        self,
        *,
        memory: int | str | None = None,
        swap: int | str | None = None,
        pids: int | str | None = None,
        cpus: float | str | None = None,
        cpu_weight: int | None = None,
        io_weight: int | None = None,
        cpu_time: float | None = None,
        wall_time: float | None = None,
        output: int | str | None = None,
        file_size: int | str | None = None,
    ) -> None:
        self._set(
            memory=_size("memory", memory, least=1 << 16),
            swap=_size("swap", swap),
            pids=_count("pids", pids),
            cpus=_cpus("cpus", cpus),
            cpu_weight=_weight("cpu_weight", cpu_weight),
            io_weight=_weight("io_weight", io_weight),
            cpu_time=_seconds("cpu_time", cpu_time),
            wall_time=_seconds("wall_time", wall_time),
            output=None if output is None else parse_size("limits.output", output),
            file_size=None if file_size is None else parse_size("limits.file_size", file_size),
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Limits:
        """From a profile's table, or from the command line."""
        for name in values:
            if name not in cls.__slots__:
                raise _check.unknown("limits", name, cls.__slots__)
        return cls(**values)  # type: ignore[arg-type]


_MOST = 9e9  # in seconds as many nanoseconds as 63 bits hold


def parse_size(field: str, value: object) -> int:
    """Bytes, from a number or from a string with a unit."""
    if isinstance(value, str):
        digits = value.strip().lower()
        digits = digits.removesuffix("ib" if digits.endswith("ib") else "b")
        unit = digits[-1:] if digits[-1:].isalpha() else ""
        try:
            amount = float(digits.removesuffix(unit)) * _UNITS[unit]
        except (ValueError, KeyError):
            raise invalid(field, value, "give bytes, or a size such as 64M or 1.5G") from None
        value = int(amount) if abs(amount) < float("inf") else -1
    return _check.integer(field, value, 0, 2**62)


def _size(name: str, value: object, least: int = 0) -> int | str | None:
    if value is None or value == MAX:
        return value  # type: ignore[return-value]
    size = parse_size(f"limits.{name}", value)
    if size < least:
        raise invalid(f"limits.{name}", value, f"give at least {least} bytes: nothing could start")
    return size


def _count(name: str, value: object) -> int | str | None:
    if value is None or value == MAX:
        return value  # type: ignore[return-value]
    return _check.integer(f"limits.{name}", value, 1, 2**22)  # PID_MAX_LIMIT


def _weight(name: str, value: object) -> int | None:
    return None if value is None else _check.integer(f"limits.{name}", value, 1, 10000)


def _number(name: str, value: object) -> float:
    field = f"limits.{name}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _check.wrong_type(field, value, "a number")
    if not 0 < value <= _MOST:
        raise invalid(field, value, f"give a number above 0, and at most {_MOST:g}")
    return float(value)


def _cpus(name: str, value: object) -> float | str | None:
    if value is None or value == MAX:
        return value  # type: ignore[return-value]
    cpus = _number(name, value)
    if cpus < 0.01:  # a quota of 1 ms, the kernel's least, in a period of 100
        raise invalid(f"limits.{name}", value, "give at least 0.01")
    return cpus


def _seconds(name: str, value: object) -> float | None:
    return None if value is None else _number(name, value)
