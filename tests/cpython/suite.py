"""CPython's own tests of subprocess, with containers for children.

    python tests/cpython/suite.py --json
    python tests/cpython/suite.py > docs/subprocess.md

The package `test` of the running Python is needed; Debian has it in libpython3-testsuite.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import unittest
from types import ModuleType
from typing import Any

import crabcan

WINDOWS = "of Windows"
NO_POLL = "the same cases again, with another selector inside subprocess"
PRIVATE = (
    "replace private parts of subprocess: `_fork_exec`, `_execute_child`, `_communicate`, `_active`"
)
PREEXEC = "`preexec_fn` is refused: nothing of Python runs in the child"
CLOSE_FDS = "`close_fds=False` is refused: what a container is to get is named in `pass_fds`"
SIGNALS = "`restore_signals=False` is refused: a container begins with all signals at their default"
USERS = (
    "want `close_fds=False`, the host's names of users and groups where a container has its own "
    "root's, and `OverflowError` for an id of `2**64` where there is ArgumentInvalid, a ValueError"
)
DROPPED = "drop a Popen while its child runs: a container is killed and reaped with its object"

# What does not apply, by class or by case. A case that passes may not be here.
DOES_NOT_APPLY = {
    "Win32ProcessTestCase": WINDOWS,
    "CommandsWithSpaces": WINDOWS,
    "ProcessTestCaseNoPoll": NO_POLL,
    "ProcessTestCase.test__use_vfork": PRIVATE,
    "ProcessTestCase.test_repr": PRIVATE,
    "POSIXProcessTestCase.test_exception_errpipe_bad_data": PRIVATE,
    "POSIXProcessTestCase.test_exception_errpipe_normal": PRIVATE,
    "POSIXProcessTestCase.test_fork_exec": PRIVATE,
    "POSIXProcessTestCase.test_fork_exec_sorted_fd_sanity_check": PRIVATE,
    "POSIXProcessTestCase.test_stopped": PRIVATE,
    "POSIXProcessTestCase.test_surrogates_error_message": PRIVATE,
    "MiscTests.test__all__": PRIVATE,
    "MiscTests.test_call_keyboardinterrupt_no_kill": PRIVATE,
    "MiscTests.test_context_manager_keyboardinterrupt_no_kill": PRIVATE,
    "MiscTests.test_run_keyboardinterrupt_no_kill": PRIVATE,
    "POSIXProcessTestCase.test_close_fds_after_preexec": PREEXEC,
    "POSIXProcessTestCase.test_preexec": PREEXEC,
    "POSIXProcessTestCase.test_preexec_errpipe_does_not_double_close_pipes": PREEXEC,
    "POSIXProcessTestCase.test_preexec_exception": PREEXEC,
    "POSIXProcessTestCase.test_preexec_fork_failure": PREEXEC,
    "POSIXProcessTestCase.test_preexec_gc_module_failure": PREEXEC,
    "POSIXProcessTestCase.test_close_fds": CLOSE_FDS,
    "POSIXProcessTestCase.test_pipe_cloexec": CLOSE_FDS,
    "POSIXProcessTestCase.test_pipe_cloexec_real_tools": CLOSE_FDS,
    "POSIXProcessTestCase.test_restore_signals": SIGNALS,
    "POSIXProcessTestCase.test_extra_groups": USERS,
    "POSIXProcessTestCase.test_group": USERS,
    "POSIXProcessTestCase.test_user": USERS,
    "POSIXProcessTestCase.test_leak_fast_process_del_killed": DROPPED,
    "POSIXProcessTestCase.test_zombie_fast_process_del": DROPPED,
}

# These pass, but say nothing of us: they look at subprocess's own parts.
NOT_RUN = {
    "POSIXProcessTestCase.test_exception_errpipe_bad_data",
    "POSIXProcessTestCase.test_exception_errpipe_normal",
    "POSIXProcessTestCase.test_fork_exec",
    "POSIXProcessTestCase.test_fork_exec_sorted_fd_sanity_check",
    "MiscTests.test__all__",
}

# The parameters that subprocess.Popen takes by position.
POSITIONAL = (
    "args", "bufsize", "executable", "stdin", "stdout", "stderr", "preexec_fn", "close_fds",
    "shell", "cwd", "env", "universal_newlines", "startupinfo", "creationflags", "restore_signals",
    "start_new_session", "pass_fds",
)  # fmt: skip


def translated(positional: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The arguments by their names, with what a child inherits and a container does not."""
    given = {**dict(zip(POSITIONAL, positional, strict=False)), **options}
    directory = tempfile.gettempdir()  # the tests' own
    given["mounts"] = [crabcan.Bind(directory, directory, writable=True)]
    if given.get("env") is None:
        given["env"] = dict(os.environ)
    given["cwd"] = os.path.abspath(os.fsdecode(given.get("cwd") or os.getcwd()))
    return given


class Popen(crabcan.Popen):
    """crabcan.Popen with what a child inherits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(**translated(args, options))


def run(*args: Any, **options: Any) -> crabcan.CompletedProcess:
    """crabcan.run with what a child inherits."""
    return crabcan.run(**translated(args, options))


def stand_in() -> ModuleType:
    """A copy of subprocess whose run and Popen are ours: what it builds on them is its own text."""
    spec = importlib.util.find_spec("subprocess")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("SubprocessError", "CalledProcessError", "TimeoutExpired", "CompletedProcess"):
        setattr(module, name, getattr(subprocess, name))
    module.Popen = Popen  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    return module


def name_of(case: unittest.TestCase) -> str:
    """Class and method, also of a subtest."""
    return ".".join(getattr(case, "test_case", case).id().rsplit(".", 2)[1:])


class Result(unittest.TestResult):
    """What became of each case."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}
        self.words: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.outcomes[name_of(test)] = "passed"

    def _failed(self, test: unittest.TestCase, error: Any) -> None:
        self.outcomes[name_of(test)] = "failed"
        self.words[name_of(test)] = self._exc_info_to_string(error, test)  # type: ignore[attr-defined]

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._failed(test, err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._failed(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.outcomes[name_of(test)] = "skipped"
        self.words[name_of(test)] = reason


def cases(tests: ModuleType) -> list[unittest.TestCase]:
    """All of them."""
    loader = unittest.defaultTestLoader
    classes = [kind for kind in vars(tests).values() if isinstance(kind, type)]
    mine = [kind for kind in classes if issubclass(kind, unittest.TestCase)]
    found = [case for kind in mine for case in loader.loadTestsFromTestCase(kind)]
    return [case for case in found if isinstance(case, unittest.TestCase)]


def run_all() -> Result:
    """Run what can be run, in a temporary directory."""
    import test.test_subprocess as tests  # type: ignore[import-not-found,unused-ignore]

    result = Result()
    with tempfile.TemporaryDirectory(prefix="crabcan-cpython-") as directory:
        tempfile.tempdir = directory
        os.chdir(directory)
        tests.subprocess = stand_in()
        for case in cases(tests):
            name = name_of(case)
            if name.partition(".")[0] in DOES_NOT_APPLY or name in NOT_RUN:
                result.outcomes[name] = "not run"
            else:
                case.run(result)
        os.chdir("/")
    return result


def reason_of(name: str) -> str | None:
    """Why a case does not apply; None where it does."""
    return DOES_NOT_APPLY.get(name) or DOES_NOT_APPLY.get(name.partition(".")[0])


def report(result: Result) -> str:
    """The page docs/subprocess.md."""
    others: dict[str, list[str]] = {}
    for name, outcome in sorted(result.outcomes.items()):
        if outcome != "passed":
            why = reason_of(name) or f"skipped by CPython itself: {result.words.get(name)}"
            others.setdefault(why, []).append(name)
    passed = sum(outcome == "passed" for outcome in result.outcomes.values())
    lines = [
        HEAD.format(version=platform.python_version(), all=len(result.outcomes), passed=passed)
    ]
    for why, names in sorted(others.items(), key=lambda item: -len(item[1])):
        lines.append(f"- {len(names)}: {why.rstrip('.')}:\n  {', '.join(shortened(names))}.")
    return "\n".join(lines) + "\n"


def shortened(names: list[str]) -> list[str]:
    """A class by its name, where all of it is meant."""
    classes = [name.partition(".")[0] for name in names]
    short = {
        kind if kind in DOES_NOT_APPLY else name for kind, name in zip(classes, names, strict=True)
    }
    return [f"`{name}`" for name in sorted(short)]


HEAD = """\
# CPython's own tests of subprocess

`python tests/cpython/suite.py > docs/subprocess.md` runs the test-suite of subprocess that comes
with CPython against `crabcan.run` and `crabcan.Popen`, and writes this page; `call`, `check_call`,
`check_output` and `getoutput` are subprocess's own text on top of them. An adapter gives the
containers what a child inherits and a container does not: the environment, the working directory,
and one bind of the tests' temporary directory.

Python {version}: of {all} cases **{passed} pass**. The others, by the reason why they do not apply:
"""


def main() -> None:
    """Print the page, or the results as JSON."""
    result = run_all()
    if "--json" in sys.argv:
        json.dump({"outcomes": result.outcomes, "words": result.words}, sys.stdout)
    else:
        sys.stdout.write(report(result))


if __name__ == "__main__":
    main()
