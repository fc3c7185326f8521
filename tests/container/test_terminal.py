"""Terminals: the container's own, and the caller's while it is connected with that."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import crabcan
import crabcan.aio
from crabcan import Bind, Container, Dev, Popen, Proc

IS_ROOT = os.geteuid() == 0
DEADLINE = 30.0
LFLAG = 3


def until(condition: Callable[[], object], what: object) -> None:
    """Wait for something that is not to be waited for otherwise."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def shown_by(process: Popen) -> str:
    """All that is on the terminal's screen until the end."""
    assert process.terminal is not None
    chunks = []
    while chunk := process.terminal.read():
        chunks.append(chunk)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def on_terminal(script: str, **options: Any) -> str:
    with Popen(["sh", "-c", script], tty=True, **options) as process:
        shown = shown_by(process)
    assert process.returncode == 0, shown
    return shown


class Screen:
    """A terminal of the test's own, for a caller to be on."""

    def __init__(self) -> None:
        self.master, self.tty = os.openpty()
        termios.tcsetwinsize(self.tty, (31, 97))
        self.before = termios.tcgetattr(self.tty)
        self.seen = b""

    def __repr__(self) -> str:
        return f"Screen({self.seen!r})"

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """`crabcan run -t` as a shell would start it: it controls the terminal."""
        return self.start_python("-m", "crabcan", "run", "-t", *words)

    def start_python(self, *words: str) -> subprocess.Popen[bytes]:
        command = ["setsid", "--ctty", sys.executable, *words]
        return subprocess.Popen(command, stdin=self.tty, stdout=self.tty, stderr=self.tty)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def read(self) -> bool:
        """What is on the screen next; False once there is nothing for a moment."""
        if not select.select([self.master], [], [], 0.02)[0]:
            return False
        self.seen += os.read(self.master, 65536)
        return True

    def shows(self, text: str) -> bool:
        while text.encode() not in self.seen:
            if not self.read():
                return False
        return True

    def await_text(self, text: str) -> None:
        until(lambda: self.shows(text), ("not shown", text, self))

    def is_raw(self) -> bool:
        local: int = termios.tcgetattr(self.tty)[LFLAG]
        return not local & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.tty) == self.before

    def await_end(self, caller: subprocess.Popen[bytes]) -> int:
        def has_ended() -> bool:
            self.read()
            return caller.poll() is not None

        until(has_ended, ("it has not ended", self))
        while self.read():
            pass
        assert caller.returncode is not None
        return caller.returncode


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    for fd in (screen.master, screen.tty):
        with contextlib.suppress(OSError):
            os.close(fd)


def init_of(caller: subprocess.Popen[bytes]) -> int:
    """The process id of the container's init, the only child."""
    (pid,) = Path(f"/proc/{caller.pid}/task/{caller.pid}/children").read_text().split()
    return int(pid)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# What the command has


def test_it_is_stdin_stdout_stderr_and_controls() -> None:
    script = (
        "tty; stty size; readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2;"
        "echo to the terminal >/dev/tty; ls -1 /dev/pts; ps -o tty=,stat= -p $$"
    )
    pts = "/dev/pts/0\n"
    expected = f"{pts}24 80\n{pts * 3}to the terminal\n0\nptmx\npts/0    Ss+\n"
    assert on_terminal(script) == expected


ARRANGEMENTS: list[dict[str, Any]] = [
    {},
    {"uid": 1234},
    {"uid": 7, "gid": 8},
    {"network": "host"},
    {"namespaces": {"ipc": "host", "uts": "host", "cgroup": "host"}},
    {"namespaces": {"pid": "host"}},
    {"seccomp": "off"},
    {"capabilities": ["sys_admin"]},
    {"channel": True},
    {"mounts": [Dev()]},  # over that of the defaults
    {"userns": "host"},
    {"userns": "host", "uid": 1234},
]


@pytest.mark.parametrize("options", ARRANGEMENTS, ids=str)
def test_it_is_the_commands(options: dict[str, Any]) -> None:
    if options.get("userns") == "host" and not IS_ROOT:
        with pytest.raises(crabcan.ArgumentInvalid, match="userns"):
            on_terminal("tty", **options)
        return
    uid = options.get("uid", 0)
    script = "tty; stat -c '%u %g %a' $(tty); : <>$(tty) && echo opens"
    gid = options.get("gid", uid)
    assert on_terminal(script, **options) == f"/dev/pts/0\n{uid} {gid} 620\nopens\n"


def test_with_a_root(busybox_root: Path) -> None:
    script = "/bin/busybox tty"
    assert on_terminal(script, root=busybox_root) == "/dev/pts/0\n"
    bare: dict[str, Any] = {"root": busybox_root, "default_mounts": False}
    assert on_terminal(script, **bare, mounts=[Proc(), Dev()]) == "/dev/pts/0\n"
    assert on_terminal(script, **bare, mounts=[Proc(), Dev("/d")]) == "/d/pts/0\n"


def test_a_root_that_leads_elsewhere(busybox_root: Path) -> None:
    """Neither a link in the place of /dev nor what is bound over /dev/pts has a say."""
    (busybox_root / "elsewhere").mkdir()
    (busybox_root / "dev").symlink_to("elsewhere")
    script = "/bin/busybox tty; /bin/busybox stat -c %d /proc/self/fd/0"
    mounts = [Bind("/dev/pts", "/dev/pts", writable=True, dev=True, idmap=False)]
    shown = on_terminal(script, root=busybox_root, mounts=mounts)
    assert int(shown.split()[-1]) != os.stat("/dev/pts").st_dev


def test_in_a_joined_namespace() -> None:
    with Container(["sleep", "100"]) as first:
        first.create()
        spaces: dict[str, Any] = {name: first for name in ("pid", "network")}
        assert on_terminal("tty", namespaces=spaces) == "/dev/pts/0\n"


def test_nothing_of_the_callers_terminal_is_inside(screen: Screen) -> None:
    script = """if True:
        import fcntl, os, termios
        own = os.stat("/dev/pts").st_dev
        print(os.listdir("/proc/self/fd"), [os.fstat(n).st_dev == own for n in range(3)])
        for fd in (0, 1, 2, os.open("/dev/tty", os.O_RDWR)):
            for request in (termios.TIOCSTI, termios.TIOCLINUX):
                try:
                    fcntl.ioctl(fd, request, b"!" * 8)
                except OSError:
                    pass
        """
    caller = screen.start("--seccomp", "off", "--", "python3", "-c", script)
    assert screen.await_end(caller) == 0, screen.seen
    assert screen.seen.startswith(b"['0', '1', '2', '3'] [True, True, True]\r\n")
    waiting = fcntl.ioctl(screen.tty, termios.FIONREAD, b"\0" * 4)
    assert waiting == b"\0" * 4, "something was typed into the caller's terminal"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"stdin": 0}, "stdin"),
        ({"stdout": crabcan.PIPE}, "stdout"),
        ({"stderr": crabcan.STDOUT}, "stderr"),
        ({"input": b""}, "input"),
        ({"capture_output": True}, "capture_output"),
        ({"default_mounts": False}, "tty"),
        ({"namespaces": {"mount": "host"}}, "tty"),
        ({"limits": crabcan.Limits(output=9)}, r"limits\.output"),
    ],
)
def test_what_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=f"^{field}: "):
        crabcan.run(["true"], tty=True, **options)
    if not {"input", "capture_output"} & options.keys():
        for make in (Popen, Container):
            with pytest.raises(crabcan.ArgumentInvalid, match=f"^{field}: "):
                make(["true"], tty=True, **options)


def test_a_command_that_is_missing_leaves_nothing() -> None:
    with pytest.raises(crabcan.CommandNotFound):
        Popen(["no-such-command"], tty=True)


# The terminal's master


def test_read_write_and_size() -> None:
    script = "trap 'stty size; exit 5' WINCH; read x; echo [$x]; while :; do sleep .01; done"
    with Popen(["sh", "-c", script], tty=True) as process:
        terminal = process.terminal
        assert terminal is not None
        assert terminal.size == (24, 80)
        assert terminal.write("h\u00e9x\x7f\x7fi\n".encode()) == 8
        seen = b""
        while b"[hi]" not in seen:
            seen += terminal.read(4)
        terminal.resize(40, 132)
        assert shown_by(process).strip() == "40 132"
        assert terminal.read() == b""
        assert process.wait() == 5
        with pytest.raises(ValueError, match="terminal"):
            process.communicate()
    assert "closed" in repr(terminal)
    with pytest.raises(ValueError, match="closed"):
        terminal.fileno()


@pytest.mark.parametrize("size", [(-1, 80), (24, 65536)])
def test_a_size_that_is_none(size: tuple[int, int]) -> None:
    with Popen(["cat"], tty=True) as process:
        assert process.terminal is not None
        with pytest.raises(crabcan.ArgumentInvalid):
            process.terminal.resize(*size)


def test_it_ends_with_the_container_and_not_before() -> None:
    """A command that closes all of its own is still on its terminal."""
    script = "exec <&- >&- 2>&-; sleep 0.1; echo back >/dev/tty"
    assert on_terminal(script) == "back\n"


def test_closing_hangs_up() -> None:
    with Popen(["cat"], tty=True) as process:
        pass
    assert process.returncode == -signal.SIGHUP


def test_the_container_closes_it() -> None:
    with Container(["cat"], tty=True) as container:
        assert container.terminal is None
        container.create()
        terminal = container.terminal
        assert terminal is not None
        with terminal:
            assert terminal.fileno() > 2
    assert "closed" in repr(terminal)
    with Container(["true"]) as container:
        container.create()
        assert container.terminal is None
        with pytest.raises(crabcan.ContainerError, match="tty"):
            container.interact()


# The caller's terminal


def test_keys_and_size_go_inside(screen: Screen) -> None:
    script = "trap 'echo now $(stty size)' WINCH; stty size; while :; do read line || break; done"
    caller = screen.start("sh", "-c", script)
    screen.await_text("31 97\r\n")
    until(screen.is_raw, "it is not raw")
    termios.tcsetwinsize(screen.tty, (50, 60))
    screen.type(b"\n")
    screen.await_text("now 50 60\r\n")
    screen.type(b"\x04")
    assert screen.await_end(caller) == 0
    assert screen.is_as_before()


def test_what_was_typed_before_is_not_lost(screen: Screen) -> None:
    screen.type(b"early\n")
    caller = screen.start("sh", "-c", 'read line; echo "got $line"')
    assert screen.await_end(caller) == 0
    assert b"got early\r\n" in screen.seen


CODES = [
    (["sh", "-c", "exit 7"], 7),
    (["sh", "-c", "kill -9 $$"], 137),
    (["--timeout", "0.3", "sleep", "100"], 124),
    (["--limits", "wall_time=0.3", "sleep", "100"], 124),
    (["no-such-command"], 127),
    (["--default-mnts", "true"], 125),
    (["--no-default-mounts", "true"], 125),
]


@pytest.mark.parametrize(("words", "code"), CODES, ids=str)
def test_restored_when_it_ends(screen: Screen, words: list[str], code: int) -> None:
    assert screen.await_end(screen.start(*words)) == code, screen.seen
    assert screen.is_as_before()
    assert b"Traceback" not in screen.seen


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT], ids=str
)
def test_restored_when_the_caller_is_killed(screen: Screen, signum: signal.Signals) -> None:
    """bash ignores some of these: they are the caller's, and its end that of the container."""
    caller = screen.start("bash", "-c", "trap '' TERM INT QUIT HUP; echo up; sleep 100")
    screen.await_text("up")
    until(screen.is_raw, "it is not raw")
    init = init_of(caller)
    caller.send_signal(signum)
    expected = 130 if signum == signal.SIGINT else -signum
    assert screen.await_end(caller) == expected
    assert screen.is_as_before()
    assert is_gone(init)
    assert b"Traceback" not in screen.seen


def test_two_signals_at_once(screen: Screen) -> None:
    """As systemd sends them: the second one may not cut the restoring short."""
    caller = screen.start("sh", "-c", "echo up; sleep 100")
    screen.await_text("up")
    until(screen.is_raw, "it is not raw")
    for signum in (signal.SIGTERM, signal.SIGHUP) * 5:
        with contextlib.suppress(ProcessLookupError):
            os.kill(caller.pid, signum)
    assert screen.await_end(caller) in (-signal.SIGTERM, -signal.SIGHUP)
    assert screen.is_as_before()


def test_a_signal_while_it_is_restored(screen: Screen) -> None:
    script = """if True:
        import os, signal
        from crabcan import _interact, cli
        restore = _interact._Keyboard.restore
        def slow(self):
            os.kill(os.getpid(), signal.SIGTERM)
            restore(self)
        _interact._Keyboard.restore = slow
        cli.main(["run", "-t", "true"])
        """
    assert screen.await_end(screen.start_python("-c", script)) == -signal.SIGTERM
    assert screen.is_as_before()


def test_stopped_by_a_signal(screen: Screen) -> None:
    """A shell that leaves the terminal to its jobs finds it as it was."""
    script = """if True:
        import os, signal, subprocess, sys, termios
        def is_raw():
            return not termios.tcgetattr(0)[3] & termios.ISIG
        before = termios.tcgetattr(0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        words = [sys.executable, "-m", "crabcan", "run", "-t", "sleep", "100"]
        job = subprocess.Popen(words, process_group=0)
        os.tcsetpgrp(0, job.pid)
        for _ in range(2):
            while not is_raw():
                assert job.poll() is None
            job.send_signal(signal.SIGTSTP)
            os.waitid(os.P_PID, job.pid, os.WSTOPPED)
            assert termios.tcgetattr(0) == before
            job.send_signal(signal.SIGCONT)
        while not is_raw():
            assert job.poll() is None
        job.terminate()
        assert job.wait() == -signal.SIGTERM
        assert termios.tcgetattr(0) == before
        """
    assert screen.await_end(screen.start_python("-c", script)) == 0, screen.seen


def test_the_window_is_closed(screen: Screen) -> None:
    caller = screen.start("sh", "-c", "trap '' HUP; echo up; sleep 100")
    screen.await_text("up")
    until(screen.is_raw, "it is not raw")
    init = init_of(caller)
    os.close(screen.master)
    assert caller.wait(DEADLINE) == -signal.SIGHUP
    assert is_gone(init)


def test_raw_again_after_a_stop(screen: Screen) -> None:
    caller = screen.start("sh", "-c", "echo up; sleep 100")
    screen.await_text("up")
    until(screen.is_raw, "it is not raw")
    caller.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, caller.pid, os.WSTOPPED | os.WNOWAIT)
    termios.tcsetattr(screen.tty, termios.TCSANOW, screen.before)  # as a shell does
    caller.send_signal(signal.SIGCONT)
    until(screen.is_raw, "it is not raw again")
    screen.type(b"\x03")
    assert screen.await_end(caller) == 130
    assert screen.is_as_before()


def test_a_flood_does_not_starve_the_keyboard(screen: Screen) -> None:
    caller = screen.start("yes")
    while len(screen.seen) < 1_000_000:
        screen.read()
    screen.type(b"\x03")
    assert screen.await_end(caller) == 128 + signal.SIGINT
    assert screen.is_as_before()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_pager_that_does_not_read_does_not_either(screen: Screen) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe, open(writer, "wb") as full:
        words = [sys.executable, "-m", "crabcan", "run", "-t", "yes"]
        caller = subprocess.Popen(words, stdin=screen.tty, stdout=full)
        until(lambda: not select.select([], [full], [], 0)[1], "the pipe is not full")
        init = init_of(caller)
        screen.type(b"\x03")
        until(lambda: state_of(init) == "Z", "it goes on")
        full.close()
        assert pipe.read().startswith(b"y\r\ny\r\n")
        assert caller.wait(DEADLINE) == 130
    assert screen.is_as_before()


# In a program of one's own


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in signal.Signals]


class Interrupted(Exception):
    pass


def interrupt(*_: object) -> None:
    raise Interrupted


@pytest.mark.parametrize("how", ["end", "timeout", "exception", "killed"])
def test_interact_leaves_everything_as_it_was(
    screen: Screen, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = handlers(), signal.set_wakeup_fd(-1)
    script = "exit 3" if how == "end" else "sleep 100"
    with Container(["sh", "-c", script], tty=True) as container:
        container.create()
        alarm = signal.signal(signal.SIGALRM, interrupt)
        if how == "exception":
            signal.setitimer(signal.ITIMER_REAL, 0.3)
        if how == "killed":
            threading.Timer(0.3, container.kill).start()
        try:
            code = container.interact(
                screen.tty, screen.tty, timeout=0.3 if how == "timeout" else None
            )
            assert code == {"end": 3, "killed": -9}[how]
        except Interrupted:
            assert how == "exception"
        except crabcan.TimeoutExpired:
            assert how == "timeout"
        finally:
            signal.signal(signal.SIGALRM, alarm)
        assert screen.is_as_before()
        assert (handlers(), signal.set_wakeup_fd(-1)) == before
        assert (container.poll() is None) == (how in ("timeout", "exception"))


def test_run(screen: Screen) -> None:
    """run() on the terminal that is the process's own stdin and stdout."""
    script = (
        "import crabcan\n"
        "done = crabcan.run(['sh', '-c', 'read x; echo got $x; exit 4'], tty=True)\n"
        "print(done.returncode, done.stdout, done.usage.wall_time > 0)\n"
        "try: crabcan.run(['sleep', '100'], tty=True, timeout=0.3)\n"
        "except crabcan.TimeoutExpired as error: print(error.timeout)\n"
    )
    caller = screen.start_python("-c", script)
    until(screen.is_raw, "it is not raw")
    screen.type(b"word\r")
    assert screen.await_end(caller) == 0, screen.seen
    assert b"got word\r\n4 None True\r\n0.3\r\n" in screen.seen
    assert screen.is_as_before()


def test_interact_in_another_thread(screen: Screen) -> None:
    codes: list[int] = []
    with Container(["sh", "-c", "read x; exit $x"], tty=True) as container:
        container.create()
        thread = threading.Thread(
            target=lambda: codes.append(container.interact(screen.tty, screen.tty))
        )
        thread.start()
        until(screen.is_raw, "it is not raw")
        screen.type(b"6\r")
        thread.join(DEADLINE)
    assert codes == [6]
    assert screen.is_as_before()


def test_on_an_event_loop() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        seen: list[bytes] = []
        async with crabcan.aio.Container(["tty"], tty=True) as container:
            terminal = container.terminal
            assert terminal is not None

            def read() -> None:
                seen.append(terminal.read())
                if not seen[-1]:
                    loop.remove_reader(terminal)
                    ended.set_result(None)

            loop.add_reader(terminal, read)
            await ended
            assert await container.wait() == 0
        with pytest.raises(crabcan.ArgumentInvalid, match="tty"):
            await crabcan.aio.run(["true"], tty=True)
        return b"".join(seen)

    assert asyncio.run(main()) == b"/dev/pts/0\r\n"


# Without a terminal of the caller's


def piped(*words: str, given: bytes = b"") -> bytes:
    command = [sys.executable, "-m", "crabcan", "run", "--tty", *words]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_the_end_of_stdin_is_typed() -> None:
    assert piped("sh", "-c", "stty -echo; echo; cat", given=b"") == b"\r\n"
    for given in (b"a line\n", b"no newline"):
        shown = piped("sh", "-c", "stty -echo; cat; echo; echo end", given=given)
        assert shown.endswith(b"\r\nend\r\n"), given
    many = b"7\n" * 20_000
    assert piped("sh", "-c", "cat >/tmp/x; wc -l </tmp/x", given=many).endswith(b"20000\r\n")


def test_all_output_arrives() -> None:
    lines = piped("seq", "100000").split(b"\r\n")
    assert lines == [b"%d" % n for n in range(1, 100_001)] + [b""]


def test_nobody_reads_any_more() -> None:
    command = f"{sys.executable} -m crabcan run -t yes </dev/null | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60)
    assert done.stdout == b"y\r\n"
    assert b"Traceback" not in done.stderr


# In tmux


class Tmux:
    """A real terminal: a server of its own with one window, and a shell of the host in it."""

    def __init__(self, folder: Path) -> None:
        self._command = ["tmux", "-S", str(folder / "socket"), "-f", "/dev/null"]
        self._asked = 0
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PS1": "outer$ ",
            "TERM": "screen",
            "PYTHONSAFEPATH": "1",
        }
        shell = ["env", "-i", *(f"{name}={value}" for name, value in environ.items()),
                 "bash", "--norc", "--noprofile"]  # fmt: skip
        self("new-session", "-d", "-x", "100", "-y", "40", shlex.join(shell))
        self("set", "-g", "status", "off")
        self.await_line("outer$")

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def close(self) -> None:
        pid = int(self("display", "-p", "#{pid}"))
        self("kill-server")
        until(lambda: is_gone(pid), "tmux has not ended")

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self("capture-pane", "-pJ").rstrip().splitlines()]

    def await_line(self, line: str) -> None:
        until(lambda: self.lines()[-1:] == [line], f"{line!r} is not the last line")

    def key(self, name: str) -> None:
        self("send-keys", name)

    def type(self, text: str) -> None:
        self("send-keys", "-l", text)

    def enter(self, text: str) -> None:
        self.type(text)
        self.key("Enter")

    def ask(self, command: str) -> list[str]:
        """What it shows, on a screen of its own."""
        self._asked += 1
        end = f"end {self._asked}"
        self.enter(f"clear; {command}; echo end $((0 + {self._asked}))")
        until(lambda: end in self.lines(), f"{command} has not ended")
        lines = self.lines()
        return lines[: lines.index(end)]

    def await_code(self, code: int, prompt: str) -> None:
        """That of the command before, once the shell is back."""
        self.await_line(prompt)
        self.enter("echo code $?")
        until(lambda: self.lines()[-2:] == [f"code {code}", prompt], f"it is not {code}")

    def is_raw(self) -> bool:
        path = self("display", "-p", "#{pane_tty}").strip()
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            return not termios.tcgetattr(fd)[LFLAG] & termios.ISIG  # readline keeps it
        finally:
            os.close(fd)


@pytest.fixture
def tmux() -> Iterator[Tmux]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short (unix(7))
        tmux = Tmux(Path(folder))
        try:
            yield tmux
        except BaseException:
            print(*tmux.lines(), sep="\n")
            raise
        finally:
            tmux.close()


CRABCAN = shlex.join([sys.executable, "-m", "crabcan", "run", "-t"])

# Says when it is in the foreground, for the first time and again.
LOOP = """sh -c 'trap "echo again" CONT; echo up; while :; do sleep 0.05; done'"""


def test_bash_and_vi_in_tmux(tmux: Tmux) -> None:
    before = tmux.ask("stty -g")
    tmux.enter(f"{CRABCAN} -e 'PS1=inner$ ' -- bash --norc")
    tmux.await_line("inner$")
    assert tmux.ask("tty; stty size; tput cols") == ["/dev/pts/0", "40 100", "100"]

    tmux.enter("sleep 100 &")
    running = "[1]+  Running                 sleep 100 &"
    assert tmux.ask("jobs") == [running]
    tmux.enter(LOOP)
    tmux.await_line("up")
    tmux.key("C-z")
    tmux.await_line("inner$")
    assert tmux.ask("jobs") == [
        running.replace("+", "-"),
        f"[2]+  Stopped                 {LOOP}",
    ]
    tmux.enter("fg")
    tmux.await_line("again")
    tmux.key("C-c")
    tmux.await_code(130, "inner$")
    assert tmux.ask("jobs") == [running]

    tmux.enter("sh -c 'echo up; exec sleep 100'")
    tmux.await_line("up")
    tmux.key("C-c")
    tmux.await_code(130, "inner$")

    tmux.enter("vi /tmp/page")
    until(lambda: '"/tmp/page"' in tmux.lines()[-1], "vi does not show the file's name")
    tmux.type("ione line")
    tmux.key("Enter")
    tmux.type("another, h\u00e9")
    tmux.key("Escape")
    tmux.enter(":wq")
    tmux.await_line("inner$")
    assert tmux.ask("cat /tmp/page") == ["one line", "another, h\u00e9"]

    tmux("resize-window", "-x", "77", "-y", "20")
    until(lambda: tmux.ask("stty size; tput cols") == ["20 77", "77"], "the size is not that")

    tmux.enter("exit 5")
    tmux.await_code(5, "outer$")
    assert tmux.ask("stty -g") == before


def test_stopped_and_brought_back_in_tmux(tmux: Tmux, tmp_path: Path) -> None:
    """By a signal: the key would go inside. The shell has its terminal meanwhile."""
    before = tmux.ask("stty -g")
    pid = tmp_path / "pid"
    script = (
        f"echo $$ >{shlex.quote(str(pid))}; exec {CRABCAN} sh -c 'stty -echo; echo up; sleep 100'"
    )
    tmux.enter(f"sh -c {shlex.quote(script)}")
    tmux.await_line("up")
    until(tmux.is_raw, "it is not raw")
    os.kill(int(pid.read_text()), signal.SIGTSTP)
    tmux.await_line("outer$")
    assert tmux.ask("stty -g") == before
    tmux("resize-window", "-x", "90", "-y", "25")
    tmux.enter("fg")
    until(tmux.is_raw, "it is not raw again")
    tmux.key("C-c")
    tmux.await_code(130, "outer$")
    assert tmux.ask("stty -g") == before
