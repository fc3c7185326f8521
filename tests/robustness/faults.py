"""Every system call of a launch fails once with each errno that it can give.

The table of calls is taken from a trace of the launch itself (injection.py), the errnos from the
manual page of each call. A launch whose call fails either raises an exception that tells what
failed, or makes exactly the container that it makes without the fault; it never hangs, never
crashes the interpreter, and leaves nothing.

    python tests/robustness/faults.py [STRIDE [SCENARIO...]]

tries every STRIDE-th fault, all of them if not given, in each scenario.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import errno
import gc
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from injection import Call, Fault, Seen, mark, watch
from machine import Machine

import crabcan

# What the payload sees of its walls.
SCRIPT = """
cat /proc/self/status /proc/self/limits /proc/self/mountinfo /proc/self/oom_score_adj
for name in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$name; done
for fd in /proc/self/fd/*; do readlink $fd; done
set -- $(cat /proc/self/stat); echo nice ${19}; hostname; pwd; id; umask; env
cat /proc/net/dev /proc/sys/kernel/hostname 2>&1
"""

# What each call can give, by its manual page in section 2, errno by errno.
ERRNOS = {
    name: [getattr(errno, text) for text in texts.split()]
    for name, texts in {
        "access": "EACCES EIO ELOOP ENOENT ENOMEM EROFS",
        "capget": "EPERM",
        "capset": "EPERM",
        "chdir": "EACCES EIO ELOOP ENOENT ENOMEM ENOTDIR",
        "clone": "EAGAIN ENOMEM EPERM",
        "clone3": "EACCES EAGAIN EBUSY EINVAL ENOMEM ENOSPC EOPNOTSUPP EPERM EUSERS",
        "close_range": "EMFILE ENOMEM",
        "dup2": "EBUSY EINTR EMFILE",
        "dup3": "EBUSY EINTR EMFILE",
        "epoll_create1": "EMFILE ENFILE ENOMEM",
        "epoll_ctl": "ENOMEM ENOSPC",
        "epoll_wait": "EINTR",
        "execve": "E2BIG EACCES EAGAIN EIO ELOOP EMFILE ENFILE ENOENT ENOEXEC ENOMEM EPERM ETXTBSY",
        "execveat": "E2BIG EACCES EAGAIN EIO ENFILE ENOEXEC ENOMEM EPERM ETXTBSY",
        "faccessat2": "EACCES EIO ELOOP ENOENT ENOMEM EROFS",
        "fchdir": "EACCES EIO ENOMEM",
        "fchmod": "EIO EPERM EROFS",
        "fchown": "EIO ENOMEM EPERM EROFS",
        "fcntl": "EINVAL EMFILE EPERM",
        "fsconfig": "EBUSY EINVAL ENOMEM EPERM",
        "fsmount": "EBUSY EMFILE ENFILE ENOMEM EPERM",
        "fsopen": "EMFILE ENFILE ENODEV ENOMEM EPERM",
        "fstat": "EIO ENOMEM EOVERFLOW",
        "ftruncate": "EFBIG EINTR EIO EPERM",
        "getcwd": "EACCES ENOENT ENOMEM",
        "getdents64": "EIO ENOENT ENOMEM",
        "getgroups": "EINVAL",
        "getpriority": "ESRCH",
        "getrandom": "EINTR",
        "getxattr": "ENODATA ENOTSUP EPERM",
        "ioctl": "EIO ENODEV ENOMEM ENOTTY EPERM",
        "keyctl": "EACCES EDQUOT ENOMEM",
        "kill": "EPERM ESRCH",
        "landlock_add_rule": "EINVAL ENOMEM EPERM",
        "landlock_create_ruleset": "EINVAL EMFILE ENOMEM EOPNOTSUPP",
        "landlock_restrict_self": "E2BIG EPERM",
        "lseek": "EINVAL",
        "memfd_create": "EMFILE ENFILE ENOMEM EPERM",
        "mkdir": "EACCES EDQUOT EEXIST EIO EMLINK ENOENT ENOMEM ENOSPC EPERM EROFS",
        "mkdirat": "EACCES EDQUOT EEXIST EIO EMLINK ENOENT ENOMEM ENOSPC EPERM EROFS",
        "mknodat": "EACCES EDQUOT EEXIST EIO ENOENT ENOMEM ENOSPC EPERM EROFS",
        "mmap": "EAGAIN ENFILE ENOMEM EPERM",
        "mount": "EBUSY EINVAL ENOMEM EPERM",
        "mount_setattr": "EINVAL ENOMEM EPERM",
        "move_mount": "EACCES EBUSY EINVAL ELOOP ENOMEM ENOSPC EPERM",
        "mprotect": "EACCES ENOMEM",
        "mremap": "EAGAIN ENOMEM",
        "newfstatat": "EACCES ELOOP EIO ENOENT ENOMEM ENOTDIR",
        "open": "EACCES EIO EMFILE ENFILE ENOENT ENOMEM ENOSPC",
        "open_tree": "EACCES ELOOP EMFILE ENFILE ENOENT ENOMEM ENOSPC EPERM",
        "openat": "EACCES EIO EMFILE ENFILE ENOENT ENOMEM ENOSPC",
        "openat2": "EACCES EAGAIN EIO ELOOP EMFILE ENFILE ENOENT ENOMEM EXDEV",
        "pidfd_open": "EMFILE ENFILE ENODEV ENOMEM ESRCH",
        "pipe2": "EMFILE ENFILE",
        "pivot_root": "EBUSY EINVAL EPERM",
        "poll": "EINTR ENOMEM",
        "ppoll": "EINTR ENOMEM",
        "prctl": "EINVAL EPERM",
        "prlimit64": "EINVAL EPERM",
        "pselect6": "EINTR ENOMEM",
        "read": "EINTR EIO ENOMEM",
        "readlink": "EACCES EIO ENOENT ENOMEM",
        "readlinkat": "EACCES EIO ENOENT ENOMEM",
        "recvfrom": "EINTR ENOMEM",
        "recvmsg": "EINTR ENOMEM",
        "rmdir": "EBUSY ENOMEM EPERM",
        "rt_sigaction": "EINVAL",
        "rt_sigprocmask": "EINVAL",
        "sched_setaffinity": "EINVAL EPERM",
        "seccomp": "EACCES EINVAL ENOMEM",
        "sendmsg": "EAGAIN ENOBUFS ENOMEM",
        "sendto": "EAGAIN ENOBUFS ENOMEM",
        "setgroups": "EINVAL ENOMEM EPERM",
        "sethostname": "EPERM",
        "setns": "EINVAL ENOMEM EPERM",
        "setpriority": "EACCES EPERM",
        "setresgid": "EAGAIN EINVAL EPERM",
        "setresuid": "EAGAIN EINVAL EPERM",
        "setsid": "EPERM",
        "signalfd4": "EMFILE ENFILE ENODEV ENOMEM",
        "socket": "EACCES EMFILE ENFILE ENOBUFS ENOMEM",
        "socketpair": "EMFILE ENFILE ENOMEM",
        "statx": "EACCES ELOOP ENOENT ENOMEM",
        "symlinkat": "EACCES EDQUOT EEXIST EIO ENOENT ENOMEM ENOSPC EPERM EROFS",
        "umount2": "EBUSY EINVAL ENOMEM EPERM",
        "unlink": "EACCES EBUSY EIO ENOMEM EPERM EROFS",
        "unshare": "EINVAL ENOMEM ENOSPC EPERM EUSERS",
        "vfork": "EAGAIN ENOMEM",
        "wait4": "EINTR",
        "waitid": "EINTR",
        "write": "EAGAIN EINTR EIO ENOSPC EPERM",
    }.items()
}

# Calls that are let alone, and why.
LEFT_OUT = {
    "arch_prctl": "of libc's start; it cannot fail with a valid address",
    "brk": "tells no errno: it returns the break as it is",
    "clock_gettime": "cannot fail for CLOCK_MONOTONIC",
    "close": "closes also where it gives an errno (close(2)), which an injected one would not",
    "exit_group": "does not return",
    "futex": "of Python's and libc's locks",
    "getegid": "cannot fail",
    "geteuid": "cannot fail",
    "getgid": "cannot fail",
    "getpid": "cannot fail",
    "getppid": "cannot fail",
    "gettid": "cannot fail",
    "getuid": "cannot fail",
    "getrusage": "cannot fail with a valid address",
    "munmap": "of libc's free(), which ignores it",
    "madvise": "of libc's free(), which ignores it",
    "pidfd_send_signal": "to a live child of the caller's in its own namespaces: always allowed",
    "rt_sigreturn": "does not return",
    "set_robust_list": "of libc's start; it cannot fail with its own size",
    "set_tid_address": "cannot fail",
    "sysinfo": "cannot fail with a valid address",
    "umask": "cannot fail",
    "uname": "cannot fail with a valid address",
}


class Place:
    """A root, and directories to bind."""

    def __init__(self, top: Path) -> None:
        os.chmod(top, 0o755)
        self.root, self.data, self.out = top / "root", top / "data", top / "out"
        (self.root / "bin").mkdir(parents=True)
        self.data.mkdir()
        self.out.mkdir()
        self.output = os.open(top / "output", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        busybox = shutil.which("busybox", path="/bin:/usr/bin")
        assert busybox, "busybox-static is missing: apt-get install busybox-static"
        shutil.copy(busybox, self.root / "bin" / "busybox")
        for name in ("sh", "cat", "readlink", "ls", "hostname", "id", "env", "sleep"):
            (self.root / "bin" / name).symlink_to("busybox")


@contextmanager
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as top:
        made = Place(Path(top))
        yield made
        os.close(made.output)


def run_with_root(at: Place) -> list[Any]:
    """A root, binds of both kinds, a file, a tmpfs, limits, captured output."""
    is_root = os.geteuid() == 0
    mark()
    done = crabcan.run(
        ["sh", "-c", SCRIPT],
        root=at.root,
        mounts=[
            crabcan.Bind(at.data, "/data"),
            crabcan.Bind(at.out, "/out", writable=True),
            crabcan.File("/etc/note", "hello"),
            crabcan.Tmpfs("/scratch"),
        ],
        limits=crabcan.Limits(
            pids=20,
            wall_time=60,
            file_size="1M",
            memory="64M" if is_root else None,
            cpus=1 if is_root else None,
        ),
        hostname="moon",
        uid=7 if is_root else 0,
        input="",
        capture_output=True,
        text=True,
    )
    return [done.returncode, done.stdout, done.stderr]


def channel_on_the_hosts_system(at: Place) -> list[Any]:
    """The host's programs, a channel, Landlock, and what the payload's process sets."""
    script = "head -c 1 <&$CRABCAN_CHANNEL_FD; " + SCRIPT
    script += "printf '\\001' >&$CRABCAN_CHANNEL_FD; exit 3"
    mark()
    with crabcan.Container(
        ["sh", "-c", script],
        stdout=at.output,
        channel=True,
        hostname="moon",
        landlock=crabcan.Landlock(read=["/"], write=["/tmp", "/dev"]),
        rlimits={"nofile": (64, 64)},
        nice=5,
        cpu_affinity=[0],
        capabilities=["net_bind_service"],
    ) as container:
        container.create()
        container.send_bool(True)
        return [container.recv_bool(timeout=60), container.wait()]


def terminal_on_an_overlay(at: Place) -> list[Any]:
    """A terminal of its own, on a root that may be changed and is not."""
    mark()
    with crabcan.Container(
        ["sh", "-c", SCRIPT], root=at.root, mounts=[crabcan.Overlay()], hostname="moon", tty=True
    ) as container:
        container.create()
        terminal = container.terminal
        assert terminal is not None
        chunks = [terminal.read()]
        while chunks[-1]:
            chunks.append(terminal.read())
        return [container.wait(), b"".join(chunks).decode()]


def joined_to_another(at: Place) -> list[Any]:
    """In namespaces of a container that runs."""
    with crabcan.Container(["sleep", "60"], root=at.root) as other:
        other.create()
        mark()
        join = crabcan.Join(container=other)
        done = crabcan.run(
            ["sh", "-c", SCRIPT],
            root=at.root,
            hostname="moon",
            namespaces={"network": join, "ipc": join},
            stdout=at.output,
        )
        return [done.returncode]


def process_in_a_container(at: Place) -> list[Any]:
    """A further process of a container that runs."""
    with crabcan.Container(["sleep", "60"], root=at.root, hostname="moon") as container:
        container.create()
        mark()
        process = container.exec(["sh", "-c", SCRIPT], stdout=at.output)
        return [process.wait()]


# For each the roles of the processes that come, in their order, and what is done.
SCENARIOS: dict[str, tuple[tuple[str, ...], Callable[[Place], list[Any]]]] = {
    "root": (("child", "payload"), run_with_root),
    "channel": (("child", "payload"), channel_on_the_hosts_system),
    "terminal": (("child", "payload"), terminal_on_an_overlay),
    "join": (("other", "", "enterer", "init", "payload"), joined_to_another),
    "exec": (("child", "", "payload"), process_in_a_container),
}


def told(raw: list[Any]) -> list[Any]:
    """What the payload saw, without the numbers that differ from one run to the next."""
    return [_normal(item) if isinstance(item, str) else item for item in raw]


def _normal(text: str) -> str:
    for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
        text = text.replace(os.readlink(f"/proc/self/ns/{name}"), f"{name} of the host")
    text = re.sub(r"(?m)^\d+ \d+ \d+:\d+ (.* - )", r"\1", text)  # mountinfo
    text = re.sub(r"(?m)^(Vm|Rss|Huge|SigQ|volunt|nonvol|Mems|Cpus|Spec|Thr).*\n", "", text)
    return re.sub(r"[:/](\[?)\d+\]?", r":\1N", text)


def forget() -> None:
    """What a process makes once, the image of init and lists of groups, is made anew."""
    from crabcan import cgroup

    cgroup._cleaned.clear()
    cgroup._parsed = ("", "", {})
    for name in os.listdir("/proc/self/fd"):
        try:
            if "memfd:crabcan-init" in os.readlink(f"/proc/self/fd/{name}"):
                os.close(int(name))
        except FileNotFoundError:
            continue


def launcher(work: Callable[[Place], list[Any]], at: Place) -> Callable[[], dict[str, Any]]:
    """What the caller does, and its account of it."""

    def launch() -> dict[str, Any]:
        forget()
        os.truncate(at.output, 0)
        os.lseek(at.output, 0, os.SEEK_SET)
        before = Machine()
        try:
            answer: dict[str, Any] = {"told": work(at)}
        except BaseException as error:
            answer = raised(error)
            del error
        mark()
        if "told" in answer:
            answer["told"].append(os.pread(at.output, 1 << 20, 0).decode())
        gc.collect()
        after = Machine()
        answer["left"] = [
            f"{name}: {was} before, {vars(after)[name]} after"
            for name, was in vars(before).items()
            if vars(after)[name] != was
        ]
        return answer

    return launch


def raised(error: BaseException) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "where": [frame.name for frame in traceback.extract_tb(error.__traceback__)],
        "ours": isinstance(error, crabcan.Error),
        "text": str(error),
        "errno": getattr(error, "errno", None),
        "about": getattr(error, "filename", None),
    }


def faults(calls: list[Call]) -> list[Fault]:
    """Each call of a trace with each errno that it can give."""
    unknown = {call.name for call in calls} - ERRNOS.keys() - LEFT_OUT.keys()
    assert not unknown, f"no errnos are listed for {sorted(unknown)}"
    return [Fault(call, e) for call in calls for e in ERRNOS.get(call.name, ())]


# Differences to a launch without the fault that are no weaker container: the fault, what changes,
# line by line, and why it may.
DIFFERENCES = (
    (r"caller read#\d+ EIO", r"-.*", "is the end of a terminal"),
    (
        r"caller \w+#\d+ \w+",
        r"[-+]Max processes .*",
        "RLIMIT_NPROC keeps limits.pids where the group cannot be made",
    ),
    (
        r"caller newfstatat#\d+ \w+",
        r"(-/.*|\+/dev/null)",
        "what is no open descriptor of the caller's is /dev/null to the payload",
    ),
    (
        r"init (newfstatat|open_tree|openat2)#\d+ ENOENT",
        r"-\S+ /(proc|sys)/\S+ .*",
        "a path of /proc that is not there needs no mask",
    ),
    (
        r"caller (access|newfstatat|readlink|openat)#\d+ \w+",
        r"[-+]\S+ \S+ ro,nosuid,nodev,.* - .*",
        "what the caller cannot see of the host's system is not shown, or its link as a mount",
    ),
    (
        r"caller mount_setattr#\d+ \w+",
        r"[-+]\S+ \S+ ro,nosuid,nodev,.* - .*",
        "the host's system is shown with owners nobody where it cannot be idmapped",
    ),
)

# Launches that succeed as if nothing had been, and why they may.
IGNORED = (
    (r"\w+ \w+#\d+ EINTR", "the call is made again"),
    (
        r"\w+ rt_sig(action|procmask)#.*",
        "fails for SIGKILL and SIGSTOP alone, and always",
    ),
    (
        r"caller (access|newfstatat|readlink|openat|open|getdents64|read|lseek)#.*",
        "asks for what a host need not have: ranges of ids, groups to be tidied up",
    ),
    (r"caller (mkdir|write|rmdir)#.*", "a group that is not asked for, or that is removed later"),
    (r"caller mount_setattr#.*", "the host has it read-only, or shows no owners"),
    (r"caller (fcntl|ioctl)#.*", "asks whose a descriptor is"),
    (r"caller (pidfd_send_signal|epoll_\w+|p?poll)#.*", "of one that has ended, or at its end"),
    (
        r"(child|enterer) prctl#.*",
        "beyond the last capability; the death signal, beside the pidfd",
    ),
    (r"init mkdirat#\d+ EEXIST", "what is there need not be made"),
    (r"init dup2#\d+ EBUSY", "libc makes the call again"),
    (r"(enterer|payload) fcntl#.*", "libc sets close-on-exec once more"),
    (r"init fcntl#.*", "keeps a mount for more of its kind, which is made anew"),
    (
        r"init (newfstatat|open_tree|openat2|statx)#\d+ (ENOENT|ELOOP|EACCES|ENOTDIR)",
        "what is not there needs no mask",
    ),
    (r"init prctl#.*", "the name that ps shows; the death signal of a thread that still runs"),
    (r"init sendto#.*", "the timeline, which traces alone need"),
    (r"init close_range#.*", "of what init needs no longer"),
    (r"init (read|kill|ioctl)#.*", "of signals and processes that have ended"),
    (r"payload execve#\d+ (EACCES|ENOENT)", "the next directory of PATH has it"),
    (r"payload prctl#\d+ EINVAL", "beyond the last capability"),
)

# After the set-up an error of the caller's own pipes is what it is with subprocess: an OSError.
# Python's realpath() names the path that it could not follow.
LATER = {"realpath", "communicate", "wait", "close", "__exit__", "recv_bool", "read"}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a fault: raised, ignored, different, ended, zombie, untried, or wrong."""

    kind: str
    why: str = ""


def judge(fault: Fault, seen: Seen, plain: list[Any]) -> Verdict:
    """Whether it was survived; `plain` is what the payload tells without a fault."""
    answer = seen.answer
    if not seen.tried:
        return Verdict("untried")
    if seen.hung or seen.alive:
        return Verdict("wrong", "it hangs" if seen.hung else "a process is left")
    if seen.status or not answer:
        return Verdict("wrong", f"the caller ended with {seen.status}")
    if _is_unheard_of(fault, answer["left"]):
        return Verdict("zombie", "an init that nobody has heard of ends, and is not waited for")
    if answer["left"] and not _is_unproven(fault):
        return Verdict("wrong", f"left: {answer['left']}")
    return _judge_told(fault, answer, plain) if "told" in answer else _judge_raised(answer)


def _is_unheard_of(fault: Fault, left: list[str]) -> bool:
    """What joins has cloned init as the caller's child, and its pidfd is lost on the way."""
    lost = (("enterer", "sendmsg"), ("caller", "recvmsg"))
    return fault.call[:2] in lost and bool(left) and all(t.startswith("children:") for t in left)


def _is_unproven(fault: Fault) -> bool:
    """A memory file that cannot be proven to be ours is not closed (sealed.c); real ones can."""
    return fault.call.role == "caller" and fault.call.name in ("newfstatat", "fcntl")


def _judge_raised(answer: dict[str, Any]) -> Verdict:
    if answer["ours"] or answer["type"] == "MemoryError" or LATER & set(answer["where"]):
        return Verdict("raised", answer["text"])
    return Verdict("wrong", f"{answer['type']} names no step: {answer['text']}")


def _judge_told(fault: Fault, answer: dict[str, Any], plain: list[Any]) -> Verdict:
    seen = told(answer["told"])
    if seen == plain:
        for pattern, why in IGNORED:
            if re.fullmatch(pattern, str(fault)):
                return Verdict("ignored", why)
        return Verdict("wrong", "it succeeds, and no reason is listed")
    if fault.call.name in ("poll", "waitid", "read", "sendto") and -9 in seen:
        return Verdict("ended", "init that cannot watch, or tell of a start, ends the container")
    lines = list(_changes(plain, seen))
    for pattern, line, why in DIFFERENCES:
        if re.fullmatch(pattern, str(fault)) and all(re.fullmatch(line, text) for text in lines):
            return Verdict("different", why)
    return Verdict("wrong", f"the payload sees: {lines}")


def _changes(plain: list[Any], seen: list[Any]) -> Iterator[str]:
    for before, after in zip(plain, seen, strict=True):
        if isinstance(before, str) and isinstance(after, str):
            lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
            yield from (line for line in lines if not re.match(r"---|\+\+\+|@@", line))
        elif before != after:
            yield f"{before} is {after}"


def inject(name: str, at: Place, stride: int, first: int = 0) -> Iterator[tuple[Fault, Verdict]]:
    """Every `stride`-th fault of a scenario, and what became of each."""
    roles, work = SCENARIOS[name]
    launch = launcher(work, at)
    work(at)  # what Python imports late is not the launch's
    trace = watch(launch, roles)
    assert "told" in trace.answer, trace
    assert not trace.answer["left"]
    plain = told(trace.answer["told"])
    for fault in faults(trace.calls)[first::stride]:
        verdict = judge(fault, watch(launch, roles, fault), plain)
        if verdict.kind == "wrong":  # or another user of the machine has mounted something
            verdict = judge(fault, watch(launch, roles, fault), plain)
        yield fault, verdict


def main(words: list[str]) -> int:
    stride = int(words[0]) if words else 1
    counts: collections.Counter[str] = collections.Counter()
    with place() as at:
        for name in words[1:] or SCENARIOS:
            for fault, verdict in inject(name, at, stride):
                counts[verdict.kind] += 1
                if verdict.kind == "wrong":
                    print(f"{name}: {fault}: {verdict.why}", flush=True)
            print(f"{name}: {dict(counts)}", flush=True)
    tried = counts.total() - counts["untried"]
    print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    print(f"tried {tried}, held {tried - counts['wrong']}")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
