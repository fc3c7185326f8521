"""Ranges of sub-ids, from files of our own; and once with the real programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import crabcan
from crabcan import subids

SUBUID = """\
# the machine's
sally:100000:65536
1000:500000:10
bob:200000:65536
sally:300000:1000

sally:notanumber:1
sally:1:2:3
sally:400000
sally:400000:0
sally:0400000:9
sally:0:5
sally:4294967290:100
sally:-1:5
:7:7
"""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        "uid": write(tmp_path / "subuid", SUBUID),
        "gid": write(tmp_path / "subgid", "sally:700000:5\n"),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the two programs, which have no privilege yet."""
    for name in subids.PROGRAMS.values():
        (tmp_path / name).touch(0o755)
    return tmp_path


def test_ranges_by_name_and_by_number(files: dict[str, str]) -> None:
    found = subids.ranges("uid", 1000, name="sally", file=files["uid"])
    assert found == [(100000, 65536), (500000, 10), (300000, 1000), (1, 4)]
    assert subids.ranges("uid", 1000, name="", file=files["uid"]) == [(500000, 10)]
    assert subids.ranges("uid", 7, name="nobody", file=files["uid"]) == []
    assert subids.ranges("uid", 7, name="x", file="/nonexistent") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:10:10\na:15:10\n", [(10, 10), (20, 5)]),
        ("a:15:10\na:10:20\n", [(15, 10), (10, 5), (25, 5)]),
        ("a:10:10\na:10:10\n", [(10, 10)]),
        ("a:10:10\na:12:2\n", [(10, 10)]),
    ],
)
def test_overlaps_are_left_out(tmp_path: Path, text: str, expected: list[subids.Range]) -> None:
    file = write(tmp_path / "subuid", text)
    assert subids.ranges("uid", 1, name="a", file=file) == expected


def test_kind_is_checked() -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match="kind: 'pid' is refused - give 'uid'"):
        subids.ranges("pid", 0)


def test_maps(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subids, "programs", lambda folders: ("u", "g"))
    uid_map, gid_map = subids.maps(uid=1000, gid=700002, name="sally", files=files)
    assert uid_map == "0 1000 1\n1 100000 65536\n65537 500000 10\n65547 300000 1000\n66547 1 4\n"
    # The caller's own id is not mapped a second time.
    assert gid_map == "0 700002 1\n1 700000 2\n3 700003 2\n"
    assert gid_map.split()[:3] == ["0", "700002", "1"]


def test_a_map_fits_what_the_kernel_takes(tmp_path: Path, folder: Path) -> None:
    lines = "".join(f"a:{start}:7\n" for start in range(100000, 110000, 10))
    files = dict.fromkeys(subids.FILES, write(tmp_path / "sub", lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subids, "programs", lambda folders: ("u", "g"))
        text = subids.maps(uid=1, gid=1, name="a", files=files)[0]
    assert 4000 < len(text) < 4096
    assert text.endswith(" 7\n")


def test_no_entry(files: dict[str, str]) -> None:
    advice = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 bob"
    with pytest.raises(crabcan.NotSupported, match=f"user bob has no range .*subgid - .*{advice}"):
        subids.maps(uid=1001, gid=1001, name="bob", files=files)
    with pytest.raises(crabcan.NotSupported, match=r"user 7 has no range .*subuid - "):
        subids.maps(uid=7, gid=7, name="", files=files)


def test_program_missing(tmp_path: Path) -> None:
    with pytest.raises(crabcan.NotSupported, match="newuidmap is not in .* apt-get install uidmap"):
        subids.programs(folders=(str(tmp_path),))


def test_program_without_privilege(folder: Path) -> None:
    with pytest.raises(crabcan.NotSupported, match=r"neither the setuid bit .* chmod u\+s"):
        subids.programs(folders=(str(folder),))


def test_no_new_privs() -> None:
    script = "from crabcan import subids\ntry: subids.programs()\nexcept Exception as e: print(e)"
    words = ["setpriv", "--no-new-privs", sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        "userns 'subids': no_new_privs is set, so newuidmap and newgidmap gain no "
    )


def test_program_with_the_setuid_bit(folder: Path) -> None:
    if os.geteuid() != 0:  # a file of one's own is set-user-ID to nobody who may map ids
        for name in subids.PROGRAMS.values():
            (folder / name).chmod(0o4755)
        with pytest.raises(crabcan.NotSupported, match="newuidmap has neither"):
            subids.programs(folders=(str(folder),))
        return
    for name in subids.PROGRAMS.values():
        (folder / name).chmod(0o4755)
    found = subids.programs(folders=("/nonexistent", str(folder)))
    assert found == (str(folder / "newuidmap"), str(folder / "newgidmap"))


def test_program_with_a_file_capability(folder: Path) -> None:
    if os.geteuid() != 0:
        with pytest.raises(crabcan.NotSupported, match="newuidmap has neither"):
            subids.programs(folders=(str(folder),))
        return
    # struct vfs_cap_data, version 2, effective; permitted: CAP_SETUID.
    data = (0x02000001).to_bytes(4, "little") + (1 << 7).to_bytes(4, "little") + bytes(12)
    for name in subids.PROGRAMS.values():
        os.setxattr(folder / name, "security.capability", data)
    with pytest.raises(crabcan.NotSupported, match="newgidmap has neither"):
        subids.programs(folders=(str(folder),))


def accounts(tmp_path: Path, uids: list[int], gids: list[int]) -> dict[str, str]:
    passwd = "".join(f"u{n}:x:{n}:{n}::/:/bin/sh\n" for n in uids)
    group = "".join(f"g{n}:x:{n}:\n" for n in gids)
    return {
        "uid": write(tmp_path / "passwd", passwd + "+::::::\n"),
        "gid": write(tmp_path / "group", group),
    }


@pytest.mark.parametrize(
    ("subuid", "subgid", "uids", "gids", "start"),
    [
        ("", "", [0], [0], 0x70000000),
        ("root:100000:65536\n", "root:100000:65536\n", [0], [0], 100000),
        ("containers:2147483647:2147483648\n", "containers:2147483647:2147483648\n",
         [0], [0], 2147483647),
        ("containers:200000:65536\nroot:300000:65536\n",
         "containers:200000:65536\nroot:300000:65536\n", [0], [0], 300000),
        ("root:100000:65536\n", "", [0], [0], 0x70000000),
        ("root:100000:65536\n", "root:100001:65536\n", [0], [0], 0x70000000),
        ("root:100000:70000\n", "root:100001:70000\n", [0], [0], 100001),
        ("root:0:65536\n", "root:0:65536\n", [], [], 0x70000000),
        ("root:100000:65536\n", "root:100000:65536\n", [0, 100005], [0], 0x70000000),
        ("root:100000:65536\n", "root:100000:65536\n", [0], [165535], 0x70000000),
        ("root:100000:65536\n", "root:100000:65536\n", [0], [165536], 100000),
        ("", "", [0x70000007], [0x7001FFFF], 0x70020000),
        ("sally:1879048200:1\n", "", [0], [0], 0x70010000),
    ],
)  # fmt: skip
def test_high_range(
    tmp_path: Path, subuid: str, subgid: str, uids: list[int], gids: list[int], start: int
) -> None:
    files = {
        "uid": write(tmp_path / "subuid", subuid),
        "gid": write(tmp_path / "subgid", subgid),
    }
    found = subids.high_range(files=files, accounts=accounts(tmp_path, uids, gids))
    assert found == (start, 65536)


def test_high_range_sees_a_change(tmp_path: Path) -> None:
    files = dict.fromkeys(subids.FILES, write(tmp_path / "sub", ""))
    assert subids.high_range(files=files)[0] == subids.HIGH_START
    write(tmp_path / "sub", "root:500000000:65536\n")
    assert subids.high_range(files=files)[0] == 500000000
    (tmp_path / "sub").unlink()
    assert subids.high_range(files=files)[0] == subids.HIGH_START


def test_high_range_of_this_machine() -> None:
    start, count = subids.high_range()
    assert 0 < start < start + count < 2**32


def test_no_high_range_is_left(tmp_path: Path) -> None:
    files = dict.fromkeys(subids.FILES, write(tmp_path / "sub", "a:1879048192:268435456\n"))
    with pytest.raises(crabcan.NotSupported, match="no 65536 ids .* are free - "):
        subids.high_range(files=files)


def test_newuidmap_takes_the_maps() -> None:
    """With the real programs, for a user who has ranges."""
    try:
        uid_map, gid_map = subids.maps()
        uid_program, gid_program = subids.programs()
    except crabcan.NotSupported as error:
        assert error.advice  # noqa: PT017
        return  # root has none here, and needs none
    unshare = shutil.which("unshare")
    assert unshare
    with subprocess.Popen([unshare, "--user", "sleep", "60"]) as target:
        try:
            while os.readlink(f"/proc/{target.pid}/ns/user") == os.readlink("/proc/self/ns/user"):
                assert target.poll() is None
            for program, text, kind in ((uid_program, uid_map, "u"), (gid_program, gid_map, "g")):
                subprocess.run([program, str(target.pid), *text.split()], check=True)
                written = Path(f"/proc/{target.pid}/{kind}id_map").read_text()
                assert written.split() == text.split()
        finally:
            target.send_signal(signal.SIGKILL)
