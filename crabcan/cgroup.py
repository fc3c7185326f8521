"""Control groups (cgroups(7)): a group of its own for each container, of either version.

The kernel's files are in one table; where a controller is, and whether the caller may make groups
there, is found anew in each process. Where version 2 is mounted beside version 1, as on hybrid
hosts, each controller is used where it is bound.
"""

from __future__ import annotations

import os
import time

from crabcan import _core
from crabcan.errors import LimitUnavailable
from crabcan.limits import MAX, Limits

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a container gets when nothing is said: enough for whatever a program does on purpose, and not
# enough to take the host down.
DEFAULT_MEMORY_SHARE = 0.5  # of the host's memory
DEFAULT_PIDS = 1024  # systemd gives a service 4915 and a user 10813 on a usual host

PREFIX = "crabcan"
_OWN = 1  # init is in the group as well, and is not the user's


class Row:
    """One limit: its controller, and what is written where."""

    __slots__ = ("controller", "limit", "v1", "v2")

    def __init__(
        self,
        limit: str,
        controller: str,
        v2: tuple[tuple[str, Callable[[float], str]], ...],
        v1: tuple[tuple[str, Callable[[float], str]], ...],
    ) -> None:
        self.limit = limit
        self.controller = controller
        self.v2 = v2
        self.v1 = v1


def _whole(value: float) -> str:
    return str(int(value))


PERIOD = 100000  # microseconds, the kernel's own default

TABLE = (
    Row(
        "memory",
        "memory",
        # The whole container goes, not one process of it that another waits for.
        (("memory.max", _whole), ("memory.oom.group", lambda _: "1")),
        (("memory.limit_in_bytes", _whole),),
    ),
    Row("pids", "pids", (("pids.max", lambda n: _whole(n + _OWN)),),
        (("pids.max", lambda n: _whole(n + _OWN)),)),
    Row(
        "cpus",
        "cpu",
        (("cpu.max", lambda n: f"{int(n * PERIOD)} {PERIOD}"),),
        (("cpu.cfs_period_us", lambda _: str(PERIOD)),
         ("cpu.cfs_quota_us", lambda n: _whole(n * PERIOD))),
    ),
    # 100 is 1024 shares, as systemd has it.
    Row("cpu_weight", "cpu", (("cpu.weight", _whole),),
        (("cpu.shares", lambda n: _whole(min(max(n * 1024 / 100, 2), 262144))),)),
    # 1 to 1000 there, as runc has it.
    Row("io_weight", "io", (("io.weight", lambda n: f"default {int(n)}"),),
        (("blkio.bfq.weight", lambda n: _whole(1 + (n - 1) * 999 / 9999)),)),
)  # fmt: skip

# The names that version 1 has for controllers of version 2.
_V1_NAMES = {"io": "blkio"}


class Hierarchy:
    """A mounted tree of groups: its version, and the caller's own group in it."""

    __slots__ = ("own", "top", "version")

    def __init__(self, version: int, top: str, own: str) -> None:
        self.version = version
        self.top = top
        self.own = own


def parse(mountinfo: str, cgroups: str) -> dict[str, Hierarchy]:
    """Each controller's hierarchy, by the text of /proc/self/mountinfo and /proc/self/cgroup.

    ``""`` is version 2 itself, whatever controllers it has.
    """
    own: dict[str, str] = {}
    for line in lines_of(cgroups):
        _, listed, path = line.split(":", 2)
        own.update({name: path for name in listed.split(",")})
    found: dict[str, Hierarchy] = {}
    for line in lines_of(mountinfo):
        fields = line.split(" ")
        kind, _, options = fields[fields.index("-") + 1 :][:3]
        if kind not in ("cgroup", "cgroup2"):
            continue
        names = [""] if kind == "cgroup2" else [o for o in options.split(",") if o in own]
        for name in names:
            group = _inside(unescape(fields[4]), unescape(fields[3]), own.get(name))
            if group is not None:
                top = unescape(fields[4])
                found.setdefault(name, Hierarchy(1 if name else 2, top, group))
    return found


def lines_of(text: str) -> list[str]:
    """As the kernel ends them: str.splitlines() knows more ends, which a name may hold."""
    return text.split("\n")[:-1]


def unescape(field: str) -> str:
    """Blanks, line ends and backslashes are octal numbers in proc_pid_mountinfo(5)."""
    if "\\" in field:
        for character in (" ", "\t", "\n", "\\"):
            field = field.replace(f"\\{ord(character):03o}", character)
    return field


def _inside(mount_point: str, mount_root: str, path: str | None) -> str | None:
    """The group's directory below a mount that may show a part of the tree only."""
    if path is None or ".." in path.split("/"):
        return None
    root = mount_root.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return None
    return os.path.normpath(mount_point + path[len(root) :])


# What the last texts of the two files meant: reading them is quick, parsing is not.
_parsed: tuple[str, str, dict[str, Hierarchy]] = ("", "", {})


def hierarchies() -> dict[str, Hierarchy]:
    """Those of this process."""
    global _parsed
    mountinfo, cgroups = _content("/proc/self/mountinfo"), _content("/proc/self/cgroup")
    if _parsed[:2] != (mountinfo, cgroups):
        _parsed = mountinfo, cgroups, parse(mountinfo, cgroups)
    return _parsed[2]


def _content(path: str) -> str:
    """Of a file of the kernel's; open() makes five system calls more and takes twice as long."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = [os.read(fd, 65536)]
        while chunks[-1]:
            chunks.append(os.read(fd, 65536))
    finally:
        os.close(fd)
    return os.fsdecode(b"".join(chunks))


def _read(directory: str, name: str) -> str | None:
    try:
        return _content(f"{directory}/{name}")
    except OSError:
        return None


def _write(directory: str, name: str, text: str) -> None:
    fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def ancestors(hierarchy: Hierarchy) -> Iterator[str]:
    """The caller's own group, and those above it: where groups for containers may be."""
    path = hierarchy.own
    while True:
        yield path
        if path == hierarchy.top or not path.startswith(hierarchy.top):
            return
        path = os.path.dirname(path)


def _enabled(directory: str, controllers: set[str]) -> bool:
    """Whether groups made in it have the controllers; enables them where that is allowed."""
    if not os.access(directory, os.W_OK) or not _may_have_groups(directory):
        return False
    active = set((_read(directory, "cgroup.subtree_control") or "").split())
    available = set((_read(directory, "cgroup.controllers") or "").split())
    if not controllers <= available:
        return False
    try:
        for name in controllers - active:
            _write(directory, "cgroup.subtree_control", f"+{name}")
    except OSError:
        return False
    return True


def _may_have_groups(directory: str) -> bool:
    """Whether groups in it can have processes of their own.

    One that has processes itself cannot have such groups, except for the top, which alone has no
    type (cgroup-v2.rst, "No Internal Process Constraint"). With pids the kernel would let us begin,
    and make threads of its groups.
    """
    kind = _read(directory, "cgroup.type")
    return kind is None or (kind.strip() == "domain" and not _read(directory, "cgroup.procs"))


def _v2_parent(hierarchy: Hierarchy, controllers: set[str]) -> str | None:
    """Where a group with the controllers can be made: the nearest that allows it."""
    for directory in ancestors(hierarchy):
        if _enabled(directory, controllers):
            return directory
    return None


def total_memory() -> int:
    """The host's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _wanted(limits: Limits) -> dict[str, tuple[float, bool]]:
    """The value of each limit in force, and whether it was asked for."""
    wanted: dict[str, tuple[float, bool]] = {}
    defaults = {"memory": total_memory() * DEFAULT_MEMORY_SHARE, "pids": DEFAULT_PIDS}
    for row in TABLE:
        value = getattr(limits, row.limit)
        if value is None and row.limit in defaults:
            wanted[row.limit] = (defaults[row.limit], False)
        elif value is not None and value != MAX:
            wanted[row.limit] = (float(value), True)
    return wanted


class Group:
    """The groups of one container, as one: made before it, gone after it."""

    def __init__(self) -> None:
        self._directories: dict[str, tuple[int, str]] = {}  # controller -> version, path
        self._owner = os.getpid()  # a fork of it has only a copy
        self._name = f"{PREFIX}-{self._owner}-{os.urandom(4).hex()}"
        self.enforced: set[str] = set()
        self.fd = -1

    @classmethod
    def create(cls, limits: Limits, *, replaceable: frozenset[str] = frozenset()) -> Group | None:
        """A group that enforces the limits; None where there is nothing to enforce or no place.

        Args:
            limits: the limits; those that are not given have defaults.
            replaceable: limits that the caller can enforce otherwise.

        Raises:
            LimitUnavailable: a limit that was asked for cannot be enforced here.

        """
        group = cls()
        try:
            group._make(limits, replaceable)
        except BaseException:
            group.remove()
            raise
        return group if group._directories else None

    def _make(self, limits: Limits, replaceable: frozenset[str]) -> None:
        wanted = _wanted(limits)
        known = hierarchies()
        if limits.cpu_time is not None:
            self._make_accounting(known)
        for row in TABLE:
            if row.limit not in wanted:
                continue
            value, asked = wanted[row.limit]
            if not asked and row.limit in replaceable and row.controller in known:
                continue  # version 1: a hierarchy more for each container costs a tenth of it
            try:
                self._enforce(row, value, known, {TABLE_OF[name] for name in wanted})
                self.enforced.add(row.limit)
            except (OSError, LimitUnavailable) as error:
                if asked and row.limit not in replaceable:
                    raise _unavailable(row.limit, row.controller, error) from None
        if "memory" in self.enforced:
            self._limit_swap(wanted["memory"][0], limits.swap)
        elif limits.swap not in (None, MAX):
            raise _unavailable("swap", "memory", None)
        version, path = self._directories.get("", (0, ""))
        if version:
            self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _enforce(
        self, row: Row, value: float, known: dict[str, Hierarchy], controllers: set[str]
    ) -> None:
        version, path = self._directory(row.controller, known, controllers)
        for name, text in row.v2 if version == 2 else row.v1:
            _write(path, name, text(value))

    def _directory(
        self, controller: str, known: dict[str, Hierarchy], controllers: set[str]
    ) -> tuple[int, str]:
        """The group with this controller, made at first use."""
        v1 = _V1_NAMES.get(controller, controller)
        if controller in self._directories:
            return self._directories[controller]
        if v1 in known:
            self._directories[controller] = (1, self._mkdir(known[v1].own))
            return self._directories[controller]
        if "" not in known:
            raise _unavailable(controller, controller, None)
        if "" not in self._directories:
            self._make_v2(known[""], controllers)
        version, path = self._directories[""]
        if controller not in (_read(path, "cgroup.controllers") or "").split():
            raise _unavailable(controller, controller, None)
        return version, path

    def _make_v2(self, hierarchy: Hierarchy, controllers: set[str]) -> None:
        """With all the controllers that can be had."""
        offered = set((_read(hierarchy.top, "cgroup.controllers") or "").split())
        offered |= set((_read(hierarchy.own, "cgroup.controllers") or "").split())
        parent = _v2_parent(hierarchy, controllers & offered)
        if parent is None:
            raise PermissionError(13, "no group here that you may make others in")
        self._directories[""] = (2, self._mkdir(parent))

    def _make_accounting(self, known: dict[str, Hierarchy]) -> None:
        """Version 2 counts CPU time in any group; version 1 has a controller for it."""
        try:
            if "cpuacct" in known:
                self._directories["cpuacct"] = (1, self._mkdir(known["cpuacct"].own))
            elif "" in known:
                self._make_v2(known[""], set(TABLE_OF.values()))
            else:
                raise FileNotFoundError(2, "no control groups are mounted")
        except OSError as error:
            failure = _unavailable("cpu_time", "cpuacct", error)
            failure.advice += "; rlimits={'cpu': SECONDS} limits each process by itself"
            raise failure from None

    def _mkdir(self, parent: str) -> str:
        _remove_stale(parent)
        path = f"{parent}/{self._name}"
        try:
            os.mkdir(path)
        except FileExistsError:  # cpu and cpuacct may be one hierarchy
            pass
        return path

    def _limit_swap(self, memory: float, swap: int | str | None) -> None:
        """None at all unless asked for: it would stretch the memory limit, slowly."""
        if swap == MAX:
            return
        version, path = self._directories.get("memory") or self._directories[""]
        amount = int(swap or 0)
        try:
            if version == 2:
                _write(path, "memory.swap.max", str(amount))
            else:
                _write(path, "memory.memsw.limit_in_bytes", str(int(memory) + amount))
        except OSError as error:  # the kernel does not count it
            if swap is not None and _has_swap():
                raise _unavailable("swap", "memory", error) from None

    def _paths(self) -> set[str]:
        return {path for _, path in self._directories.values()}

    def describe(self, limits: Limits) -> list[str]:
        """What has been set, in words."""
        lines = []
        for row in TABLE:
            if row.limit in self.enforced:
                value, _ = _wanted(limits)[row.limit]
                own = self._directories.get(row.controller, (2, ""))
                files = row.v1 if own[0] == 1 else row.v2
                lines += [f"{name} to {text(value)}" for name, text in files]
        return lines

    def places(self, limits: Limits) -> list[tuple[str, float, int, str]]:
        """For each limit that holds: its name and value, and the group's version and directory."""
        wanted = _wanted(limits)
        found = []
        for row in TABLE:
            if row.limit in self.enforced:
                place = self._directories.get(row.controller) or self._directories[""]
                found.append((row.limit, wanted[row.limit][0], *place))
        return found

    def tasks(self) -> list[str]:
        """The files by which a thread enters the groups of version 1, writing 0.

        Into that of version 2 a process is born.
        """
        return sorted({f"{path}/tasks" for version, path in self._directories.values()
                       if version == 1})  # fmt: skip

    def account(self) -> str:
        """The file that tells the CPU time of all its processes, where that is limited."""
        if "cpuacct" in self._directories:
            return f"{self._directories['cpuacct'][1]}/cpuacct.usage"
        return f"{self._directories[''][1]}/cpu.stat"

    def _file(self, controller: str, v2: str, v1: str) -> str | None:
        version, path = self._directories.get(controller) or self._directories.get("", (0, ""))
        return _read(path, v2 if version == 2 else v1) if version else None

    def peak_memory(self) -> int | None:
        """Bytes; None where it is not counted (memory.peak came with Linux 5.19)."""
        text = self._file("memory", "memory.peak", "memory.max_usage_in_bytes")
        return None if text is None else int(text)

    def peak_pids(self) -> int | None:
        """Processes and threads of the container, without its init."""
        text = self._file("pids", "pids.peak", "pids.peak")
        return None if text is None else max(int(text) - _OWN, 0)

    def oom_killed(self) -> bool:
        """Whether the kernel has killed in the group for want of memory."""
        text = self._file("memory", "memory.events", "memory.oom_control")
        fields = _fields(text)
        return fields.get("oom_kill", 0) + fields.get("oom_group_kill", 0) > 0

    def kill(self) -> None:
        """Kill every process in the groups."""
        for version, path in self._directories.values():
            if version == 2:
                try:
                    _write(path, "cgroup.kill", "1")
                    continue
                except OSError:  # Linux 5.14
                    pass
            for pid in (_read(path, "cgroup.procs") or "").split():
                try:
                    os.kill(int(pid), _core.SIGKILL)
                except ProcessLookupError:
                    pass

    def remove(self) -> bool:
        """Kill what is left and remove the groups; whether that is done. Again is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if os.getpid() != self._owner:
            return False
        deadline = time.monotonic() + 2
        left = set()
        for path in self._paths():
            while not _rmdir(path):
                if time.monotonic() >= deadline:
                    left.add(path)
                    break
                self.kill()
                time.sleep(0.002)
        self._directories = {c: d for c, d in self._directories.items() if d[1] in left}
        return not left


TABLE_OF = {row.limit: row.controller for row in TABLE}


def _fields(text: str | None) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in (text or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _rmdir(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


_cleaned: set[str] = set()


def _remove_stale(parent: str) -> None:
    """What callers that were killed have left, once in a process."""
    if parent in _cleaned:
        return
    _cleaned.add(parent)
    for name in os.listdir(parent):
        prefix, _, rest = name.partition("-")
        pid = rest.partition("-")[0]
        if prefix == PREFIX and pid.isdecimal() and _is_dead(pid):
            _rmdir(f"{parent}/{name}")  # refused while a process is in it


def _is_dead(pid: str) -> bool:
    """Not where it cannot be told: os.path.exists() says no to every errno."""
    try:
        os.stat(f"/proc/{pid}")
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _has_swap() -> bool:
    return len((_read("/proc", "swaps") or "").splitlines()) > 1


def _unavailable(limit: str, controller: str, cause: Exception | None) -> LimitUnavailable:
    why = f": {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""
    error = LimitUnavailable(
        f"limits.{limit}: the {controller} controller is not to be had here{why}"
    )
    if _V1_NAMES.get(controller, controller) in hierarchies():
        error.advice = (
            "run as root: version 1 of control groups holds it here, which nobody can be given a "
            "part of; or boot with systemd.unified_cgroup_hierarchy=1"
        )
    else:
        error.advice = (
            "run as root, or in a group that is delegated to you with this controller: "
            "systemd-run --user --scope -p Delegate=yes COMMAND"
        )
    return error


def describe() -> list[tuple[str, str, bool]]:
    """For each controller: its name, where it is, and whether the caller can use it."""
    known = hierarchies()
    rows = []
    for controller in dict.fromkeys(row.controller for row in TABLE):
        v1 = _V1_NAMES.get(controller, controller)
        if v1 in known:
            rows.append((controller, "version 1", os.access(known[v1].own, os.W_OK)))
        elif "" in known and _has_controller(known[""], controller):
            usable = any(os.access(path, os.W_OK) for path in ancestors(known[""]))
            rows.append((controller, "version 2", usable))
        else:
            rows.append((controller, "nowhere", False))
    return rows


def _has_controller(hierarchy: Hierarchy, controller: str) -> bool:
    return any(
        controller in (_read(path, "cgroup.controllers") or "").split()
        for path in ancestors(hierarchy)
    )
