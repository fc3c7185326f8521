"""A Spec as plain data, which a profile may hold: strings, numbers, lists and tables."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crabcan import mounts, profile, rlimits, spec
from crabcan._value import Value
from crabcan.errors import invalid
from crabcan.namespaces import Join
from crabcan.spec import Spec

if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

_TYPES = {kind: name for name, kind in mounts.TYPES.items()}


def plain(of: Spec) -> dict[str, Any]:
    """The table from which from_plain() makes an equal Spec.

    Raises:
        ArgumentInvalid: it holds what is of this process only, a Container or a pidfd.

    """
    arguments = of.arguments()
    return {
        "command": list(of.command),
        **{name: _plain(name, value) for name, value in arguments.items()},
    }


def _plain(field: str, value: Any) -> Any:
    if isinstance(value, Join):
        return _join(field, value)
    if isinstance(value, Value):
        return _table(field, value)
    if isinstance(value, Mapping):
        return {name: _plain(f"{field}[{name!r}]", item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(f"{field}[{i}]", item) for i, item in enumerate(value)]
    # More than the 64 bits that TOML's integers have.
    return "infinity" if value == rlimits.INFINITY else value


def _join(field: str, join: Join) -> str:
    if join.path is not None:
        return join.path
    if join.pid is not None:
        return f"pid:{join.pid}"
    raise invalid(field, join, "it is of this process only: join by a pid or a path")


def _table(field: str, value: Value) -> dict[str, Any]:
    """A mount, with its type; limits; landlock. What is not set is left out."""
    kind = type(value)
    table: dict[str, Any] = {"type": _TYPES[kind]} if kind in _TYPES else {}
    for name in kind.__slots__ or kind.__mro__[1].__slots__:  # type: ignore[attr-defined]
        item = getattr(value, name)
        if isinstance(item, bytes):
            name, item = _content(name, item)
        if item is not None:
            table[name] = _plain(f"{field}.{name}", item)
    return table


def _content(name: str, content: bytes) -> tuple[str, str]:
    """As text where it is text: a profile is read by people."""
    try:
        return name, content.decode()
    except UnicodeDecodeError:
        return f"{name}_base64", base64.b64encode(content).decode()


def from_plain(table: Mapping[str, Any]) -> Spec:
    """The Spec that plain() was given; the table may come from anywhere.

    Raises:
        ArgumentInvalid: a name or a value is refused.

    """
    known = {*spec.names(), "command"}
    arguments = profile.arguments_of("spec", table, os.getcwd(), known=known)
    return Spec(arguments.pop("command", ()), **arguments)


def to_json(of: Spec) -> str:
    """See Spec.to_json()."""
    import json

    return json.dumps(plain(of), indent=2)


def from_json(text: str) -> Spec:
    """See Spec.from_json()."""
    import json

    try:
        table = json.loads(text)
    except ValueError as error:
        raise invalid("spec", text[:40], f"it is no JSON: {error}") from None
    if not isinstance(table, dict):
        raise invalid("spec", text[:40], "give an object")
    return from_plain(table)


def to_toml(of: Spec) -> str:
    """See Spec.to_toml()."""
    import tomli_w

    text = tomli_w.dumps(plain(of))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        part = text[max(error.start - 20, 0) : error.end]
        raise invalid("spec", part, "TOML is UTF-8, and this is not: write JSON") from None
    return text


def from_toml(text: str) -> Spec:
    """See Spec.from_toml()."""
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise invalid("spec", text[:40], f"it is no TOML: {error}") from None
    return from_plain(table)
