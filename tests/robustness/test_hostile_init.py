"""What the host's side believes of an init that the payload has taken over.

The tests have init's end of the control socket, as its parent may (pidfd_getfd(2)), and say what
they like: before init's own first words, and while the payload runs.
"""

from __future__ import annotations

import array
import collections
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from museum.staged import init_control, init_descriptor, report

import crabcan
from crabcan import _core

TIMELINE, FAILED, STARTED, ENDED, INIT, TERMINAL = range(1, 7)
EXITED, KILLED, STOPPED = 1, 2, 5  # waitid(2)
STEPS = len(_core.STEPS)
HUGE = 0xFFFFFFFF


def say(control: socket.socket, data: bytes, fds: list[int] | None = None) -> None:
    """Until there is no room: nobody may wait here for who does not read."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds or []))
    with contextlib.suppress(BlockingIOError):
        control.sendmsg([data], [rights] if fds else [], socket.MSG_DONTWAIT)


class Possessed(crabcan.Container):
    """Its init says something before its own first words."""

    def __init__(self, *words: bytes, stops: bool = False) -> None:
        super().__init__(["sh", "-c", "exit 7"])
        self._words = words
        self._stops = stops

    def _launch(self, *arguments: Any) -> _core.Process:
        process = super()._launch(*arguments)
        with (
            init_descriptor(process.pid, process.sockets[1]) as fd,
            socket.socket(fileno=os.dup(fd)) as control,
        ):
            for data in self._words:
                say(control, data)
        if self._stops:
            os.kill(process.pid, signal.SIGSTOP)
        return process


@contextlib.contextmanager
def possessed() -> Iterator[tuple[crabcan.Container, socket.socket]]:
    """A container that runs, and init's end of its control socket."""
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        with init_control(container) as control:
            yield container, control


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def timeline(count: int, *steps: int) -> bytes:
    moments = b"".join(struct.pack("=IIQ", step, 0, 1) for step in steps)
    return struct.pack("=II", TIMELINE, count) + moments


SIZES = [*range(1, 60), 100, 1000, 16391, 16392, 16393, 30000]
TIMELINE_OF_NONE = len(timeline(0))
UNSOUND = {
    "sizes": [bytes(size) for size in SIZES if size != len(report(0))],
    "sizes of a timeline": [
        timeline(0).ljust(size, b"\0") for size in SIZES if size > TIMELINE_OF_NONE
    ],
    "types": [report(kind) for kind in (0, TIMELINE, INIT, 7, 8, HUGE)],
    "steps": [report(kind, step=step, error=1)
              for kind in (FAILED, STARTED) for step in (STEPS, STEPS + 1, 1 << 31, HUGE)],
    "errors": [report(FAILED, error=error) for error in (0, -1, 4096, 2**31 - 1, -(2**31))],
    "statuses": [report(ENDED, code=code, status=status)
                 for code, status in ((EXITED, -1), (EXITED, 256), (KILLED, 0), (KILLED, 999),
                                      (KILLED, -9), (STOPPED, 19), (0, 0), (-1, 0), (6, 18))],
    "limits": [report(ENDED, code=EXITED, limit=limit) for limit in (3, HUGE)],
    "timelines": [timeline(count, *steps)
                  for count, steps in ((0, [1]), (2, [1]), (HUGE, [1]), (1, [STEPS]), (1, [HUGE]),
                                       (1025, [1] * 1025), (0x10000000, []))],
}  # fmt: skip


@pytest.fixture(autouse=True)
def image() -> None:
    """The image of init is made by the first launch, and kept."""
    crabcan.run(["true"])


@pytest.mark.parametrize("name", UNSOUND)
def test_nothing_is_believed_after_what_cannot_be_true(name: str) -> None:
    for data in UNSOUND[name]:
        before = open_descriptors()
        with Possessed(data) as container, pytest.raises(crabcan.Error, match="init"):
            container.create()
        assert open_descriptors() == before


def test_who_talks_nonsense_and_lives_on_is_not_waited_for() -> None:
    with Possessed(b"nonsense", stops=True) as container, pytest.raises(crabcan.Error):
        container.create()


@pytest.mark.parametrize("name", UNSOUND)
def test_nor_while_the_payload_runs(name: str) -> None:
    for data in UNSOUND[name]:
        with possessed() as (container, control):
            say(control, data)
            say(control, report(ENDED, code=EXITED, status=0))  # no success after it
            container.kill()
            try:
                assert container.wait(20) == -9
            except crabcan.ContainerError as error:
                assert "no report" in str(error)  # noqa: PT017


def test_a_failure_of_any_step_is_an_error_that_names_it() -> None:
    for step, (name, _) in enumerate(_core.STEPS):
        for index in (0, 1, 1 << 31, HUGE):
            with (
                Possessed(report(FAILED, step=step, index=index, error=13)) as container,
                pytest.raises(crabcan.Error) as caught,
            ):
                container.create()
            assert getattr(caught.value, "step", name) == name


def test_descriptors_are_closed_at_once() -> None:
    with open(os.devnull) as null, possessed() as (container, control):
        before = open_descriptors()
        for kind in (STARTED, ENDED, TERMINAL):
            for count in (1, 2, 253):
                say(control, report(kind, code=EXITED, id=9), [null.fileno()] * count)
        assert container._created("test").report(0)
        assert container._created("test").report(0)
        assert container.poll() is None
        while container._created("test").report(0):
            pass
        # One is kept: a terminal may be on its way to exec(tty=True), and is looked at then.
        assert open_descriptors() <= before + 1
        with pytest.raises(crabcan.SetupError, match="ENOTTY"):
            container._take_terminal(container._created("test"))
        container.kill()


@contextlib.contextmanager
def bystander_of_the_host() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_no_pid_is_believed() -> None:
    """Neither a number nor a pidfd: what is killed afterwards is the container."""
    with bystander_of_the_host() as bystander:
        pidfd = os.pidfd_open(bystander.pid)
        with possessed() as (container, control):
            for number in range(3):
                say(control, report(STARTED, id=number, pid=bystander.pid), [pidfd])
                say(control, report(ENDED, id=number or 9, pid=bystander.pid, code=EXITED), [pidfd])
            process = container.exec(["sleep", "60"])
            process.kill()
            assert process.wait(20) in (0, -9)  # it may have been told so
            say(control, report(INIT, pid=bystander.pid), [pidfd])
            container.send_signal(15)
            container.kill()
            with contextlib.suppress(crabcan.ContainerError):
                container.wait(20)
        os.close(pidfd)
        assert bystander.poll() is None


def test_a_flood_is_no_hold_up() -> None:
    for data in (b"x", report(ENDED, id=9, code=EXITED), timeline(1, 1), report(TERMINAL)):
        with possessed() as (container, control):
            for _ in range(2000):
                say(control, data)
            with pytest.raises(crabcan.TimeoutExpired):
                container.wait(0.01)
            container.kill()
            with contextlib.suppress(crabcan.ContainerError):
                assert container.wait(20) == -9


def test_random_words() -> None:
    """A sound report with bytes changed, cut or added: an answer or an error, and nothing left."""
    chance = random.Random(7)
    before = open_descriptors()
    outcomes = collections.Counter[str]()
    for _ in range(150):
        data = bytearray(report(chance.randrange(7), error=1, code=EXITED))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = data[: chance.choice([len(data)] * 5 + [chance.randrange(1, len(data))])]
        with Possessed(bytes(data)) as container:
            try:
                container.create()
                outcomes[f"exit {container.wait(20)}"] += 1
            except crabcan.Error as error:
                outcomes[type(error).__name__] += 1
    print(dict(outcomes))
    assert open_descriptors() == before
    assert len(outcomes) >= 3
