"""A Container's states, and random calls held against them.

`python tests/robustness/model.py [EXAMPLES]`: 2,000 sequences of up to 50 calls if not told. A call
does what the model says, or raises what it says; nothing hangs, and nothing crashes.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import crabcan

EXAMPLES = 2_000
NEW, RUNNING, ENDED, CLOSED = "new", "running", "ended", "closed"
SIGKILL, SIGTERM = 9, 15
SHORT = 0.001  # seconds


def pause(container: crabcan.Container) -> None:
    """And let it go on."""
    container.pause()
    container.unpause()


# What needs a container that has been created, and is not closed.
CALLS: dict[str, Callable[[crabcan.Container], object]] = {
    "poll": lambda c: c.poll(),
    "send_signal": lambda c: c.send_signal(0),
    "pidfd": lambda c: c.pidfd,
    "pause": lambda c: pause(c),
    "exec": lambda c: c.exec(["true"]).wait(timeout=30),
    "wait": lambda c: c.wait(timeout=SHORT),
    "recv_bool": lambda c: c.recv_bool(timeout=SHORT),
    "send_bool": lambda c: c.send_bool(True),
}
# What they may raise of a container that runs, or has ended.
MAY_RAISE = (subprocess.TimeoutExpired, crabcan.SocketError, TimeoutError)

calls = 0


def told(call: Callable[[], object]) -> str:
    """What it is refused with; nothing if it is not."""
    try:
        call()
    except crabcan.ContainerError as error:
        return str(error)
    return ""


class Model(RuleBasedStateMachine):
    """One container: what it is, beside what it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.container = crabcan.Container(["sleep", "60"], default_mounts=True)
        self.state = NEW

    def teardown(self) -> None:
        self.container.close()

    def refused(self, call: Callable[[], object]) -> None:
        """For it has not been created, or is closed."""
        said = told(call)
        words = "call create() first" if self.state == NEW else "closed"
        assert words in said, (self.state, said)

    @rule()
    def create(self) -> None:
        self.count()
        said = told(self.container.create)
        wanted = {NEW: "", CLOSED: "is closed"}.get(self.state, "created already")
        assert said.endswith(wanted), (self.state, said)
        assert bool(said) == (self.state != NEW), (self.state, said)
        if self.state == NEW:
            self.state = RUNNING

    @rule(name=st.sampled_from(sorted(CALLS)), elsewhere=st.booleans())
    def call(self, name: str, elsewhere: bool) -> None:
        """From this thread, or from another one."""
        self.count()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                self.one(name)
            except BaseException as error:
                failures.append(error)

        if elsewhere:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        else:
            work()
        for failure in failures:
            raise failure

    def one(self, name: str) -> None:
        code = self.container.returncode
        if self.state == CLOSED and code is not None and name in ("poll", "wait"):
            assert CALLS[name](self.container) == code  # what is known stays known
            return
        if self.state in (NEW, CLOSED):
            self.refused(lambda: CALLS[name](self.container))
            return
        values: list[object] = []
        with suppress(*MAY_RAISE):
            said = told(lambda: values.append(CALLS[name](self.container)))
            # Of what has ended there is nothing to pause, and nothing to start in.
            assert not said or (self.state == ENDED and name in ("exec", "pause")), (name, said)
        for value in values if name in ("poll", "wait") else ():
            assert value == (None if self.state == RUNNING else self.container.returncode)

    @rule(signum=st.sampled_from([SIGKILL, SIGTERM]))
    def kill(self, signum: int) -> None:
        self.count()
        if self.state in (NEW, CLOSED):
            self.refused(lambda: self.container.send_signal(signum))
            return
        self.container.send_signal(signum)
        code = self.container.wait(timeout=30)
        if self.state == RUNNING:
            assert code == -signum
        assert code == self.container.returncode
        self.state = ENDED

    @rule()
    def close(self) -> None:
        self.count()
        self.container.close()
        self.state = CLOSED

    @rule()
    def leave(self) -> None:
        self.count()
        with self.container as same:
            assert same is self.container
        self.state = CLOSED

    @precondition(lambda self: self.state == CLOSED)
    @rule()
    def again(self) -> None:
        """Another one, so that a sequence does not end with its first close."""
        self.container = crabcan.Container(self.container.spec)
        self.state = NEW

    @rule()
    def look(self) -> None:
        self.count()
        assert repr(self.container).startswith("<crabcan.Container 'sleep', ")
        assert self.container.oom_killed is False
        assert (self.container.returncode is not None) == (self.state == ENDED) or (
            self.state == CLOSED
        )
        with suppress(TypeError):
            pickle.dumps(self.container)
            raise AssertionError("a container was pickled")

    def count(self) -> None:
        global calls
        calls += 1


def play(examples: int) -> int:
    """So many sequences; how many calls they had."""
    global calls
    calls = 0
    chosen = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Model, settings=chosen)
    return calls


def main() -> int:
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES
    print(f"{examples} sequences, {play(examples)} calls, all as the model has them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
