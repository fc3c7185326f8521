"""What every test shares: root directories, and a look at the machine before and after."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

import crabcan
from crabcan import cgroup

# The programs that tests start import the installed package, not the checkout they may stand in.
os.environ["PYTHONSAFEPATH"] = "1"


@pytest.fixture
def busybox_root(tmp_path: Path) -> Path:
    """A root file system that holds a static busybox, its applets, and nothing else."""
    root = tmp_path / "rootfs"
    (root / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    assert busybox, "busybox-static is missing: apt-get install busybox-static"
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in ("sh", "cat", "id", "hostname", "ls", "readlink", "sleep", "true", "head", "od"):
        (root / "bin" / applet).symlink_to("busybox")
    return root


# What may be skipped although everything must run, and why.
_TUN = "pasta makes its interface with /dev/net/tun, which a host may keep for root"
_HOST = "only root can make the test a network of its own"
MAY_SKIP = {
    "test_other_architectures": "32-bit and x32 calls are of x86_64 only",
    "test_what_is_behind_a_call_for_many": "32-bit calls are of x86_64 only",
    "test_a_port_that_is_taken": _TUN,
    "test_it_ends_with_its_caller": _TUN,
    "test_namespace_of_the_caller_is_refused": _TUN,
    "test_outward_and_published": _HOST,
    "test_pasta_is_not_left_by_ctrl_c": _TUN,
    "test_pasta_without_a_user_namespace": _HOST,
    "test_process_gone": _TUN,
    "test_what_pasta_says_is_told": _TUN,
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CRABCAN_MUST_RUN=1 a test that is skipped fails, unless the list has it."""
    report = yield
    must_run = os.environ.get("CRABCAN_MUST_RUN") == "1"
    if report.skipped and must_run and item.name.partition("[")[0] not in MAY_SKIP:
        report.outcome = "failed"
        report.longrepr = f"skipped, though CRABCAN_MUST_RUN=1: {report.longrepr}"
    return report


Inside = Callable[..., str]


@pytest.fixture
def inside() -> Inside:
    """A function that runs a script in a container and gives its output; it must succeed."""

    def run(script: str, **options: Any) -> str:
        done = crabcan.run(["sh", "-c", script], capture_output=True, text=True, **options)
        assert done.returncode == 0, done
        return str(done.stdout)

    return run


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Named containers of the tests are none of the user's."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("run"))
    yield
    os.environ.pop("XDG_RUNTIME_DIR")
    if before is not None:
        os.environ["XDG_RUNTIME_DIR"] = before


@pytest.fixture(autouse=True, scope="session")
def no_groups_of_killed_callers() -> Iterator[None]:
    """Remove what callers that tests kill must leave to the next one, since there is none."""
    yield
    cgroup._cleaned.clear()
    for hierarchy in cgroup.hierarchies().values():
        for group in cgroup.ancestors(hierarchy):
            cgroup._remove_stale(group)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail every test that leaves a descriptor, a process, a mount or a file behind."""
    before = Machine()
    yield
    gc.collect()  # an exception that a test caught keeps its frames, and so a plan
    assert Machine() == before
