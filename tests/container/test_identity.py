"""Ids, users, groups and namespaces: new, shared and joined."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import crabcan
from crabcan import Join, subids

Run = Callable[..., str]
ROOT = os.geteuid() == 0


def test_uid_and_gid(inside: Run) -> None:
    assert inside("id -u; id -g", uid=7, gid=8).split() == ["7", "8"]
    assert inside("id -u; id -g", uid=7).split() == ["7", "7"]


def test_groups(inside: Run) -> None:
    if ROOT:
        assert inside("id -G", groups=[5, 6]).split() == ["0", "5", "6"]
        return
    with pytest.raises(crabcan.ArgumentInvalid, match="subids"):
        inside("id -G", groups=[5, 6])


def test_user_of_the_root(busybox_root: Path, inside: Run) -> None:
    etc = busybox_root / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
    (etc / "group").write_text("web:x:34:\nlog:x:4:web,other\n")
    if ROOT:
        seen = inside("id -u; id -g; id -G; echo $HOME", root=busybox_root, user="web")
        assert seen.splitlines() == ["33", "34", "34 4", "/srv"]
    seen = inside("id -u; id -g", root=busybox_root, user="web:web")
    assert seen.split() == ["33", "34"]
    assert inside("id -u; id -g", root=busybox_root, user="12:13").split() == ["12", "13"]
    with pytest.raises(crabcan.ArgumentInvalid, match="did you mean 'web'"):
        inside("true", root=busybox_root, user="wbe")
    with pytest.raises(crabcan.ArgumentInvalid, match="user or uid"):
        inside("true", root=busybox_root, user="web", uid=1)


def test_passwd_that_leads_outside_is_not_read(busybox_root: Path, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("eve:x:1:1::/:/bin/sh\n")
    (busybox_root / "etc").mkdir()
    (busybox_root / "etc" / "passwd").symlink_to(tmp_path / "passwd")
    with pytest.raises(crabcan.ArgumentInvalid, match="no /etc/passwd"):
        crabcan.Container(["true"], root=busybox_root, user="eve")
    os.unlink(busybox_root / "etc" / "passwd")
    os.mkfifo(busybox_root / "etc" / "passwd")  # must not be waited for
    with pytest.raises(crabcan.ArgumentInvalid, match="no /etc/passwd"):
        crabcan.Container(["true"], root=busybox_root, user="eve")


def test_an_id_beyond_the_map_is_refused() -> None:
    if ROOT:
        with pytest.raises(crabcan.ArgumentInvalid, match="uid: 100000"):
            crabcan.run(["true"], uid=100000)
    else:
        assert crabcan.run(["true"], uid=100000).returncode == 0


def test_sub_ids(inside: Run) -> None:
    if ROOT:  # has a range anyway
        assert inside("cat /proc/self/uid_map", userns="subids").split()[2] == "65536"
        return
    try:
        subids.maps()
    except crabcan.NotSupported as error:
        with pytest.raises(crabcan.NotSupported, match="subids"):
            inside("true", userns="subids")
        assert error.advice  # noqa: PT017
        return
    lines = inside("cat /proc/self/uid_map", userns="subids").splitlines()
    assert lines[0].split() == ["0", str(os.geteuid()), "1"]
    assert int(lines[1].split()[2]) >= 1
    script = "id -u; id -G; touch /tmp/x; stat -c '%u %g' /tmp/x"
    seen = inside(script, userns="subids", uid=5, gid=6, groups=[7]).split()
    assert seen == ["5", "6", "7", "5", "6"]
    with pytest.raises(crabcan.ArgumentInvalid, match="uid"):
        inside("true", userns="subids", uid=4000000000)


def test_without_a_user_namespace(inside: Run) -> None:
    if not ROOT:
        with pytest.raises(crabcan.ArgumentInvalid, match="only root"):
            inside("true", userns="host")
        return
    assert inside("cat /proc/self/uid_map", userns="host").split() == ["0", "0", "4294967295"]
    caps = inside("grep Cap /proc/self/status", userns="host").split()[1::2]
    assert set(caps) == {"0" * 16}


FILES = {"ipc": "ipc", "network": "net", "uts": "uts", "pid": "pid", "cgroup": "cgroup"}


@pytest.mark.parametrize("name", FILES)
def test_sharing_with_the_host(name: str, inside: Run) -> None:
    link = f"/proc/self/ns/{FILES[name]}"
    if name == "pid":  # /proc is the host's, and so is the number
        assert inside("echo $$", namespaces={name: "host"}) != "2\n"
    assert inside(f"readlink {link}", namespaces={name: "host"}).strip() == os.readlink(link)
    others = set(FILES) - {name}
    for other in others:
        link = f"/proc/self/ns/{FILES[other]}"
        assert inside(f"readlink {link}", namespaces={name: "host"}).strip() != os.readlink(link)


def test_sharing_the_mount_namespace(inside: Run) -> None:
    assert inside("readlink /proc/$$/ns/mnt || ls -d /usr", namespaces={"mount": "host"}).strip()
    if ROOT:  # root of the host no longer
        inside("! cat /etc/shadow 2>/dev/null", namespaces={"mount": "host"})


def test_nothing_outlives_a_container_in_the_hosts_pid_namespace() -> None:
    script = "sleep 1234 & setsid sleep 1234 & echo $$; exit 3"
    done = crabcan.run(["sh", "-c", script], namespaces={"pid": "host"}, capture_output=True)
    assert done.returncode == 3
    marks = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x001234\x00" in _read(p)]
    assert marks == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def links_of(pid: int | None) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{file}") for name, file in FILES.items()}


def joins(container: crabcan.Container) -> list[Join | str | int]:
    pid = container.child_pid
    assert pid is not None
    return [
        Join(container=container),
        Join(pid=pid),
        pid,
        f"pid:{pid}",
        Join(pidfd=container.pidfd),
    ]


@pytest.mark.parametrize("name", ["ipc", "network", "uts"])
@pytest.mark.parametrize("way", range(5))
def test_joining_a_container(name: str, way: int, inside: Run) -> None:
    with crabcan.Container(["sleep", "60"], hostname="moon") as container:
        container.create()
        links = links_of(container.child_pid)
        namespaces = {name: joins(container)[way]}
        for other, file in FILES.items():
            link = inside(f"readlink /proc/self/ns/{file}", namespaces=namespaces).strip()
            assert (link == links[other]) is (other == name), other


def test_joining_by_path(inside: Run) -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        path = f"/proc/{container.child_pid}/ns/net"
        assert inside("readlink /proc/self/ns/net", network=path).strip() == os.readlink(path)
        with pytest.raises(crabcan.SetupError, match="joining a namespace"):
            inside("true", namespaces={"ipc": path})  # of another kind


def test_joining_the_user_namespace_as_well(inside: Run) -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        link = os.readlink(f"/proc/{container.child_pid}/ns/user")
        for name in ("pid", "uts"):
            both = {"user": container, name: container}
            assert inside("readlink /proc/self/ns/user", namespaces=both).strip() == link


def test_joining_everything_is_to_be_beside_it(inside: Run) -> None:
    with crabcan.Container(["sh", "-c", "echo here > /tmp/mark; sleep 60"]) as container:
        container.create()
        everything = {name: container for name in (*FILES, "mount")}
        script = "until [ -s /tmp/mark ]; do :; done; cat /tmp/mark /proc/1/comm"
        assert inside(script, namespaces=everything) == "here\ncrabcan-init\n"
        status = inside("cat /proc/self/status", namespaces=everything)
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


def test_joining_what_is_gone() -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        pid = container.child_pid
    with pytest.raises(crabcan.ContainerError, match="ESRCH"):
        crabcan.run(["true"], namespaces={"ipc": f"pid:{pid}"})


@pytest.mark.parametrize(
    ("namespaces", "message"),
    [
        ({"ipx": "host"}, "did you mean 'ipc'"),
        ({"ipc": "hots"}, "ipc"),
        ({"ipc": "/nonexistent"}, "no such path"),
    ],
)
def test_refused(namespaces: dict[str, str], message: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=message):
        crabcan.Container(["true"], namespaces=namespaces)
