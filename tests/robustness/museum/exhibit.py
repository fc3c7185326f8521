"""What an exhibit is, and how it is played and judged."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import crabcan

MISSING = "this kernel has none"  # of what is attacked
SOURCE = Path(__file__).with_name("escapes.c")


class Stage:
    """A directory of the host's for payloads: a program of them all, and roots to play in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        os.chmod(directory, 0o755)
        self.program = directory / "escapes"
        subprocess.run(
            ["gcc", "-static", "-O1", "-D_GNU_SOURCE", SOURCE, "-o", self.program], check=True
        )
        self.root = self.new_root()

    def new_directory(self) -> Path:
        path = Path(tempfile.mkdtemp(dir=self.directory))
        os.chmod(path, 0o755)
        return path

    def new_root(self) -> Path:
        """A root with a busybox and the payloads."""
        root = self.new_directory()
        (root / "bin").mkdir()
        busybox = shutil.which("busybox", path="/bin:/usr/bin")
        assert busybox, "busybox-static is missing: apt-get install busybox-static"
        shutil.copy(busybox, root / "bin" / "busybox")
        shutil.copy(self.program, root / "bin" / "escapes")
        (root / "bin" / "sh").symlink_to("busybox")
        return root

    def run(self, *words: str, **options: Any) -> str:
        """The transcript of a trick in a container of its own."""
        done = self.complete(*words, **options)
        assert done.returncode == 0, done
        return str(done.stdout)

    def complete(self, *words: str, **options: Any) -> crabcan.CompletedProcess:
        """The same where its end is not a success."""
        options = {"root": self.root, "capture_output": True, "text": True, **options}
        return crabcan.run(["escapes", *words], **options)


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage in a temporary directory."""
    with tempfile.TemporaryDirectory() as directory:
        yield Stage(Path(directory))


# Plays in a container with these options, and gives the transcript: "call = result", line by line.
Payload = Callable[[Stage, Mapping[str, Any]], str]


def trick(*words: str) -> Payload:
    """One of escapes.c."""

    def play(stage: Stage, options: Mapping[str, Any]) -> str:
        return stage.run(*words, **options)

    return play


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """One class of escape.

    Attributes:
        name: of the exhibit.
        reference: where it is described in public.
        cause: why it works where it works.
        wall: what stops it here.
        payload: the attempt.
        held: regular expression: what each of its calls must give.
        options: of the container in which it is tried.
        without: options that take the wall away; None where that is not shown.
        then: regular expression: what one of its calls must give then.
        next_wall: what refuses it even so; `then` is its answer.
        bare: a payload to show instead, where the wall is no option.
        absent: regular expression: as `then`, of a kernel that does not have the feature.
        as_root: whether only root can take the wall away.
        why_not: why that is not shown.

    """

    name: str
    reference: str
    cause: str
    wall: str
    payload: Payload
    held: str
    options: Mapping[str, Any] | None = None
    without: Mapping[str, Any] | None = None
    then: str = "ok"
    next_wall: str = ""
    bare: Payload | None = None
    absent: str = ""
    as_root: bool = False
    why_not: str = ""

    def play(self, stage: Stage) -> Outcome:
        """Try it, and try it again without the wall."""
        attempt = _calls(self.payload(stage, self.options or {}))
        return Outcome(
            tried=bool(attempt),
            held=all(re.fullmatch(self.held, result) for _, result in attempt),
            contrast=self._contrast(stage),
            transcript="\n".join(" = ".join(call) for call in attempt),
        )

    def _contrast(self, stage: Stage) -> str:
        if self.without is None and self.bare is None:
            return "not in this kernel" if self.why_not == MISSING else "not shown"
        if self.as_root and os.geteuid() != 0:
            return "only as root"
        payload = self.bare or self.payload
        text = payload(stage, {**(self.options or {}), **(self.without or {})})
        results = [result for _, result in _calls(text)]
        if any(re.fullmatch(self.then, result) for result in results):
            return "next wall" if self.next_wall else "escapes"
        if any(re.fullmatch(self.absent, result) for result in results):
            return "not in this kernel"
        return f"not what was expected: {text}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an exhibit's attempt; `contrast` is how it went without the wall."""

    tried: bool
    held: bool
    contrast: str
    transcript: str


CONTRASTS = ("escapes", "next wall", "only as root", "not in this kernel", "not shown")


def _calls(transcript: str) -> list[tuple[str, str]]:
    calls = []
    for line in transcript.splitlines():
        call, separator, result = line.rpartition(" = ")
        assert separator, f"no call and result: {line!r}"
        calls.append((call, result))
    return calls
