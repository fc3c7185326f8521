"""What is seen inside: root file system, mounts, descriptors, environment."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

import pytest

import crabcan
from crabcan import defaults


def shell(script: str, **options: object) -> str:
    """The output of a script in a container."""
    done = crabcan.run(["sh", "-c", script], capture_output=True, text=True, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done
    return str(done.stdout)


@pytest.fixture(params=["host", "busybox"])
def options(request: pytest.FixtureRequest) -> dict[str, object]:
    """The two kinds of root."""
    if request.param == "host":
        return {}
    return {"root": request.getfixturevalue("busybox_root")}


def test_pid_1_is_init_and_the_command_is_its_child(options: dict[str, object]) -> None:
    assert shell("cat /proc/1/comm; echo $$", **options) == "crabcan-init\n2\n"


def test_six_new_namespaces(options: dict[str, object]) -> None:
    names = ("mnt", "cgroup", "pid", "ipc", "net", "uts")
    links = " ".join(f"/proc/self/ns/{name}" for name in names)
    inside = shell(f"for link in {links}; do readlink $link; done", **options).split()
    assert len(inside) == len(names)
    for name, link in zip(names, inside, strict=True):
        assert link.startswith(f"{name}:")
        assert link != os.readlink(f"/proc/self/ns/{name}")


def test_no_descriptor_but_the_first_three(options: dict[str, object]) -> None:
    # The glob of the shell itself opens one more, which is closed by the time it is printed.
    seen = shell("for fd in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; :",
                 **options)  # fmt: skip
    assert seen.split() == ["0", "1", "2"]


def test_channel_is_the_only_other_descriptor(busybox_root: Path) -> None:
    script = "for fd in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; :"
    done = crabcan.run(["sh", "-c", script], channel=True, capture_output=True, text=True)
    assert done.stdout.split() == ["3"]


def test_only_the_containers_mounts(options: dict[str, object]) -> None:
    points = [line.split()[4] for line in shell("cat /proc/self/mountinfo", **options).splitlines()]
    own = {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/tmp"}
    assert own <= set(points)
    if "root" in options:
        assert {p for p in points if not p.startswith(("/dev/", "/proc/"))} == own - {
            "/dev/pts",
            "/dev/shm",
        }
    assert not [p for p in points if p.startswith(("/sys", "/run", "/boot"))]


def test_nothing_lies_above_the_root(options: dict[str, object]) -> None:
    # ".." from a mount crosses into whatever is stacked on the root; "/" does not.
    same = shell("ls -A /; echo; ls -A /proc/..; echo; ls -A /dev/../", **options).split("\n\n")
    assert same[0] == same[1] == same[2].rstrip("\n")


def test_devices(options: dict[str, object]) -> None:
    shell("echo x > /dev/null; head -c 4 /dev/urandom > /tmp/x; [ -c /dev/zero ]; [ -L /dev/fd ]",
          **options)  # fmt: skip


def test_root_is_read_only_and_tmp_is_not(options: dict[str, object]) -> None:
    shell("! touch /x 2>/dev/null; ! touch /bin/x 2>/dev/null; echo y > /tmp/y", **options)


def test_root_can_be_writable(busybox_root: Path) -> None:
    shell("echo z > /z", root=busybox_root, root_writable=True)
    assert (busybox_root / "z").read_text() == "z\n"


def test_host_system_hides_what_is_not_programs() -> None:
    Path("/etc/shadow").stat()
    shell("[ ! -e /etc/shadow ] && [ ! -e /sys ] && [ ! -e /boot ] && [ ! -e /var/lib ]")
    # A Python that lives in a home directory is shown there, and nothing else is.
    prefixes = defaults.python_prefixes()
    for folder in ("/root", "/home", "/run"):
        way = {Path(p).relative_to(folder).parts[0] for p in prefixes if p.startswith(f"{folder}/")}
        assert set(shell(f"ls -A {folder} 2>/dev/null; :").split()) == way
    assert shell('[ "$HOME" = /root ] && touch ~/x && [ ! -e ~/.bashrc ] && echo ok') == "ok\n"


def test_running_python_works_at_once() -> None:
    done = crabcan.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("42\n", "")
    assert crabcan.run(["python3", "-c", "print(1)"], capture_output=True).stdout == b"1\n"


def test_hostname() -> None:
    assert shell("hostname", hostname="moon") == "moon\n"
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}\n", shell("hostname"))
    assert os.uname().nodename not in (shell("hostname").strip(), "moon")


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRABCAN_SECRET", "hunter2")
    names = {line.split("=")[0] for line in shell("env").splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "TERM", "LANG"}
    assert shell("echo $A-$HOME", env={"A": "b", "PATH": "/bin"}) == "b-\n"


def test_cwd() -> None:
    assert shell("pwd") == "/\n"
    assert shell("pwd", cwd="/usr/bin") == "/usr/bin\n"
    with pytest.raises(crabcan.SetupError, match=r"working directory /nope: ENOENT") as caught:
        crabcan.run(["true"], cwd="/nope")
    assert caught.value.step == "cwd"


def test_loopback_is_up_and_alone() -> None:
    lines = shell("cat /proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]


def test_symlink_in_the_root_cannot_lead_a_mount_outside(
    busybox_root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (busybox_root / "tmp").symlink_to("../outside")
    (busybox_root / "outside").mkdir()
    shell("echo inside > /tmp/file", root=busybox_root)
    assert list(outside.iterdir()) == []
    assert stat.S_ISLNK((busybox_root / "tmp").lstat().st_mode)
