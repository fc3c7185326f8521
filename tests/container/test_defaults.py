"""With no option set: what a hostile payload finds, as root and as an ordinary user alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import crabcan

NAMESPACES = ("user", "mnt", "pid", "ipc", "net", "uts", "cgroup")


def status_of(text: str) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    return {name: value.strip() for name, _, value in (s.partition(":") for s in text.splitlines())}


def test_every_namespace_is_new(inside: Callable[..., str]) -> None:
    for name in NAMESPACES:
        link = inside(f"readlink /proc/self/ns/{name}").strip()
        assert link.startswith(f"{name}:")
        assert link != os.readlink(f"/proc/self/ns/{name}"), name


@pytest.mark.parametrize("uid", [0, 1234])
def test_no_privileges(uid: int, inside: Callable[..., str]) -> None:
    status = status_of(inside("cat /proc/self/status", uid=uid))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split() == [str(uid)] * 4


def test_root_inside_is_nobody_outside() -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        children = Path(f"/proc/{container.child_pid}/task/{container.child_pid}/children")
        (payload,) = children.read_text().split()
        for pid in (container.child_pid, payload):
            status = status_of(Path(f"/proc/{pid}/status").read_text())
            assert "0" not in status["Uid"].split()
            if os.geteuid() == 0:
                assert int(status["Uid"].split()[0]) >= 100000
                assert int(status["Gid"].split()[0]) >= 100000
            else:
                assert status["Uid"].split() == [str(os.geteuid())] * 4


def test_no_path_of_the_host_can_be_written(inside: Callable[..., str]) -> None:
    # Whatever is not of the container's own is a mount that is read-only.
    own = {"tmpfs", "proc", "devpts", "mqueue"}
    for line in inside("cat /proc/self/mountinfo").splitlines():
        fields = line.split()
        kind = fields[fields.index("-") + 1]
        if kind == "devtmpfs":  # the nodes that POSIX has everybody write to, and masks
            name = fields[3].strip("/")
            assert name in {"null", "zero", "full", "random", "urandom", "tty"}
        elif kind not in own:
            assert "ro" in fields[5].split(","), line
            assert "nosuid" in fields[5].split(","), line
    inside("for d in / /usr /usr/bin /etc /lib; do ! touch $d/x 2>/dev/null || exit 1; done")


def test_nothing_of_the_hosts_users(inside: Callable[..., str]) -> None:
    inside("! cat /etc/shadow 2>/dev/null && ! ls /home /root/* 2>/dev/null")
    names = {line.split(":")[0] for line in inside("cat /etc/passwd").splitlines()}
    assert names == {"root", "nobody"}
    assert inside("cat /etc/hosts", hostname="moon").splitlines()[0] == "127.0.0.1 localhost moon"
    inside("[ ! -e /etc/resolv.conf ] && [ ! -e /etc/machine-id ] && [ ! -e /etc/ssh ]")


def test_no_process_of_the_host(inside: Callable[..., str]) -> None:
    pids = [int(name) for name in inside("cd /proc; ls -d [0-9]*").split()]
    assert set(pids) <= {1, 2, 3}


def test_no_interface_but_loopback(inside: Callable[..., str]) -> None:
    lines = inside("cat /proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]
    assert len(inside("cat /proc/net/route").splitlines()) <= 1


def test_init_is_closed_to_the_payload(inside: Callable[..., str]) -> None:
    # The same ids, and yet neither its memory nor its root nor its descriptors.
    for name in ("root", "cwd", "exe", "fd/3"):
        inside(f"! readlink /proc/1/{name} 2>/dev/null")
    for name in ("mem", "environ", "maps", "stack"):
        inside(f"! (exec 3<>/proc/1/{name}) 2>/dev/null")
    assert inside("kill -STOP 1; kill -9 1; echo alive") == "alive\n"  # PID 1 takes neither


MASKED = ("kcore", "keys", "timer_list", "sched_debug", "kallsyms", "interrupts")
KNOBS = (
    "sys/kernel/core_pattern",
    "sys/kernel/modprobe",
    "sys/vm/overcommit_memory",
    "sysrq-trigger",
    "irq/default_smp_affinity",
)


@pytest.mark.parametrize("name", MASKED)
def test_what_tells_of_the_host_is_masked(name: str, inside: Callable[..., str]) -> None:
    if Path("/proc", name).exists():
        assert inside(f"cat /proc/{name} | wc -c").strip() == "0"
    assert (
        inside("ls -A /proc/acpi /proc/scsi /proc/asound 2>/dev/null | grep -v : ; :").split() == []
    )


@pytest.mark.parametrize("name", KNOBS)
def test_knobs_are_read_only(name: str, inside: Callable[..., str]) -> None:
    script = f"[ -e /proc/{name} ] || exit 0; ! (echo x > /proc/{name}) 2>/dev/null"
    inside(script)
    # Not for want of permission alone: the mount itself refuses.
    if Path("/proc", name).exists():
        error = inside(f"python3 -c \"open('/proc/{name}', 'r+')\" 2>&1; :")
        assert "Read-only file system" in error or "Permission denied" in error


def test_sysfs_and_cgroups_are_not_there(inside: Callable[..., str]) -> None:
    inside("[ ! -e /sys/kernel ] && [ ! -e /sys/fs/cgroup ]")
    for line in inside("cat /proc/self/cgroup").splitlines():
        assert line.split(":", 2)[2] == "/", line


def test_core_dumps_are_off(inside: Callable[..., str]) -> None:
    # 1 and not 0: the kernel runs a core_pattern program for 0 as well.
    assert inside("cat /proc/self/limits").splitlines()[5].split()[4:6] == ["1", "1"]


def test_it_is_the_first_to_go_when_memory_is_short(inside: Callable[..., str]) -> None:
    assert inside("cat /proc/self/oom_score_adj") == "1000\n"


def test_session_keyring_is_its_own(tmp_path: Path) -> None:
    # /proc/keys is masked; the serial of the session keyring is asked by keyctl(2), allowed here.
    script = (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True); "
        "print(c.syscall({number}, 0, -3, 0))"  # KEYCTL_GET_KEYRING_ID, session
    )
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    seen = []
    for _ in range(2):
        done = crabcan.run(
            ["python3", "-c", script.format(number=number)],
            allow_syscalls=["keyctl"],
            capture_output=True,
            text=True,
        )
        seen.append(int(done.stdout))
    import ctypes

    ours = ctypes.CDLL(None, use_errno=True).syscall(number, 0, -3, 0)
    assert len({*seen, ours}) == 3
    assert min(seen) > 0
