"""Further processes in a container that runs: asked of its init, behind the same walls."""

from __future__ import annotations

import select
import time
from signal import SIGKILL

from crabcan import _core
from crabcan._descriptors import Descriptors, numbers_of
from crabcan._popen import Popen
from crabcan.compile import compile_exec
from crabcan.container import ended, failure
from crabcan.errors import of_call
from crabcan.spec import Spec

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from crabcan._check import Path
    from crabcan.container import Container, Report, Stdio, Stdio3
    from crabcan.spec import Command
    from crabcan.terminal import Terminal

# Seconds between looks at what another thread may have read for us.
LOOK = 0.05

CLD_EXITED = 1  # waitid(2)


class Exec(Popen):
    r"""A further process in a container; what Container.exec() gives, in the shape of Popen.

    It has the container's ids, privileges and filters; it ends with the container.

    Example:
        >>> import crabcan
        >>> with crabcan.Container(["sleep", "60"], hostname="moon") as container:
        ...     container.create()
        ...     with container.exec(["hostname"], stdout=crabcan.PIPE) as process:
        ...         process.communicate()
        (b'moon\n', None)

    """

    def __init__(self, container: Container, args: Command, **options: Any) -> None:
        self._inside = container
        super().__init__(args, **options)

    def _spec_of(self, args: Any, options: Any, pass_fds: Any) -> Spec:
        return exec_spec(self._inside.spec, args, **options)

    def _make(self, spec: Spec, ends: list[Stdio], pass_fds: Any) -> Any:
        return _Process(self._inside, spec, ends)


def exec_spec(
    spec: Spec,
    args: Command,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    tty: bool = False,
) -> Spec:
    """The container's own, with another command.

    Its ids are those that were looked up then: the root's passwd may say something else by now.
    """
    arguments = {
        **spec.arguments(),
        "user": None,
        "uid": spec.uid,
        "gid": spec.gid,
        "groups": spec.groups,
        "executable": None,
        "channel": False,
        "tty": tty,
    }
    if env is not None:
        arguments["env"] = env
    if cwd is not None:
        arguments["cwd"] = cwd
    return Spec(args, **arguments)


class _Process:
    """What Popen needs of a Container, of one process in it."""

    usage = None
    oom_killed = False
    timed_out = False

    def __init__(self, container: Container, spec: Spec, ends: list[Stdio]) -> None:
        self.spec = spec
        self.returncode: int | None = None
        self.child_pid: int | None = None  # as the inside counts
        self._container = container
        self._stdio: Stdio3 = (None, None, None) if spec.tty else numbers_of(*ends)
        self._plan = compile_exec(
            spec,
            container._has_user,
            container._resources.stand_ins,
            container._window_of(spec),
        )
        self._started: Report = None
        self._terminal: Terminal | None = None
        self._id = container._add_exec(self)

    def create(self) -> None:
        """Ask for it, and wait for its start or its failure."""
        with Descriptors(self._stdio) as stdio:
            self._container._ask_exec(self._plan, stdio, self._id)
        while not self._started:
            if not self._container._pump(LOOK):
                raise ended("exec")
        kind, step, index, errnum = self._started[:4]
        if kind == _core.REPORT_FAILED:
            raise failure(self.spec, self._plan, step, index, errnum)
        self.child_pid = self._started[8]
        if self.spec.tty:
            self._terminal = self._container._take_terminal(self._container._created("exec"))

    def take_report(self, report: tuple[int, ...]) -> None:
        """One with our id."""
        if report[0] == _core.REPORT_ENDED:
            code, status = report[4:6]
            self._end(status if code == CLD_EXITED else -status)
        else:
            self._started = report  # type: ignore[assignment]

    def container_ended(self) -> None:
        """It ended with it, unless it had before."""
        if self.returncode is None:
            self._end(-SIGKILL)

    def _end(self, code: int) -> None:
        self.returncode = code
        self._container._drop_exec(self._id)

    def _give_up_terminal(self) -> Terminal | None:
        terminal, self._terminal = self._terminal, None
        return terminal

    def poll(self) -> int | None:
        """The returncode if it has ended, or None."""
        if self.returncode is None:
            self._container._pump(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The returncode, once it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = LOOK if deadline is None else min(LOOK, deadline - time.monotonic())
            if left < 0:
                raise self._container._timed_out(timeout)
            self._container._pump(left)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """To it alone."""
        self._container._tell(_core.REQUEST_SIGNAL, self._id, signum)

    def close(self) -> None:
        """Kill it if it lives."""
        if self.returncode is None and self._started:
            self.send_signal(SIGKILL)
            self.wait()
        if self._terminal is not None:
            self._terminal.close()
        self._container._drop_exec(self._id)


def readable(fds: list[int], timeout: float | None) -> bool:
    """Whether one of them is, in time."""
    poll = select.poll()
    for fd in fds:
        if fd >= 0:
            poll.register(fd, select.POLLIN)
    try:
        return bool(poll.poll(None if timeout is None else timeout * 1000))
    except OSError as problem:
        raise of_call("waiting for the container's init", problem, "spawn") from problem
