"""What the user says: one immutable value, validated once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from crabcan import defaults
from crabcan.errors import invalid

Command = str | bytes | os.PathLike[str] | Sequence[str | bytes | os.PathLike[str]]
Path = str | os.PathLike[str]

MAX_ID = 2**32 - 2  # (uid_t) -1 means "no change" to setresuid(2)
MAX_HOSTNAME = 64  # sethostname(2)


class Spec:
    """A container, described. Compares, hashes and prints by value; cannot be changed.

    It is written by hand because importing `dataclasses` takes longer than launching a container
    (docs/design.md).
    """

    __slots__ = (
        "channel",
        "command",
        "cwd",
        "env",
        "gid",
        "hostname",
        "root",
        "root_writable",
        "uid",
    )

    command: tuple[str, ...]
    root: str | None
    root_writable: bool
    uid: int
    gid: int
    hostname: str
    env: tuple[tuple[str, str], ...]
    cwd: str
    channel: bool

    def __init__(
        self,
        command: Command,
        *,
        root: Path | None = None,
        root_writable: bool = False,
        uid: int | None = None,
        gid: int | None = None,
        hostname: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        channel: bool = True,
    ) -> None:
        checked_uid = _id("uid", uid, 0)
        checked_root = None if root is None else _root(root)
        values = {
            "command": _command(command),
            "root": checked_root,
            "root_writable": _flag("root_writable", root_writable),
            "uid": checked_uid,
            "gid": _id("gid", gid, checked_uid),
            "hostname": defaults.hostname() if hostname is None else _hostname(hostname),
            "env": _env(env, checked_uid, checked_root),
            "cwd": "/" if cwd is None else _cwd(cwd),
            "channel": _flag("channel", channel),
        }
        if values["root_writable"] and checked_root is None:
            raise invalid("root_writable", True, "give a root: the host's own system is read-only")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Spec cannot be changed: {name}")

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Spec({fields})"


def _text(field: str, value: object) -> str:
    """A string for the kernel: no NUL, and bytes as the file system has them."""
    try:
        text = os.fsdecode(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{field}: {value!r} is a {type(value).__name__}, not a string") from None
    if "\0" in text:
        raise invalid(field, text, "it has a NUL byte, and the kernel's strings end there")
    return text


def _command(command: Command) -> tuple[str, ...]:
    if isinstance(command, str | bytes | os.PathLike):
        words: tuple[str, ...] = (_text("command", command),)
    else:
        words = tuple(_text(f"command[{i}]", word) for i, word in enumerate(command))
    if not words or not words[0]:
        raise invalid("command", words, "give the program to execute, and its arguments")
    if len(words) == 1 and isinstance(command, str) and " " in command:
        raise invalid("command", command, f"give its words as a list: {command.split()!r}")
    return words


def _root(root: Path) -> str:
    path = os.path.abspath(_text("root", root))
    if not os.path.isdir(path):
        raise invalid("root", path, "it is no directory that you can see")
    if os.path.realpath(path) == "/":
        raise invalid("root", path, "leave root out to show the host's system, read-only")
    return path


def _cwd(cwd: Path) -> str:
    path = _text("cwd", cwd)
    if not path.startswith("/"):
        raise invalid("cwd", path, "give an absolute path inside the container")
    return path


def _id(field: str, value: int | None, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field}: {value!r} is a {type(value).__name__}, not an int")
    if not 0 <= value <= MAX_ID:
        raise invalid(field, value, f"an id is from 0 to {MAX_ID}")
    return value


def _flag(field: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{field}: {value!r} is a {type(value).__name__}, not a bool")
    return value


def _hostname(hostname: str) -> str:
    name = _text("hostname", hostname)
    if not name or len(os.fsencode(name)) > MAX_HOSTNAME:
        raise invalid("hostname", name, f"give 1 to {MAX_HOSTNAME} bytes")
    return name


def _env(env: Mapping[str, str] | None, uid: int, root: str | None) -> tuple[tuple[str, str], ...]:
    if env is None:
        return tuple(defaults.environment(uid, root).items())
    pairs = []
    for key, value in env.items():
        name = _text("env", key)
        if not name or "=" in name:
            raise invalid("env", name, "a name is not empty and has no '='")
        pairs.append((name, _text(f"env[{name!r}]", value)))
    return tuple(pairs)
