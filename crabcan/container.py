"""Container: a process cloned into its namespaces, talked to, and waited for."""

from __future__ import annotations

import _thread
import errno
import os
import time
import warnings

from crabcan import _channel as channel
from crabcan import _core, defaults, host, log
from crabcan._descriptors import Descriptors, number_of, numbers_of, passed_on
from crabcan._resources import End, Resources
from crabcan.compile import compile_plan, namespaces_to_join
from crabcan.errors import ContainerError, Error, SetupError, invalid, of_call, of_step
from crabcan.spec import Spec, spec_of

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import IO, Any, Unpack

    from crabcan._exec import Exec, _Process
    from crabcan._run import TimeoutExpired
    from crabcan.pool import Pool
    from crabcan.spec import Command, Options
    from crabcan.terminal import Terminal
    from crabcan.timeline import Step
    from crabcan.usage import Usage

    # What _core.Process.report() gives: nothing yet, the end of all reports, or one.
    Report = tuple[int, int, int, int, int, int, int, int, int] | tuple[()] | None
    Stdio3 = tuple[int | None, int | None, int | None]

    Stdio = int | IO[bytes] | IO[str] | None

LOGGER = "crabcan.container"
CHILD_LOGGER = "crabcan.child"
CLD_EXITED = 1  # waitid(2)


class Container:
    r"""One command in a container of its own.

    Args:
        command: the program and its arguments; looked up inside, in PATH, if it has no slash. Or a
            crabcan.Spec, which has the options as well.
        stdin: a descriptor or an open file; the caller's own if not given. So stdout and stderr.
        stdout: see stdin.
        stderr: see stdin.
        pass_fds: descriptors that the command gets by the same numbers. What they lead to is
            inside then: a directory is a way out of the container.
        pool: a crabcan.Pool to take it from; it has the options.
        executable: the program, where the command's first word is to be its name only.
        root: a directory that becomes the root file system. Without it the host's own programs and
            libraries are shown, read-only, with a private /tmp, /dev, /proc and an empty home.
        root_writable: whether the container may write to `root`.
        root_idmap: whether the owners in `root` are shown as they are (see Bind.idmap).
        mounts: what else is to be seen inside: Bind, Tmpfs, Overlay, File, ...
        default_mounts: whether /proc, /dev, /tmp and without a root the host's system are there.
        uid: user id inside, 0 if not given. It is never the host's: root's containers have a range
            of high ids, anybody else's stand for the caller's own id.
        gid: group id inside; the same number as `uid` if not given.
        groups: supplementary group ids.
        user: a name of the root's own passwd, or a uid, each with ``:group`` if wanted, instead
            of uid and gid.
        userns: ``"auto"``; ``"subids"``, a range from /etc/subuid (newuidmap(1)); ``"host"``, none,
            for root only.
        namespaces: names (user, mount, pid, ipc, network, uts, cgroup) and for each ``"new"``,
            ``"host"`` or a crabcan.Join.
        network: ``"none"``, a loopback of its own; ``"host"``; ``"pasta"``, outward connections
            through the pasta program; a path or a Join.
        publish: ports to publish with pasta, ``"8080:80"``.
        hostname: at most 64 bytes; an adjective, a noun and a number if not given.
        env: the whole environment; PATH, HOME, TERM and LANG if not given.
        cwd: an absolute path inside; ``/`` if not given.
        umask: 0o022 if not given.
        capabilities: names of capabilities(7) that it keeps; none if not given.
        seccomp: ``"default"``, ``"off"``, or a file in the form that Docker and Podman use.
        allow_syscalls: system calls to allow besides.
        deny_syscalls: system calls to refuse besides.
        landlock: a second wall for files and TCP ports, crabcan.Landlock.
        limits: crabcan.Limits; those that stop a fork bomb and a memory hog if not given.
        rlimits: names of getrlimit(2), and for each a number or (soft, hard). No core dumps if not
            given.
        nice: from -20 to 19; the caller's if not given.
        oom_score_adj: from -1000 to 1000; 1000, to be the first to go, if not given.
        cpu_affinity: the CPUs to run on; the caller's if not given.
        channel: whether the command gets its end of the boolean channel, as a descriptor whose
            number is in the environment variable CRABCAN_CHANNEL_FD.
        tty: whether the command gets a terminal of its own as stdin, stdout and stderr, of the size
            of the caller's if there is one. See `terminal` and interact().

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

    See clone(2), namespaces(7), capabilities(7), seccomp(2), cgroups(7), unix(7), pidfd_open(2).

    """

    _counts_output = False  # nobody does but who reads it
    _is_warm = False  # see pool.Warm

    def __init__(
        self,
        command: Command | Spec,
        *,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
        pass_fds: Iterable[int] = (),
        pool: Pool | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._process: _core.Process | None = None
        self._resources = Resources()
        self._sockets: tuple[int, int] | None = None
        self._closed = False
        self._owner = 0  # the process that has created it: a fork of that has only a copy
        self._returncode: int | None = None
        self._child_pid: int | None = None
        self._announced = False
        self._begun = _thread.allocate_lock()  # held from create() on
        self._ending = _thread.allocate_lock()
        self._plan: _core.Plan | None = None
        self._marks: list[tuple[int, int]] = []  # steps of ours that are not the core's
        self._moments = b"", b""
        self._terminal: Terminal | None = None
        self._has_user = False  # whether it has joined a user namespace
        self._execs: dict[int, _Process] = {}
        self._exec_count = 0
        log.debug(LOGGER, "Linux release: %s", os.uname().release)
        host.check()
        self._pool = pool
        self._payload_plan: _core.Plan | None = None  # where it is another than the container's
        if pool is None or isinstance(command, Spec):  # which is the pool's, of run()
            self.spec = spec_of(command, options)
        else:
            self.spec = pool._spec_of(command, options)
        limits = self.spec.limits
        if limits is not None and limits.output is not None and not self._counts_output:
            why = "nobody counts it: run(capture_output=True) does, and crabcan run without --tty"
            raise invalid("limits.output", limits.output, why)
        if self.spec.tty:
            refuse_with_tty(stdin=stdin, stdout=stdout, stderr=stderr)
        self._stdio = numbers_of(stdin, stdout, stderr)
        self._passed = passed_on(pass_fds, self.spec.channel)
        if pool is not None and self._passed:
            why = "a pool's containers are made before they are known: leave out one of the two"
            raise invalid("pass_fds", list(pass_fds), why)

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

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Container is of this process alone: pickle its spec")

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
        self._begin()
        try:
            process = self._start()
            while not self._take_report(_next_report(process, None)):
                pass
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Once, whichever thread comes first; what is refused here leaves the container be."""
        self._check_open("create")
        if not self._begun.acquire(blocking=False):
            raise ContainerError("create: the container has been created already")
        self._owner = os.getpid()

    def _start(self) -> _core.Process:
        """Create it as far as goes without waiting for reports; close() after a failure."""
        return self._start_warm() or self._start_cold()

    def _start_warm(self) -> _core.Process | None:
        """In a container of the pool's; None where none is ready."""
        while self._pool is not None and (warm := self._pool._take()) is not None:
            with Descriptors(self._stdio) as fds:
                self._payload_plan = warm.start(self.spec, fds)
            if self._payload_plan is not None:
                self._take_over(warm)
                return self._process
            warm.close()
        return None

    def _take_over(self, warm: Container) -> None:
        """Its process and what it holds on the host become ours."""
        self._process, warm._process = warm._process, None
        self._resources, warm._resources = warm._resources, Resources()
        self._plan, self._marks, self._child_pid = warm._plan, warm._marks, warm._child_pid
        warm.close()

    def _start_cold(self) -> _core.Process:
        try:
            process = self._process = self._clone()
            log.debug(LOGGER, "Container sockets: %s", self._sockets or process.sockets)
            # Ours no longer: while we held it, its end would never show as closed.
            self._close_childs_socket()
            self._child_pid = process.pid
            if self.spec.network == "pasta":
                self._mark(_core.STEP_CONNECT)
                self._resources.connect(self.spec, process.pid)
            process.go_on()
        except _core.StepError as problem:
            raise of_step(*problem.args, "") from None
        except OSError as problem:
            if isinstance(problem, Error):
                raise
            step, doing = _core.STEPS[self._marks[-1][0]]
            raise of_call(doing, problem, step) from problem
        return process

    def _clone(self) -> _core.Process:
        self._mark(_core.STEP_GROUPS)
        self._resources.take(self.spec)
        groups = self._resources.open_groups()
        try:
            self._mark(_core.STEP_COMPILE)
            with namespaces_to_join(self.spec) as joined:
                self._has_user = joined.has_user
                plan = self._plan = compile_plan(
                    self.spec,
                    joined=joined,
                    stand_ins=self._resources.stand_ins,
                    group_count=self._resources.group_count,
                    passed=self._passed,
                    window=self._window_of(self.spec),
                    warm=self._is_warm,
                )
                if self.spec.channel:
                    self._sockets = channel.pair()
                return self._launch(plan, joined.fds, groups)
        finally:
            for fd in groups:
                os.close(fd)

    def _mark(self, step: int) -> None:
        self._marks.append((step, time.monotonic_ns()))

    def _window_of(self, spec: Spec) -> tuple[int, int]:
        if not spec.tty:
            return defaults.WINDOW
        from crabcan.terminal import window_of

        return window_of(self._stdio)

    def _take_terminal(self, process: _core.Process) -> Terminal:
        from crabcan.terminal import Terminal

        try:
            return Terminal(process.terminal())
        except _core.StepError as problem:
            raise of_step(*problem.args, "") from None

    def _launch(
        self, plan: _core.Plan, joined: tuple[int, ...], groups: tuple[int, ...]
    ) -> _core.Process:
        childs_end = -1 if self._sockets is None else self._sockets[1]
        stdio = (None, None, None) if self.spec.tty else self._stdio  # nothing of ours goes in
        with Descriptors(stdio) as fds:
            try:
                return plan.launch(
                    fds, childs_end, self._resources.cgroup_fd, joined, groups, self._passed
                )
            except _core.StepError as problem:
                step, index, errnum = problem.args
                raise of_step(step, index, errnum, plan.describe(step, index)) from None
            finally:
                plan.close_file()  # launched once: the plan is kept for its words

    def _take_report(self, report: Report) -> bool:
        """True once the command runs; a failure is raised."""
        if report is None:
            return False
        process, plan = self._created("create"), self._payload_plan or self._plan
        assert plan is not None
        if not report:
            raise _died_early(process)
        if log.wants_debug(CHILD_LOGGER):
            self._log_timeline()
        kind, step, index, errnum = report[:4]
        if kind == _core.REPORT_FAILED:
            raise failure(self.spec, plan, step, index, errnum)
        self._resources.started(report[6])
        if self.spec.tty:
            self._terminal = self._take_terminal(process)
        log.debug(LOGGER, "Creation finished")
        log.debug(LOGGER, "Container child PID: %s", self._child_pid)
        return True

    def _log_timeline(self) -> None:
        for step in self.timeline:
            if step.side == "child":
                log.debug(CHILD_LOGGER, "%s", step.text)

    @property
    def timeline(self) -> tuple[Step, ...]:
        """The steps of its creation (crabcan.Step), as they began; empty before create().

        crabcan.trace draws them.
        """
        if self._plan is None:
            return ()
        from crabcan import timeline

        if self._process is not None and not self._closed:
            self._moments = self._process.timeline()
        return timeline.steps(self._plan, self._marks, *self._moments, self._resources.started_at)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the command to end, and return its exit code, or minus the signal.

        Args:
            timeout: seconds; without end if not given. The container goes on after it.

        Raises:
            TimeoutExpired: it has not ended in time.
            ContainerError: not created yet, or closed.

        """
        if self._process is not None:
            self._announce()
        code = self._await_end("wait", timeout)
        if code is None:
            raise self._timed_out(timeout)
        return code

    def _announce(self) -> None:
        if self._announced:
            return
        self._announced = True
        log.debug(LOGGER, "Waiting for child (pid %s) to finish", self._child_pid)
        words = list(self.spec.command)
        log.info(CHILD_LOGGER, "Starting container with command %s and args %s", words[0], words)

    def _timed_out(self, timeout: float | None) -> TimeoutExpired:
        from crabcan._run import TimeoutExpired

        return TimeoutExpired(list(self.spec.command), timeout or 0)

    def interact(
        self, stdin: Stdio = None, stdout: Stdio = None, *, timeout: float | None = None
    ) -> int:
        """Connect the caller's terminal with the container's until that has ended.

        The caller's is raw meanwhile: each key goes to the container, Ctrl-C among them, and the
        container's terminal follows it in size. It is as before however this is left, also when a
        signal ends the caller: SIGTERM, SIGHUP, SIGQUIT and SIGINT, where they have no handler of
        the caller's, end the container first. A SIGKILL for the caller ends the container too, but
        leaves the terminal raw (`reset` helps). Signals are followed in the main thread only.

        Args:
            stdin: a descriptor or an open file; the caller's own if not given. Where it is no
                terminal its end is typed as Ctrl-D.
            stdout: see stdin.
            timeout: seconds; without end if not given. The container goes on after it.

        Returns:
            what wait() returns.

        Raises:
            TimeoutExpired: it has not ended in time.
            ContainerError: not created yet, closed, or without tty.
            OSError: nobody reads stdout any more.

        """
        self._created("interact")
        if self._terminal is None:
            raise ContainerError("interact: the container was made without tty")
        from crabcan import _interact

        self._announce()
        given = self._stdio[0] if stdin is None else number_of("stdin", stdin, 0)
        shown = self._stdio[1] if stdout is None else number_of("stdout", stdout, 1)
        if not _interact.connect(self, self._terminal, given, shown, timeout):
            raise self._timed_out(timeout)
        return self.wait()

    def poll(self) -> int | None:
        """What wait() would return if it has ended, or None."""
        return self._await_end("poll", 0)

    def _await_end(self, what: str, timeout: float | None) -> int | None:
        """The returncode; None at the timeout. Another thread may see it first, and close."""
        if self._returncode is None:
            try:
                end = self._wait_with_execs(what, timeout)
            except (ContainerError, ValueError):
                if self._returncode is None:
                    self._check_open(what)
                    raise
            else:
                if end is not None:
                    self._take_end(end)
        return self._returncode

    def _wait_with_execs(self, what: str, timeout: float | None) -> End | None:
        """Reports of further processes are read first: the core forgets those that it passes."""
        process = self._created(what)
        if self._execs:
            from crabcan._exec import readable

            if not readable([process.pidfd], timeout):
                return None
            while self._pump(0) and self._execs:
                pass
            timeout = 0
        return process.wait(timeout) if self._pool is None else process.end(timeout)

    def exec(self, command: Command, **options: Any) -> Exec:
        r"""Start a further process in the container that runs, behind the same walls.

        It is born from the container's init, and has the container's ids, privileges, filters and
        environment. A limit of the container counts for all of its processes.

        Args:
            command: the program and its arguments.
            options: env (the whole environment), cwd, tty; and Popen's stdin, stdout, stderr, text,
                encoding, errors, bufsize, pipesize.

        Returns:
            a crabcan.Exec, in the shape of Popen.

        Raises:
            ContainerError: it is not created yet, closed, or has ended.
            CommandNotFound, CommandNotExecutable, SetupError: a step failed.
            ArgumentInvalid: a value is refused.

        Example:
            >>> import crabcan
            >>> with crabcan.Container(["sleep", "60"]) as container:
            ...     container.create()
            ...     container.exec(["sh", "-c", "exit 3"]).wait()
            3

        """
        from crabcan._exec import Exec

        self._created("exec")
        return Exec(self, command, **options)

    def pause(self) -> None:
        """Stop every process in it (SIGSTOP, sent by init to all), until unpause().

        Raises:
            ContainerError: not created yet, closed, ended, or in a PID namespace of others.

        """
        self._pause("pause", _core.REQUEST_STOP)

    def unpause(self) -> None:
        """Let every process in it go on (SIGCONT)."""
        self._pause("unpause", _core.REQUEST_CONTINUE)

    def _pause(self, what: str, request: int) -> None:
        self._created(what)
        if "pid" in dict(self.spec.namespaces):
            raise ContainerError(f"{what}: its processes are in a PID namespace with others")
        self._tell(request, 0, 0)

    def _tell(self, request: int, number: int, signum: int) -> None:
        try:
            self._created("signal").tell(request, number, signum)
        except OSError:  # its init is gone: nobody is left to be told
            return

    def _ask_exec(self, plan: _core.Plan, stdio: tuple[int, int, int], number: int) -> None:
        try:
            self._created("exec").exec(plan, stdio, number)
        except _core.StepError as problem:
            self._drop_exec(number)
            if problem.args[2] in (errno.EPIPE, errno.EBADF):  # its end has been read already
                raise ended("exec") from None
            raise of_step(*problem.args, "") from None
        finally:
            plan.close_file()

    def _add_exec(self, process: _Process) -> int:
        with self._ending:
            self._exec_count += 1
            self._execs[self._exec_count] = process
            return self._exec_count

    def _drop_exec(self, number: int) -> None:
        self._execs.pop(number, None)

    def _pump(self, timeout: float) -> bool:
        """Take one report, for whichever process it is; False once there will be none any more."""
        from crabcan._exec import readable

        process = self._created("exec")
        report = _next_report(process, 0)
        if report is None:
            readable([process.report_fd], timeout)
            report = _next_report(process, 0)
        if report == ():
            for waiting in list(self._execs.values()):
                waiting.container_ended()
            return False
        if report and report[7] in self._execs:
            self._execs[report[7]].take_report(report)
        return True

    def _take_end(self, end: End) -> None:
        with self._ending:
            if self._returncode is None and not self._closed:
                self._resources.ended(end)
                self._returncode = _returncode(*end[:3])

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
        try:
            process.signal(signum)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """End the whole container at once."""
        self.send_signal(_core.SIGKILL)

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
    def terminal(self) -> Terminal | None:
        """Its terminal (crabcan.Terminal), from create() to close(); None without tty."""
        return self._terminal

    def _give_up_terminal(self) -> Terminal | None:
        """To another owner: what is on the screen outlives the container."""
        terminal, self._terminal = self._terminal, None
        return terminal

    @property
    def usage(self) -> Usage | None:
        """What it has used (crabcan.Usage), once wait() has returned; None before."""
        return self._resources.usage

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel killed in it because its memory limit was reached."""
        return self._resources.oom_killed

    @property
    def timed_out(self) -> bool:
        """Whether its limit of time, wall_time or cpu_time, ended it."""
        return self._resources.timed_out

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
            self._moments = self._process.timeline()
            if self._pool is not None and self._returncode is not None and not self._is_warm:
                self._pool._retire(self._process, self._resources)
                self._process, self._resources = None, self._resources.account()
            else:
                self._process.close()
        for waiting in list(self._execs.values()):
            waiting.container_ended()
        self._resources.release()
        if self._terminal is not None:
            self._terminal.close()
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
        if self._owner != os.getpid():
            error = ContainerError(f"{what}: the container is of process {self._owner}, not ours")
            error.advice = "after a fork, leave it to the process that has created it"
            raise error
        return self._process

    def _channel(self, what: str) -> int:
        self._created(what)
        if self._sockets is None:
            raise ContainerError(f"{what}: the container was made with channel=False")
        return self._sockets[0]


def refuse_with_tty(**streams: object) -> None:
    """Refuse what is given beside tty although the terminal stands in its place."""
    for name, value in streams.items():
        if value is not None and value is not False:
            raise invalid(name, value, "leave it out: with tty it is the terminal's")


def failure(spec: Spec, plan: _core.Plan, step: int, index: int, errnum: int) -> Error:
    """The exception for a step that init has reported, with the file that it is about."""
    error = of_step(step, index, errnum, plan.describe(step, index))
    files = {"exec": spec.executable or spec.command[0], "cwd": spec.cwd}
    if isinstance(error, SetupError) and error.step in files:
        error.filename = files[error.step]
    return error


def ended(what: str) -> ContainerError:
    """The exception for what a container that has ended is asked for."""
    return ContainerError(f"{what}: the container has ended")


def _next_report(process: _core.Process, timeout: float | None) -> Report:
    try:
        return process.report(timeout)
    except OSError as problem:
        raise of_call("waiting for the container's init", problem, "spawn") from problem


def _died_early(process: _core.Process) -> ContainerError:
    """Dead, or not to be believed any more: then it is not waited for."""
    try:
        process.signal(_core.SIGKILL)
    except OSError:
        pass
    end = process.wait(None)
    how = "ended" if end is None else f"ended with {_returncode(*end[:3])}"
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
