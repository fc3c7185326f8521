"""Values as bytes, and back: plain data only, so that whoever sends them can do no harm by it.

The same text is executed in the container, where crabcan need not be installed: it imports the
standard library alone.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from typing import Any

# An array is a value of the type that its first item names; what else JSON has stands for itself.
_LARGEST = 2**63  # beyond it in hexadecimal: decimal digits take time that grows with their square

# What the constructors of the types raise for what they do not expect, beside ValueError.
_WRONG = (TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)

# Equal hashes make a dict slow, and those of integers can be chosen (a multiple of 2**61 - 1).
_EQUAL_HASHES = 1000

_SEQUENCES: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}

_SCALARS: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda v: base64.b64encode(v).decode(), lambda v: base64.b64decode(v)),
    bytearray: ("bytearray", lambda v: base64.b64encode(v).decode(),
                lambda v: bytearray(base64.b64decode(v))),
    complex: ("complex", lambda v: repr(v), lambda v: complex(v)),
    datetime.datetime: ("datetime", lambda v: v.isoformat(), datetime.datetime.fromisoformat),
    datetime.date: ("date", lambda v: v.isoformat(), datetime.date.fromisoformat),
    datetime.time: ("time", lambda v: v.isoformat(), datetime.time.fromisoformat),
    datetime.timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds],
                         lambda v: datetime.timedelta(*v)),
    decimal.Decimal: ("decimal", str, lambda v: decimal.Decimal(_short(v))),
    uuid.UUID: ("uuid", lambda v: v.hex, lambda v: uuid.UUID(v)),
}  # fmt: skip

_SEQUENCE_NAMES = {name: kind for kind, name in _SEQUENCES.items()}
_SCALAR_NAMES = {name: back for name, _, back in _SCALARS.values()}

TYPES = "None, bool, int, float, str, dict, " + ", ".join(
    [*_SEQUENCE_NAMES, *(kind.__name__ for kind in _SCALARS)]
)


def encode(value: Any) -> bytes:
    """The value as JSON.

    Raises:
        TypeError: it holds something of another type than TYPES; a subclass is another type.
        RecursionError: it is nested too deeply, or holds itself.

    """
    return json.dumps(_plain(value)).encode()


def decode(data: bytes) -> Any:
    """The value again.

    Raises:
        ValueError: it is nothing that encode() gives.

    """
    try:
        return _value(json.loads(data))
    except _WRONG as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if kind is int:
        return value if -_LARGEST < value < _LARGEST else ["int", hex(value)]
    if kind in _SEQUENCES:
        return [_SEQUENCES[kind], *map(_plain, value)]
    if kind is dict:
        return ["dict", *(_plain(item) for pair in value.items() for item in pair)]
    if kind in _SCALARS:
        name, forth, _ = _SCALARS[kind]
        return [name, forth(value)]
    raise TypeError(
        f"a value of type {kind.__module__}.{kind.__qualname__} cannot come back from a container: "
        f"make it of {TYPES}"
    )


def _value(plain: Any) -> Any:
    if not isinstance(plain, list):
        if isinstance(plain, dict):
            raise ValueError("an object")
        return plain
    name, items = plain[0], plain[1:]
    if name == "int":
        return int(items[0], 16)
    if name == "dict":
        keys = _hashable(list(map(_value, items[0::2])))
        return dict(zip(keys, map(_value, items[1::2]), strict=True))
    if name in _SEQUENCE_NAMES:
        values = list(map(_value, items))
        return _SEQUENCE_NAMES[name](_hashable(values) if "set" in name else values)
    if name in _SCALAR_NAMES:
        return _SCALAR_NAMES[name](*items)
    raise ValueError(f"a value of type {name!r:.40}")


def _hashable(values: list[Any]) -> list[Any]:
    if len(values) - len(set(map(hash, values))) > _EQUAL_HASHES:
        raise ValueError("keys of equal hashes")
    return values


def _short(text: str) -> str:
    """An exponent of many digits would make arithmetic with it endless."""
    if len(text) > 10_000:
        raise ValueError("a number of too many digits")
    return text
