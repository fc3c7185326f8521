"""crabcan doctor: what it finds here, and what it says when something does not work."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import crabcan
from crabcan import doctor


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", "doctor", *words], capture_output=True, text=True
    )


def test_text() -> None:
    done = run()
    assert done.returncode == 0, done
    assert done.stderr == ""
    head, *rows = done.stdout.splitlines()
    assert f"user {os.geteuid()}" in head
    assert [row.split()[0] for row in rows[:2]] == ["ok", "ok"]
    for row, following in zip(rows, [*rows[1:], ""], strict=True):
        if row.split()[0] == "no":
            assert following.split()[0] == "->", f"no advice for {row}"


def test_json() -> None:
    done = run("--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["works"] is True
    assert [row["feature"] for row in report["features"]] == [name for name, _ in doctor.PROBES]
    for row in report["features"]:
        assert set(row) == {"feature", "state", "detail", "advice"}
        assert row["state"] in ("ok", "no", "not needed")
        assert row["detail"]
        assert bool(row["advice"]) is (row["state"] == "no")


def test_what_a_host_without_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        error = crabcan.NotSupported("nothing works")
        error.advice = "try another host"
        raise error

    monkeypatch.setattr(doctor, "_try", refuse)
    findings = list(doctor.examine())
    assert not doctor.works(findings)
    text = doctor.as_text(findings)
    assert "no  default container  nothing works" in text
    assert "-> try another host" in text


def test_an_error_in_a_probe_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[str, str]:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(doctor, "PROBES", (("overlay", fail),))
    (finding,) = doctor.examine()
    assert (finding.state, finding.detail) == ("no", "a mistake")
    assert doctor.works([finding])  # not one of those that are needed


def test_wrong_words() -> None:
    done = run("now")
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 2
    mistyped = subprocess.run(
        [sys.executable, "-m", "crabcan", "docter"], capture_output=True, text=True
    )
    assert "did you mean doctor?" in mistyped.stderr
