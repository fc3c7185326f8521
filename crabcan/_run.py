"""run(): one call from a command to its result, in the shape of subprocess.run."""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from crabcan.container import Container
from crabcan.errors import Error
from crabcan.spec import Command, Path

CHUNK = 65536


class TimeoutExpired(Error, subprocess.TimeoutExpired):
    """The command had not ended in time; `stdout` and `stderr` hold what came until then."""

    def __str__(self) -> str:
        return subprocess.TimeoutExpired.__str__(self)


class CompletedProcess(subprocess.CompletedProcess[Any]):
    """What became of a command: args, returncode, stdout and stderr, check_returncode()."""


def run(
    args: Command,
    *,
    root: Path | None = None,
    timeout: float | None = None,
    capture_output: bool = False,
    text: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    **options: Any,
) -> CompletedProcess:
    r"""Run a command in a container and wait for it.

    Args:
        args: the program and its arguments.
        root: a directory to be the root; the host's own system, read-only, if not given.
        timeout: seconds, after which the whole container is killed.
        capture_output: collect stdout and stderr.
        text: give them as str, decoded as UTF-8, newlines translated as subprocess does.
        env: the whole environment; a clean one if not given.
        cwd: the working directory inside; ``/`` if not given.
        options: what else Container takes: uid, gid, hostname, root_writable, stdin.

    Raises:
        TimeoutExpired: with the output until then; a subprocess.TimeoutExpired.
        Error: its subclasses, where the container could not be made.

    Example:
        >>> import crabcan
        >>> crabcan.run(["echo", "hello"], capture_output=True, text=True).stdout
        'hello\n'

    """
    if capture_output and not {"stdout", "stderr"}.isdisjoint(options):
        raise ValueError("capture_output: stdout and stderr may not be given with it")
    options.setdefault("channel", False)
    deadline = None if timeout is None else time.monotonic() + timeout
    if not capture_output:
        with Container(args, root=root, env=env, cwd=cwd, **options) as container:
            container.create()
            return CompletedProcess(args, container.wait(timeout))
    with _Capture() as capture:
        options.update(stdout=capture.writers[0], stderr=capture.writers[1])
        with Container(args, root=root, env=env, cwd=cwd, **options) as container:
            container.create()
            capture.close_writers()
            try:
                capture.read(deadline)
                code = container.wait(_left(deadline))
            except TimeoutError:
                raise TimeoutExpired(args, timeout or 0, *capture.output(False)) from None
            except subprocess.TimeoutExpired:
                raise TimeoutExpired(args, timeout or 0, *capture.output(False)) from None
        return CompletedProcess(args, code, *capture.output(text))


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
        for _ in range(2):
            reader, writer = map(_above_stdio, os.pipe2(os.O_CLOEXEC))
            self._readers.append(reader)
            self.writers.append(writer)
            self._chunks[reader] = []

    def __enter__(self) -> _Capture:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close_writers()
        while self._readers:
            os.close(self._readers.pop())

    def close_writers(self) -> None:
        while self.writers:
            os.close(self.writers.pop())

    def read(self, deadline: float | None) -> None:
        """Read until both are at their end, or raise TimeoutError."""
        with selectors.DefaultSelector() as selector:
            for reader in self._readers:
                selector.register(reader, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(_left(deadline))
                if not ready and deadline is not None:
                    raise TimeoutError
                for key, _ in ready:
                    chunk = os.read(key.fd, CHUNK)
                    if not chunk:
                        selector.unregister(key.fd)
                    self._chunks[key.fd].append(chunk)

    def output(self, text: bool) -> list[Any]:
        joined = [b"".join(chunks) for chunks in self._chunks.values()]
        if not text:
            return list(joined)
        return [data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n") for data in joined]
