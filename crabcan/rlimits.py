"""Resource limits of each process (getrlimit(2)), by name."""

from __future__ import annotations

from crabcan import _check
from crabcan.errors import invalid

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Mapping

# asm-generic/resource.h; importing `resource` for them would cost a tenth of a launch.
NAMES = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}

INFINITY = 2**64 - 1  # RLIM64_INFINITY, prlimit64

Rlimit = tuple[str, int, int]


def checked(field: str, value: object) -> tuple[Rlimit, ...]:
    """The (name, soft, hard) triples that a Spec keeps."""
    if not _check.is_mapping(value):
        raise _check.wrong_type(field, value, "a mapping of names to limits")
    found = []
    for name, limit in value.items():
        plain = _check.text(field, name).lower().removeprefix("rlimit_")
        _check.one_of(field, plain, NAMES)
        pair = limit if isinstance(limit, tuple | list) else (limit, limit)
        if len(pair) != 2:
            raise invalid(f"{field}[{plain!r}]", limit, "give one number, or (soft, hard)")
        soft, hard = (_number(f"{field}[{plain!r}]", number) for number in pair)
        if soft > hard:
            raise invalid(f"{field}[{plain!r}]", limit, "the soft limit is above the hard one")
        found.append((plain, soft, hard))
    return tuple(sorted(found))


def _number(field: str, value: object) -> int:
    if value in ("max", "unlimited", "infinity", -1, INFINITY):
        return INFINITY
    return _check.integer(field, value, 0, INFINITY - 1)


def packed(limits: Mapping[str, tuple[int, int]]) -> bytes:
    """The array of struct crab_plan_rlimit, in order of the name."""
    numbers = [
        number for name, (soft, hard) in limits.items() for number in (NAMES[name], soft, hard)
    ]
    return b"".join(number.to_bytes(8, "little") for number in numbers)
