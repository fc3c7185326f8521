"""run(): one call from a command to its result, in the shape of subprocess.run."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from crabcan import _check
from crabcan._arguments import command_of, of_subprocess, text_mode
from crabcan._streams import Mode, Streams
from crabcan.container import Container, refuse_with_tty
from crabcan.errors import Error
from crabcan.spec import Spec

if TYPE_CHECKING:
    from typing import Unpack

    from crabcan.container import Stdio
    from crabcan.pool import Pool
    from crabcan.spec import Command, SubprocessOptions
    from crabcan.usage import Usage

# subprocess's own, so that either may be given.
PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL


class TimeoutExpired(Error, subprocess.TimeoutExpired):
    r"""The command had not ended in time; `stdout` and `stderr` hold what came until then.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["sh", "-c", "echo here; sleep 60"], capture_output=True, timeout=0.5)
        ... except crabcan.TimeoutExpired as error:
        ...     print(error.timeout, error.stdout)
        0.5 b'here\n'

    """

    def __str__(self) -> str:
        return subprocess.TimeoutExpired.__str__(self)


class CalledProcessError(Error, subprocess.CalledProcessError):
    """The command's exit code was not 0, and check was asked for.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["sh", "-c", "exit 3"], check=True)
        ... except crabcan.CalledProcessError as error:
        ...     print(error.returncode)
        3

    """

    def __str__(self) -> str:
        return subprocess.CalledProcessError.__str__(self)


class Captured(Container):
    """One whose output is read here."""

    _counts_output = True


class CompletedProcess(subprocess.CompletedProcess[Any]):
    """What became of a command.

    Attributes:
        args: the command.
        returncode: its exit code, or minus the signal that ended it.
        stdout: what it wrote, if it was captured; so stderr.
        signal: the number of the signal that ended it, or None.
        oom_killed: whether the kernel killed in it because the memory limit was reached.
        timed_out: whether its limit of wall_time or cpu_time ended it.
        output_limited: whether its limit of output ended it.
        usage: crabcan.Usage.

    Example:
        >>> import crabcan
        >>> done = crabcan.run(["sh", "-c", "kill -9 $$"])
        >>> done.returncode, done.signal, done.timed_out, done.usage.wall_time < 60
        (-9, 9, False, True)

    """

    oom_killed: bool = False
    timed_out: bool = False
    output_limited: bool = False
    usage: Usage | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompletedProcess) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed, as subprocess's can

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended it, or None."""
        return -self.returncode if self.returncode < 0 else None

    def check_returncode(self) -> None:
        """Raise CalledProcessError where the exit code is not 0."""
        if self.returncode:
            raise CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)


def run(
    args: Command | Spec,
    *,
    stdin: Stdio = None,
    input: bytes | str | None = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    universal_newlines: bool | None = None,
    pass_fds: Iterable[int] = (),
    bufsize: int = -1,
    pipesize: int = -1,
    pool: Pool | None = None,
    **options: Unpack[SubprocessOptions],
) -> CompletedProcess:
    r"""Run a command in a container and wait for it.

    Args:
        args: the program and its arguments, or a crabcan.Spec.
        stdin: a descriptor, an open file, PIPE or DEVNULL; the caller's own if not given.
        input: what the command reads from its stdin: bytes, or a string in text mode.
        stdout: see stdin. PIPE collects it.
        stderr: see stdout; STDOUT sends it where stdout goes.
        capture_output: PIPE for both stdout and stderr.
        timeout: seconds, after which the whole container is killed.
        check: raise CalledProcessError where the exit code is not 0.
        text: take and give strings, newlines translated as subprocess does.
        encoding: of strings, UTF-8 if not given, as in the container; text mode if given.
        errors: how to decode and encode what does not fit (codecs.register_error); text mode too.
        universal_newlines: another name of text.
        pass_fds: descriptors that the command gets by the same numbers. What they lead to is
            inside then.
        bufsize: taken as subprocess.run takes it; nothing here is buffered.
        pipesize: see Popen.
        pool: a crabcan.Pool to take the container from; it has the options.
        options: what else Container takes: root, mounts, uid, limits, network, ...; and by
            subprocess's names shell, group and extra_groups. `env` adds nothing to the caller's:
            it is the whole environment.
            With tty the caller's terminal is connected with the container's
            (Container.interact).

    Raises:
        TimeoutExpired: with the output until then; a subprocess.TimeoutExpired.
        CalledProcessError: see check; a subprocess.CalledProcessError.
        Error: its subclasses, where the container could not be made.

    Example:
        >>> import crabcan
        >>> crabcan.run(["cat"], input="hello\n", capture_output=True, text=True).stdout
        'hello\n'

    """
    spec = of_subprocess(args, options, pass_fds, pool)
    if spec.tty:
        refuse_with_tty(stdin=stdin, input=input, stdout=stdout, stderr=stderr,
                        capture_output=capture_output)  # fmt: skip
    timeout = _check.timeout(timeout)
    stdin, stdout, stderr = streams_of(stdin, input, stdout, stderr, capture_output)
    mode = Mode(text_mode(text, universal_newlines), encoding, errors)
    given = mode.encoded(input)
    with Streams(stdin, stdout, stderr, pipesize) as streams:
        make = Captured if streams.output(1) is not None else Container
        stdin, stdout, stderr = streams.childs
        container = make(
            spec, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, pool=pool
        )
        with container:
            completed = _run(command_of(args), container, streams, given, timeout)
        completed.stdout = mode.decoded(streams.output(1), streams.over_limit)
        completed.stderr = mode.decoded(streams.output(2), streams.over_limit)
    if check:
        completed.check_returncode()
    return completed


def streams_of(
    stdin: Stdio,
    given: bytes | str | None,
    stdout: Stdio,
    stderr: Stdio,
    capture_output: bool,
) -> tuple[Stdio, Stdio, Stdio]:
    """The three streams, where input and capture_output stand for PIPE."""
    if capture_output:
        if not (stdout is None and stderr is None):
            raise ValueError("capture_output: stdout and stderr may not be given with it")
        stdout = stderr = PIPE
    if given is not None:
        if stdin is not None:
            raise ValueError("input: stdin may not be given with it")
        stdin = PIPE
    return stdin, stdout, stderr


def _run(
    args: Command,
    container: Container,
    streams: Streams,
    given: bytes,
    timeout: float | None,
) -> CompletedProcess:
    deadline = None if timeout is None else time.monotonic() + timeout
    container.create()
    streams.close_childs()
    try:
        code = _communicate_and_wait(container, streams, given, deadline)
    except subprocess.TimeoutExpired:
        output = streams.output(1), streams.output(2)
        raise TimeoutExpired(args, timeout or 0, *output) from None
    return completed_process(args, container, code, streams.over_limit)


def completed_process(
    args: Command, container: Container, code: int, output_limited: bool
) -> CompletedProcess:
    """What became of a container that has ended; without its output."""
    completed = CompletedProcess(args, code)
    completed.oom_killed = container.oom_killed
    completed.timed_out = container.timed_out
    completed.output_limited = output_limited
    completed.usage = container.usage
    return completed


def _communicate_and_wait(
    container: Container, streams: Streams, given: bytes, deadline: float | None
) -> int:
    """Beyond the limit of output it is killed."""
    if container.spec.tty:
        return container.interact(timeout=_left(deadline))
    limits = container.spec.limits
    if not streams.communicate(given, deadline, None if limits is None else limits.output):
        if not streams.over_limit:
            raise subprocess.TimeoutExpired([], 0)
        container.kill()
    return container.wait(_left(deadline))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
