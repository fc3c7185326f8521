"""run(): one call from a command to its result, in the shape of subprocess.run."""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import time
from typing import TYPE_CHECKING, Any

from crabcan.container import Container
from crabcan.errors import Error
from crabcan.spec import Command

if TYPE_CHECKING:
    from typing import Unpack

    from crabcan.container import Stdio
    from crabcan.spec import Options
    from crabcan.usage import Usage

CHUNK = 65536


class TimeoutExpired(Error, subprocess.TimeoutExpired):
    """The command had not ended in time; `stdout` and `stderr` hold what came until then."""

    def __str__(self) -> str:
        return subprocess.TimeoutExpired.__str__(self)


class _Captured(Container):
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

    """

    oom_killed: bool = False
    timed_out: bool = False
    output_limited: bool = False
    usage: Usage | None = None

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended it, or None."""
        return -self.returncode if self.returncode < 0 else None


def run(
    args: Command,
    *,
    timeout: float | None = None,
    capture_output: bool = False,
    text: bool = False,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    **options: Unpack[Options],
) -> CompletedProcess:
    r"""Run a command in a container and wait for it.

    Args:
        args: the program and its arguments.
        timeout: seconds, after which the whole container is killed.
        capture_output: collect stdout and stderr.
        text: give them as str, decoded as UTF-8, newlines translated as subprocess does.
        stdin: a descriptor or an open file; the caller's own if not given. So stdout and stderr.
        stdout: see stdin.
        stderr: see stdin.
        options: what else Container takes: root, mounts, uid, limits, network, ...

    Raises:
        TimeoutExpired: with the output until then; a subprocess.TimeoutExpired.
        Error: its subclasses, where the container could not be made.

    Example:
        >>> import crabcan
        >>> crabcan.run(["echo", "hello"], capture_output=True, text=True).stdout
        'hello\n'

    """
    if capture_output and not (stdout is None and stderr is None):
        raise ValueError("capture_output: stdout and stderr may not be given with it")
    options.setdefault("channel", False)
    deadline = None if timeout is None else time.monotonic() + timeout
    if not capture_output:
        with Container(args, stdin=stdin, stdout=stdout, stderr=stderr, **options) as container:
            container.create()
            return _completed(args, container, container.wait(timeout))
    with _Capture() as capture:
        out, err = capture.writers
        with _Captured(args, stdin=stdin, stdout=out, stderr=err, **options) as container:
            container.create()
            capture.close_writers()
            try:
                code = _read_and_wait(container, capture, deadline)
            except subprocess.TimeoutExpired:
                raise TimeoutExpired(args, timeout or 0, *capture.output(False)) from None
            completed = _completed(args, container, code, *capture.output(text))
            completed.output_limited = capture.over_limit
            return completed


def _read_and_wait(container: Container, capture: _Capture, deadline: float | None) -> int:
    """Read both pipes to their ends; beyond the limit of output it is killed."""
    limits = container.spec.limits
    if not capture.read(deadline, None if limits is None else limits.output):
        if not capture.over_limit:
            raise subprocess.TimeoutExpired([], 0)
        container.kill()
    return container.wait(_left(deadline))


def _completed(args: Command, container: Container, code: int, *output: Any) -> CompletedProcess:
    completed = CompletedProcess(args, code, *output)
    completed.oom_killed = container.oom_killed
    completed.timed_out = container.timed_out
    completed.usage = container.usage
    return completed


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _above_stdio(fd: int) -> int:
    """The same file by a number above 2, which a caller may have closed and others mean."""
    if fd > 2:
        return fd
    higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return higher


class _Capture:
    """Two pipes and what came through them."""

    def __init__(self) -> None:
        self._readers: list[int] = []
        self.writers: list[int] = []
        self._chunks: dict[int, list[bytes]] = {}
        self._sizes: dict[int, int] = {}
        self._ended: set[int] = set()
        self.over_limit = False
        for _ in range(2):
            reader, writer = map(_above_stdio, os.pipe2(os.O_CLOEXEC))
            self._readers.append(reader)
            self.writers.append(writer)
            self._chunks[reader] = []
            self._sizes[reader] = 0

    def __enter__(self) -> _Capture:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close_writers()
        while self._readers:
            os.close(self._readers.pop())

    def close_writers(self) -> None:
        while self.writers:
            os.close(self.writers.pop())

    def read(self, deadline: float | None, limit: int | None) -> bool:
        """Read until both are at their end, which is True, or the deadline or the limit comes."""
        with selectors.DefaultSelector() as selector:
            for reader in set(self._readers) - self._ended:
                selector.register(reader, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(_left(deadline))
                if not ready and deadline is not None:
                    return False
                for key, _ in ready:
                    if not self._take(key.fd, limit):
                        selector.unregister(key.fd)
                if self.over_limit:
                    return False
        return True

    def _take(self, reader: int, limit: int | None) -> bool:
        """One chunk; False at the end."""
        chunk = os.read(reader, CHUNK)
        if not chunk:
            self._ended.add(reader)
            return False
        if limit is not None and self._sizes[reader] + len(chunk) > limit:
            self.over_limit = True
            chunk = chunk[: limit - self._sizes[reader]]
        self._sizes[reader] += len(chunk)
        self._chunks[reader].append(chunk)
        return True

    def output(self, text: bool) -> list[Any]:
        joined = [b"".join(chunks) for chunks in self._chunks.values()]
        if not text:
            return list(joined)
        # What a limit has cut may end within a character.
        errors = "replace" if self.over_limit else "strict"
        return [
            data.decode("utf-8", errors).replace("\r\n", "\n").replace("\r", "\n")
            for data in joined
        ]
