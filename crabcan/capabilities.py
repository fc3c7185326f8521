"""Capabilities (capabilities(7)) by libcap's names."""

from __future__ import annotations

from collections.abc import Iterable

from crabcan import _check

_PREFIX = "cap_"
_MAX = 64  # the kernel keeps them in 64 bits


def mask_of(names: Iterable[str]) -> int:
    """A bit each: ``net_raw``, ``CAP_NET_RAW`` and ``cap_net_raw`` are the same.

    Raises:
        ArgumentInvalid: libcap knows no such name.

    """
    mask = 0
    for name in names:
        from crabcan import _policy

        plain = name.lower().removeprefix(_PREFIX)
        known = plain.isascii() and plain.isidentifier()  # C's strings end at a NUL byte
        number = _policy.capability_number(_PREFIX + plain) if known else -1
        if number < 0:
            raise _check.unknown("capabilities", plain, names_of(2**_MAX - 1))
        mask |= 1 << number
    return mask


def names_of(mask: int) -> tuple[str, ...]:
    """The plain names, in the kernel's order."""
    if not mask:
        return ()
    from crabcan import _policy

    found = (_policy.capability_name(number) for number in range(_MAX) if mask >> number & 1)
    return tuple(name.removeprefix(_PREFIX) for name in found if name)
