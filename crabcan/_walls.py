"""The picture of a container: a box for each wall, each in the one before, the command in all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from crabcan._draw import Look, cells, fit, wrap
from crabcan._text import harmless
from crabcan.limits import parse_size

Facts = Mapping[str, Any]
# Title, why it is there, and what is on it, for a number of columns.
Wall = tuple[str, str, Callable[[int], Iterable[str]]]

_MOST = 120  # lines of a wall
_FOLDED = 3  # so many mounts of one kind in one directory are one line
_DEEPEST = 8  # mounts below mounts


def picture(facts: Facts, *, width: int = 80, unicode: bool = True, colour: bool = False) -> str:
    """Draw what dry_run() or running() has collected.

    Args:
        facts: as they come from there.
        width: columns, from 60 to 120.
        unicode: lines and corners; ``+``, ``-`` and ``|`` otherwise.
        colour: by the escape sequences of terminals.

    Returns:
        lines without an end of line after the last.

    """
    look = Look(width=width, unicode=unicode, colour=colour)
    return look.text("\n".join(_boxes(list(_walls(facts)), look.width, look)))


def _walls(facts: Facts) -> Iterator[Wall]:
    yield "host", "", partial(_host, facts)
    for name, rows in (
        ("namespaces", _namespaces),
        ("mounts", _mounts),
        ("network", _network),
        ("ids", _ids),
        ("capabilities", _capabilities),
        ("syscalls", _syscalls),
        ("landlock", _landlock),
        ("limits", _limits),
    ):
        if facts[name] is not None:
            title, why = _TITLES.get(name, name), facts["why"][name]
            if _IS_OPENED[name](facts):
                title, why = f"{title}, opened", f"whole it would mean: {why}"
            yield title, why, partial(rows, facts)
    yield _title(facts), "", partial(_command, facts)


_TITLES = {"syscalls": "system calls"}

# Whether less stands of a wall than by default.
_IS_OPENED: dict[str, Callable[[Facts], object]] = {
    "namespaces": lambda facts: any(
        namespace["state"] not in ("new", "own") for namespace in facts["namespaces"]
    ),
    "mounts": lambda facts: not facts["mounts"] or any(map(_is_given_away, facts["mounts"])),
    "network": lambda facts: facts["network"]["state"] not in ("none", "own"),
    "ids": lambda facts: not facts["ids"]["uid_map"] or _state(facts, "user") == "host",
    "capabilities": lambda facts: bool(facts["capabilities"]["kept"]),
    "syscalls": lambda facts: not facts["syscalls"]["filters"]
    or facts["syscalls"]["profile"] == "off"
    or facts["syscalls"]["besides"],
    "landlock": lambda facts: False,
    "limits": lambda facts: not facts["limits"],
}


def _state(facts: Facts, name: str) -> object:
    return next(space["state"] for space in facts["namespaces"] if space["name"] == name)


def _boxes(walls: Sequence[Wall], width: int, look: Look) -> list[str]:
    """The first one around the others."""
    if not walls:
        return []
    (title, why, rows), *inner = walls
    side = look.paint("│", "dim")
    top = f"─ {title} "
    lines = [
        look.paint("┌─ ", "dim")
        + look.paint(title, _style(title, bool(inner)))
        + look.paint(f" {'─' * (width - 2 - cells(top))}┐", "dim")
    ]
    room = width - 4
    drawn = [(line, "dim") for line in wrap(why, room)] if why else []
    drawn += [(line, "") for line in _some(list(rows(room)))]
    for line, style in drawn:
        lines.append(f"{side} {look.paint(fit(look.text(line), room), style)} {side}")
    lines += [f"{side}{line}{side}" for line in _boxes(inner, width - 2, look)]
    return [*lines, look.paint(f"└{'─' * (width - 2)}┘", "dim")]


def _style(title: str, is_wall: bool) -> str:
    if not is_wall:
        return "green"
    return "yellow" if title.endswith(", opened") else "cyan"


def _some(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST:
        return lines
    return [*lines[:_MOST], f"... and {len(lines) - _MOST} more lines"]


def _table(rows: Iterable[Sequence[str]], width: int) -> Iterator[str]:
    """Columns as wide as their widest word; the last one wraps."""
    listed = [list(row) for row in rows]
    count = max(map(len, listed), default=0)
    widths = [max(cells(row[i]) for row in listed) for i in range(count - 1)]
    before = sum(widths) + 2 * len(widths)
    for row in listed:
        head = "".join(fit(word, size) + "  " for word, size in zip(row, widths, strict=False))
        first, *more = wrap(row[-1], max(width - before, 10))
        yield head + first
        yield from (" " * before + line for line in more)


# The walls.


# What of the host a namespace that is the container's own hides.
_HIDDEN = {"pid": "processes", "user": "users", "network": "network", "ipc": "queues"}


def _host(facts: Facts, width: int) -> Iterator[str]:
    rows = [("shared", f"the kernel: {facts['kernel']} on {facts['machine']}")]
    shown = [mount for mount in facts["mounts"] if _of_the_host(mount)]
    writable = [harmless(mount["target"]) for mount in shown if _is_given_away(mount)]
    if not facts["mounts"]:
        rows.append(("files", "all of its own, as they are for you"))
    else:
        rows.append(("read-only", f"{len(shown) - len(writable)} of its files and directories"))
    if writable:
        rows.append(("writable", ", ".join(writable)))
    rows.append(("hidden", ", ".join(_hidden(facts)) or "nothing"))
    return _table(rows, width)


def _hidden(facts: Facts) -> list[str]:
    words = [f"its {what}" for name, what in _HIDDEN.items() if _state(facts, name) != "host"]
    return [*words, "all other files"] if facts["mounts"] else words


def _of_the_host(mount: Facts) -> bool:
    return mount["kind"] in ("bind", "overlay") and not _is_device(mount)


def _is_given_away(mount: Facts) -> bool:
    """Whether the host's files change; a layer over them may be in memory."""
    in_memory = mount["kind"] == "overlay" and not mount.get("upper")
    return _of_the_host(mount) and "rw" in mount["flags"] and not in_memory


_NAMESPACES = {
    "user": "root in it is not root outside",
    "mount": "a file tree of its own",
    "pid": "its processes only; its init is number 1",
    "ipc": "no shared memory or queues of the host's",
    "network": "interfaces, ports and sockets of its own",
    "uts": "a hostname of its own",
    "cgroup": "its own group looks like the topmost",
}


def _namespaces(facts: Facts, width: int) -> Iterator[str]:
    rows = []
    for namespace in facts["namespaces"]:
        name, state, inode = (namespace[key] for key in ("name", "state", "inode"))
        means = "SHARED with the host" if state == "host" else _NAMESPACES[name]
        row = [name, state.partition(":")[0], harmless(state.partition(": ")[2]) or means]
        rows.append(row if inode is None else [*row[:2], str(inode), row[2]])
    return _table(rows, width)


def _network(facts: Facts, width: int) -> Iterator[str]:
    network = facts["network"]
    state = network["state"]
    words = {
        "none": "a loopback of its own, and nothing else",
        "host": "SHARED with the host: its interfaces, ports and abstract sockets",
        "pasta": "outward, by the pasta program; nothing on the host's loopback",
        "own": "its own interfaces",
    }
    label, _, where = state.partition(": ")
    rows = [(label, words.get(state) or harmless(where) or "another's, by a descriptor")]
    if network.get("interfaces"):
        rows.append(("has", ", ".join(network["interfaces"])))
    rows += [("published", harmless(ports)) for ports in network["publish"]]
    return _table(rows, width)


def _ids(facts: Facts, width: int) -> Iterator[str]:
    ids = facts["ids"]
    who = f"uid {ids['uid']}, gid {ids['gid']}"
    if ids["groups"]:
        who += f", groups {', '.join(map(str, ids['groups']))}"
    maps = [("it is", who)]
    for name in ("uid", "gid"):
        ranges = ids[f"{name}_map"]
        maps += [(f"{name}s", _range(name, *numbers)) for numbers in ranges or ()]
        if ranges is None:
            maps.append((f"{name}s", "no map of its own: they are those of its user namespace"))
    return _table(maps, width)


def _range(name: str, inside: int, outside: int, count: int) -> str:
    own = os.geteuid() if name == "uid" else os.getegid()
    if count == 1:
        you = " (you)" if outside == own else ""
        return f"{inside} inside is {outside} outside{you}; no others"
    return f"{inside} inside is {outside} outside, {count} of them"


def _capabilities(facts: Facts, width: int) -> Iterator[str]:
    have = facts["capabilities"]
    no_new = "set: set-user-ID files give nothing"
    return _table(
        (
            ("kept", ", ".join(have["kept"]) or "none"),
            ("bounding set", ", ".join(have["bounding"]) or "empty: none can come back"),
            ("no_new_privs", no_new if have["no_new_privs"] else "NOT SET"),
        ),
        width,
    )


# Of what is refused, what is best known.
_KNOWN = ("bpf", "io_uring_setup", "keyctl", "mount", "open_by_handle_at", "perf_event_open",
          "unshare", "userfaultfd")  # fmt: skip


def _syscalls(facts: Facts, width: int) -> Iterator[str]:
    have = facts["syscalls"]
    if not have["filters"]:
        return _table([("filter", "NONE: every call of the kernel's")], width)
    count = have["filters"]
    rows = [("filters", "one" if count == 1 else f"{count}, of which the strictest answer counts")]
    if facts["of"] == "running":
        rows.append(("", "what they refuse the kernel does not tell"))
    if have["profile"] not in (None, "default", "off"):
        rows.append(("profile", harmless(have["profile"])))
    if have["allowed"] is not None:
        besides = f", besides the usual {', '.join(have['besides'])}" if have["besides"] else ""
        rows.append(("allowed", f"{have['allowed']} calls, by name{besides}"))
    rows += _refused(have["refused"])
    label = "by arguments"
    for what, names in _by_value(have["by_arguments"]).items():
        rows.append((label, f"{', '.join(names)} with {what}"))
        label = ""
    if have["others"]:
        rows.append((have["others"], "all others, as if the kernel did not have them"))
    return _table(rows, width)


def _refused(refused: Mapping[str, str]) -> list[tuple[str, str]]:
    known = [name for name in _KNOWN if name in refused]
    if not known:
        return [("EPERM", ", ".join(refused))] if refused else []
    head = ("EPERM", f"{len(refused)} calls that are known to be dangerous, such as")
    return [head, *(("", f"{name}: {refused[name]}") for name in known)]


def _by_value(given: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in given.items():
        found.setdefault(value, []).append(name)
    return found


def _landlock(facts: Facts, width: int) -> Iterator[str]:
    rows = facts["landlock"].items()
    return _table(((name, ", ".join(harmless(str(v)) for v in what) or "nothing")
                   for name, what in rows), width)  # fmt: skip


def _limits(facts: Facts, width: int) -> Iterator[str]:
    rows: list[Sequence[str]] = []
    for limit in facts["limits"]:
        amount = _amount(limit["name"], limit["value"])
        if limit["now"] is not None:
            amount = f"{_amount(limit['name'], limit['now'])} of {amount}"
        by = "each process" if limit["by"] == "rlimit" else limit["by"]
        path = limit["path"]
        rows.append((limit["name"], amount, f"{by} {_tail(path, width // 2)}" if path else by))
    return _table(rows or [("none", "the host's own only")], width)


def _tail(path: str, width: int) -> str:
    """The end of a path tells more than its beginning."""
    parts = path.split("/")
    while len(parts) > 2 and cells("/".join(parts)) > width:
        parts = ["...", *parts[2:]]
    return "/".join(parts)


_BYTES = ("memory", "swap", "file_size", "output", "core", "fsize", "as", "size")


def _amount(name: str, value: float | str) -> str:
    if isinstance(value, str) and name == "size":
        value = parse_size(name, value)  # the kernel's form, and Python's
    if isinstance(value, str):
        return value
    if name in _BYTES:
        return _size(value)
    return f"{value:g} s" if name in ("wall_time", "cpu_time", "cpu") else f"{value:g}"


def _size(count: float) -> str:
    """Bytes in powers of 1024: 256 MiB."""
    if count == 1:
        return "1 byte"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def _title(facts: Facts) -> str:
    return "the command" if facts["pid"] is None else f"the command: process {facts['pid']}"


def _command(facts: Facts, width: int) -> list[str]:
    words = " ".join(harmless(word) for word in facts["command"])
    where = f" on {harmless(facts['hostname'])}" if facts["hostname"] else ""
    return wrap(words + where, width, most=4)


# The tree of mounts.


class _Node:
    """One mount, or some that are alike, and those below."""

    __slots__ = ("below", "mount", "names")

    def __init__(self, mount: Facts) -> None:
        self.mount = mount
        self.names = [harmless(mount["target"])]
        self.below: list[_Node] = []


def _mounts(facts: Facts, width: int) -> Iterator[str]:
    if not facts["mounts"]:
        return iter(["the host's own: what it sees, and what it may change, is yours"])
    return _trees(_tree(facts["mounts"]), width)


def _trees(tops: Iterable[_Node], width: int) -> Iterator[str]:
    for top in tops:
        yield from wrap(_label(top), width)
        yield from _branches(top.below, "", width)


def _tree(mounts: Iterable[Facts]) -> list[_Node]:
    """Each below the nearest that its target lies in; of two at one place the later one counts."""
    places = {mount["target"]: _Node(mount) for mount in mounts}
    tops = []
    for target in sorted(places):
        above = _nearest(target, places)
        if above is None:
            tops.append(places[target])
        else:
            node = places[target]
            node.names = [harmless(target.removeprefix(above)).strip("/")]
            places[above].below.append(node)
    return tops


def _nearest(target: str, places: Mapping[str, _Node]) -> str | None:
    while target not in ("", "/"):
        target = os.path.dirname(target)
        if target in places:
            return target
    return None


def _branches(nodes: Iterable[_Node], before: str, width: int) -> Iterator[str]:
    folded = _folded(nodes)
    for number, node in enumerate(folded):
        is_last = number == len(folded) - 1
        here, under = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        hang = before + under + ("│  " if node.below else "   ")
        first, *more = wrap(_label(node), width - cells(hang), most=3)
        yield before + here + first
        yield from (hang + line for line in more)
        if len(before) < 3 * _DEEPEST:
            yield from _branches(node.below, before + under, width)


def _folded(nodes: Iterable[_Node]) -> list[_Node]:
    """Those that are alike, in one directory, with nothing below, become one."""
    alike: dict[object, list[_Node]] = {}
    for node in nodes:
        alike.setdefault(_likeness(node), []).append(node)
    found: list[_Node] = []
    for some in alike.values():
        if len(some) >= _FOLDED:
            some[0].names = [name for node in some for name in node.names]
            found.append(some[0])
        else:
            found += some
    return sorted(found, key=lambda node: node.names[0])


def _likeness(node: _Node) -> object:
    """Equal for those that one line can tell of."""
    mount = node.mount
    if node.below or mount["kind"] not in ("bind", "file", "link", "masked", "protected"):
        return node
    if mount["kind"] == "bind" and not (_is_device(mount) or _by_its_name(mount)):
        return node
    return mount["kind"], _is_device(mount), tuple(mount["flags"]), _directory(node)


def _directory(node: _Node) -> str:
    first, slash, _ = node.names[0].partition("/")
    return first + slash if slash else ""


def _is_device(mount: Facts) -> bool:
    return str(mount["source"] or "").startswith("/dev/")


def _by_its_name(mount: Facts) -> bool:
    """The host's own path; in /etc some are links, and shown by where these lead."""
    target = str(mount["target"])
    return mount["source"] == target or target.startswith("/etc/")


def _label(node: _Node) -> str:
    mount, names = node.mount, node.names
    if len(names) == 1:
        return f"{names[0]} ({_words(mount, many=False)})"
    directory = _directory(node)
    listed = ", ".join(name.removeprefix(directory) for name in names)
    return f"{directory} {len(names)} {_words(mount, many=True)}: {listed}".lstrip()


def _words(mount: Facts, *, many: bool) -> str:
    kind, source, target = mount["kind"], mount["source"], mount["target"]
    flags = " ".join(mount["flags"])
    if kind in _PLAIN:
        return _PLAIN[kind] + " files" * (many and kind == "file")
    if kind == "link":
        return "links" if many else f"link to {harmless(source or '')}"
    if kind == "bind" and _is_device(mount):
        return "devices of the host" if many else "a device of the host"
    if many:
        return f"of the host ({flags})"
    if source is not None:
        path = "" if source == target else f"{harmless(source)} "
        return f"{path}of the host, {'overlay, ' * (kind == 'overlay')}{flags}"
    size = f" of {_amount('size', mount['size'])}" if mount["size"] else ""
    return f"{kind}{size}, {flags}"


_PLAIN = {"masked": "masked", "protected": "read-only", "directory": "made", "file": "made"}
