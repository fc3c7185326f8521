"""run(), its errors, and its arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import crabcan


def test_capture_and_text() -> None:
    done = crabcan.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True)
    assert (done.args[0], done.returncode, done.stdout, done.stderr) == (
        "sh",
        3,
        b"out\n",
        b"err\n",
    )
    assert isinstance(done, subprocess.CompletedProcess)
    with pytest.raises(subprocess.CalledProcessError):
        done.check_returncode()


def test_much_output() -> None:
    done = crabcan.run(["head", "-c", "5000000", "/dev/zero"], capture_output=True, timeout=60)
    assert done.stdout == bytes(5_000_000)


def test_input_in_bytes_and_text() -> None:
    big = os.urandom(3_000_000)  # more than a pipe holds, both ways at once
    assert crabcan.run(["cat"], input=big, capture_output=True).stdout == big
    done = crabcan.run(["cat"], input="h\u00e9\n", capture_output=True, text=True)
    assert done.stdout == "h\u00e9\n"
    latin = crabcan.run(
        ["od", "-An", "-tx1"], input="\u00e9", encoding="latin-1", stdout=crabcan.PIPE
    )
    assert latin.stdout.split() == ["e9"]
    assert crabcan.run(["true"], input=big, capture_output=True).returncode == 0  # nobody reads
    assert crabcan.run(["cat"], stdin=crabcan.PIPE, stdout=crabcan.PIPE).stdout == b""


def test_where_output_goes(tmp_path: Path) -> None:
    script = "echo out; echo err >&2"
    done = crabcan.run(["sh", "-c", script], stdout=crabcan.PIPE, stderr=crabcan.STDOUT)
    assert (done.stdout, done.stderr) == (b"out\nerr\n", None)
    done = crabcan.run(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert (done.stdout, done.stderr) == (None, b"err\n")
    with open(tmp_path / "f", "wb") as file:
        crabcan.run(["sh", "-c", script], stdout=file, stderr=subprocess.STDOUT)
    assert (tmp_path / "f").read_bytes() == b"out\nerr\n"
    assert crabcan.run(["cat"], stdin=crabcan.DEVNULL, capture_output=True).stdout == b""


def test_check() -> None:
    assert crabcan.run(["true"], check=True).returncode == 0
    with pytest.raises(subprocess.CalledProcessError) as caught:
        crabcan.run(["sh", "-c", "echo why; exit 3"], check=True, capture_output=True)
    assert isinstance(caught.value, crabcan.CalledProcessError)
    assert (caught.value.returncode, caught.value.output) == (3, b"why\n")
    with pytest.raises(crabcan.CalledProcessError, match="SIGKILL"):
        crabcan.run(["sh", "-c", "kill -9 $$"], check=True)


def test_errors_in_decoding() -> None:
    command = ["printf", "a\\377b"]
    assert crabcan.run(command, capture_output=True, errors="replace").stdout == "a\ufffdb"
    with pytest.raises(UnicodeDecodeError):
        crabcan.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"input": b"x", "stdin": subprocess.PIPE}, ValueError),
        ({"capture_output": True, "stdout": subprocess.PIPE}, ValueError),
        ({"input": "x"}, TypeError),
        ({"input": b"x", "text": True}, TypeError),
        ({"stdout": subprocess.STDOUT}, ValueError),
    ],
)
def test_streams_that_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        crabcan.run(["true"], **arguments)


def test_timeout_kills_and_keeps_what_came() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        crabcan.run(["sh", "-c", "echo early; sleep 100"], capture_output=True, timeout=0.5)
    assert caught.value.output == b"early\n"
    assert isinstance(caught.value, crabcan.Error)


def test_command_that_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match="ENOENT") as caught:
        crabcan.run(["no-such-command"])
    assert isinstance(caught.value, crabcan.CommandNotFound)
    assert caught.value.advice


def test_command_that_is_not_executable() -> None:
    with pytest.raises(PermissionError, match="EACCES") as caught:
        crabcan.run(["/etc/passwd"])
    assert isinstance(caught.value, crabcan.CommandNotExecutable)


def test_closed_standard_descriptors_become_dev_null() -> None:
    script = (
        "import os, crabcan\n"
        "for fd in (0, 1, 2): os.close(fd)\n"
        "command = ['stat', '-L', '-c', '%t:%T', '/proc/self/fd/0']\n"
        "done = crabcan.run(command, capture_output=True)\n"
        "os._exit(done.stdout != b'1:3\\n')\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"args": []}, crabcan.ArgumentInvalid, "command"),
        ({"args": "echo hello"}, crabcan.ArgumentInvalid, r"\['echo', 'hello'\]"),
        ({"args": ["a\0b"]}, crabcan.ArgumentInvalid, "NUL"),
        ({"args": [3]}, TypeError, r"command\[0\]"),
        ({"root": "/nonexistent"}, crabcan.ArgumentInvalid, "root.*no directory"),
        ({"root": "/"}, crabcan.ArgumentInvalid, "leave root out"),
        ({"uid": -1}, crabcan.ArgumentInvalid, "uid: -1"),
        ({"uid": 2**32 - 1}, crabcan.ArgumentInvalid, "uid"),
        ({"uid": "0"}, TypeError, "uid"),
        ({"uid": True}, TypeError, "uid"),
        ({"cwd": "usr"}, crabcan.ArgumentInvalid, "absolute"),
        ({"env": {"A=B": "c"}}, crabcan.ArgumentInvalid, "A=B"),
        ({"env": {"A": 1}}, TypeError, "env"),
        ({"hostname": "x" * 65}, crabcan.ArgumentInvalid, "64 bytes"),
        ({"root_writable": True}, crabcan.ArgumentInvalid, "root_writable"),
        ({"root_writable": 1}, TypeError, "root_writable"),
        ({"stdin": "x"}, TypeError, "stdin"),
        ({"stdin": 999}, crabcan.ArgumentInvalid, "stdin.*open"),
    ],
)
def test_bad_arguments_are_refused_by_name(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        crabcan.run(**{"args": ["true"], **arguments})


def test_a_failed_mount_is_named(busybox_root: Path) -> None:
    (busybox_root / "proc").write_text("a file where a directory must be")
    with pytest.raises(crabcan.SetupError, match=r"mounts\[0\]: proc on /proc") as caught:
        crabcan.run(["true"], root=busybox_root)
    assert (caught.value.step, caught.value.index) == ("mount", 0)
    assert caught.value.errno


def out(*args: Any, **options: Any) -> str:
    done = crabcan.run(*args, capture_output=True, text=True, check=True, **options)
    return str(done.stdout)


def test_shell_and_executable() -> None:
    assert out("echo $((6 * 7)) $0", shell=True) == "42 /bin/sh\n"
    assert out(["echo $0 $1", "a", "b"], shell=True) == "a b\n"
    assert out("echo $BASH_VERSION", shell=True, executable="/bin/bash") != "\n"
    assert out(["name", "-c", "echo $0"], executable="/bin/sh") == "name\n"


def test_who_it_is_by_the_names_of_subprocess(busybox_root: Path) -> None:
    assert out(["id", "-u"], user=0) == "0\n"
    assert out(["id", "-g"], user="root", group=0) == "0\n"
    (busybox_root / "etc").mkdir()
    (busybox_root / "etc" / "group").write_text("root:x:0:\nstaff:x:0:\n")
    assert out(["id", "-g"], root=busybox_root, group="staff") == "0\n"
    with pytest.raises(crabcan.ArgumentInvalid, match="group: 'stuff'"):
        crabcan.run(["id"], root=busybox_root, group="stuff")
    with pytest.raises(crabcan.ArgumentInvalid, match="gid"):
        crabcan.run(["id"], group=0, gid=0)
    if os.geteuid() == 0:  # an ordinary user's container has one group only
        assert out(["id", "-G"], extra_groups=[7, "root"]) == "0 7\n"
    assert out("umask", shell=True, umask=0o77) == "0077\n"
    assert out("umask", shell=True, umask=-1) == "0022\n"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"preexec_fn": print}, "cwd, umask"),
        ({"close_fds": False}, "pass_fds"),
        ({"process_group": 7}, "group of its own"),
        ({"restore_signals": False}, "default"),
        ({"creationflags": 8}, "Windows"),
    ],
)
def test_what_a_container_cannot_have(options: dict[str, Any], advice: str) -> None:
    name = next(iter(options))
    with pytest.raises(crabcan.ArgumentInvalid, match=f"{name}: .*{advice}"):
        crabcan.run(["true"], **options)
    with pytest.raises(crabcan.ArgumentInvalid, match=f"{name}: .*{advice}"):
        crabcan.Popen(["true"], **options)


def test_what_a_container_has_anyway() -> None:
    done = crabcan.run(
        ["true"], close_fds=True, start_new_session=True, restore_signals=True, process_group=0
    )
    assert done.returncode == 0


def test_sizes_of_buffers_and_pipes() -> None:
    script = "import fcntl; print(fcntl.fcntl(1, fcntl.F_GETPIPE_SZ))"
    assert out([sys.executable, "-c", script], bufsize=0, pipesize=4096) == "4096\n"


def test_universal_newlines() -> None:
    done = crabcan.run(["printf", "a\\r\\nb"], stdout=crabcan.PIPE, universal_newlines=True)
    assert done.stdout == "a\nb"
    with pytest.raises(subprocess.SubprocessError, match="universal_newlines"):
        crabcan.run(["true"], text=False, universal_newlines=True)
