"""Root directories, made from what the machine has.

Whatever is foreign is unpacked in a container: an archive cannot reach beyond its directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import crabcan
from crabcan import users
from crabcan._text import harmless
from crabcan.errors import Error, invalid

Progress = Callable[[str], None]

# What a container mounts, and what programs expect to be there.
_DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp")

# Of the standard library: what a program does not need.
_LEFT_OUT = ("test", "tests", "idlelib", "turtledemo", "tkinter", "lib2to3", "ensurepip",
             "__pycache__", "site-packages", "dist-packages", "config-*")  # fmt: skip


class RootError(Error):
    """A root directory could not be made; nothing of it is left."""


def create(
    directory: str | os.PathLike[str],
    source: str,
    *,
    packages: Iterable[str] = (),
    progress: Progress = lambda phase: None,
) -> None:
    """Make a root directory, for Container's `root`.

    Args:
        directory: where; it must be missing or empty.
        source: ``"busybox"``, the static one of this machine; ``"debian"`` or ``"debian:SUITE"``,
            by mmdebstrap from the sources of this machine's apt; ``"python"``, the Python that
            runs; or the path of a tar archive, compressed or not.
        packages: of Debian, or of Python for pip.
        progress: called with each phase.

    Raises:
        ArgumentInvalid: there is no such source, or the directory is not empty.
        RootError: a step failed; nothing is left.

    Example:
        >>> import crabcan.rootfs, tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     crabcan.rootfs.create(f"{place}/root", "busybox")
        ...     done = crabcan.run(["ls", "/"], root=f"{place}/root", capture_output=True)
        >>> b"bin" in done.stdout.split()
        True

    """
    kind, _, rest = source.partition(":")
    wanted = tuple(packages)
    if kind not in _MAKERS and not os.path.isfile(source):
        names = ", ".join(_MAKERS)
        raise invalid("source", source, f"give {names}, or the path of a tar archive")
    if wanted and kind not in ("debian", "python"):
        raise invalid("packages", list(wanted), "only debian and python have packages")
    with _new_directory(os.path.abspath(directory)) as new:
        try:
            if kind in _MAKERS:
                _MAKERS[kind](new, rest, wanted, progress)
            else:
                progress("unpacking")
                _unpack(os.path.abspath(source), new)
        except (OSError, subprocess.CalledProcessError) as error:
            raise _failed(f"{source}: {error}", _words_of(error)) from None


def _failed(what: str, advice: str = "") -> RootError:
    error = RootError(what)
    error.advice = advice
    return error


def _words_of(error: Exception) -> str:
    words = getattr(error, "stderr", None) or b""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    return text.strip()[-500:]


@contextlib.contextmanager
def _new_directory(directory: str) -> Iterator[str]:
    """Beside the one that is wanted, whose name it gets once it is complete."""
    if os.path.lexists(directory) and (
        not os.path.isdir(directory) or os.path.islink(directory) or os.listdir(directory)
    ):
        raise invalid("directory", directory, "it is there already: give one that is new or empty")
    parent = os.path.dirname(directory)
    os.makedirs(parent, exist_ok=True)
    new = tempfile.mkdtemp(prefix=f".{os.path.basename(directory)}.", dir=parent)
    try:
        os.chmod(new, 0o755)
        yield new
        os.rename(new, directory)  # over an empty one, rename(2)
    except BaseException:
        _remove(new)
        raise


def _remove(path: str) -> None:
    """Also what may not be entered."""
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _skeleton(root: str) -> None:
    for name in _DIRECTORIES:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name in ("tmp", "var/tmp"):
        os.chmod(os.path.join(root, name), 0o1777)
    for name, text in (("passwd", users.passwd_of(0)), ("group", users.group_of(0))):
        with open(os.path.join(root, "etc", name), "w", encoding="utf-8") as file:
            file.write(text)


def _busybox(root: str, rest: str, _packages: tuple[str, ...], progress: Progress) -> None:
    if rest:
        raise invalid("source", f"busybox:{rest}", "busybox has nothing to choose")
    program = shutil.which("busybox")
    if program is None:
        raise _failed("busybox is not there", "install a static one: apt install busybox-static")
    progress("copying busybox")
    _skeleton(root)
    shutil.copy(program, f"{root}/bin/busybox")
    done = crabcan.run(["/bin/busybox", "--list"], root=root, capture_output=True, text=True)
    for applet in done.stdout.split():
        if applet != "busybox":
            os.symlink("busybox", f"{root}/bin/{applet}")
    os.symlink("/bin/env", f"{root}/usr/bin/env")


def _debian(root: str, suite: str, packages: tuple[str, ...], progress: Progress) -> None:
    if shutil.which("mmdebstrap") is None:
        raise _failed("mmdebstrap is not there", "install it: apt install mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="crabcan-") as place:
        archive, settings = f"{place}/root.tar", f"{place}/apt.conf"
        with open(settings, "wb") as file:
            file.write(_output("apt-config", "dump", "Acquire"))
        words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--aptopt={settings}"]
        if packages:
            words.append(f"--include={','.join(packages)}")
        progress(f"installing Debian's packages {' '.join(packages)}".rstrip())
        _output(*words, suite or _own_suite(), archive, *_sources())
        progress("unpacking")
        _unpack(archive, root)


def _own_suite() -> str:
    with open("/etc/os-release", encoding="utf-8") as file:
        fields = dict(line.strip().partition("=")[::2] for line in file)
    return fields.get("VERSION_CODENAME", "stable").strip('"')


def _sources() -> list[str]:
    """The files of this machine's own apt."""
    more = "/etc/apt/sources.list.d"
    found = ["/etc/apt/sources.list"]
    with contextlib.suppress(FileNotFoundError):
        found += sorted(os.path.join(more, name) for name in os.listdir(more))
    return [name for name in found if name.endswith((".list", ".sources")) and os.path.isfile(name)]


def _output(*words: str) -> bytes:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return bytes(done.stdout)


def _unpack(archive: str, root: str) -> None:
    """By the host's tar, in a container that sees the archive and the new directory alone."""
    with open(archive, "rb") as file:
        os.fstat(file.fileno())  # refused here with its name, if it may not be read
    words = ["tar", "--extract", "--file", "/archive", "--directory", "/new", "--numeric-owner",
             "--exclude=./dev/*", "--exclude=dev/*", "--no-same-permissions"]  # fmt: skip
    words.append("--same-owner" if os.geteuid() == 0 else "--no-same-owner")
    mounts = [crabcan.Bind(archive, "/archive"), crabcan.Bind(root, "/new", writable=True)]
    options: dict[str, Any] = {"capabilities": ["chown", "dac_override", "fowner"]}
    done = crabcan.run(words, mounts=mounts, umask=0, capture_output=True, **options)
    if done.returncode:
        words_of_tar = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise _failed(f"{archive}: tar cannot unpack it", harmless(words_of_tar))
    for name in _DIRECTORIES:
        if not os.path.lexists(f"{root}/{name}"):
            os.makedirs(f"{root}/{name}")


def _python(root: str, rest: str, packages: tuple[str, ...], progress: Progress) -> None:
    if rest:
        raise invalid("source", f"python:{rest}", "name packages by `packages`, or --packages")
    _skeleton(root)
    base = os.path.realpath(sys.executable)
    script = "import sysconfig as s; print(s.get_path('stdlib')); print(s.get_path('purelib'))"
    library, site = _output(base, "-I", "-c", script).decode().split()
    progress("copying Python")
    _copy(base, root)
    shutil.copytree(
        library, root + library, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True
    )
    os.makedirs(root + site, exist_ok=True)
    for name in ("python3", f"python{sys.version_info.major}.{sys.version_info.minor}"):
        os.symlink(base, f"{root}/bin/{name}")
    if packages:
        progress(f"installing {' '.join(packages)}")
        _output(sys.executable, "-m", "pip", "install", "--quiet", "--target", root + site,
                *packages)  # fmt: skip
    progress("copying shared libraries")
    for path in _shared_libraries([base, *_objects_below(root)]):
        _copy(path, root)


def _copy(path: str, root: str) -> None:
    """To the same place; a link as what it leads to."""
    target = root + path
    if not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)


def _objects_below(root: str) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            if ".so" in name and stat.S_ISREG(os.lstat(f"{folder}/{name}").st_mode):
                yield f"{folder}/{name}"


def _shared_libraries(objects: list[str]) -> list[str]:
    """What the dynamic loader would take for them (ldd(1)), and the loader."""
    done = subprocess.run(["ldd", *objects], capture_output=True, text=True, check=False)
    words = [word for line in done.stdout.splitlines() for word in line.split()]
    return sorted({word for word in words if word.startswith("/") and os.path.isfile(word)})


_MAKERS: dict[str, Callable[[str, str, tuple[str, ...], Progress], None]] = {
    "busybox": _busybox,
    "debian": _debian,
    "python": _python,
}
