"""The pytest plugin: containers as fixtures, and tests that run inside one.

Loaded into every session where crabcan is installed, so it imports crabcan at first use.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol

import pytest

if TYPE_CHECKING:
    from crabcan import CompletedProcess, Container

SHOWN = 4000  # characters of each output, from its end

MARKER = (
    "crabcan(**options): run the whole test function in a container of its own; the options are "
    "those of crabcan.Container. Fixtures go in by cloudpickle, tmp_path as a writable directory."
)

# Names of pytest's outcomes inside, and what they mean outside.
_OUTCOMES: dict[str, Any] = {
    "builtins.Skipped": pytest.skip,  # by its own words
    "_pytest.outcomes.XFailed": pytest.xfail,
}


class _Report:
    """What a failed test tells of a container; in words only once it is asked for."""

    def __init__(self, args: Any) -> None:
        self.args = args
        self.result: Any = None  # what run() gave or raised, or a Container
        self.outputs: dict[str, IO[bytes]] = {}  # of a Container, whose result has none

    def text(self) -> str:
        return "\n".join([f"command: {self.args!r}", *self._ended(), *self._output()])

    def _ended(self) -> Iterator[str]:
        result = self.result
        if hasattr(result, "poll") and not self.outputs["stdout"].closed:
            result.poll()
        code = getattr(result, "returncode", None)
        if isinstance(result, BaseException) and code is None:
            yield f"ended: {type(result).__name__}: {result}"
        else:
            yield f"ended: {_status(code)}"
        reached = [limit for limit, name in _LIMITS if getattr(result, name, False)]
        if reached:
            yield f"limits reached: {', '.join(reached)}"
        usage = getattr(result, "usage", None)
        if usage is not None:
            yield f"used: {usage.wall_time:.3f} s, {usage.cpu_time:.3f} s of CPU time"

    def _output(self) -> Iterator[str]:
        from crabcan._text import tail

        for name in ("stdout", "stderr"):
            data = getattr(self.result, name, None)
            if name in self.outputs and not self.outputs[name].closed:
                data = os.pread(self.outputs[name].fileno(), 1 << 30, 0)
            if data:
                yield f"{name}:\n{tail(data, SHOWN)}"


_LIMITS = (("memory", "oom_killed"), ("time", "timed_out"), ("output", "output_limited"))


def _status(code: int | None) -> str:
    if code is None:
        return "not yet"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


_REPORTS = pytest.StashKey[list[_Report]]()


def _new_report(item: pytest.Item, args: Any) -> _Report:
    report = _Report(args)
    item.stash.setdefault(_REPORTS, []).append(report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell in the report of a failure what became of the test's containers."""
    report = yield
    if report.failed:
        for told in item.stash.get(_REPORTS, []):
            report.sections.append(("crabcan container", told.text()))
    return report


class Run(Protocol):
    """What the fixture crabcan_run is."""

    def __call__(self, args: Any, **options: Any) -> CompletedProcess:
        """As crabcan.run()."""


class Make(Protocol):
    """What the fixture container is."""

    def __call__(self, command: Any, **options: Any) -> Container:
        """As crabcan.Container(), created."""


@pytest.fixture
def crabcan_options() -> dict[str, Any]:
    """Options of crabcan.Container for this test's containers; override it to change them."""
    return {}


@pytest.fixture
def crabcan_run(request: pytest.FixtureRequest, crabcan_options: dict[str, Any]) -> Run:
    r"""crabcan.run(), with output captured as text unless something else is asked for.

    A failure of the test shows the command, how it ended, the limits it reached and its output.

    Example: a test that runs a command.
        def test_greeting(crabcan_run):
            assert crabcan_run(["echo", "hello"]).stdout == "hello\n"

    """
    import crabcan

    def run(args: Any, **options: Any) -> CompletedProcess:
        if not {"stdout", "stderr", "capture_output", "tty"} & options.keys():
            options["capture_output"] = True
        if not {"text", "encoding", "errors", "universal_newlines"} & options.keys():
            options["text"] = True
        report = _new_report(request.node, args)
        try:
            report.result = crabcan.run(args, **{**crabcan_options, **options})
        except BaseException as error:
            report.result = error
            raise
        return report.result

    return run


@pytest.fixture
def container(request: pytest.FixtureRequest, crabcan_options: dict[str, Any]) -> Iterator[Make]:
    """A function that makes a crabcan.Container and creates it; killed when the test is over.

    Where stdout and stderr are not given they are kept for the report of a failure.

    Example: a test that talks to a program inside.
        def test_ready(container):
            assert container(["my-program"]).recv_bool(timeout=10)

    """
    import contextlib

    import crabcan

    with contextlib.ExitStack() as stack:

        def make(command: Any, **options: Any) -> Container:
            report = _new_report(request.node, command)
            for name in set() if options.get("tty") else {"stdout", "stderr"} - options.keys():
                options[name] = report.outputs[name] = stack.enter_context(tempfile.TemporaryFile())
            made = crabcan.Container(command, **{**crabcan_options, **options})
            report.result = stack.enter_context(made)
            made.create()
            return made

        yield make


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Call a marked function in a container; None leaves it to pytest."""
    markers = list(pyfuncitem.iter_markers("crabcan"))
    if not markers:
        return None
    options = dict(pyfuncitem._request.getfixturevalue("crabcan_options"))
    for marker in reversed(markers):  # from the module's to the function's own
        if marker.args:
            raise _failure("the marker crabcan takes options by name only")
        options.update(marker.kwargs)
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        raise _failure("the marker crabcan takes no async function: call asyncio.run() in it")
    _call_inside(pyfuncitem, options)
    return True


def _call_inside(item: pytest.Function, options: dict[str, Any]) -> None:
    import crabcan
    from crabcan import _call

    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    try:
        interpreter = _call.Interpreter(None, _with_tmp_path(options, arguments))
    except (crabcan.Error, TypeError) as error:
        raise _failure(f"{type(error).__name__}: {error}") from None
    try:
        pickled = _call.pickled(item.obj, (), arguments)
    except Exception as error:
        raise _failure(f"a fixture cannot go into a container: {error}") from None
    report = _new_report(item, item.name)
    report.result = done = crabcan.run(
        interpreter.command, input=pickled, capture_output=True, **interpreter.options
    )
    answer = _call.take_answer(done)
    if problem := _problem_of(_call.value_of, answer, done, {}):
        _raise_outcome(problem)


def _problem_of(function: Callable[..., object], *args: Any) -> Exception | None:
    """What it raises; handled by then, so that it is not part of what is raised next."""
    try:
        function(*args)
    except Exception as error:
        return error
    return None


def _with_tmp_path(options: Any, arguments: dict[str, Any]) -> Any:
    from crabcan import Bind

    path = arguments.get("tmp_path")
    if path is None:
        return options
    return {**options, "mounts": [*options.get("mounts", ()), Bind(path, path, writable=True)]}


def _raise_outcome(error: Exception) -> NoReturn:
    """What it is outside: a failure has the words from inside, not our own frames."""
    from crabcan import RemoteError

    remote = error if isinstance(error, RemoteError) else error.__cause__
    if not isinstance(remote, RemoteError):  # it gave no answer
        raise _failure(f"{type(error).__name__}: {error}")
    if remote.type_name in _OUTCOMES:
        _OUTCOMES[remote.type_name](str(remote.args[0]).partition(": ")[2])
    raise _failure(remote.traceback)


def _failure(text: str) -> BaseException:
    return pytest.fail.Exception(text, pytrace=False)
