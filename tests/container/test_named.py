"""Named containers: started, found, asked, and forgotten, from Python and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crabcan
from crabcan import PIPE, _keeper, _state
from crabcan.cli import SUBCOMMANDS, named

LOOP = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state of this test's own; whatever it leaves running is ended."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path / "crabcan"
    with contextlib.suppress(crabcan.ContainerError):
        for found in crabcan.list():
            found.kill()
            found.wait()


def cli(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", *words],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        **options,
    )


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_from_start_to_end() -> None:
    one = crabcan.start(["sh", "-c", "echo out; echo err >&2; read x; exit 3"], name="one")
    assert (one.name, one.command[0]) == ("one", "sh")
    assert one.status in ("running", "exited (3)")
    assert one.wait(timeout=30) == 3  # its stdin is /dev/null
    assert (one.status, one.returncode, one.is_running) == ("exited (3)", 3, False)
    assert one.logs() == b"out\nerr\n"
    assert one.usage is not None
    assert one.usage.wall_time > 0
    assert [found.name for found in crabcan.list(all=True)] == ["one"]
    assert crabcan.list() == []
    one.remove()
    with pytest.raises(crabcan.NoSuchContainer, match="'one'"):
        crabcan.get("one")


def test_it_outlives_who_started_it(runtime: Path) -> None:
    script = "import crabcan; crabcan.start(['sleep', '1000'], name='alone')"
    subprocess.run([sys.executable, "-c", script], check=True)
    alone = crabcan.get("alone")
    assert alone.is_running
    assert Path(f"/proc/{alone.pid}").exists()
    alone.kill()
    assert alone.wait() == -9
    until(lambda: not Path(f"/proc/{alone.pid}").exists())


def test_names(runtime: Path) -> None:
    first = crabcan.start(["sleep", "1000"], name="first")
    with pytest.raises(crabcan.ContainerError, match="runs already.*crabcan kill first"):
        crabcan.start(["true"], name="first")
    first.kill()
    first.wait()
    again = crabcan.start(["true"], name="first")  # the one that has ended makes room
    assert again.wait() == 0
    unnamed = crabcan.start(["true"])
    assert re.fullmatch(r"\w+-\w+-\d+", unnamed.name)
    unnamed.wait()
    for name in ("", ".", "..", "a/b", "-x", "a" * 65, "a b", 5):
        with pytest.raises(crabcan.ArgumentInvalid, match="name"):
            crabcan.start(["true"], name=name)  # type: ignore[arg-type]
    with pytest.raises(crabcan.NoSuchContainer, match="did you mean 'first'"):
        crabcan.get("frist")


def test_errors_come_back_to_who_starts(runtime: Path) -> None:
    for command, options, error in (
        (["no-such-command"], {}, crabcan.CommandNotFound),
        (["true"], {"hostname": ""}, crabcan.ArgumentInvalid),
        (["true"], {"cwd": "/nonexistent"}, crabcan.DirectoryNotFound),
    ):
        with pytest.raises(error):
            crabcan.start(command, name="wrong", **options)  # type: ignore[arg-type]
        assert os.listdir(runtime) == []


def test_exec() -> None:
    box = crabcan.start(["sleep", "1000"], name="box", hostname="moon")
    with box.exec(["sh", "-c", "hostname; cat; exit 5"], stdin=PIPE, stdout=PIPE) as process:
        assert process.communicate(b"in") == (b"moon\nin", None)
    assert process.returncode == 5
    with box.exec(["sh", "-c", "tty; stty size"], tty=True) as process:
        assert process.terminal is not None
        seen = b""
        while chunk := process.terminal.read():
            seen += chunk
        assert process.wait() == 0
    assert seen == b"/dev/pts/0\r\n24 80\r\n"
    with pytest.raises(crabcan.CommandNotFound):
        box.exec(["no-such-command"])
    with pytest.raises(crabcan.ArgumentInvalid, match="cwd"):
        box.exec(["true"], cwd="relative")
    process = box.exec(["sleep", "1000"])
    assert process.poll() is None
    process.terminate()
    assert process.wait() == -15
    ended_with_it = box.exec(["sleep", "1000"])
    box.kill()
    assert ended_with_it.wait() == -9
    with pytest.raises(crabcan.ContainerError, match="has ended"):
        box.exec(["true"])


def test_an_exec_ends_with_who_asked_for_it() -> None:
    box = crabcan.start(["sleep", "1000"], name="box")
    script = "import crabcan; crabcan.get('box').exec(['sleep', '777']); import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", script], check=True)

    def commands() -> str:
        with box.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline"], stdout=PIPE) as process:
            return str(process.communicate()[0])

    until(lambda: "777" not in commands())


def test_stop_kill_signals_and_pause() -> None:
    polite = crabcan.start(["sh", "-c", "trap 'exit 7' TERM; " + LOOP], name="polite")
    until(polite.logs)
    assert polite.stop() == 7
    deaf = crabcan.start(["sh", "-c", "trap '' TERM; " + LOOP], name="deaf")
    until(deaf.logs)
    with pytest.raises(subprocess.TimeoutExpired):
        deaf.wait(timeout=0.1)
    deaf.pause()
    assert deaf.status == "paused"
    size = -1
    while size != len(deaf.logs()):  # what was on its way
        size = len(deaf.logs())
        time.sleep(0.3)
    deaf.unpause()
    assert deaf.status == "running"
    until(lambda: len(deaf.logs()) > size)
    assert deaf.stop(grace=0.2) == -9
    deaf.kill()  # has ended: left alone


def test_keeper_that_is_killed(runtime: Path) -> None:
    """The container dies with it, and what is left of both is cleaned by whoever looks."""
    lost = crabcan.start(["sleep", "1000"], name="lost")
    waiting: list[BaseException] = []

    def wait() -> None:
        try:
            lost.wait()
        except crabcan.ContainerError as error:
            waiting.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    os.kill(lost.state["keeper"], signal.SIGKILL)
    thread.join(timeout=30)
    assert "killed" in str(waiting[0])
    until(lambda: not Path(f"/proc/{lost.pid}").exists())
    assert crabcan.list(all=True) == []
    assert os.listdir(runtime) == []
    again = crabcan.start(["true"], name="lost")
    assert again.wait() == 0


def test_state_is_the_owners_alone(runtime: Path, tmp_path: Path) -> None:
    crabcan.start(["sleep", "1000"], name="mine")
    for path in (runtime, runtime / "mine"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (runtime / "mine" / "lock").stat().st_mode & 0o77 == 0
    crabcan.get("mine").kill()
    crabcan.get("mine").wait()
    runtime.chmod(0o755)
    with pytest.raises(crabcan.ContainerError, match="yours alone"):
        crabcan.list()
    runtime.chmod(0o700)
    os.rename(runtime, tmp_path / "elsewhere")
    runtime.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(crabcan.ContainerError, match="yours alone"):
        crabcan.list()


def test_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    flood = crabcan.start(["sh", "-c", "yes | head -c 20000000; echo end"], name="flood")
    assert flood.wait(timeout=60) == 0
    assert len(flood.logs()) + 65536 >= 4 << 20
    assert len(flood.logs()) <= 2 * _keeper.LOG_SIZE
    assert flood.logs().endswith(b"end\n")
    limited = crabcan.start(["yes"], name="limited", limits=crabcan.Limits(output="10K"))
    assert limited.wait(timeout=60) == -9


def test_follow() -> None:
    talker = crabcan.start(["sh", "-c", "sleep 0.3; echo a; sleep 0.3; echo b"], name="talker")
    assert b"".join(talker.follow()) == b"a\nb\n"


def test_many_at_once() -> None:
    failed: list[BaseException] = []

    def some(number: int) -> None:
        try:
            box = crabcan.start(["sleep", "1000"], name=f"box-{number}")
            assert box.exec(["sh", "-c", f"exit {number}"]).wait() == number
            box.kill()
            assert box.wait() == -9
            box.remove()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=some, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert crabcan.list(all=True) == []


def test_a_name_is_given_once() -> None:
    """However many ask at the same time."""
    names = [subprocess.Popen(
        [sys.executable, "-c", "import crabcan; crabcan.start(['sleep', '1000'], name='x')"],
        stderr=subprocess.DEVNULL,
    ) for _ in range(6)]  # fmt: skip
    assert sorted(process.wait() for process in names) == [0, 1, 1, 1, 1, 1]


def test_command_line() -> None:
    assert (
        cli("run", "--detach", "--name", "web", "--hostname", "moon", "--", "sh", "-c", LOOP).stdout
        == "web\n"
    )
    lines = cli("ps").stdout.splitlines()
    assert lines[0].split("\t") == ["NAME", "STATUS", "CREATED", "PID", "COMMAND"]
    assert lines[1].split("\t")[:2] == ["web", "running"]
    assert cli("ps", "-q").stdout == "web\n"
    assert json.loads(cli("ps", "--json").stdout)[0]["name"] == "web"
    assert cli("exec", "web", "hostname").stdout == "moon\n"
    assert (
        cli("exec", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "echo $A; pwd").stdout
        == "b\n/tmp\n"
    )
    assert cli("exec", "web", "sh", "-c", "exit 9").returncode == 9
    assert cli("exec", "web", "no-such-command").returncode == 127
    until(lambda: "line 3\n" in cli("logs", "web").stdout)
    stats = json.loads(cli("stats", "--json").stdout)[0]
    assert (stats["name"], stats["pids"] >= 1, stats["memory"] > 0) == ("web", True, True)
    assert "web" in cli("top", "-n", "1").stdout
    assert cli("pause", "web").returncode == 0
    assert "paused" in cli("ps").stdout
    assert cli("unpause", "web").returncode == 0
    state = json.loads(cli("inspect", "web").stdout)[0]
    assert (state["hostname"], state["spec"]["hostname"]) == ("moon", "moon")
    assert cli("stop", "web").returncode == 0
    assert cli("wait", "web").stdout == "143\n"
    assert "killed (15)" in cli("ps", "-a").stdout
    assert cli("rm", "web").returncode == 0
    assert cli("ps", "-a", "-q").stdout == ""


def test_a_container_in_the_foreground() -> None:
    words = [sys.executable, "-m", "crabcan", "run", "--name", "front", "--", "sh", "-c"]
    with subprocess.Popen([*words, "echo up; sleep 1000"], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert cli("exec", "front", "hostname").returncode == 0
        assert "foreground" in cli("attach", "front").stderr
        assert cli("run", "--name", "front", "true").returncode == 125
        assert cli("kill", "-s", "TERM", "front").returncode == 0
        assert process.wait(timeout=30) == 143
    assert crabcan.list(all=True) == []


def test_attach_streams() -> None:
    assert cli(
        "run",
        "--detach",
        "-i",
        "--name",
        "talk",
        "--",
        "sh",
        "-c",
        "while read x; do echo got $x; done",
    ).stdout
    with subprocess.Popen(
        [sys.executable, "-m", "crabcan", "attach", "talk"], stdin=PIPE, stdout=PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == "got hello\n"
        crabcan.get("talk").kill()
        assert process.wait(timeout=30) == 137


def test_attach_a_terminal_and_leave_it() -> None:
    cli("run", "--detach", "-t", "--name", "term", "-e", "PS1=> ", "--", "sh")
    for word in ("first", "second"):
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "crabcan", "attach", "term"])
        os.write(fd, b"echo %s-$((6*7))\n" % word.encode())
        seen = read_until(fd, f"{word}-42".encode())
        os.write(fd, b"\x10\x11")
        seen += read_until(fd, b"goes on")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(fd)
    assert crabcan.get("term").is_running
    crabcan.get("term").kill()


def read_until(fd: int, word: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 30
    while word not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([fd], [], [], 0.1)[0]:
            seen += os.read(fd, 4096)
    return seen


@pytest.mark.parametrize("name", named.COMMANDS)
def test_each_subcommand_has_help_and_two_lines_for_what_is_wrong(name: str) -> None:
    assert name in SUBCOMMANDS
    assert cli(name, "--help").stdout.startswith(f"usage: crabcan {name}")
    if name in ("ps", "top"):
        return
    done = cli(name, "no-such-name", *(("true",) if name == "exec" else ()))
    assert done.returncode == 125
    assert re.fullmatch(r"crabcan: there is no container 'no-such-name'\n  .*\n", done.stderr)
    if name != "stats":
        assert len(cli(name).stderr.splitlines()) == 2


def test_wrong_signals_and_numbers() -> None:
    assert "did you mean SIGTERM" in cli("kill", "-s", "TREM", "x").stderr
    assert "write --time 2.5" in cli("stop", "--time", "soon", "x").stderr
    assert "wall_time" in cli("run", "--detach", "--timeout", "3", "true").stderr


def test_entries_of_claims_that_were_never_finished(runtime: Path) -> None:
    crabcan.list()
    (runtime / ".half.999999999").mkdir()
    assert crabcan.list(all=True) == []
    assert os.listdir(runtime) == []
    assert _state.directory() == str(runtime)


def test_top_is_a_live_screen() -> None:
    """On a terminal: the alternate screen, drawn again and again, and left by q."""
    crabcan.start(["sh", "-c", "while :; do :; done"], name="busy", limits=crabcan.Limits(pids=5))
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        words = [sys.executable, "-m", "crabcan", "top", "--interval", "0.2"]
        os.execv(sys.executable, words)
    seen = read_until(fd, b"busy")
    assert b"\x1b[?1049h" in seen
    seen = read_until(fd, b"busy")
    assert re.search(rb"busy\s+\d+ %\s+[\d.]+ MiB\s+\d", read_until(fd, b"\xe2\x96\x88") + seen)
    os.write(fd, b"q")
    read_until(fd, b"\x1b[?1049l")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)
    crabcan.get("busy").kill()
