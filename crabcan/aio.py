r"""Containers on an asyncio event loop, by pidfds: no thread waits for any of them.

>>> import asyncio
>>> import crabcan.aio
>>> async def main():
...     commands = (["echo", str(number)] for number in range(3))
...     runs = (crabcan.aio.run(command, capture_output=True) for command in commands)
...     return [done.stdout for done in await asyncio.gather(*runs)]
>>> asyncio.run(main())
[b'0\n', b'1\n', b'2\n']
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import signal
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from crabcan import _channel as channel
from crabcan import container as _container
from crabcan._arguments import command_of, of_subprocess, text_mode
from crabcan._run import (
    PIPE,
    Captured,
    CompletedProcess,
    TimeoutExpired,
    completed_process,
    streams_of,
)
from crabcan._streams import CHUNK, NAMES, Mode, Streams
from crabcan.errors import ContainerError, ReceiveTimeout, SocketError, invalid
from crabcan.spec import Spec

if TYPE_CHECKING:
    from typing import IO, Unpack

    from crabcan.container import Stdio
    from crabcan.pool import Pool
    from crabcan.spec import Command, Options, SubprocessOptions
    from crabcan.terminal import Terminal
    from crabcan.timeline import Step
    from crabcan.usage import Usage

__all__ = ["Container", "run"]

LIMIT = 1 << 16  # of a line, as asyncio's streams have it


class Container:
    r"""One command in a container of its own; crabcan.Container for asyncio.

    ``async with`` creates it, and kills it at the end. So does cancelling what is awaited in the
    block.

    Args:
        command: the program and its arguments, or a crabcan.Spec.
        stdin: a descriptor, an open file, crabcan.PIPE or DEVNULL; the caller's own if not given.
        stdout: see stdin.
        stderr: see stdin; STDOUT sends it where stdout goes.
        pass_fds: descriptors that the command gets by the same numbers.
        limit: the longest line, in bytes, that the readers take.
        pool: a crabcan.Pool to take the container from; it has the options.
        options: what else crabcan.Container takes.

    Attributes:
        stdin: an asyncio.StreamWriter where stdin is PIPE, else None, once created.
        stdout: an asyncio.StreamReader where stdout is PIPE; so stderr.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import asyncio, crabcan.aio
        >>> async def main():
        ...     pipes = {"stdin": crabcan.PIPE, "stdout": crabcan.PIPE}
        ...     async with crabcan.aio.Container(["cat"], **pipes) as container:
        ...         container.stdin.write(b"hello\n")
        ...         line = await container.stdout.readline()
        ...         container.stdin.close()
        ...         return line, await container.wait()
        >>> asyncio.run(main())
        (b'hello\n', 0)

    See pidfd_open(2).

    """

    _kind = _container.Container

    def __init__(
        self,
        command: Command | Spec,
        *,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
        pass_fds: Iterable[int] = (),
        limit: int = LIMIT,
        pool: Pool | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._limit = limit
        self._pipes: list[_Pipe] = []
        self._ended: asyncio.Future[int] | None = None
        self._receiving = asyncio.Lock()  # a loop has one reader of a descriptor
        self._streams = Streams(stdin, stdout, stderr)
        try:
            ends = dict(zip(NAMES, self._streams.childs, strict=True))
            self._container = self._kind(command, **ends, pass_fds=pass_fds, pool=pool, **options)
        except BaseException:
            self._streams.close()
            raise

    def __repr__(self) -> str:
        return repr(self._container).replace("crabcan.", "crabcan.aio.", 1)

    async def __aenter__(self) -> Container:
        if self._ended is None:
            await self.create()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def create(self) -> None:
        """Create the container and start the command in it; see crabcan.Container.create()."""
        loop = asyncio.get_running_loop()
        self._container._begin()
        try:
            process = await self._start()
            report = process.report(0)
            while not self._container._take_report(report):
                await _ready(loop.add_reader, loop.remove_reader, process.report_fd)
                report = process.report(0)
            self._streams.close_childs()
            await self._connect(loop)
        except BaseException:
            self._close_now()
            raise
        ended = self._ended = loop.create_future()
        loop.add_reader(self._container.pidfd, self._take_end, loop, ended)

    async def _start(self) -> Any:
        if self._container.spec.network != "pasta":
            return self._container._start()
        # The start of another program is waited for, some ten milliseconds.
        return await asyncio.to_thread(self._container._start)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Our ends of the pipes, as streams."""
        for number, name in enumerate(NAMES):
            file = self._streams.lend(number, _read_file if number else _write_file)
            if file is None:
                continue
            reader = asyncio.StreamReader(limit=self._limit, loop=loop)
            pipe = _Pipe(reader, loop=loop)
            self._pipes.append(pipe)
            connect = loop.connect_read_pipe if number else loop.connect_write_pipe
            transport, _ = await connect(functools.partial(_same, pipe), file)
            if number:
                setattr(self, name, reader)
            else:
                self.stdin = asyncio.StreamWriter(transport, pipe, None, loop)  # type: ignore[arg-type]

    def _take_end(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[int]) -> None:
        loop.remove_reader(self._container.pidfd)
        try:
            _settle(ended, self._container.wait())
        except ContainerError as error:
            ended.set_exception(error)
            ended.exception()  # it may be that nobody waits

    async def wait(self) -> int:
        """Wait for the command to end, and return its exit code, or minus the signal.

        Raises:
            ContainerError: not created yet, or closed.

        """
        if self._container.returncode is not None:
            return self._container.returncode
        if self._ended is None:
            raise ContainerError("wait: the container has not been created; call create() first")
        # Shielded: one who stops waiting does not stop the others.
        return await asyncio.shield(self._ended)

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:
        """Give the input, read both outputs to their ends, and wait for the end.

        Returns:
            stdout and stderr, None for what is no pipe.

        """
        exchange = _Exchange(self, input)
        await exchange.finish()
        return exchange.out.joined(), exchange.err.joined()

    async def send_bool(self, value: bool) -> None:
        """Send one boolean to the command inside; see crabcan.Container.send_bool()."""
        fd = self._channel("send_bool")
        loop = asyncio.get_running_loop()
        while True:
            try:
                return channel.send(fd, value)
            except SocketError as error:
                if error.errno != errno.EAGAIN:
                    raise
            await _ready(loop.add_writer, loop.remove_writer, fd)

    async def recv_bool(self) -> bool:
        """Receive one boolean from the command inside; see crabcan.Container.recv_bool()."""
        fd = self._channel("recv_bool")
        loop = asyncio.get_running_loop()
        async with self._receiving:
            while True:
                try:
                    return channel.receive(fd, 0)
                except ReceiveTimeout:
                    await _ready(loop.add_reader, loop.remove_reader, fd)

    def _channel(self, what: str) -> int:
        fd = self._container._channel(what)
        os.set_blocking(fd, False)  # our end only: a program that does not read holds nobody up
        return fd

    def send_signal(self, signum: int) -> None:
        """Send a signal to the command; one that has ended is left alone."""
        if self._container.returncode is None:
            self._container.send_signal(signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole container at once."""
        self.send_signal(signal.SIGKILL)

    async def close(self) -> None:
        """Kill what still lives, wait for its end, and close the streams. Again is harmless."""
        try:
            if self._ended is not None and not self._ended.done():
                self.kill()
                await asyncio.shield(self._ended)
        finally:
            self._close_now()

    def _close_now(self) -> None:
        """What is left, without waiting on the loop: it may be about to end."""
        ended = self._ended
        if ended is not None and not ended.done():
            ended.get_loop().remove_reader(self._container.pidfd)
            ended.cancel()
        for pipe in self._pipes:
            pipe.abort()
        self._container.close()
        self._streams.close()

    @property
    def spec(self) -> Spec:
        """What it was made from."""
        return self._container.spec

    @property
    def pid(self) -> int | None:
        """The process id of the container's init, or None before create()."""
        return self._container.child_pid

    @property
    def returncode(self) -> int | None:
        """What wait() returns, or None before the end."""
        return self._container.returncode

    @property
    def terminal(self) -> Terminal | None:
        """Its terminal (crabcan.Terminal), for loop.add_reader(); None without tty."""
        return self._container.terminal

    @property
    def usage(self) -> Usage | None:
        """What it has used (crabcan.Usage), once it has ended."""
        return self._container.usage

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel killed in it because its memory limit was reached."""
        return self._container.oom_killed

    @property
    def timed_out(self) -> bool:
        """Whether its limit of wall_time or cpu_time ended it."""
        return self._container.timed_out

    @property
    def timeline(self) -> tuple[Step, ...]:
        """The steps of its creation (crabcan.Step)."""
        return self._container.timeline


class _Captured(Container):
    """One whose output is read here, up to its limit."""

    _kind = Captured


class _Output:
    """What came through one pipe so far."""

    def __init__(self, reader: asyncio.StreamReader | None) -> None:
        self.reader = reader
        self.over_limit = False
        self._chunks: list[bytes] = []
        self._size = 0

    def joined(self) -> bytes | None:
        """The bytes; None where there is no pipe."""
        return None if self.reader is None else b"".join(self._chunks)

    async def read(self, limit: int | None, stop: Callable[[], None]) -> None:
        """To the end, or to the limit: then it is stopped."""
        while self.reader is not None and (chunk := await self.reader.read(CHUNK)):
            if limit is not None and self._size + len(chunk) > limit:
                chunk = chunk[: limit - self._size]
                self.over_limit = True
            self._chunks.append(chunk)
            self._size += len(chunk)
            if self.over_limit:
                stop()
                return


async def _feed(stdin: asyncio.StreamWriter | None, given: bytes | None) -> None:
    """All of it, and its end; nobody need read it, as in subprocess."""
    if stdin is None:
        return
    rest = memoryview(given or b"")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while rest:
            stdin.write(rest[:CHUNK])
            rest = rest[CHUNK:]
            await stdin.drain()
    stdin.close()


class _Exchange:
    """Input and output of a container, until both are at their end and it has ended."""

    def __init__(self, container: Container, given: bytes | None) -> None:
        limits = container.spec.limits
        self._container = container
        self._given = given
        self._limit = None if limits is None else limits.output
        self.out = _Output(container.stdout)
        self.err = _Output(container.stderr)

    async def finish(self) -> int:
        """The exit code. What came until then is there at any time."""
        stop = self._container.kill
        feeding = asyncio.ensure_future(_feed(self._container.stdin, self._given))
        reading = [
            asyncio.ensure_future(output.read(self._limit, stop)) for output in (self.out, self.err)
        ]
        try:
            code = await self._container.wait()
            for task in reading:
                await task
        finally:
            for task in (feeding, *reading):
                task.cancel()
        return code


async def run(
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
    pool: Pool | None = None,
    **options: Unpack[SubprocessOptions],
) -> CompletedProcess:
    r"""Run a command in a container and wait for it; crabcan.run() for asyncio.

    The arguments, the result and the errors are those of crabcan.run(). Cancelling it kills the
    container, and returns once it is dead.

    Raises:
        TimeoutExpired: with the output until then; a subprocess.TimeoutExpired.
        CalledProcessError: see check; a subprocess.CalledProcessError.
        Error: its subclasses, where the container could not be made.

    Example:
        >>> import asyncio, crabcan.aio
        >>> asyncio.run(crabcan.aio.run(["cat"], input=b"hello", capture_output=True)).stdout
        b'hello'

    """
    stdin, stdout, stderr = streams_of(stdin, input, stdout, stderr, capture_output)
    mode = Mode(text_mode(text, universal_newlines), encoding, errors)
    spec = of_subprocess(args, options, pass_fds, pool)
    if spec.tty:
        raise invalid("tty", True, "give it to Container, and read and write its terminal")
    make = _Captured if PIPE in (stdout, stderr) else Container
    container = make(spec, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, pool=pool)
    async with container:
        exchange = _Exchange(container, mode.encoded(input))
        try:
            async with asyncio.timeout(timeout) as clock:
                code = await exchange.finish()
        except TimeoutError:
            if not clock.expired():
                raise
            output = exchange.out.joined(), exchange.err.joined()
            raise TimeoutExpired(command_of(args), timeout or 0, *output) from None
    cut = exchange.out.over_limit or exchange.err.over_limit
    completed = completed_process(command_of(args), container._container, code, cut)
    completed.stdout = mode.decoded(exchange.out.joined(), cut)
    completed.stderr = mode.decoded(exchange.err.joined(), cut)
    if check:
        completed.check_returncode()
    return completed


async def _ready(add: Callable[..., None], remove: Callable[[int], object], fd: int) -> None:
    """Sleep until the loop says that the descriptor is ready."""
    ready = asyncio.get_running_loop().create_future()
    add(fd, _settle, ready)
    try:
        await ready
    finally:
        remove(fd)


def _settle(future: asyncio.Future[Any], value: Any = None) -> None:
    if not future.done():
        future.set_result(value)


def _read_file(fd: int) -> IO[bytes]:
    return open(fd, "rb", 0)


def _write_file(fd: int) -> IO[bytes]:
    return open(fd, "wb", 0)


class _Pipe(asyncio.StreamReaderProtocol):
    """One pipe's protocol, which knows whether its transport still is one."""

    _open: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._open = transport

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._open = None

    def abort(self) -> None:
        """Close it without waiting for what has not been written."""
        if self._open is not None:
            getattr(self._open, "abort", self._open.close)()


def _same(pipe: _Pipe) -> _Pipe:
    """What connect_read_pipe() calls to get one."""
    return pipe
