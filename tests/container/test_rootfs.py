"""crabcan root create: each kind of root, and archives that mean harm."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import crabcan
from crabcan import rootfs

ROOT = os.geteuid() == 0


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", *words], capture_output=True, text=True, timeout=110
    )


def test_busybox(tmp_path: Path) -> None:
    done = cli("root", "create", str(tmp_path / "new" / "box"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "crabcan: copying busybox\n"
    script = "id -un; echo $((6*7)) | tee /tmp/x; ls -d /proc/1"
    done = cli("run", "--root", str(tmp_path / "new" / "box"), "--", "sh", "-c", script)
    assert done.stdout == "root\n42\n/proc/1\n"
    assert os.listdir(tmp_path / "new") == ["box"]


def test_python_with_packages(tmp_path: Path) -> None:
    root = str(tmp_path / "py")
    done = cli("root", "create", "--from", "python", "--packages", "six", root)
    assert done.returncode == 0, done.stderr
    assert "installing six" in done.stderr
    script = "import six, ssl, sqlite3, ctypes, sys; print(sys.version_info[:2])"
    done = cli("run", "--root", root, "--", "python3", "-c", script)
    assert done.stdout == f"{sys.version_info[:2]}\n", done.stderr
    assert cli("run", "--root", root, "--", "sh").returncode == 127


def test_debian(tmp_path: Path) -> None:
    """From the sources of this machine's apt."""
    root = str(tmp_path / "deb")
    done = cli("root", "create", "--from", "debian", "--packages", "bc", root)
    assert done.returncode == 0, done.stderr
    assert "installing Debian's packages bc" in done.stderr
    script = "echo 6*7 | bc; cat /etc/debian_version; find / -xdev -perm /6000 -type f"
    done = cli("run", "--root", root, "--", "sh", "-c", script)
    assert done.stdout.splitlines()[0] == "42", done.stderr
    assert len(done.stdout.splitlines()) == 2


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(path)


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    found.mode = 0o755
    for field, value in fields.items():
        setattr(found, field, value)
    return found


def test_archive(tmp_path: Path) -> None:
    busybox = Path("/bin/busybox").read_bytes()
    path = archive(
        tmp_path / "a.tgz",
        (member("./bin/busybox"), busybox),
        (member("./bin/sh", tarfile.SYMTYPE, linkname="/bin/busybox"), b""),
        (member("./bin/suid", mode=0o6755, uid=7, gid=8), b"x"),
        (member("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        (member("./etc/secret", mode=0o600, uid=9, gid=9), b"kept"),
    )
    root = tmp_path / "root"
    rootfs.create(root, path)
    assert crabcan.run(["/bin/sh", "-c", "exit 3"], root=root).returncode == 3
    assert os.stat(root / "bin" / "suid").st_mode & 0o7777 == 0o755
    assert os.stat(root / "etc" / "secret").st_mode & 0o7777 == 0o600
    if ROOT:
        assert (os.stat(root / "bin/suid").st_uid, os.stat(root / "etc/secret").st_gid) == (7, 9)
    assert os.listdir(root / "dev") == []


def test_archives_that_mean_harm(tmp_path: Path) -> None:
    """Nothing outside of the new directory is touched, whatever tar makes of them."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    for number, members in enumerate((
        [(member("../outside/a"), b"x")],
        [(member(f"{outside}/b"), b"x")],
        [(member("link", tarfile.SYMTYPE, linkname=str(outside)), b""), (member("link/c"), b"x")],
        [(member("up", tarfile.SYMTYPE, linkname="../outside"), b""), (member("up/d"), b"x")],
        [(member("hard", tarfile.LNKTYPE, linkname="/etc/passwd"), b"")],
        [(member("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0), b"")],
    )):  # fmt: skip
        path = archive(tmp_path / f"{number}.tgz", *members)
        with contextlib.suppress(rootfs.RootError):
            rootfs.create(tmp_path / f"root-{number}", path)
        assert os.listdir(outside) == []
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--from", "nope", "new"], "'nope'"),
        (["--from", "busybox:1", "new"], "busybox:1"),
        (["--packages", "x", "new"], "packages"),
        (["full"], "there already"),
        (["--from", "broken.tar", "new"], "tar cannot unpack"),
        (["--from", "python", "--packages", "no-such-package-crabcan", "new"], "pip"),
        ([], "a directory"),
    ],
)
def test_what_is_wrong_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "broken.tar").write_bytes(b"no archive" * 100)
    done = cli("root", "create", *words)
    assert done.returncode == 125
    assert what in done.stderr
    assert sorted(os.listdir()) == ["broken.tar", "full"]


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for source, advice in (("busybox", "busybox-static"), ("debian", "apt install mmdebstrap")):
        with pytest.raises(rootfs.RootError, match=advice):
            rootfs.create(tmp_path / "new", source)
    assert os.listdir(tmp_path) == []
