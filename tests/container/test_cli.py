"""python -m crabcan run."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crabcan.cli import run


def crabcan(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", *words], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        (["run", "echo", "hi"], 0, "hi\n"),
        (["run", "--", "sh", "-c", "exit 7"], 7, ""),
        (["run", "sh", "-c", "kill -9 $$"], 137, ""),
        (["run", "-u", "5", "-c", "id -u"], 0, "5\n"),
        (["run", "--hostname=moon", "hostname"], 0, "moon\n"),
        (["run", "-e", "A=b", "sh", "-c", "echo $A"], 0, "b\n"),
        (["run", "--", "python3", "-c", "print(1)"], 0, "1\n"),
        (["run", "no-such-command"], 127, ""),
        (["run", "/etc/passwd"], 126, ""),
        (["run", "--mount", "/nonexistent", "true"], 125, ""),
        (["run", "--uid", "x", "true"], 125, ""),
        (["run"], 125, ""),
        (["rnu"], 125, ""),
    ],
)
def test_exit_code_and_output(words: list[str], code: int, out: str) -> None:
    done = crabcan(*words)
    assert (done.returncode, done.stdout) == (code, out), done.stderr
    assert "Traceback" not in done.stderr
    if code >= 125 and code < 128:
        what, advice = done.stderr.splitlines()
        assert what.startswith("crabcan: ")
        assert advice.startswith("  ")


def test_the_seeds_flags(busybox_root: Path) -> None:
    done = crabcan(
        "run", "-d", "-c", "/bin/sh -c 'id -u; exit 3'", "-u", "0", "-m", str(busybox_root)
    )
    assert (done.returncode, done.stdout) == (3, "0\n")
    lines = done.stderr.splitlines()
    form = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DEBUG|INFO ) crabcan[a-z.]*\] .+"
    assert all(re.fullmatch(form, line) for line in lines)
    story = [
        "Args {",
        "Linux release: ",
        "Container sockets: (",
        "mounting proc on /proc",
        "Creation finished",
        "Container child PID: ",
        "Waiting for child (pid ",
        "Starting container with command /bin/sh and args ['/bin/sh', '-c', 'id -u; exit 3']",
        "Finished, cleaning & exit",
        "Cleaning container",
        "Exit without any error, returning 3",
    ]
    texts = iter(line.split("] ", 1)[1] for line in lines)
    for part in story:
        assert any(text.startswith(part) for text in texts), part


def test_a_mistyped_option_is_answered_with_the_closest() -> None:
    assert "did you mean --hostname?" in crabcan("run", "--hostnme", "x", "true").stderr


def test_help_teaches(busybox_root: Path) -> None:
    """Each of its examples, as it stands."""
    here = busybox_root.parent
    (here / "out").mkdir()
    (here / "out").chmod(0o777)
    (here / "Makefile").write_text("all:\n")
    text = crabcan("run", "--help").stdout
    examples = re.findall(r"^  \S.*  (crabcan run .*)$", text, re.MULTILINE)
    assert len(examples) == 7
    for example in examples:
        words = shlex.split(example)[1:]
        if "make" in words:
            words[words.index("make")] = "true"  # which the container need not have
        done = subprocess.run(
            [sys.executable, "-m", "crabcan", *words],
            cwd=here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if "--memory" in words and os.geteuid() != 0 and done.returncode:
            assert "the memory controller is not to be had here" in done.stderr
        else:
            assert done.returncode == 0, (example, done.stderr)
    assert [path.name for path in (here / "out").iterdir()] == ["made"]


def test_docker_names(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\n\nA=from file\nB=b=b\nCRABCAN_TEST_HERE\nNOWHERE\n")
    os.environ["CRABCAN_TEST_HERE"] = "the caller's"
    words = ["--env-file", str(tmp_path / "env"), "-e", "A=given", "-e", "CRABCAN_TEST_HERE"]
    words += ["--workdir", "/tmp", "--ulimit", "nofile=64:128", "--read-only", "--rm", "-i"]
    words += ["--cpuset-cpus", str(min(os.sched_getaffinity(0))), "--pids-limit", "20"]
    words += ["--cap-add", "NET_RAW,chown", "--cap-drop", "CAP_CHOWN", "--hostname", "moon"]
    words += ["--user", "root", "--tmpfs", "/work:size=1M", "--network", "none", "--volume=/usr:/u"]
    script = (
        "echo $A $B $CRABCAN_TEST_HERE ${NOWHERE-none}; pwd; ulimit -n; hostname; nproc; "
        "ls -d /u/bin; grep CapBnd /proc/self/status"
    )
    done = crabcan("run", *words, "--", "bash", "-c", script)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "given b=b the caller's none",
        "/tmp",
        "64",
        "moon",
        "1",
        "/u/bin",
        "CapBnd:\t0000000000002000",
    ]


@pytest.mark.parametrize(
    ("words", "what", "advice"),
    [
        (["--memmory", "1m"], "no option --memmory", "did you mean --memory?"),
        (["--wrokdir", "/"], "no option --wrokdir", "did you mean --workdir?"),
        (["--cap-add", "net_rwa"], "'net_rwa'", "did you mean 'net_raw'?"),
        (["--deny-syscalls", "opennat"], "'opennat'", "did you mean 'openat'?"),
        (["--memory", "lots"], "limits.memory: 'lots'", "64M"),
        (["--env-file", "/nonexistent"], "/nonexistent", "NAME=VALUE"),
        (["--read-only", "--root-writable"], "both", "leave one out"),
        (["--network", "nnoe"], "'nnoe'", "none"),
        (["-x"], "no option -x", "--help"),
    ],
)
def test_what_is_wrong_and_what_to_do_in_two_lines(
    words: list[str], what: str, advice: str
) -> None:
    done = crabcan("run", *words, "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("crabcan: ")
    assert what in first
    assert second.startswith("  ")
    assert advice in second


def test_every_option_is_taken_and_told_once() -> None:
    names = [name for option in run.OPTIONS for name in option.names]
    assert len(set(names)) == len(names)
    text = crabcan("run", "--help").stdout
    for option in run.OPTIONS:
        assert option.spelling in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command(signum: signal.Signals) -> None:
    script = f"trap 'exit 33' {signum.name[3:]}; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [sys.executable, "-m", "crabcan", "run", "sh", "-c", script], stdout=subprocess.PIPE
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        time.sleep(0.1)
        caller.send_signal(signum)
        assert caller.wait(10) == 33


def test_the_tutorials_own_run(tmp_path: Path) -> None:
    """A root with bash alone, the libraries added by -a, uid 0, and an interactive shell."""
    root = tmp_path / "mountdir"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/bash", root / "bin")
    words = ["run", "--debug", "--mount", f"{root}/", "--uid", "0", "--command", "/bin/bash"]
    for library in ("/lib", "/lib64"):
        if Path(library).exists():
            words += ["-a", f"{library}:{library}"]
    terminal, tty = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "crabcan", *words],
            stdin=tty,
            stdout=tty,
            stderr=tty,
            start_new_session=True,
        ) as caller:
            os.close(tty)
            os.write(terminal, b"echo uid=$UID pid=$$ $((6 * 7))\necho /*\nexit 9\n")
            seen = _read_all(terminal)
            assert caller.wait(20) == 9, seen
    finally:
        os.close(terminal)
    assert "uid=0 pid=2 42" in seen, seen
    shown = next(line for line in seen.splitlines() if line.startswith("/bin /dev"))
    assert set(shown.split()) == {"/bin", "/dev", "/lib", "/lib64", "/proc", "/tmp"}


def _read_all(terminal: int) -> str:
    """What is written to a terminal until its other side is closed, which is EIO (pty(7))."""
    chunks = []
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 4096):
            chunks.append(chunk)
    return b"".join(chunks).decode().replace("\r\n", "\n")
