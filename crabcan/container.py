"""Container: a process cloned into its namespaces, talked to, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from types import TracebackType
from typing import TYPE_CHECKING

from crabcan import _channel as channel
from crabcan import _core, host, log
from crabcan.compile import compile_plan
from crabcan.errors import ContainerError, invalid, of_step
from crabcan.spec import Command, Path, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    Stdio = int | IO[bytes] | IO[str] | None

LOGGER = "crabcan.container"
CHILD_LOGGER = "crabcan.child"
CLD_EXITED = 1  # waitid(2)


class Container:
    r"""One command in a container of its own.

    Args:
        command: the program and its arguments; looked up inside, in PATH, if it has no slash.
        root: a directory that becomes the root file system. Without it the host's own programs and
            libraries are shown, read-only, with a private /tmp, /dev, /proc and an empty home.
        root_writable: whether the container may write to `root`.
        uid: user id inside, 0 if not given. Without privilege it stands for the caller's own.
        gid: group id inside; the same number as `uid` if not given.
        hostname: at most 64 bytes; an adjective, a noun and a number if not given.
        env: the whole environment; PATH, HOME, TERM and LANG if not given.
        cwd: an absolute path inside; ``/`` if not given.
        channel: whether the command gets its end of the boolean channel, as a descriptor whose
            number is in the environment variable CRABCAN_CHANNEL_FD.
        stdin: a descriptor or an open file; the caller's own if not given. So stdout and stderr.
        stdout: see stdin.
        stderr: see stdin.

    Raises:
        ArgumentInvalid: a value is refused.
        NotSupported: this host cannot run containers.

    Example:
        >>> import crabcan
        >>> script = 'printf "\\001" >&$CRABCAN_CHANNEL_FD'
        >>> with crabcan.Container(["sh", "-c", script]) as container:
        ...     container.create()
        ...     print(container.recv_bool(timeout=10), container.wait())
        True 0

    See clone(2), namespaces(7), unix(7), pidfd_open(2).

    """

    def __init__(
        self,
        command: Command,
        *,
        root: Path | None = None,
        root_writable: bool = False,
        uid: int | None = None,
        gid: int | None = None,
        hostname: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        channel: bool = True,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
    ) -> None:
        self._process: _core.Process | None = None
        self._sockets: tuple[int, int] | None = None
        self._closed = False
        self._returncode: int | None = None
        self._child_pid: int | None = None
        self._announced = False
        log.debug(LOGGER, "Linux release: %s", os.uname().release)
        host.check()
        self.spec = Spec(
            command,
            root=root,
            root_writable=root_writable,
            uid=uid,
            gid=gid,
            hostname=hostname,
            env=env,
            cwd=cwd,
            channel=channel,
        )
        self._stdio = tuple(
            _descriptor(name, value, number)
            for number, (name, value) in enumerate(
                (("stdin", stdin), ("stdout", stdout), ("stderr", stderr))
            )
        )

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and self._process is not None:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"pid {self._child_pid}"
        return f"<crabcan.Container {self.spec.command[0]!r}, {state}>"

    def create(self) -> None:
        """Create the container and start the command in it.

        Returns once the command's exec has succeeded.

        Raises:
            ContainerError: it has been created before, or closed.
            SocketError, ChildProcessError, SetupError: a step failed; nothing is left behind.
            CommandNotFound, CommandNotExecutable: the last step, the exec, failed.

        """
        self._check_open("create")
        if self._process is not None:
            raise ContainerError("create: the container has been created already")
        plan = compile_plan(self.spec, trace=log.wants_debug(LOGGER))
        if self.spec.channel:
            self._sockets = channel.pair()
        try:
            self._process = _launch(plan, self._stdio, self._sockets)
            log.debug(LOGGER, "Container sockets: %s", self._sockets or self._process.sockets)
            # Ours no longer: while we held it, its end would never show as closed.
            self._close_childs_socket()
            self._await_start(plan, self._process)
        except BaseException:
            self.close()
            raise
        self._child_pid = self._process.pid
        log.debug(LOGGER, "Creation finished")
        log.debug(LOGGER, "Container child PID: %s", self._child_pid)

    def _await_start(self, plan: _core.Plan, process: _core.Process) -> None:
        while True:
            report = process.report(None)
            if not report:
                raise _died_early(process)
            kind, step, index, errnum = report[:4]
            about = plan.describe(step, index)
            if kind == _core.REPORT_FAILED:
                raise of_step(step, index, errnum, about)
            if kind != _core.REPORT_STEP:
                return
            log.debug(CHILD_LOGGER, "%s", f"{_core.STEPS[step][1]} {about}".rstrip())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the command to end, and return its exit code, or minus the signal.

        Args:
            timeout: seconds; without end if not given. The container goes on after it.

        Raises:
            TimeoutExpired: it has not ended in time.
            ContainerError: not created yet, or closed.

        """
        if self._returncode is not None:
            return self._returncode
        process = self._created("wait")
        if not self._announced:
            self._announced = True
            log.debug(LOGGER, "Waiting for child (pid %s) to finish", self._child_pid)
            words = list(self.spec.command)
            log.info(
                CHILD_LOGGER, "Starting container with command %s and args %s", words[0], words
            )
        end = process.wait(timeout)
        if end is None:
            from crabcan._run import TimeoutExpired

            raise TimeoutExpired(list(self.spec.command), timeout or 0)
        self._returncode = _returncode(*end)
        return self._returncode

    def send_bool(self, value: bool) -> None:
        """Send one boolean to the command inside.

        Raises:
            TypeError: `value` is no bool.
            SocketError: the other end is closed (code 1).
            ContainerError: not created yet, closed, or without a channel.

        """
        channel.send(self._channel("send_bool"), value)

    def recv_bool(self, timeout: float | None = None) -> bool:
        """Receive one boolean from the command inside.

        Args:
            timeout: seconds; without end if not given.

        Raises:
            ReceiveTimeout: none came in time.
            SocketError: the other end is closed, or sent something else (code 2).
            ContainerError: not created yet, closed, or without a channel.

        """
        return channel.receive(self._channel("recv_bool"), timeout)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the container's init, which passes it on to the command.

        SIGKILL ends the whole container. One that has ended is left alone, as in subprocess.
        """
        process = self._created("send_signal")
        with contextlib.suppress(ProcessLookupError):
            process.signal(signum)

    def kill(self) -> None:
        """End the whole container at once."""
        self.send_signal(signal.SIGKILL)

    @property
    def child_pid(self) -> int | None:
        """The process id of the container's init, or None before create()."""
        return self._child_pid

    @property
    def pidfd(self) -> int:
        """The init's pidfd, readable once it has ended; it is closed by close()."""
        return self._created("pidfd").pidfd

    def fileno(self) -> int:
        """The pidfd, so that a container can be given to select and selectors."""
        return self.pidfd

    @property
    def sockets(self) -> tuple[int, int] | None:
        """The channel's descriptors: the caller's end, and the child's or -1 once it is there.

        None before create(), after close(), and without a channel.
        """
        return self._sockets

    @property
    def returncode(self) -> int | None:
        """What wait() returned, or None."""
        return self._returncode

    def close(self) -> None:
        """Kill what still lives, reap it, and close both sockets and the pidfd.

        Doing it again does nothing.
        """
        if self._closed:
            return
        self._closed = True
        log.debug(LOGGER, "Cleaning container")
        if self._process is not None:
            self._process.close()
        self._close_childs_socket()
        if self._sockets is not None:
            os.close(self._sockets[0])
            self._sockets = None

    def _close_childs_socket(self) -> None:
        if self._sockets is not None and self._sockets[1] >= 0:
            ours, childs = self._sockets
            self._sockets = (ours, -1)
            os.close(childs)

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise ContainerError(f"{what}: the container is closed")

    def _created(self, what: str) -> _core.Process:
        self._check_open(what)
        if self._process is None:
            raise ContainerError(f"{what}: the container has not been created; call create() first")
        return self._process

    def _channel(self, what: str) -> int:
        self._created(what)
        if self._sockets is None:
            raise ContainerError(f"{what}: the container was made with channel=False")
        return self._sockets[0]


def _descriptor(name: str, value: Stdio, own: int) -> int | None:
    """The number to give; None for /dev/null, where the caller has closed its own."""
    if value is None:
        return own if _is_open(own) else None
    if isinstance(value, int) and not isinstance(value, bool):
        if not _is_open(value):
            raise invalid(name, value, "give a descriptor that is open")
        return value
    if isinstance(value, int) or not hasattr(value, "fileno"):
        kind = type(value).__name__
        raise TypeError(f"{name}: {value!r} is a {kind}, not a descriptor or a file")
    return value.fileno()


def _launch(
    plan: _core.Plan, stdio: tuple[int | None, ...], sockets: tuple[int, int] | None
) -> _core.Process:
    devnull = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) if None in stdio else -1
    stdin, stdout, stderr = (devnull if fd is None else fd for fd in stdio)
    try:
        return plan.launch((stdin, stdout, stderr), -1 if sockets is None else sockets[1])
    except _core.StepError as failure:
        step, index, errnum = failure.args
        raise of_step(step, index, errnum, plan.describe(step, index)) from None
    finally:
        if devnull >= 0:
            os.close(devnull)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _died_early(process: _core.Process) -> ContainerError:
    end = process.wait(None)
    how = "ended" if end is None else f"ended with {_returncode(*end)}"
    error = ContainerError(f"the container's init {how} before the command was started")
    error.advice = "look for what kills it: the kernel's log tells of the out-of-memory killer"
    return error


def _returncode(reported: bool, code: int, status: int) -> int:
    """As subprocess has it. Init ending by itself without a report is no answer to be had."""
    if code == 0:  # waitid found no child
        error = ContainerError("how the container ended is not to be had: its init was killed")
        error.advice = "do not ignore SIGCHLD, or reap all children, while containers run"
        raise error
    if not reported and code == CLD_EXITED:
        raise ContainerError(f"the container's init ended with {status} and no report")
    return status if code == CLD_EXITED else -status
