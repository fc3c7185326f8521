"""What can be mounted in a container: one value each, given to Container and run as `mounts`."""

from __future__ import annotations

import os

from crabcan import _check
from crabcan._check import Path
from crabcan._value import Value
from crabcan.errors import invalid


class Bind(Value):
    """A file or directory of the host, shown inside; read-only unless `writable`.

    Args:
        source: a path of the host.
        target: an absolute path inside; made where it is missing. The source's own if not given.
        writable: whether the container may write to it. Read-only holds for all that is mounted
            below the source as well (mount_setattr(2), AT_RECURSIVE).
        suid: whether set-user-ID files count; they never do without new privileges.
        dev: whether device nodes in it are devices.
        exec: whether programs in it can be executed.
        recursive: whether what is mounted below the source is shown. An unprivileged caller must
            show it: the kernel does not let it look under the host's mounts.
        idmap: whether owners are shown as they are, where the container's ids are not the host's
            (mount_setattr(2), MOUNT_ATTR_IDMAP). Without it they are nobody (65534), and what is
            written belongs to the container's ids on the host. A file system that cannot do it is
            an error, never a wrong owner. It needs root; an ordinary user's binds do without.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan, os, tempfile
        >>> with tempfile.TemporaryDirectory() as out:
        ...     mounts = [crabcan.Bind(out, "/out", writable=True)]
        ...     done = crabcan.run(["touch", "/out/a"], mounts=mounts)
        ...     os.listdir(out)
        ['a']

    """

    __slots__ = ("source", "target", "writable", "suid", "dev", "exec", "recursive", "idmap")

    source: str
    target: str
    writable: bool
    suid: bool
    dev: bool
    exec: bool
    recursive: bool
    idmap: bool

    def __init__(
        self,
        source: Path,
        target: Path | None = None,
        *,
        writable: bool = False,
        suid: bool = False,
        dev: bool = False,
        exec: bool = True,
        recursive: bool = True,
        idmap: bool = True,
    ) -> None:
        checked = _check.existing("Bind.source", source)
        self._set(
            source=checked,
            target=_check.target("Bind.target", checked if target is None else target),
            writable=_check.flag("Bind.writable", writable),
            suid=_check.flag("Bind.suid", suid),
            dev=_check.flag("Bind.dev", dev),
            exec=_check.flag("Bind.exec", exec),
            recursive=_check.flag("Bind.recursive", recursive),
            idmap=_check.flag("Bind.idmap", idmap),
        )


class Tmpfs(Value):
    """A new, empty file system in memory (tmpfs(5)).

    Args:
        target: an absolute path inside; made where it is missing.
        size: bytes, or a string such as ``"64M"``; ``"64M"`` if not given. It counts against the
            memory limit. There may be a file for each 2 KiB of it, and 1024 in any.
        mode: permissions of its top directory.
        suid: see Bind; so dev and exec.
        dev: see Bind.
        exec: see Bind.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> mounts = [crabcan.Tmpfs("/work", size="1M")]
        >>> crabcan.run(["touch", "/work/file"], mounts=mounts).returncode
        0

    """

    __slots__ = ("target", "size", "mode", "suid", "dev", "exec")

    target: str
    size: int
    mode: int
    suid: bool
    dev: bool
    exec: bool

    def __init__(
        self,
        target: Path,
        *,
        size: int | str = "64M",
        mode: int = 0o1777,
        suid: bool = False,
        dev: bool = False,
        exec: bool = True,
    ) -> None:
        self._set(
            target=_check.target("Tmpfs.target", target),
            size=_size("Tmpfs.size", size),
            mode=_check.integer("Tmpfs.mode", mode, 0, 0o7777),
            suid=_check.flag("Tmpfs.suid", suid),
            dev=_check.flag("Tmpfs.dev", dev),
            exec=_check.flag("Tmpfs.exec", exec),
        )


class Overlay(Value):
    """A writable layer over what stays as it is (the kernel's overlayfs.rst).

    Args:
        target: an absolute path inside; ``/``, for the whole root, if not given.
        source: a directory of the host to be below; the root itself if not given, for ``/`` only.
        upper: a directory of the host that keeps the changes: in its ``upper``, beside the kernel's
            ``work``. Without it they are gone with the container.
        size: of the layer in memory, where there is no `upper`: see Tmpfs.
        idmap: see Bind; for `source` and `upper`.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan, os, tempfile
        >>> with tempfile.TemporaryDirectory() as kept:
        ...     mounts = [crabcan.Overlay("/data", kept)]
        ...     code = crabcan.run(["touch", "/data/file"], mounts=mounts).returncode
        ...     code, os.listdir(kept)
        (0, [])

    """

    __slots__ = ("target", "source", "upper", "size", "idmap")

    target: str
    source: str | None
    upper: str | None
    size: int
    idmap: bool

    def __init__(
        self,
        target: Path = "/",
        source: Path | None = None,
        *,
        upper: Path | None = None,
        size: int | str = "256M",
        idmap: bool = True,
    ) -> None:
        checked = _check.target("Overlay.target", target, root=True)
        if source is None and checked != "/":
            raise invalid(
                "Overlay.source", None, f"give the directory to be below {checked}; only / has one"
            )
        self._set(
            target=checked,
            source=None if source is None else _check.existing_directory("Overlay.source", source),
            upper=None if upper is None else _check.existing_directory("Overlay.upper", upper),
            size=_size("Overlay.size", size),
            idmap=_check.flag("Overlay.idmap", idmap),
        )


class _AtTarget(Value):
    """Something that has a place and nothing else to choose."""

    __slots__ = ("target",)

    target: str
    _default = ""

    def __init__(self, target: Path | None = None) -> None:
        place = self._default if target is None else target
        self._set(target=_check.target(f"{type(self).__name__}.target", place))


class Proc(_AtTarget):
    r"""The container's processes (proc(5)), with what tells of the host masked or read-only.

    Args:
        target: an absolute path inside; /proc if not given.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> mounts = [crabcan.Proc("/mnt/proc")]
        >>> crabcan.run(["cat", "/mnt/proc/1/comm"], mounts=mounts, capture_output=True).stdout
        b'crabcan-init\n'

    """

    __slots__ = ()
    _default = "/proc"


class Dev(_AtTarget):
    """A /dev of its own: null, zero, full, random, urandom, tty, pts, shm, and the fd links.

    Args:
        target: an absolute path inside; /dev if not given.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> mounts = [crabcan.Dev("/mnt/dev")]
        >>> done = crabcan.run(["ls", "/mnt/dev"], mounts=mounts, capture_output=True)
        >>> b"null" in done.stdout.split()
        True

    """

    __slots__ = ()
    _default = "/dev"


class Mqueue(_AtTarget):
    """The POSIX message queues of the container's IPC namespace (mq_overview(7)).

    Args:
        target: an absolute path inside; /dev/mqueue if not given.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> crabcan.run(["ls", "/mnt/q"], mounts=[crabcan.Mqueue("/mnt/q")]).returncode
        0

    """

    __slots__ = ()
    _default = "/dev/mqueue"


class Sysfs(_AtTarget):
    """The kernel's devices (sysfs(5)), read-only. It tells of the host's hardware.

    Args:
        target: an absolute path inside; /sys if not given.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> crabcan.run(["test", "-d", "/sys/devices"], mounts=[crabcan.Sysfs()]).returncode
        0

    """

    __slots__ = ()
    _default = "/sys"


class File(Value):
    """A file that is made for the container, read-only.

    Args:
        target: an absolute path inside.
        content: its bytes, or a string that becomes UTF-8.
        fd: a descriptor to read the content from until its end, now, instead of `content`.
        mode: its permissions.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> mounts = [crabcan.File("/etc/motd", "hello")]
        >>> crabcan.run(["cat", "/etc/motd"], mounts=mounts, capture_output=True).stdout
        b'hello'

    """

    __slots__ = ("target", "content", "mode")

    target: str
    content: bytes
    mode: int

    def __init__(
        self,
        target: Path,
        content: bytes | str | None = None,
        *,
        fd: int | None = None,
        mode: int = 0o644,
    ) -> None:
        if (content is None) == (fd is None):
            raise invalid("File.content", content, "give the content, or a descriptor to read")
        self._set(
            target=_check.target("File.target", target),
            content=_content(content) if fd is None else _read(fd),
            mode=_check.integer("File.mode", mode, 0, 0o7777),
        )


class Directory(Value):
    r"""A directory, made in the root where it is missing.

    Args:
        target: an absolute path inside.
        mode: its permissions; 0o755 if not given.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> mounts = [crabcan.Directory("/run/app", mode=0o700)]
        >>> crabcan.run(["stat", "-c", "%a", "/run/app"], mounts=mounts, capture_output=True).stdout
        b'700\n'

    """

    __slots__ = ("target", "mode")

    target: str
    mode: int

    def __init__(self, target: Path, *, mode: int = 0o755) -> None:
        self._set(
            target=_check.target("Directory.target", target),
            mode=_check.integer("Directory.mode", mode, 0, 0o7777),
        )


class Symlink(Value):
    r"""A symbolic link at `target` that leads to `source`, made in the root.

    Args:
        target: an absolute path inside, where the link is made.
        source: what it leads to, by any words.

    Raises:
        ArgumentInvalid: a value is refused.

    Example:
        >>> import crabcan
        >>> mounts = [crabcan.Symlink("/run/python", "/usr/bin/python3")]
        >>> crabcan.run(["readlink", "/run/python"], mounts=mounts, capture_output=True).stdout
        b'/usr/bin/python3\n'

    """

    __slots__ = ("target", "source")

    target: str
    source: str

    def __init__(self, target: Path, source: Path) -> None:
        self._set(
            target=_check.target("Symlink.target", target),
            source=_check.text("Symlink.source", source),
        )


Mount = Bind | Tmpfs | Overlay | Proc | Dev | Mqueue | Sysfs | File | Directory | Symlink

# The names that a profile calls them by.
TYPES: dict[str, type[Value]] = {
    kind.__name__.lower(): kind
    for kind in (Bind, Tmpfs, Overlay, Proc, Dev, Mqueue, Sysfs, File, Directory, Symlink)
}

MAX_FILE = 64 << 20  # the content travels in the plan


def checked(field: str, mounts: object) -> tuple[Mount, ...]:
    """The list that a Spec keeps."""
    if isinstance(mounts, Value) or not hasattr(mounts, "__iter__"):
        raise _check.wrong_type(field, mounts, "a list of crabcan.Bind, crabcan.Tmpfs, ...")
    values = tuple(mounts)
    for i, mount in enumerate(values):
        if not isinstance(mount, Mount):
            raise _check.wrong_type(f"{field}[{i}]", mount, "one of crabcan's mounts")
    return values


def _size(field: str, value: int | str) -> int:
    from crabcan.limits import parse_size

    return parse_size(field, value)


def _content(content: object) -> bytes:
    if isinstance(content, str):
        content = _check.utf8("File.content", content)
    if not isinstance(content, bytes):
        raise _check.wrong_type("File.content", content, "bytes or a string")
    if len(content) > MAX_FILE:
        raise invalid("File.content", f"{len(content)} bytes", f"give at most {MAX_FILE}")
    return content


def _read(fd: int) -> bytes:
    chunks = []
    size = 0
    while chunk := os.read(fd, 1 << 16):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_FILE:
            raise invalid("File.fd", fd, f"it gives more than {MAX_FILE} bytes")
    return b"".join(chunks)
