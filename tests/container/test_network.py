"""Networks: none, the host's, one that is joined, and pasta."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import crabcan

Run = Callable[..., str]


def own_address() -> str:
    """The host's own address towards the outside; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("192.0.2.1", 9))
        return str(udp.getsockname()[0])


def has_tun() -> bool:
    """Whether this caller may make the interface that pasta needs."""
    return os.access("/dev/net/tun", os.R_OK | os.W_OK)


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """A server on all addresses that answers once to each connection."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            listener.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(b"hello from the host\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield own_address(), listener.getsockname()[1]
        stop.set()
        thread.join()


READ = "import socket, sys; print(socket.create_connection(sys.argv[1:], 5).recv(99).decode())"


def ask(address: str, port: int, **options: object) -> subprocess.CompletedProcess[str]:
    return crabcan.run(
        ["python3", "-c", READ, address, str(port)],
        capture_output=True,
        text=True,
        **options,  # type: ignore[arg-type]
    )


def test_none_reaches_nothing(server: tuple[str, int]) -> None:
    for address in (server[0], "127.0.0.1"):
        assert (
            "OSError" in ask(address, server[1]).stderr
            or "Refused" in ask(address, server[1]).stderr
        )
    assert ask(*server, network="host").stdout.startswith("hello")


def test_resolv_conf_is_shown_with_a_network_only(inside: Run) -> None:
    inside("[ ! -e /etc/resolv.conf ]")
    if os.path.exists("/etc/resolv.conf"):
        inside("[ -e /etc/resolv.conf ]", network="host")


# A host of its own: an interface with a route, and one address more, where a server listens. pasta
# gives the container the interface's address; the other is outside.
HOST = (
    "ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; "
    "ip link set v1 up; ip address add 198.51.100.2/24 dev v0; "
    "ip route add default via 198.51.100.1; ip address add 203.0.113.9/32 dev lo; "
    'exec "$@"'
)
OUTSIDE = """
import socket, threading, crabcan
READ = %r
def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"hello from outside")
        connection.close()
listener = socket.create_server(("0.0.0.0", 7777))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
for network in ("pasta", "none"):
    for address in ("203.0.113.9", "127.0.0.1"):
        done = crabcan.run(["python3", "-c", READ, address, "7777"], network=network,
                           capture_output=True, text=True)
        print(network, address, done.stdout.strip() or "nothing", flush=True)
"""


def test_pasta_reaches_out_and_not_the_hosts_loopback(server: tuple[str, int]) -> None:
    if not has_tun():
        with pytest.raises(crabcan.NotSupported, match="pasta") as caught:
            ask(*server, network="pasta")
        assert "/dev/net/tun" in caught.value.advice
        return
    command = ["unshare", "--net", "sh", "-ec", HOST, "sh", sys.executable, "-c", OUTSIDE % READ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "pasta 203.0.113.9 hello from outside",
        "pasta 127.0.0.1 nothing",
        "none 203.0.113.9 nothing",
        "none 127.0.0.1 nothing",
    ], done.stderr


def test_pasta_publishes_a_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = (
        "import socket; s = socket.create_server(('0.0.0.0', 80)); print('up', flush=True);"
        " c, _ = s.accept(); c.sendall(b'from inside'); c.close()"
    )
    reader, writer = os.pipe()
    try:
        container = crabcan.Container(
            ["python3", "-c", serve],
            network="pasta",
            publish=[f"127.0.0.1:{port}:80"],
            capabilities=["net_bind_service"],
            stdout=writer,
        )
        with container:
            if not has_tun():
                with pytest.raises(crabcan.NotSupported, match="pasta"):
                    container.create()
                return
            container.create()
            assert os.read(reader, 3) == b"up\n"
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                assert client.recv(99) == b"from inside"
            assert container.wait(timeout=10) == 0
    finally:
        os.close(reader)
        os.close(writer)


def children_named(name: str) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.encode() in path.read_bytes().split(b"\0")[0]:
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def test_pasta_ends_with_a_killed_caller() -> None:
    if not has_tun():
        return  # test_pasta_reaches_out has the error; there is nothing that could be left
    before = children_named("pasta")
    script = (
        "import crabcan, time\n"
        "c = crabcan.Container(['sleep', '60'], network='pasta'); c.create()\n"
        "print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.read(3) == b"up\n"
        assert children_named("pasta") - before
        caller.send_signal(signal.SIGKILL)
        caller.wait()
        caller.stdout.close()
    deadline = time.monotonic() + 10
    while children_named("pasta") - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children_named("pasta") - before == set()


@pytest.mark.skipif(not has_tun(), reason="/dev/net/tun cannot be opened")
def test_pasta_is_not_left_by_ctrl_c() -> None:
    """A terminal's SIGINT goes to the whole group; the command may choose to go on."""
    before = children_named("pasta")
    command = ["sh", "-c", "trap '' INT; echo up; read x; echo down"]
    words = [sys.executable, "-m", "crabcan", "run", "--network", "pasta", "--", *command]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as caller:
        assert caller.stdin is not None
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"up\n"
        time.sleep(0.2)  # until crabcan forwards signals
        os.killpg(caller.pid, signal.SIGINT)
        time.sleep(0.2)
        assert children_named("pasta") - before
        caller.communicate(b"x\n")
    assert children_named("pasta") - before == set()


@pytest.mark.skipif(
    os.geteuid() != 0 or not has_tun(), reason="needs root, to keep the host's user namespace"
)
def test_pasta_without_a_user_namespace() -> None:
    done = crabcan.run(
        ["cat", "/proc/net/route"], userns="host", network="pasta", capture_output=True, text=True
    )
    assert "00000000" in done.stdout


@pytest.mark.skipif(not has_tun(), reason="/dev/net/tun cannot be opened")
@pytest.mark.parametrize("address", ["", "127.0.0.1:"])
def test_a_port_that_is_taken(address: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(crabcan.SetupError, match=rf"publish\[0\]: .*{port}/tcp: .*in use"):
            crabcan.run(["true"], network="pasta", publish=[f"{address}{port}:80"])


def test_pasta_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(crabcan.NotSupported, match="not installed") as caught:
        crabcan.run(["/bin/true"], network="pasta")
    assert "apt-get install passt" in caught.value.advice


@pytest.mark.parametrize("entry", ["a:b", "0:80", "80:70000", "80:80/sctp", "", "80:-1"])
def test_publish_that_is_refused(entry: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=r"publish\[0\]"):
        crabcan.Container(["true"], network="pasta", publish=[entry])
    with pytest.raises(crabcan.ArgumentInvalid, match="network='pasta'"):
        crabcan.Container(["true"], publish=["80:80"])
