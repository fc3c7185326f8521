"""One call of a Python function in a container: what goes in, and what comes of its answer."""

from __future__ import annotations

import builtins
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from crabcan import _data, _guest, defaults
from crabcan._run import CompletedProcess
from crabcan._text import harmless, tail
from crabcan.errors import (
    AnswerInvalid,
    CallDied,
    CallError,
    CallTimeout,
    RemoteError,
    invalid,
)
from crabcan.limits import Limits
from crabcan.spec import Spec

if TYPE_CHECKING:
    from crabcan.pool import Pool
    from crabcan.spec import Options

LARGEST_ANSWER = 16 << 20  # bytes: as Python's objects it may be twenty times as large

# cloudpickle's list of modules to take by value is one for the whole process.
_registering = threading.Lock()


class Interpreter:
    """An interpreter in a container, and how it is started: `command` and Container's `options`.

    Raises:
        ArgumentInvalid: an option is refused.

    """

    def __init__(
        self,
        python: str | os.PathLike[str] | None,
        options: Options,
        pool: Pool | None = None,
    ) -> None:
        if "channel" in options:
            raise invalid("channel", options["channel"], "a call answers by its return value")
        has = options if pool is None else {"root": pool.spec.root, "limits": pool.spec.limits}
        if python is None:
            python = sys.executable if has.get("root") is None else "python3"
        limits = _with_output(has.get("limits"))
        self.command = [os.fspath(python), "-I", "-c", program()]
        self.options: Options = {**options, "limits": limits, "channel": False}
        if pool is None:
            Spec(self.command, **self.options)
        else:
            pool._spec_of(self.command, self.options)


def _with_output(limits: Limits | None) -> Limits:
    if limits is None:
        return Limits(output=LARGEST_ANSWER)
    if limits.output is not None:
        return limits
    values = {name: getattr(limits, name) for name in Limits.__slots__}
    return Limits(**{**values, "output": LARGEST_ANSWER})


@functools.cache
def program() -> str:
    """The text that is executed inside."""
    texts = []
    for module in (_data, _guest):
        with open(module.__file__ or "", encoding="utf-8") as file:
            texts.append(file.read().replace("from __future__ import annotations\n", ""))
    return "\n".join([*texts, "serve()\n"])


def pickled(function: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
    """The call for _guest.py; only this direction is pickled."""
    with _registering, _by_value(_own_modules()):
        return bytes(cloudpickle.dumps((function, args, kwargs)))


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    before = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in before]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


def _own_modules() -> list[ModuleType]:
    """Modules that are not to be found inside: what the host's own system does not show."""
    shown = tuple(f"{tree}/" for tree in (*defaults.HOST_TREES, *defaults.python_prefixes()))
    return [
        module
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None))
        and not os.path.abspath(file).startswith(shown)
        and sys.modules.get(getattr(module, "__name__", "")) is module
        and name == module.__name__
    ]


def take_answer(done: CompletedProcess) -> bytes:
    """The answer, out of what became of the container: that is then the call's own."""
    answer: bytes = done.stdout
    done.stdout = None
    done.args = done.args[:-1]  # without the text of program()
    return answer


def value_of(
    answer: bytes, done: CompletedProcess, raises: Mapping[tuple[str, str], type[Exception]]
) -> Any:
    """The value that the call gave; what it raised is raised.

    Raises:
        CallTimeout, CallDied, AnswerInvalid, RemoteError: see Executor.submit().

    """
    _check_end(done)
    try:
        kind, *content = _data.decode(answer)
        if kind == "value":
            (value,) = content
            return value
        error = _rebuilt(done, raises, *content) if kind == "raised" else None
    except (ValueError, TypeError) as problem:
        raise _failed(AnswerInvalid, f"the answer is none: {problem}", done) from None
    if error is None:
        raise _failed(AnswerInvalid, "the answer is of no known kind", done)
    raise error


def _check_end(done: CompletedProcess) -> None:
    if done.timed_out:
        raise _failed(CallTimeout, "the call took longer than its limit of time", done)
    if done.output_limited:
        raise _failed(AnswerInvalid, "it answered or printed more than limits.output", done)
    if done.oom_killed:
        raise _failed(CallDied, "the call ran out of its limit of memory", done)
    if done.signal is not None:
        raise _failed(CallDied, f"the call was ended by signal {done.signal}", done)
    if done.returncode:
        raise _failed(CallDied, f"the call ended with exit code {done.returncode}", done)


def _failed(kind: type[CallError], what: str, done: CompletedProcess) -> CallError:
    error = kind(what)
    error.completed = done
    printed = tail(done.stderr, 1000)
    if printed:
        error.advice = f"it printed: {printed}"
    return error


def _rebuilt(
    done: CompletedProcess,
    raises: Mapping[tuple[str, str], type[Exception]],
    module: str,
    name: str,
    args: tuple[Any, ...],
    words: str,
    traceback: str,
) -> Exception:
    """The exception, as itself where that is safe, with what its traceback said as its cause."""
    if not all(isinstance(text, str) for text in (module, name, words, traceback)):
        raise ValueError("an exception without words")
    remote = RemoteError(harmless(f"{name}: {words}"))
    remote.completed = done
    remote.type_name = harmless(f"{module}.{name}")
    remote.traceback = harmless(traceback)
    error = _made(_class_of(module, name, raises), args)
    if error is None:
        return remote
    error.__cause__ = remote
    return error


def _class_of(
    module: str, name: str, raises: Mapping[tuple[str, str], type[Exception]]
) -> type[Exception] | None:
    if module == "builtins":
        kind = getattr(builtins, name, None)
        # Exception, and not SystemExit or KeyboardInterrupt, which would end the caller.
        if isinstance(kind, type) and issubclass(kind, Exception):
            return kind
    return raises.get((module, name))


def _made(kind: type[Exception] | None, args: Any) -> Exception | None:
    if kind is None or not isinstance(args, tuple):
        return None
    try:
        error = kind(*args)
    except Exception:
        return None
    return error if isinstance(error, Exception) else None
