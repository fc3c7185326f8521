"""The seed's behaviour: sockets, booleans, clone, wait."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import crabcan
from crabcan import Container

SEND_TRUE = "printf '\\001' >&$CRABCAN_CHANNEL_FD"


def test_socket_pair_is_seqpacket_and_close_on_exec() -> None:
    with Container(["sleep", "10"]) as container:
        assert container.sockets is None
        container.create()
        assert container.sockets is not None
        ours, theirs = container.sockets
        assert theirs == -1, "the child's end is the child's alone"
        with socket.socket(fileno=os.dup(ours)) as pair:
            assert pair.family == socket.AF_UNIX
            assert pair.type == socket.SOCK_SEQPACKET
        assert fcntl.fcntl(ours, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert container.sockets is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ours)


def test_shell_exchanges_booleans_both_ways() -> None:
    script = f'byte=$(head -c1 <&"$CRABCAN_CHANNEL_FD" | od -An -tu1); {SEND_TRUE}; exit $byte'
    with Container(["sh", "-c", script]) as container:
        container.create()
        container.send_bool(True)
        assert container.recv_bool(timeout=10) is True
        assert container.wait() == 1


def test_python_exchanges_booleans_both_ways() -> None:
    script = (
        "import crabcan; c = crabcan.inside()\n"
        "for _ in range(2): c.send_bool(not c.recv_bool(timeout=10))\n"
    )
    package = str(Path(crabcan.__file__).parent.parent)
    command = [sys.executable, "-c", script]
    if not package.startswith(sys.prefix):
        pytest.fail(f"crabcan is installed outside of the Python prefix: {package}")
    with Container(command) as container:
        container.create()
        for value in (True, False):
            container.send_bool(value)
            assert container.recv_bool(timeout=30) is (not value)
        assert container.wait(timeout=30) == 0


def test_inside_without_a_channel_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRABCAN_CHANNEL_FD", raising=False)
    with pytest.raises(crabcan.ContainerError, match="CRABCAN_CHANNEL_FD is not set"):
        crabcan.inside()


def test_peer_that_is_gone_raises_and_is_never_false() -> None:
    with Container(["true"]) as container:
        container.create()
        container.wait()
        with pytest.raises(crabcan.SocketError, match="EPIPE") as caught:
            container.recv_bool(timeout=10)
        assert caught.value.code == 2
        with pytest.raises(crabcan.SocketError, match="EPIPE") as caught:
            container.send_bool(True)
        assert caught.value.code == 1


@pytest.mark.parametrize("value", [0, 1, None, "true", b"\1"])
def test_only_a_bool_is_sent(value: object) -> None:
    with Container(["sleep", "10"]) as container:
        container.create()
        with pytest.raises(TypeError, match="not a bool"):
            container.send_bool(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("wire", ["\\002", "\\001\\001", "\\377"])
def test_what_is_no_boolean_raises(wire: str) -> None:
    with Container(["sh", "-c", f"printf '{wire}' >&$CRABCAN_CHANNEL_FD; sleep 10"]) as container:
        container.create()
        with pytest.raises(crabcan.SocketError, match="EBADMSG"):
            container.recv_bool(timeout=10)


def test_empty_datagram_is_no_end_and_no_boolean() -> None:
    script = "import os, socket; s = socket.socket(fileno=3); s.send(b''); s.send(b'\\1')"
    with Container([sys.executable, "-c", script]) as container:
        container.create()
        with pytest.raises(crabcan.SocketError, match="EBADMSG"):
            container.recv_bool(timeout=30)
        assert container.recv_bool(timeout=30) is True


def test_descriptors_sent_along_are_closed() -> None:
    script = (
        "import socket; s = socket.socket(fileno=3)\n"
        "for n in (1, 2, 200): socket.send_fds(s, [b'\\1'], [0] * n)\n"
    )
    with Container([sys.executable, "-c", script]) as container:
        container.create()
        before = len(os.listdir("/proc/self/fd"))
        assert [container.recv_bool(timeout=30) for _ in range(3)] == [True] * 3
        assert len(os.listdir("/proc/self/fd")) == before


def test_end_is_known_where_sigchld_is_ignored() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Container(["sh", "-c", "exit 3"]) as container:
            container.create()
            assert container.wait(timeout=10) == 3
        with Container(["sleep", "100"]) as container:
            container.create()
            container.kill()
            with pytest.raises(crabcan.ContainerError, match="not to be had"):
                container.wait(timeout=10)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_receiving_times_out() -> None:
    with Container(["sleep", "10"]) as container:
        container.create()
        with pytest.raises(crabcan.ReceiveTimeout) as caught:
            container.recv_bool(timeout=0.05)
        assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9), ("kill -15 $$", -15)]
)
def test_exit_code_is_that_of_subprocess(script: str, code: int) -> None:
    with Container(["sh", "-c", script]) as container:
        container.create()
        assert container.wait() == code
        assert container.wait() == code
        assert container.returncode == code
    assert container.wait() == code


def test_wait_with_a_timeout_leaves_the_container_alone() -> None:
    with Container(["sleep", "10"]) as container:
        container.create()
        with pytest.raises(subprocess.TimeoutExpired):
            container.wait(timeout=0.05)
        container.kill()
        assert container.wait() == -9


def test_pidfd_becomes_readable_at_the_end() -> None:
    with Container(["true"]) as container:
        container.create()
        assert container.fileno() == container.pidfd
        assert select.select([container], [], [], 10)[0] == [container]
        assert container.wait() == 0


def test_states_that_a_call_does_not_fit() -> None:
    container = Container(["true"])
    with pytest.raises(crabcan.ContainerError, match="not been created"):
        container.wait()
    with pytest.raises(crabcan.ContainerError, match="not been created"):
        container.send_bool(True)
    container.create()
    with pytest.raises(crabcan.ContainerError, match="created already"):
        container.create()
    container.close()
    container.close()
    for call in (container.create, container.wait, container.recv_bool, container.fileno):
        with pytest.raises(crabcan.ContainerError, match="closed"):
            call()


@pytest.mark.parametrize("uid", [None, 0, 1234])
def test_uid_inside(uid: int | None) -> None:
    done = crabcan.run(["sh", "-c", "id -u; id -g"], uid=uid, capture_output=True, text=True)
    assert done.stdout.split() == [str(uid or 0)] * 2


def test_signals_are_forwarded_to_the_command() -> None:
    script = f"trap 'exit 42' TERM; {SEND_TRUE}; while :; do sleep 0.05; done"
    with Container(["sh", "-c", script]) as container:
        container.create()
        assert container.recv_bool(timeout=10)
        container.send_signal(signal.SIGTERM)
        assert container.wait(timeout=10) == 42


def test_orphans_are_reaped_and_die_with_the_command() -> None:
    script = "(sleep 0.05 &) ; sleep 0.3; cat /proc/[0-9]*/stat | grep -c ' Z '; sleep 100 &"
    done = crabcan.run(["sh", "-c", script], capture_output=True, text=True, timeout=20)
    assert done.stdout == "0\n"


def test_container_dies_with_its_caller() -> None:
    """Even where a fork of the caller lives on, with a copy of every socket."""
    script = (
        "import crabcan, os, time\n"
        "c = crabcan.Container(['sleep', '100']); c.create()\n"
        "fork = os.fork()\n"
        "if fork == 0: time.sleep(100)\n"
        "print(c.child_pid, fork, flush=True); os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid, fork = map(int, caller.stdout.readline().split())
        assert caller.wait(10) == -9
    try:
        wait_until_dead(pid)
    finally:
        os.kill(fork, signal.SIGKILL)


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":  # dead; whoever adopted it has not reaped it yet
            return
        time.sleep(0.01)
    pytest.fail(f"init {pid} outlives its caller")


def test_container_outlives_the_thread_that_made_it() -> None:
    container = Container(["sh", "-c", f"sleep 0.3; {SEND_TRUE}; exit 5"])
    thread = threading.Thread(target=container.create)
    thread.start()
    thread.join()
    with container:
        assert container.recv_bool(timeout=10) is True
        assert container.wait() == 5


def test_every_blocking_call_is_interrupted_by_a_signal() -> None:
    def send() -> None:
        while True:  # blocks once the socket's buffer is full
            container.send_bool(True)

    class Alarm(Exception):
        pass

    def ring(signum: int, frame: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Container(["sleep", "100"]) as container:
            container.create()
            for call in (container.wait, container.recv_bool, send):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(Alarm):
                    call()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_waiting_releases_the_gil() -> None:
    with Container(["sleep", "100"]) as container:
        container.create()
        threading.Timer(0.05, container.kill).start()
        assert container.wait() == -9


def test_close_wakes_a_thread_that_waits() -> None:
    container = Container(["sleep", "100"])
    container.create()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            container.wait()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    container.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(caught) == 1
