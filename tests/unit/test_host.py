"""The checks at the start."""

from __future__ import annotations

import os

import pytest

import crabcan
from crabcan import host


def uname(sysname: str, release: str, machine: str) -> os.uname_result:
    return os.uname_result((sysname, "node", release, "version", machine))


@pytest.mark.parametrize("release", ["5.14.0", "5.14-rc1", "6.18.44-fc-v669", "7.0", "10.1.2"])
def test_new_enough(release: str) -> None:
    host.check(uname("Linux", release, "x86_64"))


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        (("Darwin", "23.0", "arm64"), 0, "not Linux"),
        (("Linux", "5.13.99", "x86_64"), 0, "too old.*5.14"),
        (("Linux", "weird", "x86_64"), 0, "too old"),
        (("Linux", "6.1.0", "riscv64"), 1, "riscv64"),
    ],
)
def test_not_supported(values: tuple[str, str, str], code: int, text: str) -> None:
    with pytest.raises(crabcan.NotSupported, match=text) as caught:
        host.check(uname(*values))
    assert caught.value.code == code
