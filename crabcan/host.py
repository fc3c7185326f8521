"""What this host is, and whether it can run containers."""

from __future__ import annotations

import os

from crabcan.errors import NotSupported

# mount_setattr(2) came with Linux 5.12; RLIMIT_NPROC counts by user namespace since 5.14.
MINIMAL_KERNEL = (5, 14)
ARCHITECTURES = ("x86_64", "aarch64")


def check(uname: os.uname_result | None = None) -> None:
    """Raise NotSupported unless this is Linux 5.14 or newer on x86_64 or aarch64."""
    host = uname or os.uname()
    if host.sysname != "Linux":
        raise _unsupported(f"{host.sysname} is not Linux", 0, "run it on a Linux host")
    wanted = ".".join(map(str, MINIMAL_KERNEL))
    if _version(host.release) < MINIMAL_KERNEL:
        raise _unsupported(f"Linux {host.release} is too old", 0, f"crabcan needs {wanted}")
    if host.machine not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise _unsupported(f"architecture {host.machine}", 1, f"crabcan runs on {known}")


def _version(release: str) -> tuple[int, ...]:
    """Major and minor of a release like 5.14-rc1 or 6.18.44-generic; () if it has none."""
    numbers = release.replace("-", ".").split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())


def _unsupported(text: str, code: int, advice: str) -> NotSupported:
    error = NotSupported(text)
    error.code = code
    error.advice = advice
    return error
