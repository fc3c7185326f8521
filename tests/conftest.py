"""What every test shares: root directories, and a look at the machine before and after."""

from __future__ import annotations

import gc
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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


Inside = Callable[..., str]


@pytest.fixture
def inside() -> Inside:
    """A function that runs a script in a container and gives its output; it must succeed."""

    def run(script: str, **options: Any) -> str:
        done = crabcan.run(["sh", "-c", script], capture_output=True, text=True, **options)
        assert done.returncode == 0, done
        return str(done.stdout)

    return run


class Machine:
    """What a container could leave: descriptors, children, mounts, groups, temporary files."""

    def __init__(self) -> None:
        self.descriptors = self._descriptors()
        self.children = self._children()
        self.mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
        self.groups = {
            path
            for hierarchy in cgroup.hierarchies().values()
            for group in cgroup.ancestors(hierarchy)
            for path in glob.glob(f"{group}/{cgroup.PREFIX}-{os.getpid()}-*")
        }
        self.temporary = {name for name in os.listdir("/tmp") if "crab" in name}

    @staticmethod
    def _descriptors() -> dict[str, str]:
        links = {}
        for name in os.listdir("/proc/self/fd"):
            try:
                links[name] = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:  # the one that lists the directory
                continue
        # Made once a process, and kept on purpose.
        return {n: link for n, link in links.items() if "memfd:crabcan-init" not in link}

    @staticmethod
    def _children() -> set[str]:
        children: set[str] = set()
        for task in Path("/proc/self/task").iterdir():
            children.update((task / "children").read_text().split())
        return children

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Machine) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Machine({vars(self)})"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail every test that leaves a descriptor, a process, a mount or a file behind."""
    before = Machine()
    yield
    gc.collect()  # an exception that a test caught keeps its frames, and so a plan
    assert Machine() == before
