"""TOML profiles: the arguments of Container by the same names."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from crabcan import _check
from crabcan.errors import Error, invalid

# Tables that a profile and the command line both fill: the names in them add up.
_MERGED = ("env", "rlimits", "namespaces")

# Paths of the host in the mounts, and elsewhere: relative ones count from the profile.
_MOUNT_PATHS = ("source", "upper")
_PATHS = ("root", "seccomp")


SHIPPED = os.path.join(os.path.dirname(__file__), "profiles")
SUFFIX = ".toml"

# The only words that are replaced, in paths alone; by what they are when the profile is read.
_PLACEHOLDERS: dict[str, Callable[[], str]] = {
    "PWD": os.getcwd,
    "HOME": lambda: os.path.expanduser("~"),
}
_EXPANDED = ("root", "cwd", "seccomp")
_EXPANDED_IN_MOUNTS = ("source", "target", "upper")


def load(profile: str | os.PathLike[str], *, known: Collection[str]) -> dict[str, Any]:
    """The keyword arguments that a profile holds.

    In paths ``${PWD}`` is the caller's working directory, and ``${HOME}`` the home directory; a
    mount of type ``"python"`` stands for the Python that runs.

    Args:
        profile: a file, or a name; see path_of().
        known: the keys that it may have.

    Raises:
        ArgumentInvalid: it cannot be read, is no TOML, or has a name or value that is refused.

    """
    import tomllib

    path = path_of(profile)
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise invalid("profile", path, f"it cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise invalid("profile", path, f"it is no TOML: {error}") from None
    folder = os.path.dirname(os.path.abspath(path))
    name = f"profile {path}"
    return arguments_of(name, _expanded(name, table), folder, known=known)


def path_of(profile: str | os.PathLike[str]) -> str:
    """The file of a profile: a path, which has a slash or ends in .toml, or a name.

    Names are those in $XDG_CONFIG_HOME/crabcan/profiles (~/.config), and the shipped ones.

    Raises:
        ArgumentInvalid: there is none of that name; with the closest one.

    """
    text = _check.text("profile", profile)
    if not isinstance(profile, str) or "/" in text or text.endswith(SUFFIX):
        return text
    found = names()
    if text not in found:
        raise _check.unknown("profile", text, found)
    return found[text]


def own_directory() -> str:
    """Where a user's own profiles are looked for."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "crabcan", "profiles")


def names() -> dict[str, str]:
    """The profiles that can be given by name, and their files; a user's own wins."""
    found = {}
    for directory in (SHIPPED, own_directory()):
        try:
            files = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in files:
            if name.endswith(SUFFIX):
                found[name.removesuffix(SUFFIX)] = os.path.join(directory, name)
    return found


def _expanded(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """With placeholders replaced, and the mount that stands for several."""
    changed = dict(table)
    for key in _EXPANDED:
        if isinstance(changed.get(key), str):
            changed[key] = _replaced(f"{name}: {key}", changed[key])
    if isinstance(changed.get("mounts"), list):
        changed["mounts"] = [
            mount
            for i, entry in enumerate(changed["mounts"])
            for mount in _expanded_mounts(f"{name}: mounts[{i}]", entry)
        ]
    return changed


def _expanded_mounts(field: str, entry: Any) -> list[Any]:
    if not isinstance(entry, Mapping):
        return [entry]
    if entry.get("type") == "python":
        from crabcan import _python_mounts

        return [*_python_mounts.tables()]
    return [{
        key: _replaced(f"{field}.{key}", value)
        if key in _EXPANDED_IN_MOUNTS and isinstance(value, str) else value
        for key, value in entry.items()
    }]  # fmt: skip


def _replaced(field: str, text: str) -> str:
    import re

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in _PLACEHOLDERS:
            raise _check.unknown(field, match[1], _PLACEHOLDERS)
        return _PLACEHOLDERS[match[1]]()

    return re.sub(r"\$\{([^}]*)\}", value_of, text)


def arguments_of(
    name: str, table: Mapping[str, object], folder: str, *, known: Collection[str]
) -> dict[str, Any]:
    """The keyword arguments that a table holds; relative paths count from `folder`.

    Raises:
        ArgumentInvalid: it has a name or a value that is refused.

    """
    arguments = {}
    for key, value in table.items():
        if key not in known:
            raise _check.unknown(name, key, known)
        arguments[key] = _convert(f"{name}: {key}", key, value, folder)
    return arguments


def _convert(field: str, key: str, value: object, folder: str) -> object:
    if key in _VALUES:
        if not isinstance(value, Mapping):
            raise invalid(field, value, f"give a table: [{key}]")
        return _VALUES[key](field, value)
    if key == "mounts":
        if not isinstance(value, list):
            raise invalid(field, value, "give an array of tables: [[mounts]]")
        return [_mount(f"{field}[{i}]", entry, folder) for i, entry in enumerate(value)]
    if key in _PATHS and isinstance(value, str) and value not in ("default", "off"):
        return os.path.join(folder, value)
    return value


def _mount(field: str, entry: object, folder: str) -> object:
    from crabcan import mounts

    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise invalid(field, entry, "give a table with type = 'bind', 'tmpfs', ...")
    arguments = dict(entry)
    kind = arguments.pop("type")
    if kind not in mounts.TYPES:
        raise _check.unknown(f"{field}.type", kind, mounts.TYPES)
    if "content_base64" in arguments:
        arguments["content"] = _decoded(field, arguments.pop("content_base64"))
    for name in _MOUNT_PATHS:
        if name in arguments and kind != "symlink":
            arguments[name] = os.path.join(folder, _check.text(f"{field}.{name}", arguments[name]))
    return _make(field, mounts.TYPES[kind], arguments)


def _decoded(field: str, text: object) -> bytes:
    import base64

    try:
        return base64.b64decode(_check.text(field, text), validate=True)
    except ValueError as error:
        raise invalid(f"{field}.content_base64", text, str(error).lower()) from None


def _make(field: str, kind: Callable[..., object], arguments: Mapping[str, object]) -> object:
    try:
        return kind(**arguments)
    except TypeError as error:
        raise invalid(field, dict(arguments), str(error).replace("__init__() ", "")) from None


def _limits(field: str, table: Mapping[str, object]) -> object:
    from crabcan.limits import Limits

    try:
        return Limits.from_mapping(table)
    except TypeError as error:
        raise _wrong(field, table, error) from None


def _landlock(field: str, table: Mapping[str, object]) -> object:
    from crabcan.landlock import Landlock

    return _make(field, Landlock, table)


def _wrong(field: str, table: Mapping[str, object], error: TypeError) -> Error:
    return invalid(field, dict(table), str(error))


_VALUES: dict[str, Callable[[str, Mapping[str, object]], object]] = {
    "limits": _limits,
    "landlock": _landlock,
}


def merge(profile: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The profile, with what was given beside it: that wins; mounts and tables add up."""
    merged = {**profile, **given}
    for name in _MERGED:
        if profile.get(name) and given.get(name):
            merged[name] = {**profile[name], **given[name]}
    if profile.get("mounts") and given.get("mounts"):
        merged["mounts"] = [*profile["mounts"], *given["mounts"]]
    if profile.get("limits") and given.get("limits"):
        merged["limits"] = _merged_limits(profile["limits"], given["limits"])
    return merged


def _merged_limits(profile: Any, given: Any) -> object:
    names = type(given).__slots__
    values = {name: getattr(profile, name) for name in names}
    values.update({n: getattr(given, n) for n in names if getattr(given, n) is not None})
    return type(given)(**values)
