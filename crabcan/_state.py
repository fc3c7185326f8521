"""Named containers, as files: a directory for each, which only their owner may enter.

The keeper of a container, the process that it ends with, holds a lock on a file in it. Where the
lock is free, the keeper is gone, and the container with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from typing import Any

from crabcan import defaults
from crabcan.errors import ContainerError, Error, invalid

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

LOCK, STATE, SOCKET, LOG = "lock", "state.json", "socket", "log"


class NoSuchContainer(ContainerError):
    """No container of that name is known to this user.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.get("no-such-name")
        ... except crabcan.NoSuchContainer as error:
        ...     print(error.advice)
        see them with crabcan.list(), or crabcan ps --all

    """


def directory() -> str:
    """Where the entries of this user are; made where it is missing.

    Raises:
        ContainerError: it is somebody else's, or others may enter it.

    """
    path = _place()
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, mode=0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        error = ContainerError(f"{path}: it is not a directory that is yours alone")
        error.advice = "remove it, or set XDG_RUNTIME_DIR to a directory of mode 700"
        raise error
    return path


def _place() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    if os.access(runtime, os.W_OK):
        return os.path.join(runtime, "crabcan")
    if os.geteuid() == 0:
        return "/run/crabcan"
    return f"/tmp/crabcan-{os.geteuid()}"


def checked(name: object) -> str:
    """A name that can be a file's."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid("name", name, "give letters, digits and . _ -, at most 64 of them")
    return name


class Entry:
    """One named container's directory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = -1  # held by its keeper

    @property
    def name(self) -> str:
        """The container's."""
        return os.path.basename(self.path)

    def file(self, name: str) -> str:
        """The path of one of its files."""
        return os.path.join(self.path, name)

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @contextlib.contextmanager
    def socket_path(self) -> Iterator[str]:
        """Of its socket, by the directory's descriptor: a path has 108 bytes at most (unix(7))."""
        fd = os.open(self.path, os.O_PATH | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{fd}/{SOCKET}"
        finally:
            os.close(fd)

    def is_alive(self) -> bool:
        """Whether its keeper is."""
        try:
            fd = os.open(self.file(LOCK), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def read(self) -> dict[str, Any]:
        """What the keeper has written; empty where it has not yet."""
        try:
            with open(self.file(STATE), encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def write(self, state: dict[str, Any]) -> None:
        """Atomically: nobody reads half of it."""
        new = self.file(f"{STATE}.new")
        with open(new, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(new, self.file(STATE))

    def remove(self) -> None:
        """Forget it."""
        shutil.rmtree(self.path, ignore_errors=True)


def claim(name: str) -> Entry:
    """A new entry, with its lock held; one whose container has ended makes room.

    Raises:
        ContainerError: a container of that name runs.

    """
    place = directory()
    new = Entry(os.path.join(place, f".{name}.{os.getpid()}"))
    os.mkdir(new.path, mode=0o700)
    new.lock = os.open(new.file(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(new.lock, fcntl.LOCK_EX)
    wanted = os.path.join(place, name)
    try:
        _move(new, wanted)
    except BaseException:
        os.close(new.lock)
        new.remove()
        raise
    return new


def _move(new: Entry, wanted: str) -> None:
    """To its name, which an empty or missing directory gives way to (rename(2))."""
    old = Entry(wanted)
    if os.path.isdir(wanted):
        if old.is_alive():
            raise _taken(old.name)
        old.remove()
    try:
        os.rename(new.path, wanted)
    except OSError:  # another was first
        raise _taken(old.name) from None
    new.path = wanted


def _taken(name: str) -> Error:
    error = ContainerError(f"name: a container {name!r} runs already")
    error.advice = f"choose another name, or end it: crabcan kill {name}"
    return error


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        NoSuchContainer: there is none, or its container died with its keeper.

    """
    for entry in entries():
        if entry.name == checked(name):
            return entry
    from difflib import get_close_matches

    close = get_close_matches(name, [entry.name for entry in entries()], n=1)
    error = NoSuchContainer(f"there is no container {name!r}")
    error.advice = (
        f"did you mean {close[0]!r}?"
        if close
        else "see them with crabcan.list(), or crabcan ps --all"
    )
    raise error


def entries() -> Iterator[Entry]:
    """All of them by name; those whose keeper was killed are removed on the way."""
    place = directory()
    for name in sorted(os.listdir(place)):
        entry = Entry(os.path.join(place, name))
        if name.startswith("."):
            _clean_claim(entry)
        elif entry.is_alive() or entry.read().get("ended") is not None:
            yield entry
        else:
            entry.remove()


def _clean_claim(entry: Entry) -> None:
    """One that was never finished, unless it is on its way right now."""
    pid = entry.name.rpartition(".")[2]
    if not os.path.exists(f"/proc/{pid}"):
        entry.remove()


def generated() -> str:
    """A name for a container that was given none."""
    return defaults.hostname()
