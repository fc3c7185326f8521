"""The running Python as mounts of a profile: interpreter, library, packages, shared libraries."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator

from crabcan import defaults

Table = dict[str, object]

# What the dynamic loader reads, and time zones and certificates, which programs expect of Python.
_ETC = ("/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/certs", "/usr/share/zoneinfo")


def tables() -> list[Table]:
    """Tables as a profile has them, in the order in which they are mounted."""
    found: list[Table] = []
    for tree in ("/bin", "/lib", "/lib32", "/lib64"):  # where /usr is merged
        if os.path.islink(tree):
            found.append({"type": "symlink", "target": tree, "source": os.readlink(tree)})
    shown: list[str] = []
    for path in _paths():
        if os.path.exists(path) and not any(_is_below(path, other) for other in shown):
            shown.append(path)
    found += ({"type": "bind", "source": path, "target": path} for path in shown)
    for link in _names_of_interpreter():
        if not any(_is_below(link, other) for other in shown):
            found.append({"type": "symlink", "target": link, "source": os.path.realpath(link)})
    return found


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def _paths() -> Iterator[str]:
    """Directories and files, the widest first."""
    yield from defaults.python_prefixes()  # what lies outside of /usr lies there as a whole
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield sysconfig.get_path(name)
    yield from (path for path in sys.path if os.path.isdir(path) and "python" in path)
    yield os.path.realpath(sys.executable)
    yield from _library_directories()
    yield from _ETC


def _library_directories() -> list[str]:
    """Where the shared libraries lie that are mapped right now, the loader's own among them."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        mapped = {line.split(maxsplit=5)[5].strip() for line in file if ".so" in line}
    found = {os.path.dirname(path) for path in mapped if "python" not in path}
    # The kernel starts the loader by a path in one of these (PT_INTERP).
    found.update(map(os.path.realpath, filter(os.path.isdir, ("/usr/lib64", "/lib64"))))
    return sorted(found)


def _names_of_interpreter() -> list[str]:
    """The links by which it may be called: those on the way to it, and its usual names there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names: dict[str, None] = {}
    path = sys.executable
    while path not in names:
        folder = os.path.dirname(path)
        for name in (path, f"{folder}/python3", f"{folder}/python{version}"):
            names[name] = None
        if os.path.islink(path):
            path = os.path.normpath(os.path.join(folder, os.readlink(path)))
    return [name for name in names if os.path.islink(name)]
