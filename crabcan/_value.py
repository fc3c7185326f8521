"""Values: what compares, hashes and prints by what it holds, and cannot be changed.

Written by hand because importing `dataclasses` takes longer than launching a container
(docs/design.md).
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Mapping


class Value:
    """Base of every value; a subclass lists its fields in __slots__ and sets them once."""

    __slots__: tuple[str, ...] = ()

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), dict(zip(self.__slots__, self._values(), strict=True)))


def _restore(kind: type[Value], values: Mapping[str, object]) -> Value:
    """What pickle calls: the fields have been checked when the value was first made."""
    value = kind.__new__(kind)
    value._set(**values)
    return value
