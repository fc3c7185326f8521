"""A way out for a container's network, by the program pasta: no privilege needed on the host."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from crabcan import _check
from crabcan.errors import NotSupported, SetupError, invalid

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    import subprocess
    from types import TracebackType

# Protocol, address on the host ("" for all), port on the host, port in the container.
Publish = tuple[str, str, int, int]

PROTOCOLS = ("tcp", "udp")
TUN = "/dev/net/tun"
# Measured 30 ms; a busy machine takes longer, and one that takes this long is stuck.
SECONDS = 30.0

# Each option of passt(1) that every container gets, and why.
OPTIONS = (
    "--foreground",  # a child of ours, to be ended and waited for; no pid file to guess by
    "--quiet",
    "--config-net",  # addresses and routes as on the host, set up in the namespace
    "--no-map-gw",  # or the gateway's address leads to services on the host's loopback
    "-T", "none",  # or a port on the container's loopback leads to the same one on the host's;
    "-U", "none",  # the default is every port that somebody listens on
    "--log-file", "/dev/null",  # only what goes wrong at the start is wanted, and that is said
    "--pid", "/proc/self/fd/1",  # written when all is configured
)  # fmt: skip
_PORTS = {"tcp": "-t", "udp": "-u"}

# sh waits for a line, which comes once the kernel is told to kill it with us, and becomes pasta.
# The pipe that this hangs on is its standard error at first, its standard input then: pasta's
# newer releases close every descriptor above 2.
_SCRIPT = 'read -r go && exec "$@" <&2 2>&1'


def find() -> str:
    """The path of pasta.

    Raises:
        NotSupported: it is not installed.

    See passt(1).

    """
    for folder in os.get_exec_path():
        path = os.path.join(folder, "pasta")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    error = NotSupported("network 'pasta': the program is not installed")
    error.advice = "as root: apt-get install passt; or give network='none'"
    raise error


def check_tun(path: str = TUN) -> None:
    """Raise NotSupported unless the caller may open the device that pasta makes interfaces with.

    See the kernel's Documentation/networking/tuntap.rst.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as failure:
        error = NotSupported(f"network 'pasta': {path}: {os.strerror(failure.errno or 0).lower()}")
        if failure.errno in (errno.EACCES, errno.EPERM):
            error.advice = f"as root: chmod 666 {path}, as most distributions have it"
        else:
            error.advice = "as root: modprobe tun; inside another container give it the device"
        raise error from None


def parse_publish(field: str, value: str) -> Publish:
    """A port to publish, as docker writes it: ``[ADDRESS:]PORT[:PORT][/tcp|/udp]``.

    One port alone is the same on both sides. Without an address the port is open on all of the
    host's; 127.0.0.1 keeps it to the host. A connection over the host's loopback reaches the
    container as one over its own.

    Args:
        field: how an error names the value.
        value: the port on the host, then the one in the container. An IPv6 address is in brackets.

    Returns:
        The protocol, the address or ``""``, the port on the host, the port in the container.

    Raises:
        ArgumentInvalid: it has another form.

    Example:
        >>> from crabcan import pasta
        >>> pasta.parse_publish("publish", "127.0.0.1:8080:80/udp")
        ('udp', '127.0.0.1', 8080, 80)

    """
    rest, slash, protocol = _check.text(field, value).partition("/")
    if slash and protocol not in PROTOCOLS:
        raise invalid(field, value, "the protocol is tcp or udp, as in 8080:80/udp")
    host, colon, inside = rest.rpartition(":")
    address, bracket, outside = host.rpartition(":")
    if not colon:
        outside = inside
    if bracket:
        _check_address(field, value, address)
    ports = []
    for port in (outside, inside):
        if not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
            raise invalid(field, value, "a port is a number from 1 to 65535, as in 8080:80")
        ports.append(int(port))
    return protocol or "tcp", address.strip("[]"), ports[0], ports[1]


def _check_address(field: str, value: str, address: str) -> None:
    bracketed = address.startswith("[") and address.endswith("]")
    try:
        socket.inet_pton(
            socket.AF_INET6 if bracketed else socket.AF_INET,
            address[1:-1] if bracketed else address,
        )
    except (OSError, ValueError):
        advice = "give a numeric address, as in 127.0.0.1:8080:80 or [::1]:8080:80"
        raise invalid(field, value, advice) from None


def _check_free(field: str, entry: Publish) -> None:
    """Refuse a port that cannot be bound: pasta goes on without it, and says nothing."""
    protocol, address, port, _ = entry
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in address or not address else socket.AF_INET
    if not address and not os.path.exists("/proc/net/if_inet6"):
        family = socket.AF_INET
    with socket.socket(family, kind) as probe:
        if family == socket.AF_INET6:  # "" stands for both families, as with pasta
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(address)))
        if protocol == "tcp":  # connections that have ended do not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as failure:
            shown = f"{f'[{address}]' if ':' in address else address or '*'}:{port}/{protocol}"
            error = _failed(failure.errno or 0, f"{field}: binding {shown}")
            error.advice = {
                errno.EADDRINUSE: "another program listens there: give another port",
                errno.EADDRNOTAVAIL: "give an address of this host",
                errno.EACCES: "a port below sysctl net.ipv4.ip_unprivileged_port_start is for "
                "root: give a higher one",
            }.get(failure.errno or 0, "")
            raise error from None


def _failed(errnum: int, what: str) -> SetupError:
    error = SetupError(errnum, f"{what}: {os.strerror(errnum).lower()}" if errnum else what)
    error.code = 0
    error.step = "network"
    return error


def _port_options(publish: tuple[str, ...]) -> list[str]:
    """The options that publish these ports and no others."""
    words: dict[str, list[str]] = {protocol: [] for protocol in PROTOCOLS}
    for index, value in enumerate(publish):
        field = f"publish[{index}]"
        entry = parse_publish(field, value)
        _check_free(field, entry)
        protocol, address, outside, inside = entry
        spec = f"{address}/" if address else ""
        words[protocol] += [_PORTS[protocol], f"{spec}{outside}:{inside}"]
    for protocol, option in _PORTS.items():
        # Never left out: the default publishes every port that the container listens on.
        words[protocol] = words[protocol] or [option, "none"]
    return words["tcp"] + words["udp"]


class Pasta:
    """A running pasta, and with it a container's way to the outside.

    The container gets the addresses and routes of the host's interface with the default route. It
    reaches what the host reaches, but neither the host's loopback nor, having the same address
    itself, services on the host's main address. Nothing reaches the container but by `publish`.

    It ends with `stop`, and by the kernel's hand when the caller ends in any way: once the last
    descriptor of a pipe is closed, which a child that the caller forked may hold for longer.

    Attributes:
        pid: the process id of pasta.

    Example:
        >>> from crabcan.pasta import Pasta
        >>> with Pasta.start(pid, ("8080:80",)):  # doctest: +SKIP
        ...     pass

    See passt(1), network_namespaces(7).

    """

    def __init__(self, process: subprocess.Popen[bytes], fds: list[int]) -> None:
        self._process = process
        self._fds = fds  # the lifeline, and what pasta says
        self.pid = process.pid

    @classmethod
    def start(cls, pid: int, publish: tuple[str, ...] = (), timeout: float = SECONDS) -> Pasta:
        """Attach to the network namespace of a process; return once its interface is configured.

        Args:
            pid: a process that the caller may inspect (ptrace(2)), with a network namespace of its
                own; it needs to live only until this returns.
            publish: ports, see `parse_publish`.
            timeout: seconds that the set-up may take.

        Raises:
            ArgumentInvalid: an entry of `publish` has the wrong form.
            NotSupported: pasta is not installed, or the caller may not open /dev/net/tun.
            SetupError: the namespace cannot be opened, a port cannot be bound, or pasta failed.

        """
        path = find()
        check_tun()
        ports = _port_options(publish)
        with contextlib.ExitStack() as stack:
            words, fds = _namespaces(pid, stack)
            return _launch([path, *OPTIONS, *ports, *words], fds, timeout)

    def stop(self) -> None:
        """End pasta and wait for it; nothing happens the second time."""
        self._process.kill()  # it has nothing to tidy: interface and sockets go with it
        self._process.wait()
        _close(self._fds)

    def __enter__(self) -> Pasta:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _namespaces(pid: int, stack: contextlib.ExitStack) -> tuple[list[str], list[int]]:
    """The words that name the namespaces to join, and the descriptors that go with them."""
    words: list[str] = []
    fds: list[int] = []
    for option, kind in (("--netns", "net"), ("--userns", "user")):
        try:
            fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as failure:
            what = f"opening the {kind} namespace of process {pid}"
            raise _failed(failure.errno or 0, what) from None
        stack.callback(os.close, fd)
        own = os.path.samestat(os.fstat(fd), os.stat(f"/proc/self/ns/{kind}"))
        if own and kind == "net":  # it would reconfigure the host's own
            raise _failed(0, f"process {pid} has no network namespace of its own")
        words += ["--netns-only"] if own else [option, f"/proc/self/fd/{fd}"]
        fds += [] if own else [fd]
    if os.geteuid() != 0:
        # Its releases from 2024 on close what they inherit, so by number where that does.
        return [str(pid)], []
    # By descriptor: it gives up the privilege to look into the process first. And it must stay
    # root, who owns the namespaces, where it would become nobody.
    return ["--no-netns-quit", "--runas", "0:0", *words], fds


def _pipe(stack: contextlib.ExitStack) -> list[int]:
    """A pipe whose ends are above 2, where a child's standard streams go."""
    import fcntl

    ends: list[int] = []
    stack.callback(_close, ends)
    for fd in os.pipe2(os.O_CLOEXEC):
        ends.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3))
        os.close(fd)
    return ends


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


def _tie(reader: int, pid: int) -> None:
    """Have the kernel kill a process when the last writer to a pipe is gone, fcntl(2).

    PR_SET_PDEATHSIG would not do: pasta loses it when it joins the user namespace, and it goes
    by the thread, not the process, that forked.
    """
    import fcntl
    import signal

    fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
    fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(reader, fcntl.F_GETFL)
    fcntl.fcntl(reader, fcntl.F_SETFL, flags | os.O_ASYNC)


def _launch(command: list[str], fds: list[int], timeout: float) -> Pasta:
    import subprocess

    with contextlib.ExitStack() as stack:
        go, lifeline, answer = (_pipe(stack) for _ in range(3))
        os.set_blocking(answer[1], False)  # nobody reads on: what it may say must not stop it
        process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "sh", *command],
            stdin=go[0],
            stdout=answer[1],
            stderr=lifeline[0],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            pass_fds=fds,
            start_new_session=True,  # the terminal's Ctrl-C is the command's to handle
        )
        pasta = Pasta(process, [lifeline.pop(), answer.pop(0)])
        _close(answer)
        try:
            _tie(lifeline[0], process.pid)
            os.write(go[1], b"\n")
            _await(pasta._fds[1], process.pid, timeout)
        except BaseException:
            pasta.stop()
            raise
        return pasta


def _await(reader: int, pid: int, timeout: float) -> None:
    """Return once pasta has written its pid, which it does when all is configured."""
    import select
    import time

    deadline = time.monotonic() + timeout
    said = b""
    while f"{pid}".encode() not in said.splitlines():
        left = max(0.0, deadline - time.monotonic())
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(reader, select.POLLIN)
        if not poll.poll(left * 1000):
            raise _failed(errno.ETIMEDOUT, f"pasta, after {timeout} s")
        chunk = os.read(reader, 65536)
        if not chunk:
            # It says so of a machine without a syslog daemon, several times.
            lines = said.decode(errors="replace").splitlines()
            lines = [line for line in lines if not line.endswith("bytes to syslog")]
            raise _failed(0, f"pasta: {'; '.join(lines) or 'it ended without a word'}")
        said += chunk
