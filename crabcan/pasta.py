"""Outward connections without privilege, and published ports, by the pasta program (passt(1)).

pasta copies the host's address into the container's network namespace and speaks for it with
ordinary sockets of the host. It is told to map neither the host's loopback nor its gateway's
address, so that services that listen for the host alone stay its own.
"""

from __future__ import annotations

import os
import shutil
import time

from crabcan import _check
from crabcan.errors import Error, NotSupported, invalid

PROGRAM = "pasta"
_TIMEOUT = 10.0  # seconds to configure an interface, which takes some hundredths

# pasta does not see the container's end. The shell does: its input is a pipe that the caller holds,
# and that the kernel closes for a caller that is killed. All by process id.
_UNTIL_CLOSED = '"$@" & pid=$!; read -r _; kill "$pid" 2>/dev/null; wait "$pid"'

_OPTIONS = (
    "--foreground", "--quiet", "--stderr", "--config-net", "--no-map-gw",
    "--tcp-ns", "none", "--udp-ns", "none",
)  # fmt: skip


def parse_publish(field: str, entry: str) -> tuple[str, str]:
    """Docker's form, ``[ADDRESS:]HOST:INSIDE[/tcp|/udp]``, as protocol and pasta's own form."""
    ports, slash, protocol = entry.partition("/")
    if slash and protocol not in ("tcp", "udp"):
        raise invalid(field, entry, "write /tcp or /udp")
    parts = ports.rsplit(":", 2)
    if len(parts) == 1:
        parts *= 2
    address = f"{parts[0].strip('[]')}/" if len(parts) == 3 else ""
    host, inside = (_port(field, entry, port) for port in parts[-2:])
    return protocol or "tcp", f"{address}{host}:{inside}"


def _port(field: str, entry: str, port: str) -> int:
    if not (port.isascii() and port.isdecimal()):
        raise invalid(field, entry, "write HOST:INSIDE, 8080:80 for example")
    return _check.integer(field, int(port), 1, 65535)


def find() -> str:
    """The program's path.

    Raises:
        NotSupported: it is not installed.

    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise _failed("the program is not installed", "apt-get install passt, or network='none'")
    return path


def command(pid: int, publish: tuple[str, ...]) -> list[str]:
    """What is executed for the namespaces of a process."""
    words = [find(), *_OPTIONS]
    if os.geteuid() == 0:
        words += ["--runas", "0"]  # nobody could not enter the namespaces
    forwards: dict[str, list[str]] = {"tcp": [], "udp": []}
    for i, entry in enumerate(publish):
        protocol, ports = parse_publish(f"publish[{i}]", entry)
        forwards[protocol].append(ports)
    for protocol, entries in forwards.items():
        for ports in entries or ["none"]:
            words += [f"--{protocol}-ports", ports]
    return [*words, "--userns", f"/proc/{pid}/ns/user", "--netns", f"/proc/{pid}/ns/net"]


class Pasta:
    """One container's pasta, which ends with stop() or with the caller."""

    def __init__(self, words: list[str]) -> None:
        import subprocess

        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _UNTIL_CLOSED, "sh", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    @classmethod
    def start(cls, pid: int, publish: tuple[str, ...] = ()) -> Pasta:
        """Connect the network namespace of a process, and return once its interface is up.

        Raises:
            NotSupported: pasta is not installed, or ended by itself: its words are in the message.

        """
        pasta = cls(command(pid, publish))
        try:
            pasta._await_route(pid)
        except BaseException:
            pasta.stop()
            raise
        return pasta

    def _await_route(self, pid: int) -> None:
        deadline = time.monotonic() + _TIMEOUT
        while not _has_route(pid):
            if self._ended() or time.monotonic() > deadline:
                raise _failed(self._last_words() or "it gave the container no route in time",
                              "see that /dev/net/tun may be opened, and that the host has a "
                              "default route; or give network='none'")  # fmt: skip
            time.sleep(0.002)

    def _ended(self) -> bool:
        """Whether pasta has; the shell, its parent, still waits for its input."""
        path = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        try:
            with open(path) as file:
                children = file.read().split()
        except OSError:
            return True
        return bool(children) and all(_is_zombie(child) for child in children)

    def _last_words(self) -> str:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stderr is None:
            return ""
        lines = self._process.stderr.read().decode(errors="replace").splitlines()
        return "; ".join(line for line in lines if "syslog" not in line)

    def stop(self) -> None:
        """End it. Again is harmless."""
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._process.wait()


def _is_zombie(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _has_route(pid: int) -> bool:
    """A default route, by IPv4 or IPv6, on another interface than lo."""
    with open(f"/proc/{pid}/net/route") as file:
        if any(line.split()[1] == "00000000" for line in file.read().splitlines()[1:]):
            return True
    try:
        with open(f"/proc/{pid}/net/ipv6_route") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:
        return False
    return any(row[1] == "00" and row[0].strip("0") == "" and row[9] != "lo" for row in rows)


def _failed(what: str, advice: str) -> Error:
    error = NotSupported(f"network 'pasta': {what}")
    error.advice = advice
    return error
