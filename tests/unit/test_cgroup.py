"""Finding control groups, from the texts that kernels give on hosts of each kind."""

from __future__ import annotations

import errno
import os

import pytest

from crabcan import cgroup

V2 = "25 30 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "33 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "36 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def found(mountinfo: str, cgroups: str) -> dict[str, tuple[int, str]]:
    hierarchies = cgroup.parse(mountinfo, cgroups)
    return {name: (h.version, h.own) for name, h in hierarchies.items()}


def test_version_2() -> None:
    groups = "0::/user.slice/user-1000.slice/session-2.scope\n"
    own = "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope"
    assert found(V2, groups) == {"": (2, own)}
    hierarchy = cgroup.parse(V2, groups)[""]
    assert list(cgroup.ancestors(hierarchy))[1:] == [
        "/sys/fs/cgroup/user.slice/user-1000.slice",
        "/sys/fs/cgroup/user.slice",
        "/sys/fs/cgroup",
    ]


def test_hybrid() -> None:
    groups = "4:memory:/a\n3:cpu,cpuacct:/b\n1:name=systemd:/c\n0::/d\n"
    assert found(HYBRID, groups) == {
        "memory": (1, "/sys/fs/cgroup/memory/a"),
        "cpu": (1, "/sys/fs/cgroup/cpu,cpuacct/b"),
        "cpuacct": (1, "/sys/fs/cgroup/cpu,cpuacct/b"),
        "name=systemd": (1, "/sys/fs/cgroup/systemd/c"),
        "": (2, "/sys/fs/cgroup/unified/d"),
    }


def test_the_top() -> None:
    assert found(V2, "0::/\n") == {"": (2, "/sys/fs/cgroup")}
    assert len(list(cgroup.ancestors(cgroup.parse(V2, "0::/\n")[""]))) == 1


def test_a_mount_that_shows_a_part() -> None:
    # As in a container with the host's cgroup namespace.
    part = "25 30 0:23 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    assert found(part, "0::/docker/0123\n") == {"": (2, "/sys/fs/cgroup")}
    assert found(part, "0::/docker/0123/in\n") == {"": (2, "/sys/fs/cgroup/in")}
    assert found(part, "0::/docker/01234\n") == {}


def test_a_group_outside_the_cgroup_namespace() -> None:
    assert found(V2, "0::/../../other\n") == {}


def test_blanks_and_colons_in_paths() -> None:
    mount = "25 30 0:23 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"
    assert found(mount, "0::/x:y\n") == {"": (2, "/mnt/a b/x:y")}


def test_no_groups_at_all() -> None:
    assert found("25 30 0:23 / / rw - ext4 /dev/sda rw\n", "") == {}


def test_names_with_ends_of_lines_and_blanks_of_unicode() -> None:
    """Whoever may mount, or make groups, chooses names; the kernel escapes ASCII's alone."""
    forged = "/x\u2028 25 30 0:23 / /forged rw - cgroup2 cgroup2 rw\v\xa0"
    escaped = forged.replace(" ", "\\040")
    line = f"26 30 0:24 / {escaped} rw - tmpfs tmpfs rw\n"
    assert found(line + V2, "0::/a\u2028b\n") == {"": (2, "/sys/fs/cgroup/a\u2028b")}


def test_names_that_are_escaped() -> None:
    mountinfo = "25 30 0:23 / /c\\040\\134040é\udcff rw - cgroup2 cgroup2 rw\n"
    assert found(mountinfo, "0::/\n") == {"": (2, "/c \\040é\udcff")}


def test_a_caller_that_cannot_be_looked_at_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cgroup._is_dead("4194305")  # above the kernel's PID_MAX_LIMIT
    assert not cgroup._is_dead(str(os.getpid()))

    def no_memory(path: str) -> None:
        raise OSError(errno.ENOMEM, "no memory", path)

    monkeypatch.setattr(os, "stat", no_memory)
    assert not cgroup._is_dead("4194305")
