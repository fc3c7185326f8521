"""Payloads that need more than a container: something of the host's to be reached, or a race."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pty
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import crabcan
from crabcan import Bind, Limits, Tmpfs, _core
from museum.exhibit import Payload, Stage

Options = Mapping[str, Any]

SECRET = "secret of the host\n"
LIBC = ctypes.CDLL(None, use_errno=True)


def line(call: str, result: str) -> str:
    return f"{call} = {result}\n"


def errno_name(call: str, attempt: Callable[[], object]) -> str:
    import errno

    try:
        attempt()
    except OSError as error:
        return line(call, errno.errorcode[error.errno or 0])
    return line(call, "ok")


# The runtime's own file


def overwrite_runtime(stage: Stage, options: Options) -> str:
    """From inside, and with more than a payload has: by the host's own view of init's file."""
    words = ["escapes", "open_for_writing", "/proc/1/exe"]
    with crabcan.Popen(words, root=stage.root, stdout=crabcan.PIPE, text=True, **options) as inside:
        text = str(inside.communicate()[0])
    with crabcan.Container(["escapes", "ignore_all"], root=stage.root) as container:
        container.create()
        fd = os.open(f"/proc/{container.child_pid}/exe", os.O_PATH)
        text += errno_name("open(init, O_WRONLY)", lambda: _write_same(f"/proc/self/fd/{fd}"))
    return text + _overwrite(fd)  # once it is executed no more


def overwrite_unsealed(stage: Stage, options: Options) -> str:
    """The same of a memfd that nobody sealed."""
    fd = os.memfd_create("unsealed")
    os.write(fd, b"runtime")
    return _overwrite(fd)


def _overwrite(fd: int) -> str:
    """Writes its own first bytes, so that nothing changes where it can."""
    link = f"/proc/self/fd/{fd}"
    try:
        again = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
        seals = fcntl.fcntl(again, fcntl.F_GET_SEALS)
        os.close(again)
        sealed = "sealed" if seals & fcntl.F_SEAL_WRITE else "open"
        return line("fcntl(init, F_GET_SEALS)", sealed) + errno_name(
            "write(init)", lambda: _write_same(link)
        )
    finally:
        os.close(fd)


def _write_same(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.pwrite(fd, os.pread(fd, 4, 0), 0)
    finally:
        os.close(fd)


# What the caller has open, and where it stands


@contextlib.contextmanager
def open_directory(stage: Stage) -> Iterator[int]:
    """A descriptor of a directory with a secret, as careless libraries leave them: inheritable."""
    directory = stage.new_directory()
    (directory / "secret").write_text(SECRET)
    fd = os.open(directory, os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        yield fd
    finally:
        os.close(fd)


def leaked_descriptor(stage: Stage, options: Options) -> str:
    with open_directory(stage):
        return stage.run("descriptors", "secret", **options)


def given_descriptor(stage: Stage, options: Options) -> str:
    with open_directory(stage) as fd:
        return stage.run("descriptors", "secret", pass_fds=[fd])


def leaked_directory(stage: Stage, options: Options) -> str:
    """The working directory is what a descriptor of the host leads to, by whatever number."""
    text = ""
    with open_directory(stage) as fd:
        for cwd in [f"/proc/self/fd/{number}" for number in range(3, 16)]:
            try:
                text += stage.run("read_files", "secret", cwd=cwd, pass_fds=[fd])
            except crabcan.Error as error:
                text += line(f"chdir({cwd})", _errno_in(error))
    return text + line("those that lead outside", "some" if "EXDEV" in text else "none")


def _errno_in(error: crabcan.Error) -> str:
    words = str(error).replace(":", " ").replace("(", " ").replace(",", " ").split()
    return next((word for word in words if word[0] == "E" and word.isupper()), str(error))


def chroot_out(stage: Stage, options: Options) -> str:
    secret = stage.new_directory() / "secret"
    secret.write_text(SECRET)
    return stage.run("chroot_out", str(secret), **options)


# Links and races


def linked_targets(stage: Stage, options: Options) -> str:
    """What crabcan mounts, and what the caller asks for, at links that lead out of the root."""
    text = ""
    for name in ("proc", "dev", "tmp", "place"):
        root, outside = stage.new_root(), stage.new_directory()
        (root / name).symlink_to(outside if name in ("tmp", "place") else f"../../../../{outside}")
        with contextlib.suppress(crabcan.SetupError):
            stage.run("list", "/proc/self", root=root, mounts=[Tmpfs("/place/below")])
        text += line(f"mount(/{name} -> {outside.name} of the host)", _landed(outside))
    return text


def linked_target_naively(stage: Stage, options: Options) -> str:
    """A mount point that is made by its path, as runtimes did."""
    root, outside = stage.new_root(), stage.new_directory()
    (root / "place").symlink_to(outside)
    os.mkdir(root / "place" / "below")
    return line("mkdir(root/place/below)", _landed(outside))


def _landed(outside: Path) -> str:
    return "outside" if os.listdir(outside) else "held"


def swapped_target(stage: Stage, options: Options) -> str:
    """A directory of the root that becomes a link, and a directory again, while it is mounted."""
    root, outside = stage.new_root(), stage.new_directory()
    (root / "place").mkdir()
    link = stage.new_directory() / "link"
    link.symlink_to(outside)
    mounts = [Tmpfs("/place/below")]
    with _swapping(root / "place", link) as swaps:
        for _ in range(25):
            with contextlib.suppress(crabcan.Error):
                stage.run("inode_flood", "/place/below", "1", root=root, mounts=mounts)
    assert len(swaps) > 25
    return line("renameat2(RENAME_EXCHANGE) while mounting", _landed(outside))


def swapped_masks(stage: Stage, options: Options) -> str:
    """/proc is swapped while it is masked; what is inside then must be masked all the same."""
    root, fake = stage.new_root(), stage.new_directory()
    (root / "proc").mkdir()
    (fake / "fake").mkdir()
    text = ""
    with _swapping(root / "proc", fake / "fake") as swaps:
        for _ in range(25):
            with contextlib.suppress(crabcan.Error):
                knobs = "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe"
                text += stage.run("open_for_writing", *knobs, root=root)
    assert len(swaps) > 25
    return "".join(dict.fromkeys(text.splitlines(keepends=True)))


@contextlib.contextmanager
def _swapping(one: Path, other: Path) -> Iterator[list[bool]]:
    """Two paths that are exchanged all the time; the list has an item for each time."""
    stop, swaps = threading.Event(), list[bool]()
    paths = os.fsencode(one), os.fsencode(other)

    def swap() -> None:
        while not stop.wait(0.0002):
            if LIBC.renameat2(-100, paths[0], -100, paths[1], 2) == 0:  # RENAME_EXCHANGE
                swaps.append(True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()


def linked_passwd(stage: Stage, options: Options) -> str:
    """The host looks a user up in the root's files, which link to the host's."""
    root, outside = stage.new_root(), stage.new_directory()
    (outside / "passwd").write_text("victim:x:0:0::/:/bin/sh\n")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").symlink_to(outside / "passwd")
    try:
        crabcan.run(["escapes", "list", "/"], root=root, user="victim", capture_output=True)
    except crabcan.ArgumentInvalid:
        return line("open(/etc/passwd -> host)", "not followed")
    return line("open(/etc/passwd -> host)", "followed")


def linked_passwd_naively(stage: Stage, options: Options) -> str:
    root, outside = stage.new_root(), stage.new_directory()
    (outside / "passwd").write_text("victim:x:0:0::/:/bin/sh\n")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").symlink_to(outside / "passwd")
    found = "victim" in (root / "etc" / "passwd").read_text()
    return line("open(root/etc/passwd)", "followed" if found else "not followed")


def rename_masks(stage: Stage, options: Options) -> str:
    root = stage.new_root()
    (root / "spare").mkdir()
    words = ("/proc", "/spare/proc", "/dev", "/spare/dev", "/tmp", "/spare/tmp")
    return stage.run("rename_over", *words, root=root, root_writable=True)


def rename_spare(stage: Stage, options: Options) -> str:
    root = stage.new_root()
    (root / "spare").mkdir()
    return stage.run("rename_over", "/spare", "/other", root=root, root_writable=True)


# Files that are given in


def remount(stage: Stage, options: Options) -> str:
    directory = stage.new_directory()
    (directory / "file").write_text(SECRET)
    (directory / "file").chmod(0o666)
    text = stage.run("remount", "/given", mounts=[Bind(directory, "/given")], **options)
    same = (directory / "file").read_text() == SECRET
    return text + line("the file on the host", "EROFS" if same else "changed")


def make_suid(stage: Stage, options: Options) -> str:
    directory = stage.new_directory()
    (directory / "file").write_text("#!/bin/sh\n")
    mounts = [Bind(directory, "/given", writable=True)]
    text = stage.run("make_suid", "/given/file", mounts=mounts, **options)
    mode = (directory / "file").stat().st_mode
    return text + line("stat(on the host, S_ISUID)", "ok" if mode & stat.S_ISUID else "EPERM")


def run_suid(stage: Stage, options: Options) -> str:
    """A set-user-ID program of the caller's, executed by another id."""
    directory = stage.new_directory()
    program = directory / "suid"
    program.write_bytes(stage.program.read_bytes())
    program.chmod(0o4755)
    mounts = [Bind(directory, "/given", **options)]
    return stage.run("suid_gain", "/given", executable="/given/suid", uid=1234, mounts=mounts)


def device_given(stage: Stage, options: Options) -> str:
    mounts = [Bind("/dev/zero", "/given-node", idmap=False, **options)]
    return stage.run("read_files", "/given-node", mounts=mounts)


# Terminals


def type_into(*words: str) -> Payload:
    """On a terminal of the caller's as stdin; on the host's side nothing may have been typed."""

    def play(stage: Stage, options: Options) -> str:
        master, slave = pty.openpty()
        try:
            text = stage.run(*words, stdin=slave, **options)
            waiting = fcntl.ioctl(slave, 0x541B, b"\0\0\0\0")  # FIONREAD: counts whole lines
            typed = os.get_terminal_size(slave) and _echoed(master)
            assert waiting == b"\0\0\0\0"
            return text + line("what was typed, on the host", "ok" if typed else "nothing")
        finally:
            os.close(master)
            os.close(slave)

    return play


def own_terminal(stage: Stage, options: Options) -> str:
    words = ["escapes", "controlling_terminal"]
    with crabcan.Popen(words, root=stage.root, tty=True) as process:
        assert process.terminal is not None
        text = b""
        while chunk := process.terminal.read():
            text += chunk
    return text.decode()


def _echoed(master: int) -> bytes:
    """What the terminal shows: it echoes what is typed."""
    os.set_blocking(master, False)
    try:
        return os.read(master, 100)
    except BlockingIOError:
        return b""


# What is reached without a path


def abstract_socket(stage: Stage, options: Options) -> str:
    name = f"crabcan-museum-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        return stage.run("connect_abstract", name, **options)


def shared_memory(stage: Stage, options: Options) -> str:
    key = 0x6D750000 | os.getpid() & 0xFFFF
    number = LIBC.shmget(key, 4096, 0o1666)  # IPC_CREAT
    assert number >= 0
    try:
        return stage.run("shared_memory", str(key), **options)
    finally:
        LIBC.shmctl(number, 0, None)  # IPC_RMID


def open_knob(path: str) -> Payload:
    """With the container's ids, and with the host's, where its mount alone refuses."""

    def play(stage: Stage, options: Options) -> str:
        text = stage.run("open_for_writing", path, **options)
        if os.geteuid() == 0:
            text += stage.run("-p", "as the host's root: ", "open_for_writing", path, userns="host")
        return text

    return play


def signal_host(stage: Stage, options: Options) -> str:
    return stage.run("signal_host", str(os.getpid()), **options)


# The caller's end of what it talks over


def forge_report(stage: Stage, options: Options) -> str:
    """The payload says that it ended well, to every descriptor that it may have, and fails."""
    words = ["sh", "-c", "escapes forge_report; exit 7"]
    with crabcan.Popen(words, root=stage.root, stdout=crabcan.PIPE, text=True) as process:
        text = str(process.communicate()[0])
    return text + line("waitid()", f"exit {process.returncode}")


def forge_as_init(stage: Stage, options: Options) -> str:
    """The same report by who has init's end of the socket: the host takes that for init."""
    with crabcan.Container(["escapes", "ignore_all"], root=stage.root) as container:
        container.create()
        with init_control(container) as control:
            control.send(report(_core.REPORT_ENDED, code=1, status=0))
        container.kill()
        return line("waitid()", f"exit {container.wait(10)}")


@contextlib.contextmanager
def init_control(container: crabcan.Container) -> Iterator[socket.socket]:
    """init's end of the control socket, taken by its parent, as who took over init has it."""
    pid = container.child_pid or 0
    with init_descriptor(pid, 4) as fd, socket.socket(fileno=os.dup(fd)) as control:
        yield control


@contextlib.contextmanager
def init_descriptor(pid: int, number: int) -> Iterator[int]:
    pidfd = os.pidfd_open(pid)
    fd = LIBC.syscall(438, pidfd, number, 0)  # pidfd_getfd
    os.close(pidfd)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        yield fd
    finally:
        os.close(fd)


def report(kind: int, **fields: int) -> bytes:
    """A struct crab_report (csrc/plan/report.h)."""
    import struct

    names = ("step", "index", "error", "code", "status", "limit", "peak_kib", "id", "pid")
    values = [fields.get(name, 0) for name in names]
    return struct.pack("=IIIiiiIIIIQQQ", kind, *values, fields.get("time", 0), 0, 0)


def pass_back(stage: Stage, options: Options) -> str:
    """A boolean with descriptors at it: of one, and of as many as a message carries."""
    text = ""
    for count in (1, 2, 253):
        with crabcan.Container(["escapes", "pass_back", str(count)], root=stage.root) as container:
            container.create()
            container.wait(10)
            before = len(os.listdir("/proc/self/fd"))
            heard = container.recv_bool(timeout=10)
            grew = len(os.listdir("/proc/self/fd")) - before
        text += line(f"recv_bool() with {count} descriptors", f"{heard}, {grew} more open")
    return text


def receive_naively(stage: Stage, options: Options) -> str:
    """The same message, read by a program that takes what comes."""
    with crabcan.Container(["escapes", "pass_back", "2"], root=stage.root) as container:
        container.create()
        container.wait(10)
        assert container.sockets is not None
        with socket.socket(fileno=os.dup(container.sockets[0])) as ours:
            _, fds, _, _ = socket.recv_fds(ours, 1, 253)
    for fd in fds:
        os.close(fd)
    return line("recvmsg()", f"{len(fds)} more open")


# Floods


def output_flood(stage: Stage, options: Options) -> str:
    done = stage.complete("output_flood", "4", **options)
    limited = "cut off" if done.output_limited else "all"
    return line("write(1, 4 MiB)", f"{limited}, {len(done.stdout)} bytes")


def memory_flood(stage: Stage, options: Options) -> str:
    """By the memory controller where there is one for us, else by the process's own limit."""
    limits = Limits(memory=options["memory"])
    try:
        done = stage.complete("memory_flood", "128", limits=limits)
    except crabcan.LimitUnavailable:
        return stage.run("memory_flood", "128", rlimits={"as": limits.memory or 0})
    return done.stdout or line("mmap(128 MiB), all written", "killed" if done.oom_killed else "?")


def ignore_all(stage: Stage, options: Options) -> str:
    """It is asked to end, and then made to."""
    words = ["escapes", "ignore_all"]
    with crabcan.Popen(words, root=stage.root, stdout=crabcan.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        time.sleep(0.05)
        text = line("SIGTERM", "alive" if process.poll() is None else "dead")
        process.kill()
        return text + line("SIGKILL", f"ended {process.wait(timeout=30)}")


def ignore_wall_time(stage: Stage, options: Options) -> str:
    done = stage.complete("ignore_all", limits=Limits(wall_time=0.1))
    return line("pause() under wall_time", f"ended {done.returncode}, {done.timed_out}")


def limit_init(stage: Stage, options: Options) -> str:
    """The same ids may lower init's limits; the container must end in time all the same."""
    done = stage.complete("limit_process", "init", limits=Limits(wall_time=0.3))
    return str(done.stdout) + line("pause() without an init", f"ended {done.returncode}")


# Answers of functions


def forged_pickle(stage: Stage, options: Options) -> str:
    """A function answers with a pickle that makes a file when it is read."""
    mark = stage.new_directory() / "made"
    with crabcan.Executor() as executor:
        future = executor.submit(_answer_with_pickle, f"{mark}")
        try:
            future.result(timeout=60)
            answer = "believed"
        except crabcan.Error as error:
            answer = type(error).__name__
    return line("the answer", answer) + line("the file", "made" if mark.exists() else "none")


def unpickled_naively(stage: Stage, options: Options) -> str:
    import pickle

    mark = stage.new_directory() / "made"
    pickle.loads(_pickle_that_makes(f"{mark}"))
    return line("pickle.loads()", "made" if mark.exists() else "none")


def _pickle_that_makes(path: str) -> bytes:
    """Protocol 0: os.mkdir(path)."""
    return f"cposix\nmkdir\n(V{path}\ntR.".encode()


def _answer_with_pickle(path: str) -> None:
    import os

    os.write(1, f"cposix\nmkdir\n(V{path}\ntR.".encode())
    os._exit(0)
