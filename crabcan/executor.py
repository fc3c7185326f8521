"""Executor: Python functions, each call in a container of its own, as concurrent.futures has it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from crabcan import _call, _check, aio
from crabcan._run import CompletedProcess

if TYPE_CHECKING:
    from typing import Unpack

    from crabcan.pool import Pool
    from crabcan.spec import Options

__all__ = ["Executor", "Future"]

T = TypeVar("T")


class Future(concurrent.futures.Future[T]):
    r"""The value of a call to come.

    Unlike others it can be cancelled while the call runs: its container is killed.

    Attributes:
        completed: once it is done, the crabcan.CompletedProcess of its container: what was used,
            and as `stderr` what it printed. None where there was no container.

    Example:
        >>> import crabcan
        >>> with crabcan.Executor() as executor:
        ...     future = executor.submit(print, "hello")
        >>> future.result(), future.completed.stderr
        (None, b'hello\n')

    """

    completed: CompletedProcess | None = None
    _started = False

    def running(self) -> bool:
        """Whether its container has been asked for, and it is not done."""
        return self._started and not self.done()


class Executor(concurrent.futures.Executor):
    r"""Calls Python functions, each in a container of its own.

    A function goes in by cloudpickle, those of your own modules by value: inside are the standard
    library and what is installed, and none of your files. What comes back is data and never
    unpickled: None, bool, int, float, str, bytes, bytearray, complex, list, tuple, dict, set,
    frozenset, date, time, datetime, timedelta, Decimal and UUID, of exactly these types. An
    exception comes back as itself where its class is a builtin one, or in `raises`; as RemoteError
    otherwise. Either has what the traceback said inside as its cause. What is printed inside is
    kept in the future, up to limits.output (16 MiB, also the answer's limit), and shown to nobody.

    Args:
        max_workers: how many containers at once; as many as there are CPUs if not given.
        python: the interpreter inside, of the same version as the caller's; the caller's own, or
            with a `root` what ``python3`` is there.
        raises: classes of exceptions that may come back as themselves. Their constructors are
            called here with what the container says.
        pool: a crabcan.Pool to take the containers from; it has the options.
        options: what else crabcan.Container takes: limits, mounts, root, network, ...

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> limits = crabcan.Limits(pids=20, wall_time=10)
        >>> with crabcan.Executor(max_workers=2, limits=limits) as executor:
        ...     executor.submit(pow, 2, 10).result()
        ...     list(executor.map(abs, [-1, 2, -3]))
        1024
        [1, 2, 3]

    See concurrent.futures.Executor.

    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        python: str | os.PathLike[str] | None = None,
        raises: Iterable[type[Exception]] = (),
        pool: Pool | None = None,
        **options: Unpack[Options],
    ) -> None:
        if max_workers is None:
            max_workers = len(os.sched_getaffinity(0))
        self._calls = _Calls(_check.integer("max_workers", max_workers, 1, 1 << 16))
        self._raises = _exceptions(raises)
        self._python = python
        self._options = options
        self._pool = pool
        self._interpreter = _call.Interpreter(python, options, pool)

    def with_options(self, **options: Unpack[Options]) -> Executor:
        """The same executor, with other options for the calls that are submitted through it.

        Example:
            >>> import crabcan
            >>> with crabcan.Executor() as executor:
            ...     strict = executor.with_options(limits=crabcan.Limits(wall_time=5))
            ...     strict.submit(sum, range(10)).result()
            45

        """
        other = object.__new__(Executor)
        other.__dict__.update(self.__dict__)
        other._options = {**self._options, **options}
        other._interpreter = _call.Interpreter(self._python, other._options, self._pool)
        return other

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call ``fn(*args, **kwargs)`` in a container, and give its future.

        Raises:
            RuntimeError: the executor has been shut down.

        The future's result() raises what the function raised, and besides:
            CallTimeout: a limit of time, wall_time or cpu_time, ended it; a TimeoutError.
            CallDied: it ended without an answer, by a signal or because memory ran out.
            AnswerInvalid: it answered with what is no answer, or printed or answered too much.
            RemoteError: it raised what is not rebuilt here.
            Error: its other subclasses, where the container could not be made.
            pickle.PicklingError, TypeError: the function or an argument cannot be sent.

        """
        future: Future[T] = Future()
        try:
            pickled = _call.pickled(fn, args, kwargs)
        except Exception as error:
            future.set_running_or_notify_cancel()
            future.set_exception(error)
            return future
        self._calls.submit(future, functools.partial(self._run, future, pickled))
        return future

    async def _run(self, future: Future[Any], pickled: bytes) -> Any:
        how = self._interpreter
        done = await aio.run(
            how.command, input=pickled, capture_output=True, pool=self._pool, **how.options
        )
        answer = _call.take_answer(done)
        future.completed = done
        return _call.value_of(answer, done, self._raises)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and wait until all are done.

        Args:
            wait: return only then.
            cancel_futures: cancel those that have not been started; the others go on.

        """
        self._calls.shutdown(wait, cancel_futures)


class _Calls:
    """The loop that makes the calls, in one thread for all of them; begun with the first."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._slots: asyncio.Semaphore | None = None
        self._open: set[Future[Any]] = set()
        self._shut = False

    def submit(self, future: Future[Any], make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._loop is None:
                self._begin()
            self._open.add(future)
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._make_task, future, make)

    def _begin(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(self._at_once)
        self._thread = threading.Thread(target=self._serve, name="crabcan-executor", daemon=True)
        self._thread.start()
        # A daemon, as one that has not been shut down may not keep the interpreter; but as with
        # its peers, what has been submitted is done first.
        atexit.register(_shutdown_at_exit, weakref.ref(self))

    def _serve(self) -> None:
        loop = self._loop
        assert loop is not None
        with contextlib.closing(loop):
            loop.run_forever()

    def _make_task(self, future: Future[Any], make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        assert self._loop is not None
        task = self._loop.create_task(self._take_slot(future, make))
        future.add_done_callback(functools.partial(self._cancel_task, self._loop, task))
        task.add_done_callback(functools.partial(self._settle, future))

    @staticmethod
    def _cancel_task(
        loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any], future: Future[Any]
    ) -> None:
        if future.cancelled():
            loop.call_soon_threadsafe(task.cancel)

    async def _take_slot(
        self, future: Future[Any], make: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        assert self._slots is not None
        async with self._slots:
            future._started = True
            return await make()

    def _settle(self, future: Future[Any], task: asyncio.Task[Any]) -> None:
        """Its container is dead by now, also if it was cancelled."""
        if future.set_running_or_notify_cancel():
            if task.cancelled():
                future.set_exception(concurrent.futures.CancelledError())
            elif error := task.exception():
                future.set_exception(error)
            else:
                future.set_result(task.result())
        elif not task.cancelled():
            task.exception()  # looked at: nobody else will
        with self._lock:
            self._open.discard(future)
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._shut and not self._open and self._loop is not None:
            loop, self._loop = self._loop, None
            loop.call_soon_threadsafe(loop.stop)

    def shutdown(self, wait: bool, cancel: bool) -> None:
        with self._lock:
            self._shut = True
            waiting = [future for future in self._open if not future._started] if cancel else []
            self._end_if_done()
        for future in waiting:
            future.cancel()
        if wait and self._thread is not None:
            self._thread.join()


def _shutdown_at_exit(calls: weakref.ref[_Calls]) -> None:
    alive = calls()
    if alive is not None:
        alive.shutdown(True, False)


def _exceptions(classes: Iterable[type[Exception]]) -> dict[tuple[str, str], type[Exception]]:
    found = {}
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise _check.wrong_type("raises", kind, "subclasses of Exception")
        found[kind.__module__, kind.__qualname__] = kind
    return found
