"""Pool: containers that are made ahead, and wait for their command."""

from __future__ import annotations

import collections
import os
import threading
import time
import weakref

from crabcan import _check, _core, defaults
from crabcan._run import run
from crabcan.compile import compile_exec
from crabcan.container import Container
from crabcan.errors import ContainerError, Error, invalid
from crabcan.limits import Limits
from crabcan.mounts import Overlay
from crabcan.spec import Spec

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Unpack

    from crabcan._resources import Resources
    from crabcan._run import CompletedProcess
    from crabcan.spec import Command, Options

# What belongs to one command, and may differ between those of a pool.
OF_A_COMMAND = frozenset({"env", "cwd", "executable"})
DEFAULT_MEMORY = 64 << 20
DEFAULT_RATE = 200.0
DEFAULT_IDLE = 60.0
MAX_SIZE = 4096
_AFTER_FAILURE = 1.0  # seconds
_LATER = 0.005  # after a run has begun, while enough are ready


class Warm(Container):
    """One that has everything but its command: its init waits to be asked for it."""

    _is_warm = True
    _counts_output = True  # whoever reads it does

    def start(self, spec: Spec, fds: tuple[int, int, int]) -> _core.Plan | None:
        """Ask for the command; None where it has been killed meanwhile."""
        plan = compile_exec(spec, False, self._resources.stand_ins, defaults.WINDOW)
        try:
            self._created("start").exec(plan, fds, 0)
        except _core.StepError:
            return None
        finally:
            plan.close_file()
        return plan

    def memory(self) -> int:
        """Bytes that it holds by itself: its init's share of pages (PSS)."""
        try:
            with open(f"/proc/{self.child_pid}/smaps_rollup") as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line[:20])
            return int(fields["Pss"].split()[0]) * 1024
        except (OSError, KeyError, ValueError):  # it has ended, or is closed to us
            return 256 << 10


class Pool:
    r"""Containers made ahead: namespaces, mounts, ids, groups. Each is used for one command.

    A run takes a ready one, which then installs the rest of its walls and executes the command; a
    thread makes the next, and takes down what is left of the last: when a run returns, all that ran
    in the container is dead, but its namespaces may exist for some milliseconds more.
    Where none is ready, a container is made as without a pool.

    Args:
        size: how many to keep ready.
        memory: bytes that those ready may hold together; fewer are kept where they hold more.
        rate: how many are made in a second at most.
        idle: seconds without a run after which all are given back; the next run begins anew.
        options: what else crabcan.Container takes, but for what belongs to one container: tty,
            channel, publish, and an Overlay whose changes are kept.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> with crabcan.Pool(size=2) as pool:
        ...     pool.run(["echo", "hello"], capture_output=True, text=True).stdout
        'hello\n'

    After a fork the child has a pool of the same kind, empty at first. See crabcan.run, Popen,
    aio and Executor, each of which takes `pool`.

    """

    def __init__(
        self,
        size: int = 4,
        *,
        memory: int = DEFAULT_MEMORY,
        rate: float = DEFAULT_RATE,
        idle: float = DEFAULT_IDLE,
        **options: Unpack[Options],
    ) -> None:
        self._size = _check.integer("size", size, 1, MAX_SIZE)
        self._memory = _check.integer("memory", memory, 1, 1 << 50)
        self._interval = 1 / _positive("rate", rate)
        self._idle = _positive("idle", idle)
        options.setdefault("channel", False)
        self.spec = _checked(Spec(["true"], **options))
        self._cost = 0  # bytes of one, once there has been one
        self._closed = False
        self._reset()
        _pools.add(self)
        with self._changed:
            self._wake()

    def _reset(self) -> None:
        """As at first; after a fork nothing of the parent's can be used, locks included."""
        self._changed = threading.Condition()
        self._ready: collections.deque[Warm] = collections.deque()
        self._used: collections.deque[tuple[_core.Process, Resources]] = collections.deque()
        self._thread: threading.Thread | None = None
        self._last_use = time.monotonic()
        self._not_before = 0.0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.ready} of {self._size} ready"
        return f"<crabcan.Pool, {state}>"

    @property
    def ready(self) -> int:
        """How many wait for a command."""
        return len(self._ready)

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until as many are ready as are kept; False at the timeout, in seconds."""
        with self._changed:
            self._wake()
            return self._changed.wait_for(lambda: len(self._ready) >= self._target(), timeout)

    def run(self, args: Command, **options: Any) -> CompletedProcess:
        """crabcan.run() in a container of the pool.

        Args:
            args: the program and its arguments.
            options: what crabcan.run takes for one command: env, cwd, executable, shell, input,
                stdin, stdout, stderr, capture_output, text, timeout, check, ...

        Raises:
            ArgumentInvalid: an option that the pool has.
            ContainerError: the pool is closed.
            Error: as of crabcan.run.

        """
        return run(args, pool=self, **options)

    def close(self) -> None:
        """Give everything back; again is harmless. Commands that run go on."""
        with self._changed:
            self._closed = True
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._give_back()

    def _spec_of(self, command: Command, given: Mapping[str, Any]) -> Spec:
        """That of one command."""
        for name, value in given.items():
            if name not in OF_A_COMMAND and not self._is_mine(name, value):
                raise invalid(name, value, "the pool's containers are made before: give it to Pool")
        return self.spec._for(command, given)

    def _is_mine(self, name: str, value: object) -> bool:
        """Whether it is what the containers have, or is the caller's business, as output is."""
        if name == "limits" and isinstance(value, Limits):
            mine = self.spec.limits or Limits()
            names = set(Limits.__slots__) - {"output"}
            return all(getattr(mine, limit) == getattr(value, limit) for limit in names)
        return name == "channel" and not value

    def _take(self) -> Warm | None:
        """A ready one, if there is one; the next is made meanwhile."""
        with self._changed:
            if self._closed:
                raise ContainerError("run: the pool is closed")
            self._last_use = time.monotonic()
            warm = self._ready.popleft() if self._ready else None
            if len(self._ready) >= self._target() // 2:  # the command comes first
                self._not_before = max(self._not_before, self._last_use + _LATER)
            self._wake()
        return warm

    def _retire(self, process: _core.Process, resources: Resources) -> None:
        """Take down what a command has left: an init that ends, namespaces, groups."""
        with self._changed:
            self._used.append((process, resources))
            if self._thread is None:  # closed, or idle
                self._clear()
            else:
                self._not_before = max(self._not_before, time.monotonic() + _LATER / 2)
                self._changed.notify_all()

    def _clear(self) -> None:
        while self._used:
            try:
                process, resources = self._used.popleft()
            except IndexError:  # another thread was quicker
                return
            process.close()
            resources.release()

    def _wake(self) -> None:
        """Begin to make what is missing; the lock is held."""
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._serve, name="crabcan-pool", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _target(self) -> int:
        if self._cost == 0:
            return self._size
        return max(1, min(self._size, self._memory // self._cost))

    def _serve(self) -> None:
        """The thread: until the pool is closed, or has been idle."""
        me = threading.current_thread()
        while True:
            with self._changed:
                works = self._has_work(me)
            self._clear()
            if not works:
                break
            if time.monotonic() >= self._not_before and len(self._ready) < self._target():
                self._add(me)
        self._give_back()

    def _has_work(self, me: threading.Thread) -> bool:
        """Sleep until one is to be made; False at the end. The lock is held."""
        while self._thread is me:
            now = time.monotonic()
            if now >= self._last_use + self._idle:
                self._thread = None
                return False
            if self._used:
                return True
            wait = self._last_use + self._idle - now
            if len(self._ready) < self._target():
                if now >= self._not_before:
                    return True
                wait = min(wait, self._not_before - now)
            self._changed.wait(wait)
        return False

    def _add(self, me: threading.Thread) -> None:
        self._not_before = time.monotonic() + self._interval
        warm = Warm(self.spec)
        try:
            warm.create()
        except Error:  # a run finds it out for itself, and tells
            self._not_before = time.monotonic() + _AFTER_FAILURE
            warm.close()
            return
        if not self._cost:
            self._cost = warm.memory()
        with self._changed:
            if self._thread is me:
                self._ready.append(warm)
                warm = None  # type: ignore[assignment]
            self._changed.notify_all()
        if warm is not None:
            warm.close()

    def _give_back(self) -> None:
        self._clear()
        while self._ready:
            try:
                warm = self._ready.popleft()
            except IndexError:  # another thread was quicker
                return
            warm.close()

    def _forked(self) -> None:
        theirs, thread = self._ready, self._thread
        for process, resources in self._used:
            process.close()
            resources.release()
        self._reset()
        for warm in theirs:
            warm.close()  # our copies of descriptors only: its owner is the parent
        if thread is not None and not self._closed:
            self._last_use = 0.0  # nothing is made before the first run


def _positive(field: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _check.wrong_type(field, value, "a number")
    if not value > 0:
        raise invalid(field, value, "give a number above 0")
    return float(value)


def _checked(spec: Spec) -> Spec:
    for name in ("tty", "channel", "publish"):
        if getattr(spec, name):
            raise invalid(name, getattr(spec, name), "it belongs to one container: leave it out")
    if any(not isinstance(space, str) for _, space in spec.namespaces):
        raise invalid("namespaces", dict(spec.namespaces), "a pool joins none: leave it out")
    if any(isinstance(mount, Overlay) and mount.upper is not None for mount in spec.mounts):
        raise invalid("mounts", "Overlay(upper=...)", "one container at a time can write there")
    return spec


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool._forked()


os.register_at_fork(after_in_child=_after_fork)
