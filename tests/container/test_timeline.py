"""container.timeline: each step, its start and its length."""

from __future__ import annotations

import time

import pytest

import crabcan
from crabcan import _core


def test_each_step_with_its_start_and_length() -> None:
    before = time.monotonic()
    with crabcan.Container(["sleep", "0.1"]) as container:
        assert container.timeline == ()
        container.create()
        after = time.monotonic()
        timeline = container.timeline
        container.wait()
    assert container.timeline == timeline  # also once it is closed
    assert all(before <= step.start <= after for step in timeline)
    assert [step.start for step in timeline] == sorted(step.start for step in timeline)
    assert all(0 <= step.duration <= after - before for step in timeline)
    for side in ("caller", "child"):
        steps = [step for step in timeline if step.side == side]
        ends = [step.start + step.duration for step in steps]
        assert all(end <= later.start + 1e-6 for end, later in zip(ends, steps[1:], strict=False))


def test_it_has_the_steps_of_the_plan() -> None:
    with crabcan.Container(["true"], nice=5, hostname="moon") as container:
        container.create()
        steps = container.timeline
        assert container._plan is not None
        for number, (name, _) in enumerate(_core.STEPS):
            found = [step.index for step in steps if step.side == "child" and step.name == name]
            if found:
                assert found == list(range(container._plan.step_count(number)))
    by_name = {step.name: step for step in steps}
    assert [step.name for step in steps][:2] == ["groups", "compile"]
    for name in ("socketpair", "image", "pidfd", "clone", "uid_map", "gid_map", "handshake"):
        assert by_name[name].side == "caller"
    for name in ("descriptors", "exec_init", "plan", "pivot", "spawn", "nice", "seccomp", "exec"):
        assert by_name[name].side == "child"
    assert by_name["hostname"].text == "setting the hostname moon"
    assert "connect" not in by_name
    assert by_name["exec"].duration > 0
    assert by_name["handshake"].start < by_name["plan"].start


def test_it_ends_where_a_step_failed() -> None:
    with crabcan.Container(["no-such-command"]) as container:
        with pytest.raises(crabcan.CommandNotFound):
            container.create()
        assert container.timeline[-1].name == "exec"
        assert container.timeline[-1].duration == 0


def test_more_items_than_it_has_room_for() -> None:
    mounts = [crabcan.Directory(f"/run/{i}") for i in range(1500)]
    with crabcan.Container(["true"], mounts=mounts) as container:
        container.create()
        assert container.wait() == 0
        names = [step.name for step in container.timeline]
    assert 900 < len(names) < 1100
    assert names[-1] == "exec"
