"""From words of the command line to the values that Container takes by the same names."""

from __future__ import annotations

from crabcan.cli.options import UsageError

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Convert: TypeAlias = Callable[[str, list[str]], object]
    MountOf: TypeAlias = Callable[[str, str], object]

_MOST = 8192  # of processors, the longest list that is written as a range


def spelled(name: str) -> str:
    """The option of that name, as it is written."""
    return "--" + name.replace("_", "-")


def number(name: str, words: list[str]) -> int:
    """One number."""
    return _int(name, words[-1])


def octal(name: str, words: list[str]) -> int:
    """One octal number, as chmod(1) and umask(1) have it."""
    try:
        return int(words[-1].removeprefix("0o"), 8)
    except ValueError:
        raise _refused(name, words[-1], "write 022, for example") from None


def last(_name: str, words: list[str]) -> str:
    """One string; the last one given wins."""
    return words[-1]


def listed(_name: str, words: list[str]) -> list[str]:
    """All of them, each of which may hold several between commas."""
    return [item for word in words for item in word.split(",") if item]


def numbers(name: str, words: list[str]) -> list[int]:
    """Numbers and ranges: ``0,2-3``."""
    found: list[int] = []
    for item in listed(name, words):
        low, dash, high = item.partition("-")
        first = _int(name, low)
        last = _int(name, high) if dash else first
        if last - first > _MOST:
            raise _refused(name, item, f"a range has {_MOST} numbers at most")
        found += range(first, last + 1)
    return found


def capabilities(_name: str, words: list[str]) -> list[str]:
    """Plain names; ``all`` is each that there is."""
    from crabcan.capabilities import mask_of, names_of

    given = [name.lower() for name in listed("", words)]
    return list(names_of(2**64 - 1 if "all" in given else mask_of(given)))


def environment(name: str, words: list[str]) -> dict[str, str]:
    """``NAME=VALUE``, and ``NAME`` for the caller's value, if it has one."""
    import os

    found = {}
    for word in words:
        if "=" in word:
            key, value = _pair(name, word)
            found[key] = value
        elif word in os.environ:
            found[word] = os.environ[word]
    return found


def env_file(path: str) -> dict[str, str]:
    """A file of such lines; empty ones and those that begin with # are passed over."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip("\n").lstrip() for line in file]
    except OSError as error:
        raise UsageError(f"--env-file {path!r} cannot be read: {error.strerror}",
                         "give a file of NAME=VALUE lines") from None  # fmt: skip
    return environment("env-file", [line for line in lines if line and line[0] != "#"])


def pairs(name: str, words: list[str]) -> dict[str, str]:
    """``NAME=VALUE``, one a word: the value may hold commas."""
    return dict(_pair(name, word) for word in words)


def table(name: str, words: list[str]) -> dict[str, Any]:
    """``name=value,name=value`` with numbers as numbers."""
    return {key: plain(value) for key, value in (_pair(name, w) for w in listed(name, words))}


def landlock(name: str, words: list[str]) -> object:
    """A crabcan.Landlock: ``read=/usr,write=/tmp,connect=443``, names repeated as needed."""
    from crabcan.landlock import Landlock

    found: dict[str, list[Any]] = {}
    for key, value in (_pair(name, word) for word in listed(name, words)):
        found.setdefault(key, []).append(plain(value))
    try:
        return Landlock(**found)
    except TypeError as error:
        raise _refused(name, ",".join(words), f"{error}") from None


def rlimits(name: str, words: list[str]) -> dict[str, Any]:
    """``nofile=64:128``: soft and hard, or one number for both."""
    found: dict[str, Any] = {}
    for key, value in (_pair(name, word) for word in listed(name, words)):
        limits = [plain(part) for part in value.split(":")]
        found[key] = limits[0] if len(limits) == 1 else tuple(limits)
    return found


# Arguments of mounts that are strings, whatever they look like.
_TEXTS = frozenset({"source", "target", "upper", "content", "size"})


def mount(name: str, word: str) -> object:
    """``TYPE,name=value,...``: any of crabcan's mounts, by the names of its arguments."""
    from crabcan import _check, mounts

    kind, *rest = word.split(",")
    if kind not in mounts.TYPES:
        raise _check.unknown(name, kind, mounts.TYPES)
    arguments: dict[str, Any] = dict(_pair(name, item) for item in rest)
    for key in arguments.keys() - _TEXTS:
        arguments[key] = plain(arguments[key])
    if "mode" in arguments:
        arguments["mode"] = octal(name, [str(arguments["mode"])])
    try:
        return mounts.TYPES[kind](**arguments)
    except TypeError as error:
        raise _refused(name, word, str(error).replace("__init__() ", "")) from None


def volume(name: str, word: str) -> object:
    """``SRC:DST[:ro|rw]``; read-only if it does not say."""
    from crabcan.mounts import Bind

    source, target, *mode = _parts(name, word, 2, 3, "write SRC:DST, SRC:DST:ro or SRC:DST:rw")
    if mode not in ([], ["ro"], ["rw"]):
        raise _refused(name, word, "write SRC:DST, SRC:DST:ro or SRC:DST:rw")
    return Bind(source, target, writable=mode == ["rw"])


def added(name: str, word: str) -> object:
    """``FROM:TO``, read-only."""
    from crabcan.mounts import Bind

    source, target = _parts(name, word, 2, 2, "write FROM:TO")
    return Bind(source, target)


def tmpfs(name: str, word: str) -> object:
    """``DST[:size=64M,mode=1777]``."""
    target, _, options = word.partition(":")
    return mount(name, f"tmpfs,target={target}" + (f",{options}" if options else ""))


def overlay(name: str, word: str) -> object:
    """``/`` or ``SRC:DST[:UPPER]``."""
    from crabcan.mounts import Overlay

    if ":" not in word:
        return Overlay(word)
    source, target, *upper = _parts(name, word, 2, 3, "write /, SRC:DST or SRC:DST:UPPER")
    return Overlay(target, source or None, upper=upper[0] if upper else None)


def _parts(name: str, word: str, least: int, most: int, form: str) -> list[str]:
    parts = word.split(":")
    if not least <= len(parts) <= most:
        raise _refused(name, word, form)
    return parts


def _pair(name: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        option = spelled(name)
        raise UsageError(f"{option} {word!r} has no '='", f"write {option} NAME=VALUE")
    return key, value


def plain(text: str) -> bool | int | float | str:
    """A truth value, a number, or what it is."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _int(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        option = spelled(name)
        raise UsageError(f"{option} {text!r} is no number", f"write {option} 1000, for example") \
            from None  # fmt: skip


def _refused(name: str, word: str, advice: str) -> UsageError:
    return UsageError(f"{spelled(name)} {word!r} cannot be understood", advice)
