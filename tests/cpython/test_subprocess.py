"""CPython's own tests of subprocess: those that apply pass, and the documents say how many."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SUITE = Path(__file__).with_name("suite.py")
PAGE = Path(__file__).parents[2] / "docs" / "subprocess.md"


@pytest.fixture(scope="module")
def suite() -> ModuleType:
    spec = importlib.util.spec_from_file_location("suite", SUITE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(300)
def test_what_applies_passes(suite: ModuleType) -> None:
    assert importlib.util.find_spec("test.test_subprocess"), "apt-get install libpython3-testsuite"
    done = subprocess.run([sys.executable, SUITE, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    outcomes, words = found["outcomes"], found["words"]
    for name, outcome in outcomes.items():
        if suite.reason_of(name) is None:
            assert outcome in ("passed", "skipped"), f"{name}: {words[name]}"
        else:
            assert outcome != "passed", f"{name} passes: take it out of DOES_NOT_APPLY"
    counted = re.search(r"Python (\S+): of (\d+) cases \*\*(\d+) pass", PAGE.read_text())
    assert counted is not None
    if counted[1] == platform.python_version():
        passed = [name for name, outcome in outcomes.items() if outcome == "passed"]
        assert (len(outcomes), len(passed)) == (int(counted[2]), int(counted[3]))
    else:  # another version's suite differs by some cases
        assert len(outcomes) > 200
