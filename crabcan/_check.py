"""Checks of single values: each returns the value as it is kept, or says what to give instead."""

from __future__ import annotations

import os

from crabcan.errors import ArgumentTypeInvalid, Error, invalid, shown

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any, TypeGuard

Path = str | os.PathLike[str]

MAX_ID = 2**32 - 2  # (uid_t) -1 means "no change" to setresuid(2)


def utf8(field: str, value: str) -> bytes:
    """A text's bytes."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        part = value[error.start : error.end]
        raise invalid(field, part, "it is no text: give bytes") from None


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it maps; what is no dict costs an import."""
    if isinstance(value, dict):
        return True
    from collections.abc import Mapping

    return isinstance(value, Mapping)


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether it gives values one by one; a string stands for itself."""
    return hasattr(type(value), "__iter__") and not isinstance(value, str | bytes)


def text(field: str, value: object) -> str:
    """A string for the kernel: no NUL, and bytes as the file system has them."""
    try:
        checked = os.fsdecode(value)  # type: ignore[arg-type]
    except TypeError:
        raise wrong_type(field, value, "a string") from None
    if "\0" in checked:
        raise invalid(field, checked, "it has a NUL byte, and the kernel's strings end there")
    try:
        os.fsencode(checked)
    except UnicodeEncodeError:
        raise invalid(field, checked, "it has half of a surrogate pair: no bytes mean it") from None
    return checked


def name(field: str, value: object) -> str:
    """A string that is not empty."""
    checked = text(field, value)
    if not checked:
        raise invalid(field, checked, "give one that is not empty")
    return checked


def target(field: str, value: object, *, root: bool = False) -> str:
    """An absolute path inside the container, without ``..``."""
    path = text(field, value)
    if path.strip("/") == "" and path and not root:
        raise invalid(field, path, "what is to be the root is given as root")
    if not path.startswith("/") or ".." in path.split("/"):
        raise invalid(field, path, "give an absolute path inside the container, without '..'")
    return os.path.normpath(path).replace("//", "/")


def existing(field: str, value: object) -> str:
    """A path of the host that is there, made absolute."""
    path = os.path.abspath(name(field, value))  # of "" it would be the working directory
    if not os.path.lexists(path):
        raise invalid(field, path, "there is no such path that you can see")
    return path


def existing_directory(field: str, value: object) -> str:
    """A directory of the host, made absolute."""
    path = os.path.abspath(name(field, value))
    if not os.path.isdir(path):
        raise invalid(field, path, "it is no directory that you can see")
    return path


def timeout(value: object) -> float | None:
    """Seconds, or None; one that has passed already is none's mistake."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise wrong_type("timeout", value, "a number of seconds")
    if value is not None and value != value:
        raise invalid("timeout", value, "give a number of seconds")
    return value


def integer(field: str, value: object, low: int, high: int) -> int:
    """An int from low to high."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(field, value, "an int")
    if not low <= value <= high:
        raise invalid(field, value, f"give a number from {low} to {high}")
    return value


def identity(field: str, value: object) -> int:
    """A user or group id."""
    return integer(field, value, 0, MAX_ID)


def flag(field: str, value: object) -> bool:
    """A bool, and nothing that only counts as one."""
    if not isinstance(value, bool):
        raise wrong_type(field, value, "a bool")
    return value


def words(field: str, value: object) -> tuple[str, ...]:
    """A list of strings; one string alone is a mistake more often than not."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise wrong_type(field, value, "a list of strings")
    return tuple(text(f"{field}[{i}]", item) for i, item in enumerate(value))


def one_of(field: str, value: object, names: Collection[str]) -> str:
    """One of the names."""
    name = text(field, value)
    if name not in names:
        raise unknown(field, name, names)
    return name


def unknown(field: str, name: str, names: Collection[str]) -> Error:
    """The exception for a name that is none, with the closest one."""
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=1)
    return invalid(
        field,
        name,
        f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(sorted(names))}",
    )


def wrong_type(field: str, value: object, wanted: str) -> ArgumentTypeInvalid:
    """The exception for a value of another type."""
    error = ArgumentTypeInvalid(f"{field}: {shown(value)} is a {type(value).__name__}")
    error.advice = f"give {wanted}"
    return error
