"""Executor: Python functions, each call in a container of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import decimal
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import crabcan
from crabcan import Executor, Limits, _data


class Own(Exception):
    """An exception of this module."""

    def __init__(self, number: int, why: str = "") -> None:
        super().__init__(number, why)
        self.number = number


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(max_workers=4, limits=Limits(wall_time=60)) as executor:
        yield executor


FACTOR = 7


def multiplied(number: int) -> int:
    """Of this module, which is not to be found inside: it goes by value, with what it needs."""
    return number * FACTOR


def test_a_function_runs_in_a_container_of_its_own(executor: Executor) -> None:
    def where() -> tuple[int, str, bool]:
        return os.getpid(), os.uname().nodename, os.path.exists(os.path.expanduser("~/.ssh"))

    first, second = executor.submit(where).result(), executor.submit(where).result()
    assert first[0] == 2
    assert first[1] != second[1] != os.uname().nodename
    assert executor.submit(multiplied, 6).result() == 42
    assert executor.submit(math.hypot, 3, 4).result() == 5
    assert executor.submit(lambda *a, **k: (a, k), 1, b=2).result() == ((1,), {"b": 2})


def test_map(executor: Executor) -> None:
    assert list(executor.map(multiplied, range(10))) == [i * 7 for i in range(10)]
    with pytest.raises(ZeroDivisionError):
        list(executor.map(lambda n: 1 // n, [1, 0]))


def test_it_is_an_executor_for_those_who_use_one(executor: Executor) -> None:
    assert isinstance(executor, concurrent.futures.Executor)
    futures = [executor.submit(multiplied, i) for i in range(4)]
    done, waiting = concurrent.futures.wait(futures, timeout=60)
    assert (len(done), len(waiting)) == (4, 0)
    assert {f.result() for f in concurrent.futures.as_completed(futures)} == {0, 7, 14, 21}

    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(executor, multiplied, 3)

    assert asyncio.run(main()) == 21


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**63),
    2**63,
    10**5000,
    1.5,
    float("inf"),
    "h\u00e9\udc80\0",
    b"\0\xff",
    bytearray(b"x"),
    1 + 2j,
    [1, [2, []]],
    (1, (2, ())),
    {"a": 1, 2: [3], (4, 5): None},
    {1, "a", (2, 3)},
    frozenset({1}),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC),
    datetime.date(2026, 1, 2),
    datetime.time(1, 2, 3),
    datetime.timedelta(days=-1, microseconds=3),
    decimal.Decimal("1.10"),
    uuid.UUID(int=5),
]


def test_which_values_come_back(executor: Executor) -> None:
    assert executor.submit(lambda v: v, VALUES).result() == VALUES
    for value, back in zip(VALUES, _data.decode(_data.encode(VALUES)), strict=True):
        assert (type(value), value) == (type(back), back)
    assert math.isnan(_data.decode(_data.encode(float("nan"))))


@pytest.mark.parametrize("value", [object(), Own, Path("/"), range(3), signal.SIGINT])
def test_which_do_not(executor: Executor, value: object) -> None:
    with pytest.raises(TypeError, match="cannot come back"):
        executor.submit(lambda: value).result()


def test_what_holds_itself_does_not_come_back(executor: Executor) -> None:
    def loop() -> list[Any]:
        found: list[Any] = []
        found.append(found)
        return found

    with pytest.raises(RecursionError):
        executor.submit(loop).result()


def test_exception_with_its_traceback(executor: Executor) -> None:
    def fail() -> None:
        dict[str, int]()["missing"]

    with pytest.raises(KeyError, match="missing") as caught:
        executor.submit(fail).result()
    assert isinstance(caught.value.__cause__, crabcan.RemoteError)
    assert "in fail" in caught.value.__cause__.traceback
    assert 'File "' in str(caught.value.__cause__)
    assert "serve" not in caught.value.__cause__.traceback


def test_exception_of_a_class_of_ones_own(executor: Executor) -> None:
    def fail() -> None:
        raise Own(3, "why")

    with pytest.raises(crabcan.RemoteError, match="Own: .*why") as caught:
        executor.submit(fail).result()
    assert caught.value.type_name.endswith(".Own")
    with (
        Executor(raises=[Own]) as knows,
        pytest.raises(Own) as rebuilt,
    ):
        knows.submit(fail).result()
    assert rebuilt.value.number == 3
    with pytest.raises(TypeError, match="raises"):
        Executor(raises=[KeyboardInterrupt])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_would_end_the_caller_does_not(executor: Executor, kind: type[BaseException]) -> None:
    def leave() -> None:
        raise kind(3)

    with pytest.raises(crabcan.RemoteError, match=kind.__name__):
        executor.submit(leave).result()


def test_one_that_dies(executor: Executor) -> None:
    with pytest.raises(crabcan.CallDied, match="exit code 7") as caught:
        executor.submit(os._exit, 7).result()
    assert caught.value.completed is not None
    assert caught.value.completed.returncode == 7
    with pytest.raises(crabcan.CallDied, match="signal 11"):
        executor.submit(lambda: os.kill(os.getpid(), signal.SIGSEGV)).result()

    def with_words() -> None:
        print("last \x1b[31mwords")
        sys.stdout.flush()
        os._exit(1)

    with pytest.raises(crabcan.CallDied, match=r"it printed: last \\x1b\[31mwords"):
        executor.submit(with_words).result()


def test_one_that_hangs(executor: Executor) -> None:
    impatient = executor.with_options(limits=Limits(wall_time=0.5))
    with pytest.raises(crabcan.CallTimeout) as caught:
        impatient.submit(time.sleep, 100).result()
    assert isinstance(caught.value, TimeoutError)
    waited_for = executor.submit(time.sleep, 100)
    with pytest.raises(TimeoutError):
        waited_for.result(timeout=0.1)
    assert waited_for.cancel()


def flood() -> None:
    while True:
        print("x" * 10000)


def flood_of_answer() -> bytes:
    return bytes(1 << 20)


@pytest.mark.parametrize("function", [flood, flood_of_answer])
def test_one_that_floods(executor: Executor, function: Callable[[], Any]) -> None:
    bounded = executor.with_options(limits=Limits(output="100K", wall_time=60))
    with pytest.raises(crabcan.AnswerInvalid, match=r"limits\.output"):
        bounded.submit(function).result()


def answering(answer: bytes) -> Callable[[], None]:
    """A function that writes an answer of its own to every pipe that it has."""

    def answer_so() -> None:
        for fd in range(3, 20):
            try:
                os.write(fd, answer)
            except OSError:
                continue
        os._exit(0)

    return answer_so


GARBAGE = [
    b"",
    b"\xff\xfe",
    b"[",
    b"{}",
    b"[]",
    b"5",
    b'["list"]',
    b'["list", "value"]',
    b'["list", "value", 1, 2]',
    b'["list", "other", 1]',
    b'["list", "raised"]',
    b'["list", "raised", 1, 2, 3, 4, 5]',
    b'["tuple", "value", ["no-such-type", 1]]',
    b'["tuple", "value", ["int", 5]]',
    b'["tuple", "value", ["int", "0x"]]',
    b'["tuple", "value", ["set", ["list"]]]',
    b'["tuple", "value", ["bytes", "\\u00e9"]]',
    b'["tuple", "value", ["timedelta", ["list", 1e400, 0, 0]]]',
    b'["tuple", "value", ["dict", 1]]',
    b'["tuple", "value", {"a": 1}]',
    b'["tuple", "value", ' + b"9" * 5000 + b"]",
    b"[" * 100_000,
    pickle.dumps(os.getpid),
]


@pytest.mark.parametrize("answer", GARBAGE)
def test_one_that_answers_garbage(executor: Executor, answer: bytes) -> None:
    with pytest.raises(crabcan.AnswerInvalid, match="answer is"):
        executor.submit(answering(answer)).result()


def test_keys_of_equal_hashes_are_refused() -> None:
    keys = b",".join(b"%d" % (i * (2**61 - 1)) for i in range(1, 4))
    assert len(_data.decode(b'["set", ' + keys + b"]")) == 3
    many = [0, *(["int", hex(i * (2**61 - 1))] for i in range(1, 3000))]
    with pytest.raises(ValueError, match="hashes"):
        _data.decode(f'["set", {str(many)[1:-1]}]'.replace("'", '"').encode())


def test_exceptions_that_are_made_up(executor: Executor) -> None:
    """What a hostile function says it raised is rebuilt only where no harm is in it."""

    def made_up(module: str, name: str, args: Any) -> Callable[[], None]:
        return answering(_data.encode(("raised", module, name, args, "w\x1b[2J", "t\x1b[2J")))

    error = executor.submit(made_up("builtins", "UnicodeDecodeError", (1,))).exception()
    assert isinstance(error, crabcan.RemoteError)
    assert "\x1b" not in str(error)
    for module, name in (("os", "system"), ("builtins", "eval"), ("builtins", "SystemExit")):
        error = executor.submit(made_up(module, name, ("true",))).exception()
        assert isinstance(error, crabcan.RemoteError), (module, name)


def test_others_are_not_hurt(executor: Executor) -> None:
    strict = executor.with_options(limits=Limits(output="100K", wall_time=1))
    bad = [
        strict.submit(function)
        for function in (flood, os.abort, lambda: time.sleep(100), answering(b"x"))
        for _ in range(3)
    ]
    good = [executor.submit(multiplied, i) for i in range(12)]
    assert [future.result() for future in good] == [i * 7 for i in range(12)]
    assert all(isinstance(future.exception(), crabcan.CallError) for future in bad)


def test_cancelling() -> None:
    with Executor(max_workers=1) as one:
        running = one.submit(time.sleep, 100)
        waiting = one.submit(time.sleep, 100)
        while not running.running():
            time.sleep(0.01)
        assert not waiting.running()
        assert waiting.cancel()
        assert running.cancel()
        for future in (running, waiting):
            assert future.cancelled()
            assert future.done()
            with pytest.raises(concurrent.futures.CancelledError):
                future.result(timeout=10)
        assert not concurrent.futures.wait([running, waiting], timeout=30).not_done
        assert one.submit(multiplied, 1).result() == 7  # its place is free again
        done = one.submit(multiplied, 1)
        done.result()
        assert not done.cancel()


def test_shutdown() -> None:
    executor = Executor(max_workers=1)
    first, second = executor.submit(time.sleep, 0.3), executor.submit(multiplied, 1)
    executor.shutdown()
    assert first.done()
    assert second.result() == 7
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(multiplied, 1)
    executor.shutdown()

    executor = Executor(max_workers=1)
    first = executor.submit(time.sleep, 0.3)
    while not first.running():
        time.sleep(0.01)
    second = executor.submit(multiplied, 1)
    executor.shutdown(cancel_futures=True)
    assert first.result() is None
    assert second.cancelled()
    Executor().shutdown()  # one that was never used
    assert not [t for t in threading.enumerate() if t.name == "crabcan-executor"]


def test_one_that_is_not_shut_down_does_its_work_first() -> None:
    script = (
        "import crabcan, time\n"
        "executor = crabcan.Executor()\n"
        "future = executor.submit(time.sleep, 0.5)\n"
        "future.add_done_callback(lambda f: print('done', f.exception()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("done None\n", "")


def test_limits_of_each_call(executor: Executor) -> None:
    few = executor.with_options(limits=Limits(pids=3))

    def threads() -> int:
        started = []
        try:
            for _ in range(10):
                started.append(threading.Thread(target=time.sleep, args=(1,)))
                started[-1].start()
        except RuntimeError:
            return len(started) - 1
        return 10

    assert few.submit(threads).result() < 3
    assert executor.submit(threads).result() == 10


def test_what_is_printed_and_used(executor: Executor) -> None:
    future = executor.submit(print, "hello")
    assert future.result() is None
    assert future.completed is not None
    assert future.completed.stderr == b"hello\n"
    assert future.completed.stdout is None
    assert future.completed.usage is not None
    assert future.completed.usage.cpu_time > 0


def test_stdin_is_empty_and_stdout_not_the_answers(executor: Executor) -> None:
    def look() -> tuple[str, int]:
        subprocess.run(["echo", "to stdout"], check=True)
        return sys.stdin.read(), os.write(1, b"raw\n")

    future = executor.submit(look)
    assert future.result() == ("", 4)
    assert future.completed is not None
    assert future.completed.stderr == b"to stdout\nraw\n"


def test_what_cannot_be_sent(executor: Executor) -> None:
    future = executor.submit(lambda lock: None, threading.Lock())
    with pytest.raises(TypeError, match="pickle"):
        future.result()


def test_options_are_refused_at_once() -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match="max_workers"):
        Executor(max_workers=0)
    with pytest.raises(crabcan.ArgumentInvalid, match="hostname"):
        Executor(hostname="")
    with pytest.raises(TypeError, match="hostnam"):
        Executor(hostnam="moon")  # type: ignore[call-arg]
    with pytest.raises(crabcan.ArgumentInvalid, match="channel"):
        Executor(channel=True)


def test_python_that_is_not_there(busybox_root: Path) -> None:
    with Executor(root=busybox_root) as executor, pytest.raises(crabcan.CommandNotFound):
        executor.submit(multiplied, 1).result()
