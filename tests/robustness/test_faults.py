"""Faults: a sample of all system calls of a launch, spread evenly, each of which fails once."""

from __future__ import annotations

import collections

import pytest
from faults import SCENARIOS, inject, place


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_call_that_fails(scenario: str) -> None:
    stride = 400 if scenario == "channel" else 140
    with place() as at:
        tried = list(inject(scenario, at, stride, first=7))
    print(collections.Counter(verdict.kind for _, verdict in tried))
    assert len([verdict for _, verdict in tried if verdict.kind != "untried"]) >= 3
    assert [(str(f), v.why) for f, v in tried if v.kind == "wrong"] == []
