"""Namespaces (namespaces(7)): which are new, which are the host's, and which are joined."""

from __future__ import annotations

import fcntl
import os

from crabcan import _check, _core
from crabcan._value import Value
from crabcan.errors import ContainerError, Error, invalid, name_of

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterable

    from crabcan.container import Container

# Name -> clone(2)'s flag and the file in /proc/PID/ns.
KINDS = {
    "user": (_core.CLONE_NEWUSER, "user"),
    "mount": (_core.CLONE_NEWNS, "mnt"),
    "pid": (_core.CLONE_NEWPID, "pid"),
    "ipc": (_core.CLONE_NEWIPC, "ipc"),
    "network": (_core.CLONE_NEWNET, "net"),
    "uts": (_core.CLONE_NEWUTS, "uts"),
    "cgroup": (_core.CLONE_NEWCGROUP, "cgroup"),
}

_NS_GET_USERNS = 0xB701  # ioctl_ns(2)


class Join(Value):
    r"""A namespace that is there already; give one of the four.

    Args:
        path: its file, ``/run/netns/blue`` for one.
        pid: a process that is in it.
        pidfd: a descriptor of such a process (pidfd_open(2)), open until create().
        container: another crabcan.Container that runs.

    Example:
        >>> import crabcan
        >>> with crabcan.Container(["sleep", "60"], hostname="moon") as container:
        ...     container.create()
        ...     shared = {"uts": crabcan.Join(container=container)}
        ...     crabcan.run(["hostname"], namespaces=shared, capture_output=True).stdout
        b'moon\n'

    """

    __slots__ = ("path", "pid", "pidfd", "container")

    path: str | None
    pid: int | None
    pidfd: int | None
    container: Container | None

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        pid: int | None = None,
        pidfd: int | None = None,
        container: Container | None = None,
    ) -> None:
        if [path, pid, pidfd, container].count(None) != 3:
            raise invalid("Join", path, "give one of path, pid, pidfd and container")
        self._set(
            path=None if path is None else _check.existing("Join.path", path),
            pid=None if pid is None else _check.integer("Join.pid", pid, 1, 2**22),
            pidfd=None if pidfd is None else _check.integer("Join.pidfd", pidfd, 0, 2**31 - 1),
            container=container,
        )

    def open(self) -> int:
        """A descriptor for setns(2), to be closed: the file's, or a pidfd."""
        if self.path is not None:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if self.container is not None:
            if self.container.child_pid is None:
                raise ContainerError("the container whose namespace is to be joined does not run")
            return os.dup(self.container.pidfd)
        if self.pid is not None:
            return os.pidfd_open(self.pid)
        return os.dup(self.pidfd or 0)


def checked(field: str, value: object, names: frozenset[str]) -> str | Join:
    """One of `names`, a Join, or what stands for one: a path, ``pid:N``, ``pidfd:N``, an int."""
    if isinstance(value, Join):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Join(pid=value)
    if hasattr(value, "child_pid"):
        return Join(container=value)  # type: ignore[arg-type]
    text = _check.text(field, value)
    kind, colon, number = text.partition(":")
    if colon and kind in ("pid", "pidfd") and number.isascii() and number.isdecimal():
        return Join(pid=int(number)) if kind == "pid" else Join(pidfd=int(number))
    if text.startswith("/"):
        return Join(text)
    if text not in names:
        choices = ", ".join(sorted(names))
        raise invalid(field, text, f"give {choices}, a path, pid:NUMBER or a Container")
    return text


_SHARED = frozenset({"new", "host"})


def checked_all(field: str, value: object) -> tuple[tuple[str, str | Join], ...]:
    """The mapping of names to namespaces that a Spec keeps, without what is new anyway."""
    if not _check.is_mapping(value):
        raise _check.wrong_type(field, value, "a mapping of names to namespaces")
    pairs = []
    for name, namespace in value.items():
        _check.one_of(field, name, KINDS)
        found = checked(f"{field}[{name!r}]", namespace, _SHARED)
        if found != "new":
            pairs.append((name, found))
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


class Joined:
    """The files of the namespaces to join, open, the user namespace first (setns(2))."""

    def __init__(self, joins: Iterable[tuple[str, Join]] = ()) -> None:
        self._open: list[tuple[str, int]] = []
        try:
            # The user namespace first: another of the same process belongs to it.
            for name, join in sorted(joins, key=lambda pair: pair[0] != "user"):
                self._add(name, join)
        except OSError as error:
            self.close()
            raise _cannot_open(name, error) from None
        except BaseException:
            self.close()
            raise
        # Its capabilities are needed to enter the others.
        self._open.sort(key=lambda pair: pair[0] != "user")

    def _add(self, name: str, join: Join) -> None:
        fd = join.open()
        self._open.append((name, fd))
        if not self.has_user:
            owner = _open_owner(fd, join)
            if owner is not None:
                self._open.append(("user", owner))

    def __enter__(self) -> Joined:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_user(self) -> bool:
        """Whether a user namespace is among them: then the container gets no new one."""
        return any(name == "user" for name, _ in self._open)

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors."""
        return tuple(fd for _, fd in self._open)

    @property
    def flags(self) -> tuple[int, ...]:
        """clone(2)'s flag for each."""
        return tuple(KINDS[name][0] for name, _ in self._open)

    def close(self) -> None:
        """Close the descriptors; doing it again does nothing."""
        while self._open:
            os.close(self._open.pop()[1])


def _cannot_open(name: str, error: OSError) -> Error:
    failure = ContainerError(f"namespaces[{name!r}]: {name_of(error.errno or 0)}")
    failure.advice = "its process must run, and its file must be yours to open"
    return failure


def _open_owner(fd: int, join: Join) -> int | None:
    """The user namespace that a joined one belongs to, if it is not the caller's own."""
    if join.path is None:
        if _same_user_namespace(f"/proc/{_pid_of(fd)}/ns/user"):
            return None
        return os.dup(fd)  # a pidfd stands for all the namespaces of its process
    try:
        owner = fcntl.ioctl(fd, _NS_GET_USERNS)
    except OSError:  # above our own: none that we could enter
        return None
    if _same_user_namespace(f"/proc/self/fd/{owner}"):
        os.close(owner)
        return None
    return owner


def _pid_of(pidfd: int) -> int:
    """The process that a pidfd stands for; -1 once it is gone (pidfd_open(2))."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return int(fields.get("Pid", "-1"))


def _same_user_namespace(path: str) -> bool:
    try:
        theirs = os.stat(path)
    except OSError:
        return False
    return os.path.samestat(theirs, os.stat("/proc/self/ns/user"))
