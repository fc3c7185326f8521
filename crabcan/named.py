"""Named containers: to start one that goes on by itself, and to find and ask those that run."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crabcan import _check, _keeper, _state
from crabcan._descriptors import numbers_of
from crabcan._exec import readable
from crabcan._popen import Popen
from crabcan._run import TimeoutExpired
from crabcan._state import Entry
from crabcan.errors import ContainerError
from crabcan.spec import Spec, spec_of
from crabcan.usage import Usage

if TYPE_CHECKING:
    from typing import Unpack

    from crabcan.container import Stdio
    from crabcan.spec import Command, Options
    from crabcan.terminal import Terminal

GRACE = 10.0  # seconds between SIGTERM and SIGKILL, as docker has it


class Named:
    """A named container of this user, running or ended.

    What crabcan.get(), crabcan.list() and crabcan.start() give. It is known by files in a directory
    that only its user may enter, below $XDG_RUNTIME_DIR; a container whose caller was killed is not
    known any more.

    Attributes:
        name: its name.
        command: the command and its arguments.
        pid: the process id of its init.
        created: when it was started, seconds since the epoch.

    Example:
        >>> import crabcan
        >>> container = crabcan.start(["sleep", "60"], name="example")
        >>> crabcan.get("example").is_running
        True
        >>> container.kill()
        >>> container.wait()
        -9
        >>> container.remove()

    """

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        state = entry.read()
        self.name = entry.name
        self.command: tuple[str, ...] = tuple(state.get("command", ()))
        self.pid: int | None = state.get("pid")
        self.created: float = state.get("created", 0.0)

    def __repr__(self) -> str:
        return f"<crabcan.Named {self.name!r}, {self.status}>"

    @property
    def state(self) -> dict[str, Any]:
        """All that its keeper has written about it, as plain data."""
        return self._entry.read()

    @property
    def status(self) -> str:
        """``"running"``, ``"paused"``, ``"exited (3)"`` or ``"killed (9)"``."""
        state = self.state
        ended = state.get("ended")
        if ended is None:
            return "paused" if state.get("paused") else "running"
        code = ended["returncode"]
        return f"killed ({-code})" if code < 0 else f"exited ({code})"

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.state.get("ended") is None and self._entry.is_alive()

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal; None while it runs."""
        ended = self.state.get("ended")
        return None if ended is None else int(ended["returncode"])

    @property
    def usage(self) -> Usage | None:
        """What it has used, once it has ended (crabcan.Usage)."""
        ended = self.state.get("ended")
        return Usage(**ended["usage"]) if ended and ended["usage"] else None

    def send_signal(self, signum: int) -> None:
        """Send a signal to its command; one that has ended is left alone."""
        self._ask({"do": "signal", "signum": int(signum)})

    def kill(self) -> None:
        """End the whole container at once."""
        self.send_signal(signal.SIGKILL)

    def stop(self, grace: float = GRACE) -> int:
        """Send SIGTERM, and SIGKILL if it has not ended `grace` seconds later.

        Returns:
            what wait() returns.

        """
        self.send_signal(signal.SIGTERM)
        try:
            return self.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code, or minus the signal.

        Raises:
            TimeoutExpired: it has not ended in time, in seconds.
            ContainerError: its keeper was killed, and it with it.

        """
        code = self.returncode
        if code is not None:
            return code
        done = self._ask({"do": "wait"}, timeout)
        code = int(done["returncode"]) if done else self.returncode
        if code is None:
            raise ContainerError(f"{self.name}: its caller was killed, and it with it")
        return code

    def pause(self) -> None:
        """Stop every process in it, until unpause(); see Container.pause()."""
        self._ask({"do": "pause"})

    def unpause(self) -> None:
        """Let every process in it go on."""
        self._ask({"do": "unpause"})

    def logs(self) -> bytes:
        """The last 4 to 8 MiB of what a detached container has written."""
        chunks = []
        for name in (f"{_state.LOG}.old", _state.LOG):
            with contextlib.suppress(FileNotFoundError), open(self._entry.file(name), "rb") as file:
                chunks.append(file.read())
        return b"".join(chunks)

    def follow(self) -> Iterator[bytes]:
        """What it writes from now on, in pieces, until it has ended."""
        path = self._entry.file(_state.LOG)
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            while True:
                running = self.is_running
                chunk = file.read()
                if chunk:
                    yield chunk
                elif not running:
                    return
                else:
                    time.sleep(0.05)

    def exec(self, command: Command, **options: Any) -> NamedExec:
        r"""Start a further process in it; see Container.exec() for the options.

        Returns:
            what Popen would: streams, wait(), kill(), returncode.

        """
        return NamedExec(self, command, **options)

    def remove(self) -> None:
        """Forget one that has ended, with its log.

        Raises:
            ContainerError: it runs.

        """
        if self.is_running:
            raise ContainerError(f"{self.name}: it runs: kill it first")
        self._entry.remove()

    def _connect(self) -> socket.socket | None:
        """None where it has ended."""
        talk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._entry.socket_path() as path:
                talk.connect(path)
        except OSError:
            talk.close()
            return None
        return talk

    def _ask(self, request: dict[str, Any], timeout: float | None = None) -> Any:
        talk = self._connect()
        if talk is None:
            return None
        with talk:
            try:
                _keeper.send(talk, request)
                if not readable([talk.fileno()], timeout):
                    raise TimeoutExpired(builtins.list(self.command), timeout or 0)
                answer, _ = _keeper.receive(talk)
            except (BrokenPipeError, ConnectionResetError):  # it ended meanwhile
                return None
        return done(answer)


def done(answer: dict[str, Any]) -> Any:
    """What was answered; an error is raised here."""
    if "error" in answer:
        raise pickle.loads(bytes.fromhex(answer["error"]))  # by the same user's keeper
    return answer.get("done")


class NamedExec(Popen):
    """A further process in a named container; what Named.exec() gives."""

    def __init__(self, named: Named, command: Command, **options: Any) -> None:
        self._named = named
        super().__init__(command, **options)

    def _spec_of(self, args: Any, options: Any, pass_fds: Any) -> Any:
        return _Request(args, **options)

    def _make(self, spec: Any, ends: builtins.list[Stdio], pass_fds: Any) -> Any:
        return _Remote(self._named, spec, ends)


class _Request:
    """What is asked for, in place of a Spec."""

    def __init__(
        self, command: Command, *, env: Any = None, cwd: Any = None, tty: bool = False
    ) -> None:
        checked = Spec(command, env=env, cwd=cwd or "/", channel=False)  # refused here if anywhere
        self.command = checked.command
        self.env = None if env is None else dict(checked.env)
        self.cwd = None if cwd is None else checked.cwd
        self.tty = tty


class _Remote:
    """What Popen needs of a Container, of a process that a keeper starts for us."""

    usage = None
    oom_killed = False
    timed_out = False

    def __init__(self, named: Named, request: _Request, ends: builtins.list[Stdio]) -> None:
        self._named = named
        self._request = request
        self._stdio = numbers_of(*ends)
        self._talk: socket.socket | None = None
        self._terminal: Terminal | None = None
        self.returncode: int | None = None
        self.child_pid: int | None = None

    def create(self) -> None:
        """Ask, and wait for its start."""
        try:
            self._create()
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            raise ContainerError(f"exec: {self._named.name} has ended") from None
        except BaseException:
            self.close()
            raise

    def _create(self) -> None:
        self._talk = self._named._connect()
        if self._talk is None:
            raise ContainerError(f"exec: {self._named.name} has ended")
        asked = self._request
        request = {"do": "exec", "command": asked.command, "env": asked.env, "cwd": asked.cwd,
                   "tty": asked.tty}  # fmt: skip
        devnull = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            fds = [devnull if fd is None else fd for fd in self._stdio]
            _keeper.send(self._talk, request, [] if asked.tty else fds)
        finally:
            os.close(devnull)
        answer, given = _keeper.receive(self._talk)
        done(answer)
        self.child_pid = answer["started"]
        if given:
            from crabcan.terminal import Terminal

            self._terminal = Terminal(given[0])

    def _give_up_terminal(self) -> Terminal | None:
        terminal, self._terminal = self._terminal, None
        return terminal

    @property
    def pidfd(self) -> int:
        """Readable once it has ended."""
        return -1 if self._talk is None else self._talk.fileno()

    def poll(self) -> int | None:
        """The returncode if it has ended."""
        return self._take(0)

    def wait(self, timeout: float | None = None) -> int:
        """The returncode, once it has ended."""
        code = self._take(timeout)
        if code is None:
            raise TimeoutExpired(builtins.list(self._request.command), timeout or 0)
        return code

    def _take(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._talk is not None:
            if not readable([self._talk.fileno()], timeout):
                return None
            try:
                self.returncode = int(done(_keeper.receive(self._talk)[0]))
            except OSError:  # the container has ended, and its keeper before it could say so
                self.returncode = -signal.SIGKILL
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """To it alone."""
        if self._talk is not None and self.returncode is None:
            with contextlib.suppress(OSError):
                _keeper.send(self._talk, {"signum": int(signum)})

    def close(self) -> None:
        """Leave; what still runs is killed by its keeper."""
        if self._talk is not None:
            self._talk.close()
            self._talk = None
        if self._terminal is not None:
            self._terminal.close()


def start(
    command: Command | Spec, *, name: str | None = None, stdin: bool = False,
    **options: Unpack[Options],
) -> Named:  # fmt: skip
    r"""Start a container that goes on by itself, after this program too.

    Its output goes to its log (Named.logs()). A process of its own keeps it, and ends with it.

    Args:
        command: the program and its arguments, or a crabcan.Spec.
        name: to find it by; an adjective, a noun and a number if not given.
        stdin: whether its stdin is kept open for `crabcan attach`; /dev/null if not.
        options: what else crabcan.Container takes.

    Raises:
        ContainerError: a container of that name runs.
        ArgumentInvalid, SetupError, ...: as Container.

    Example:
        >>> import crabcan
        >>> container = crabcan.start(["echo", "hello"])
        >>> container.wait(), container.logs()
        (0, b'hello\n')
        >>> container.remove()

    """
    spec = spec_of(command, {"channel": False, **options} if not isinstance(command, Spec) else {})
    chosen = _state.generated() if name is None else _state.checked(name)
    _state.directory()
    words = [sys.executable, "-P", "-m", "crabcan._keeper", chosen, "stdin" if stdin else "-"]
    given = spec.to_json().encode()
    answer = subprocess.run(words, input=given, stdout=subprocess.PIPE, check=False).stdout
    if answer != b"ok":
        if not answer:
            raise ContainerError(f"{chosen}: its keeper ended before it had started it")
        raise pickle.loads(answer)
    return get(chosen)


def get(name: str) -> Named:
    """The named container, running or ended.

    Args:
        name: its name.

    Raises:
        NoSuchContainer: there is none; with the closest name.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.get("no-such-name")
        ... except crabcan.NoSuchContainer as error:
        ...     print(error)
        there is no container 'no-such-name' - see them with crabcan.list(), or crabcan ps --all

    """
    return Named(_state.find(_check.text("name", name)))


def list(*, all: bool = False) -> builtins.list[Named]:
    """The named containers of this user that run.

    Args:
        all: also those that have ended.

    Raises:
        ContainerError: the directory of the state is not this user's alone.

    Example:
        >>> import crabcan
        >>> container = crabcan.start(["true"], name="listed")
        >>> container.wait()
        0
        >>> "listed" in [named.name for named in crabcan.list(all=True)]
        True
        >>> container.remove()

    """
    found = [Named(entry) for entry in _state.entries()]
    return [named for named in found if all or named.is_running]
