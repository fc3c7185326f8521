"""What every test shares: root directories, and a look at the machine before and after."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

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


class Machine:
    """What a container could leave behind: descriptors, children, mounts, temporary files."""

    def __init__(self) -> None:
        self.descriptors = self._descriptors()
        self.children = self._children()
        self.mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
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
