"""The keeper of a named container: the process that made it, writes its log, and answers for it.

There is no daemon: each container has a keeper of its own, which ends with it. `crabcan run --name`
is one; a detached container gets one of its own (main() here).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from crabcan import _state, serialize
from crabcan._exec import Exec
from crabcan._run import Captured
from crabcan._state import Entry
from crabcan.container import Container
from crabcan.errors import ContainerError, Error
from crabcan.spec import Spec

CHUNK = 65536
LOG_SIZE = 4 << 20  # of each of two files: the state may lie in memory

MAX_REQUEST = 4 << 20


class Keeper:
    """Answers what is asked of one container, over a socket in its entry, a thread a question."""

    def __init__(self, container: Container, entry: Entry) -> None:
        self.container = container
        self.entry = entry
        self.state: dict[str, Any] = {
            "name": entry.name,
            "pid": container.child_pid,
            "keeper": os.getpid(),
            "created": time.time(),
            "command": list(container.spec.command),
            "hostname": container.spec.hostname,
            "tty": container.spec.tty,
            "paused": False,
            "ended": None,
        }
        with contextlib.suppress(Error):  # what joins a Container is not to be written
            self.state["spec"] = serialize.plain(container.spec)
        self.stdin = -1  # to the command's, where the keeper has it
        self.log: Log | None = None
        self._ended = threading.Event()
        self._talks: set[threading.Thread] = set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def serve(self) -> None:
        """Be there to be asked."""
        with self.entry.socket_path() as path:
            self._socket.bind(path)
        self._socket.listen()
        self.entry.write(self.state)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                talk, _ = self._socket.accept()
            except OSError:  # closed
                return
            thread = threading.Thread(target=self._talk, args=(talk,), daemon=True)
            self._talks.add(thread)
            thread.start()

    def _talk(self, talk: socket.socket) -> None:
        with talk, contextlib.suppress(OSError):
            try:
                if _owner_of(talk) in (0, os.geteuid()):
                    request, fds = receive(talk)
                    self._answer(talk, request, fds)
            except Error as error:
                send(talk, {"error": pickle.dumps(error).hex()})
        self._talks.discard(threading.current_thread())

    def _answer(self, talk: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        actions: dict[str, Callable[..., Any]] = {
            "signal": lambda: self.container.send_signal(int(request["signum"])),
            "pause": lambda: self._pause(True),
            "unpause": lambda: self._pause(False),
            "wait": lambda: self._wait(talk),
            "exec": lambda: self._exec(talk, request, fds),
            "attach": lambda: self._attach(talk),
        }
        try:
            send(talk, {"done": actions[request["do"]]()})
        finally:
            for fd in fds:
                os.close(fd)

    def _pause(self, paused: bool) -> None:
        (self.container.pause if paused else self.container.unpause)()
        self.state["paused"] = paused
        self.entry.write(self.state)

    def _wait(self, talk: socket.socket) -> dict[str, Any]:
        """Also where nobody waits any more: then the asking side is gone, and sending fails."""
        self._ended.wait()
        ended: dict[str, Any] = self.state["ended"]
        return ended

    def _exec(self, talk: socket.socket, request: dict[str, Any], fds: list[int]) -> int:
        """The process has the asking side's own streams, or a terminal that it is given."""
        options = {name: request[name] for name in ("env", "cwd") if request.get(name) is not None}
        if request.get("tty"):
            options["tty"] = True
        else:
            options.update(zip(("stdin", "stdout", "stderr"), fds, strict=True))
        with self.container.exec(request["command"], **options) as process:
            terminal = process.terminal
            given = [] if terminal is None else [terminal.fileno()]
            send(talk, {"started": process.pid}, given)
            if terminal is not None:
                terminal.close()
            threading.Thread(target=self._follow, args=(talk, process), daemon=True).start()
            return process.wait()

    def _follow(self, talk: socket.socket, process: Exec) -> None:
        """Signals for it come on the same line; its end is that of the one who asked."""
        try:
            while True:
                request, _ = receive(talk)
                process.send_signal(int(request["signum"]))
        except (OSError, ValueError, ContainerError):
            with contextlib.suppress(Error):
                process.kill()

    def _attach(self, talk: socket.socket) -> None:
        """The terminal goes to who attaches, until they leave; so does the way to stdin."""
        terminal = self.container.terminal
        if self.log is None:
            error = ContainerError(f"attach: process {os.getpid()} has it in its foreground")
            error.advice = "use crabcan exec, or start it with --detach"
            raise error
        if terminal is not None:
            with self.log.suspended():
                send(talk, {"started": 0}, [terminal.fileno()])
                talk.recv(1)
        elif self.stdin >= 0:
            send(talk, {"started": 0}, [self.stdin])
        else:
            send(talk, {"started": 0})

    def end(self, code: int) -> None:
        """Tell those who wait, and leave word for those who come later."""
        usage = self.container.usage
        self.state["ended"] = {
            "returncode": code,
            "oom_killed": self.container.oom_killed,
            "timed_out": self.container.timed_out,
            "time": time.time(),
            "usage": {n: getattr(usage, n) for n in usage.__slots__} if usage else None,
        }
        self.entry.write(self.state)
        self._ended.set()
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.entry.file(_state.SOCKET))
        for thread in list(self._talks):
            thread.join(timeout=5)
        os.close(self.entry.lock)


def _owner_of(talk: socket.socket) -> int:
    """The user on the other side (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def send(talk: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """One message, its length first; descriptors go with the length."""
    data = json.dumps(message).encode()
    socket.send_fds(talk, [struct.pack("=I", len(data))], fds or [])
    talk.sendall(data)


def receive(talk: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One message and its descriptors, close-on-exec.

    Raises:
        OSError: the other side is gone.

    """
    head, fds, _, _ = socket.recv_fds(talk, 4, 3)
    for fd in fds:
        os.set_inheritable(fd, False)
    if len(head) < 4:
        raise ConnectionResetError("the other side is gone")
    size = struct.unpack("=I", head)[0]
    data = b""
    while len(data) < min(size, MAX_REQUEST):
        chunk = talk.recv(min(size - len(data), CHUNK))
        if not chunk:
            raise ConnectionResetError("the other side is gone")
        data += chunk
    found: dict[str, Any] = json.loads(data)
    return found, fds


class Log(threading.Thread):
    """Copies a container's output into its entry, and keeps the last of it."""

    def __init__(self, fd: int, read: Callable[[], bytes], entry: Entry, most: int | None) -> None:
        super().__init__(daemon=True)
        self._fd = fd
        self._read = read
        self._path = entry.file(_state.LOG)
        self._file = open(self._path, "ab", 0)  # noqa: SIM115
        self._most = most  # limits.output
        self._seen = 0
        self._attached = 0
        self._change = threading.Condition()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.over_limit: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Until the end of the output."""
        while True:
            with self._change:
                self._change.wait_for(lambda: not self._attached)
            ready = select.select([self._fd, self._wake], [], [])[0]
            if self._wake in ready:
                os.read(self._wake, CHUNK)
                continue
            chunk = self._read()
            if not chunk:
                return
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        if self._file.tell() + len(chunk) > LOG_SIZE:
            self._file.close()
            os.replace(self._path, f"{self._path}.old")
            self._file = open(self._path, "ab", 0)  # noqa: SIM115
        self._file.write(chunk)
        self._seen += len(chunk)
        if self._most is not None and self._seen > self._most:
            self.over_limit()

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """While somebody else reads the terminal."""
        self._attached += 1
        os.write(self._waker, b"x")
        try:
            yield
        finally:
            with self._change:
                self._attached -= 1
                self._change.notify()


def main() -> None:
    """Make a detached container and keep it: the Spec comes on stdin, the answer goes to stdout."""
    name, keeps_stdin = sys.argv[1], sys.argv[2] == "stdin"
    text = sys.stdin.read()
    answer = os.dup(1)
    os.setsid()
    if os.fork():  # whoever asked need not reap us
        os._exit(0)
    for fd in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        keeper, process = _start(name, Spec.from_json(text), keeps_stdin)
    except Exception as error:
        os.write(answer, pickle.dumps(error))
        os._exit(1)
    os.write(answer, b"ok")
    os.close(answer)
    signal.signal(signal.SIGTERM, lambda *_: process.kill())
    code = process.wait()
    if keeper.log is not None:
        keeper.log.join(timeout=5)
    keeper.end(code)
    process.close()


def _start(name: str, spec: Spec, keeps_stdin: bool) -> tuple[Keeper, Container]:
    entry = _state.claim(name)
    try:
        return _start_in(entry, spec, keeps_stdin)
    except BaseException:
        entry.remove()
        raise


def _start_in(entry: Entry, spec: Spec, keeps_stdin: bool) -> tuple[Keeper, Container]:
    container, output, stdin = _launch(spec, keeps_stdin)
    try:
        keeper = Keeper(container, entry)
        keeper.stdin = stdin
        terminal = container.terminal
        read = terminal.read if terminal else functools.partial(os.read, output, CHUNK)
        most = None if spec.limits is None else spec.limits.output
        keeper.log = Log(output, read, entry, most)
        keeper.log.over_limit = container.kill
        keeper.log.start()
        keeper.serve()
    except BaseException:
        container.close()
        raise
    return keeper, container


def _launch(spec: Spec, keeps_stdin: bool) -> tuple[Container, int, int]:
    """The container, where its output is read, and the way to its stdin or -1."""
    if spec.tty:
        container = Captured(spec)
        container.create()
        assert container.terminal is not None
        return container, container.terminal.fileno(), -1
    reader, writer = os.pipe2(os.O_CLOEXEC)
    behind, stdin = os.pipe2(os.O_CLOEXEC) if keeps_stdin else (-1, -1)
    try:
        given = behind if keeps_stdin else None
        container = Captured(spec, stdin=given, stdout=writer, stderr=writer)
        container.create()
    finally:
        os.close(writer)
        if behind >= 0:
            os.close(behind)
    return container, reader, stdin


if __name__ == "__main__":
    main()
