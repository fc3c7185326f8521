"""A look at the machine before and after: what a container could leave behind."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from crabcan import cgroup


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
