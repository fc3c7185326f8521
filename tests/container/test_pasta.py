"""Network by pasta: a container's way out, and its published ports.

Root alone may open /dev/net/tun on some machines. The tests that need it run in a network
namespace that plays the host, so that nothing of the machine's own network changes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import crabcan
from crabcan import pasta


def tun_opens() -> bool:
    try:
        os.close(os.open(pasta.TUN, os.O_RDWR))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def target(*options: str) -> Iterator[int]:
    """A process in namespaces of its own."""
    with subprocess.Popen(["unshare", *options, "--net", "sleep", "60"]) as process:
        try:
            while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
                assert process.poll() is None
                time.sleep(0.01)
            yield process.pid
        finally:
            process.kill()


needs_tun = pytest.mark.skipif(not tun_opens(), reason=f"{pasta.TUN} cannot be opened")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a host of its own")

# Runs in a new network namespace, "the host": it has eth0, a cable to "the world", where the test
# has servers. Prints what it found as lines for the test to look at.
SCENE = """
import contextlib, os, socket, subprocess, sys, threading, time
sys.path[:0] = {path!r}
from crabcan.pasta import Pasta

def sh(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout

def process(*words):
    return stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))

def ended(child):
    child.kill(); child.wait()

def inside(pid, script, *words):
    return process("nsenter", "-t", str(pid), "--net", sys.executable, "-c", script, *words)

CONNECT = '''
import socket, sys
try:
    source = (sys.argv[3], 0) if sys.argv[3:] else None
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1, source) as s:
        s.sendall(b"c")
        print(s.recv(9).decode())
except OSError:
    print("no")
'''
SERVE = '''
import socket, sys
with socket.create_server(("0.0.0.0", int(sys.argv[1]))) as s:
    print("up", flush=True)
    while True:
        with s.accept()[0] as c:
            c.sendall(c.recv(1) + b"container"[1:])
            c.recv(1)  # until the peer has closed
'''
UDP = '''
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("0.0.0.0", int(sys.argv[1])))
    print("up", flush=True)
    data, peer = s.recvfrom(9)
    s.sendto(b"got " + data, peer)
'''
ASK = '''
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    s.bind((sys.argv[3], 0))
    s.sendto(b"ping", (sys.argv[1], int(sys.argv[2])))
    print(s.recv(9).decode())
'''
def serve(address, port, text):
    server = socket.create_server((address, port))
    def loop():
        while True:
            with server.accept()[0] as c: c.sendall(text)
    threading.Thread(target=loop, daemon=True).start()

with contextlib.ExitStack() as stack:
    sh("ip", "link", "set", "lo", "up")
    world = process("unshare", "--net", "sh", "-c", "echo up; exec sleep 60")
    stack.callback(ended, world)
    world.stdout.readline()
    sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns",
       str(world.pid))
    sh("ip", "addr", "add", "198.51.100.2/24", "dev", "eth0")
    sh("ip", "link", "set", "eth0", "up")
    ns = ("nsenter", "-t", str(world.pid), "--net")
    sh(*ns, "ip", "addr", "add", "198.51.100.1/24", "dev", "eth1")
    sh(*ns, "ip", "addr", "add", "198.51.100.9/24", "dev", "eth1")
    sh(*ns, "ip", "link", "set", "eth1", "up")
    sh("ip", "route", "add", "default", "via", "198.51.100.1")
    far = process(*ns, sys.executable, "-c", SERVE, "7000")
    stack.callback(ended, far)
    far.stdout.readline()
    serve("127.0.0.1", 7001, b"loopback")
    serve("0.0.0.0", 7002, b"any")

    box = process("unshare", *{options!r}, "--net", "sh", "-c", "echo up; exec sleep 60")
    stack.callback(ended, box)
    box.stdout.readline()
    if {outside!r}:
        for kind in "ug":
            with open(f"/proc/{{box.pid}}/{{kind}}id_map", "w") as stream:
                stream.write("0 {outside} 65536")
    begin = time.monotonic()
    ports = ("8080:80", "127.0.0.1:8081:80", "8082:53/udp")
    with Pasta.start(box.pid, ports) as net:
        print("ms", round((time.monotonic() - begin) * 1000))
        spaces = ["nsenter", "-t", str(box.pid), "--net"]
        print("address", "198.51.100.2/24" in sh(*spaces, "ip", "addr"))
        def connect(address, port):
            return inside(box.pid, CONNECT, address, str(port)).communicate()[0].strip()
        print("world", connect("198.51.100.1", 7000))
        for name, address in (("gateway", "198.51.100.1"), ("host", "198.51.100.2"),
                              ("lo", "127.0.0.1")):
            print(name, connect(address, 7001), "/", connect(address, 7002))
        server = inside(box.pid, SERVE, "80")
        stack.callback(ended, server)
        server.stdout.readline()
        for port in (8080, 8081):
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.sendall(b"c")
                print("published", s.recv(9).decode())
        def from_world(port):
            words = (*ns, sys.executable, "-c", CONNECT, "198.51.100.2", str(port), "198.51.100.9")
            return process(*words).communicate()[0].strip()
        print("published", from_world(8080))
        print("kept", from_world(8081))
        udp = inside(box.pid, UDP, "53")
        stack.callback(ended, udp)
        udp.stdout.readline()
        print("udp", process(*ns, sys.executable, "-c", ASK, "198.51.100.2", "8082",
                             "198.51.100.9").communicate()[0].strip())
        print("listening", sh("ss", "-Hlntu").count("80"))
        try:
            Pasta.start(box.pid, ("127.0.0.1:7001:1",))
        except OSError as error:
            print(error)
        status = open(f"/proc/{{net.pid}}/status").read()
        print("privilege", "NoNewPrivs:\\t1" in status, "Seccomp:\\t2" in status)
        begin = time.monotonic()
    net.stop()
    print("gone", not os.path.exists(f"/proc/{{net.pid}}"))
"""


def scene(options: list[str], outside: int) -> str:
    script = SCENE.format(path=sys.path, options=options, outside=outside)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", script],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_root
@needs_tun
@pytest.mark.parametrize(
    ("options", "outside"),
    [(["--user", "--map-root-user"], 0), (["--user"], 0x70000000), ([], 0)],
    ids=["root", "high", "none"],
)
def test_outward_and_published(options: list[str], outside: int) -> None:
    lines = scene(options, outside).splitlines()
    assert lines[0].startswith("ms ")
    assert lines[1:] == [
        "address True",
        "world container",
        # Nothing of the host's loopback is reached, nor what listens on all its addresses.
        "gateway no / no",
        "host no / no",
        "lo no / no",
        "published container",
        "published container",
        "published container",
        "kept no",
        "udp got ping",
        "listening 4",
        "publish[0]: binding 127.0.0.1:7001/tcp: address already in use"
        " - another program listens there: give another port",
        "privilege True True",
        "gone True",
    ]


CALLER = """
import os, sys, time
sys.path[:0] = {path!r}
from crabcan.pasta import Pasta
print(Pasta.start({pid}).pid, flush=True)
time.sleep(60)
"""


@needs_tun
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_caller(signum: signal.Signals) -> None:
    with target("--user", "--map-root-user") as pid:
        script = CALLER.format(path=sys.path, pid=pid)
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        ) as caller:
            assert caller.stdout is not None
            answer = caller.stdout.readline()
            fd = os.pidfd_open(int(answer))
            caller.send_signal(signum)
            caller.wait()
        try:
            import select

            assert select.select([fd], [], [], 5)[0], "pasta outlives its caller"
        finally:
            os.close(fd)


@needs_tun
def test_namespace_of_the_caller_is_refused() -> None:
    with pytest.raises(crabcan.SetupError, match="no network namespace of its own"):
        pasta.Pasta.start(os.getpid())


@needs_tun
def test_process_gone() -> None:
    with pytest.raises(crabcan.SetupError, match="opening the net namespace of process 4194305"):
        pasta.Pasta.start(4194305)


@needs_tun
def test_what_pasta_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "pasta"
    fake.write_text("#!/bin/sh\necho 'Failed to send 9 bytes to syslog' >&2; echo no luck >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with (
        target("--user", "--map-root-user") as pid,
        pytest.raises(crabcan.SetupError, match="^pasta: no luck$"),
    ):
        pasta.Pasta.start(pid)
    fake.write_text("#!/bin/sh\nsleep 60\n")
    with (
        target("--user", "--map-root-user") as pid,
        pytest.raises(crabcan.SetupError, match=r"pasta, after 0.2 s: connection timed out"),
    ):
        pasta.Pasta.start(pid, timeout=0.2)


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(crabcan.NotSupported, match="not installed - .*apt-get install passt"):
        pasta.find()


def test_no_tun(tmp_path: Path) -> None:
    with pytest.raises(crabcan.NotSupported, match="no such file .* modprobe tun"):
        pasta.check_tun(str(tmp_path / "tun"))


def test_tun_is_for_root_only() -> None:
    if tun_opens():
        pasta.check_tun()
        return
    with (
        target("--user", "--map-root-user") as pid,
        pytest.raises(crabcan.NotSupported, match="/dev/net/tun: (permission denied|no such)"),
    ):
        pasta.Pasta.start(pid)
