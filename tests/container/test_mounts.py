"""Mounts: each kind, what it shows, what it refuses, and that hostile roots lead nowhere."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import crabcan
from crabcan import (
    Bind,
    Dev,
    Directory,
    File,
    Mqueue,
    Overlay,
    Proc,
    Symlink,
    Sysfs,
    Tmpfs,
)

Run = Callable[..., str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory of the host with a file in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_text("host\n")
    return folder


def test_bind_is_read_only(data: Path, inside: Run) -> None:
    mounts = [Bind(data, "/in/deep")]
    assert inside("cat /in/deep/file; ! touch /in/deep/new 2>/dev/null", mounts=mounts) == "host\n"
    assert os.listdir(data) == ["file"]


def test_bind_read_only_holds_below(inside: Run) -> None:
    # /dev has file systems of its own below it: recursive means all of them.
    lines = inside(
        "cat /proc/self/mountinfo", mounts=[Bind("/dev", "/hostdev", dev=True, idmap=False)]
    )
    seen = [line.split() for line in lines.splitlines() if line.split()[4].startswith("/hostdev")]
    assert seen
    assert all("ro" in fields[5].split(",") for fields in seen)


def test_bind_keeps_owners_and_gives_them_back(data: Path, inside: Run) -> None:
    mounts = [Bind(data, "/in", writable=True)]
    assert (
        inside("echo new > /in/new; stat -c %u /in/file /in/new", mounts=mounts).split()
        == ["0"] * 2
    )
    assert (data / "new").stat().st_uid == os.geteuid()
    assert (data / "new").read_text() == "new\n"


def test_other_owners_are_never_wrong(data: Path, inside: Run) -> None:
    if os.geteuid() != 0:
        # Only one id is mapped: any other is shown as nobody.
        assert inside("stat -c %u /usr") == "65534\n"
        return
    os.chown(data / "file", 1234, 1234)
    assert inside("stat -c %u /in/file", mounts=[Bind(data, "/in")]) == "1234\n"
    without = [Bind(data, "/in", idmap=False)]
    assert inside("stat -c %u /in/file", mounts=without) == "65534\n"


def test_a_file_system_without_idmap_is_an_error(inside: Run) -> None:
    if os.geteuid() != 0:
        assert inside("ls /p/self/status", mounts=[Bind("/proc", "/p")])  # no idmap is needed
        return
    with pytest.raises(crabcan.SetupError, match="bind /proc on /p: EINVAL") as caught:
        inside("true", mounts=[Bind("/proc", "/p")])
    assert caught.value.step == "idmap"
    assert "idmap=False" in str(caught.value)
    inside("true", mounts=[Bind("/proc", "/p", idmap=False)])


@pytest.mark.parametrize(
    ("option", "flag", "given"),
    [("suid", "nosuid", False), ("dev", "nodev", False), ("exec", "noexec", True)],
)
def test_flags(option: str, flag: str, given: bool, data: Path, inside: Run) -> None:
    for value in (False, True):
        for mount in (
            Bind(data, "/in", **{option: value}),
            Tmpfs("/in", **{option: value}),
        ):
            line = inside("grep ' /in ' /proc/self/mountinfo", mounts=[mount])
            assert (flag in line.split()[5].split(",")) is not value
    default = inside("grep ' /in ' /proc/self/mountinfo", mounts=[Bind(data, "/in")])
    assert (flag in default.split()[5].split(",")) is not given


def test_file_bind(data: Path, inside: Run) -> None:
    assert inside("cat /etc/motd", mounts=[Bind(data / "file", "/etc/motd")]) == "host\n"


def test_tmpfs(inside: Run) -> None:
    mounts = [Tmpfs("/t", size="1M", mode=0o750)]
    script = "stat -c %a /t; ! head -c 2000000 /dev/zero > /t/x 2>/dev/null; stat -c %s /t/x"
    mode, size = inside(script, mounts=mounts).split()
    assert mode == "750"
    assert int(size) <= 1 << 20
    assert inside("stat -f -c %c /t", mounts=mounts) == "1024\n"
    # An empty file is memory too: all that take nothing else take half of the size at most.
    sizes = inside("for d in /tmp /var/tmp /root /dev /dev/shm; do stat -f -c '%b %S %c' $d; done")
    for line in sizes.splitlines():
        blocks, block, files = map(int, line.split())
        assert files == max(1024, blocks * block // 2048), line


def test_overlay_over_the_root_is_thrown_away(busybox_root: Path, inside: Run) -> None:
    before = sorted(os.listdir(busybox_root / "bin"))
    script = "rm /bin/od; echo new > /bin/new; cat /bin/new; echo x > /y; [ ! -e /bin/od ]"
    assert inside(script, root=busybox_root, mounts=[Overlay()]) == "new\n"
    assert sorted(os.listdir(busybox_root / "bin")) == before
    assert not (busybox_root / "y").exists()


def test_overlay_that_is_kept(busybox_root: Path, tmp_path: Path, inside: Run) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    mounts = [Overlay(upper=layer)]
    inside("rm /bin/od; echo kept > /bin/new", root=busybox_root, mounts=mounts)
    assert (layer / "upper" / "bin" / "new").read_text() == "kept\n"
    assert (layer / "upper" / "bin" / "new").stat().st_uid == os.geteuid()
    assert inside("cat /bin/new; [ ! -e /bin/od ]", root=busybox_root, mounts=mounts) == "kept\n"
    assert (busybox_root / "bin" / "od").exists()
    os.chmod(layer / "work" / "work", 0o700)  # the kernel leaves it closed


def test_overlay_over_a_directory(data: Path, inside: Run) -> None:
    mounts = [Overlay("/in", data)]
    assert inside("cat /in/file; echo y > /in/file; cat /in/file", mounts=mounts) == "host\ny\n"
    assert (data / "file").read_text() == "host\n"


def test_file_from_bytes_and_from_a_descriptor(inside: Run) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe\n")
    os.close(writer)
    mounts = [
        File("/etc/one", b"a\0b\n", mode=0o600),
        File("/etc/two", "text\n"),
        File("/etc/three", fd=reader),
    ]
    os.close(reader)
    assert inside("stat -c %a /etc/one; wc -c < /etc/one", mounts=mounts).split() == ["600", "4"]
    assert inside("cat /etc/two /etc/three", mounts=mounts) == "text\nfrom a pipe\n"
    inside("! (echo x > /etc/two) 2>/dev/null", mounts=mounts)


def test_directory_symlink_and_the_kernels_own(inside: Run) -> None:
    mounts = [
        Directory("/a/b", mode=0o711),
        Symlink("/link", "/a/b"),
        Proc("/proc2"),
        Dev("/dev2"),
        Mqueue("/mq"),
        Sysfs("/sys"),
    ]
    script = (
        "stat -c %a /link/; readlink /link; cat /proc2/self/comm; [ -c /dev2/null ];"
        "grep -c mqueue /proc/mounts; ls /sys/firmware | wc -l; [ -d /sys/class ]"
    )
    assert inside(script, mounts=mounts).split() == ["711", "/a/b", "cat", "2", "0"]
    inside("! touch /sys/x 2>/dev/null; ! (echo x > /proc2/sys/kernel/hostname) 2>/dev/null",
           mounts=mounts)  # fmt: skip


def test_without_the_default_mounts(busybox_root: Path, inside: Run) -> None:
    assert inside("ls /", root=busybox_root, default_mounts=False).split() == ["bin"]
    mounts = [Proc()]
    seen = inside(
        "cat /proc/self/mountinfo", root=busybox_root, default_mounts=False, mounts=mounts
    )
    assert {line.split()[4].split("/")[1] for line in seen.splitlines()} == {"", "proc"}


def test_ptys_and_shared_memory_are_its_own(inside: Run) -> None:
    assert inside("ls /dev/pts; ls /dev/shm") == "ptmx\n"
    script = "import os; m, s = os.openpty(); print(os.ttyname(s))"
    assert inside(f"python3 -c '{script}'") == "/dev/pts/0\n"
    inside("echo x > /dev/shm/x")


def test_devices_and_set_user_id_files_of_the_root_count_for_nothing(
    busybox_root: Path, inside: Run
) -> None:
    options = inside("grep ' / ' /proc/self/mountinfo", root=busybox_root).split()[5]
    assert {"ro", "nosuid", "nodev"} <= set(options.split(","))
    if os.geteuid() == 0:
        os.mknod(busybox_root / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        os.chmod(busybox_root / "zero", 0o666)
        inside("[ -c /zero ]; ! head -c 1 /zero 2>/dev/null", root=busybox_root)
        inside("[ -c /zero ]; ! head -c 1 /zero 2>/dev/null", root=busybox_root, root_writable=True)


def hostile_targets(outside: Path) -> dict[str, str]:
    return {"dev": "/etc", "proc": "../../../../..", "tmp": str(outside), "mnt": "../outside"}


@pytest.mark.parametrize("name", ["dev", "proc", "tmp", "mnt"])
def test_hostile_symlinks_in_the_root(
    name: str, busybox_root: Path, tmp_path: Path, inside: Run
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    before = sorted(os.listdir("/etc"))
    (busybox_root / name).symlink_to(hostile_targets(outside)[name])
    # What a link leads to is looked for inside the root, and is not there; proc's is the root.
    with pytest.raises(crabcan.SetupError, match=r"on /\w+(/t)?: (ENOENT|ELOOP|EBUSY)") as caught:
        inside("true", root=busybox_root, mounts=[Tmpfs("/mnt/t")])
    assert caught.value.step == "mount"
    assert caught.value.advice
    assert os.listdir(outside) == []
    assert sorted(os.listdir("/etc")) == before


RENAME_EXCHANGE = 2  # renameat2(2)


def test_a_component_swapped_while_mounting(busybox_root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = busybox_root / "place"
    place.mkdir()
    link = tmp_path / "link"
    link.symlink_to(outside)
    stop = threading.Event()
    libc = ctypes.CDLL(None)
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        paths = os.fsencode(place), os.fsencode(link)
        while not stop.is_set():
            swaps += libc.renameat2(-100, paths[0], -100, paths[1], RENAME_EXCHANGE) == 0

    thread = threading.Thread(target=swap)
    thread.start()
    landed = 0
    try:
        for _ in range(60):
            with contextlib.suppress(crabcan.Error):
                done = crabcan.run(
                    ["sh", "-c", "echo x > /place/a/x"],
                    root=busybox_root,
                    mounts=[Tmpfs("/place/a")],
                    capture_output=True,
                )
                landed += done.returncode == 0
            assert os.listdir(outside) == []
    finally:
        stop.set()
        thread.join()
    assert swaps > 60
    print(f"{swaps} swaps, {landed} of 60 containers wrote to their own file system")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Bind("/nonexistent", "/x"), "Bind.source"),
        (lambda: Bind("/etc", "relative"), "Bind.target"),
        (lambda: Bind("/etc", "/a/../../b"), "Bind.target"),
        (lambda: Bind("/etc", "/"), "Bind.target"),
        (lambda: Tmpfs("/x", size="huge"), "Tmpfs.size"),
        (lambda: Tmpfs("/x", mode=0o77777), "Tmpfs.mode"),
        (lambda: Overlay("/x"), "Overlay.source"),
        (lambda: File("/x"), "File.content"),
        (lambda: File("/x", b"a", fd=0), "File.content"),
        (lambda: Symlink("/x", "a\0b"), "Symlink.source"),
    ],
)
def test_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid) as caught:
        make()
    assert str(caught.value).startswith(f"{field}: ")
    assert caught.value.advice


def test_refused_in_the_list() -> None:
    with pytest.raises(TypeError, match=r"mounts\[0\]"):
        crabcan.Container(["true"], mounts=["/etc"])  # type: ignore[list-item]
    with pytest.raises(crabcan.ArgumentInvalid, match="give a root"):
        crabcan.Container(["true"], mounts=[Overlay()])
