"""Wrong values for every public call and option: the exact error, before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crabcan
from crabcan import spec

MAX_ARGUMENT = 131_071  # bytes; execve(2), MAX_ARG_STRLEN without its NUL

# Option, value, and how the error begins: the whole of it, where that is not a list of names.
OPTIONS: list[tuple[str, Any, str]] = [
    ("allow_syscalls", 5, "allow_syscalls: 5 is a int - give a list of strings"),
    ("allow_syscalls", "read", "allow_syscalls: 'read' is a str - give a list of strings"),
    ("allow_syscalls", [5], "allow_syscalls[0]: 5 is a int - give a string"),
    (
        "allow_syscalls",
        ["read\x00"],
        "allow_syscalls[0]: 'read\\x00' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("capabilities", 5, "capabilities: 5 is a int - give a list of strings"),
    ("capabilities", "chown", "capabilities: 'chown' is a str - give a list of strings"),
    ("capabilities", ["x"], "capabilities: 'x' is refused - give one of "),
    ("capabilities", [5], "capabilities[0]: 5 is a int - give a string"),
    (
        "capabilities",
        ["chown\x00"],
        "capabilities[0]: 'chown\\x00' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("channel", 1, "channel: 1 is a int - give a bool"),
    ("channel", "yes", "channel: 'yes' is a str - give a bool"),
    ("cpu_affinity", [], "cpu_affinity: () is refused - give the numbers of the CPUs to run on"),
    ("cpu_affinity", [-1], "cpu_affinity[0]: -1 is refused - give a number from 0 to 8191"),
    (
        "cpu_affinity",
        [1000000],
        "cpu_affinity[0]: 1000000 is refused - give a number from 0 to 8191",
    ),
    ("cpu_affinity", ["0"], "cpu_affinity[0]: '0' is a str - give an int"),
    ("cpu_affinity", 5, "cpu_affinity: 5 is a int - give a list of CPU numbers"),
    ("cpu_affinity", "0", "cpu_affinity: '0' is a str - give a list of CPU numbers"),
    ("cwd", "", "cwd: '' is refused - give an absolute path inside the container"),
    ("cwd", "a", "cwd: 'a' is refused - give an absolute path inside the container"),
    (
        "cwd",
        "/a\x00",
        "cwd: '/a\\x00' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("cwd", 5, "cwd: 5 is a int - give a string"),
    ("default_mounts", [], "default_mounts: [] is a list - give a bool"),
    ("default_mounts", "no", "default_mounts: 'no' is a str - give a bool"),
    ("deny_syscalls", 5, "deny_syscalls: 5 is a int - give a list of strings"),
    ("deny_syscalls", "read", "deny_syscalls: 'read' is a str - give a list of strings"),
    ("env", 5, "env: 5 is a int - give a mapping of names to values"),
    ("env", [("A",)], "env: [('A',)] is a list - give a mapping of names to values"),
    ("env", {"A": 5}, "env['A']: 5 is a int - give a string"),
    ("env", {"A=B": "c"}, "env: 'A=B' is refused - a name is not empty and has no '='"),
    ("env", {"": "c"}, "env: '' is refused - a name is not empty and has no '='"),
    (
        "env",
        {"A": "b\x00"},
        "env['A']: 'b\\x00' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("executable", "", "executable: '' is refused - give one that is not empty"),
    ("executable", 5, "executable: 5 is a int - give a string"),
    (
        "executable",
        "a\x00b",
        "executable: 'a\\x00b' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("gid", -1, "gid: -1 is refused - give a number from 0 to 4294967294"),
    ("gid", 4294967296, "gid: 4294967296 is refused - give a number from 0 to 4294967294"),
    ("gid", True, "gid: True is a bool - give an int"),
    ("gid", "0", "gid: '0' is a str - give an int"),
    ("groups", 5, "groups: 5 is a int - give a list of group ids"),
    ("groups", "5", "groups: '5' is a str - give a list of group ids"),
    ("groups", [-1], "groups[0]: -1 is refused - give a number from 0 to 4294967294"),
    (
        "groups",
        [4294967296],
        "groups[0]: 4294967296 is refused - give a number from 0 to 4294967294",
    ),
    ("groups", ["x"], "groups[0]: 'x' is a str - give an int"),
    ("groups", [True], "groups[0]: True is a bool - give an int"),
    ("hostname", "", "hostname: '' is refused - give 1 to 64 bytes"),
    (
        "hostname",
        "x" * 65,
        f"hostname: '{'x' * 65}' is refused - give 1 to 64 bytes",
    ),
    (
        "hostname",
        "a\x00b",
        "hostname: 'a\\x00b' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("hostname", 5, "hostname: 5 is a int - give a string"),
    ("hostname", "\x1b[0m", "hostname: '\\x1b[0m' is refused - give characters that can be shown"),
    (
        "hostname",
        "\ud800",
        "hostname: '\\ud800' is refused - it has half of a surrogate pair: no bytes mean it",
    ),
    ("landlock", 5, "landlock: 5 is a int - give a crabcan.Landlock"),
    ("landlock", {"read": ["/"]}, "landlock: {'read': ['/']} is a dict - give a crabcan.Landlock"),
    ("limits", 5, "limits: 5 is a int - give a crabcan.Limits"),
    ("limits", {"memory": 1}, "limits: {'memory': 1} is a dict - give a crabcan.Limits"),
    ("limits", "64M", "limits: '64M' is a str - give a crabcan.Limits"),
    ("mounts", 5, "mounts: 5 is a int - give a list of crabcan.Bind, crabcan.Tmpfs, ..."),
    ("mounts", "x", "mounts[0]: 'x' is a str - give one of crabcan's mounts"),
    ("mounts", [5], "mounts[0]: 5 is a int - give one of crabcan's mounts"),
    ("namespaces", 5, "namespaces: 5 is a int - give a mapping of names to namespaces"),
    (
        "namespaces",
        {"x": "host"},
        "namespaces: 'x' is refused - give one of cgroup, ipc, mount, network, pid, user, uts",
    ),
    (
        "namespaces",
        {"uts": "x"},
        "namespaces['uts']: 'x' is refused - give host, new, a path, pid:NUMBER or a Container",
    ),
    (
        "network",
        "x",
        "network: 'x' is refused - give host, none, pasta, a path, pid:NUMBER or a Container",
    ),
    (
        "network",
        "",
        "network: '' is refused - give host, none, pasta, a path, pid:NUMBER or a Container",
    ),
    ("nice", -21, "nice: -21 is refused - give a number from -20 to 19"),
    ("nice", 20, "nice: 20 is refused - give a number from -20 to 19"),
    ("nice", True, "nice: True is a bool - give an int"),
    ("nice", "1", "nice: '1' is a str - give an int"),
    ("oom_score_adj", -1001, "oom_score_adj: -1001 is refused - give a number from -1000 to 1000"),
    ("oom_score_adj", 1001, "oom_score_adj: 1001 is refused - give a number from -1000 to 1000"),
    ("oom_score_adj", True, "oom_score_adj: True is a bool - give an int"),
    ("oom_score_adj", "0", "oom_score_adj: '0' is a str - give an int"),
    ("publish", "8080:80", "publish: '8080:80' is a str - give a list of strings"),
    ("publish", "x", "publish: 'x' is a str - give a list of strings"),
    (
        "publish",
        ["x"],
        "publish[0]: 'x' is refused - a port is a number from 1 to 65535, as in 8080:80",
    ),
    (
        "publish",
        ["99999:1"],
        "publish[0]: '99999:1' is refused - a port is a number from 1 to 65535, as in 8080:80",
    ),
    ("publish", 5, "publish: 5 is a int - give a list of strings"),
    ("rlimits", 5, "rlimits: 5 is a int - give a mapping of names to limits"),
    ("rlimits", {"x": 1}, "rlimits: 'x' is refused - give one of "),
    (
        "rlimits",
        {"nofile": (5, 1)},
        "rlimits['nofile']: (5, 1) is refused - the soft limit is above the hard one",
    ),
    ("rlimits", {"nofile": "x"}, "rlimits['nofile']: 'x' is a str - give an int"),
    (
        "rlimits",
        {"nofile": (1, 2, 3)},
        "rlimits['nofile']: (1, 2, 3) is refused - give one number, or (soft, hard)",
    ),
    (
        "rlimits",
        {"nofile": 18446744073709551616},
        "rlimits['nofile']: 18446744073709551616 is refused - give a number from 0 to",
    ),
    ("rlimits", {"nofile": True}, "rlimits['nofile']: True is a bool - give an int"),
    ("root", "", "root: '' is refused - give one that is not empty"),
    ("root", "/nowhere", "root: '/nowhere' is refused - it is no directory that you can see"),
    ("root", "/etc/passwd", "root: '/etc/passwd' is refused - it is no directory that you can see"),
    ("root", 5, "root: 5 is a int - give a string"),
    (
        "root",
        "a\x00b",
        "root: 'a\\x00b' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("root", "/", "root: '/' is refused - leave root out to show the host's system, read-only"),
    (
        "root",
        b"/nowhere\xff",
        "root: '/nowhere\\udcff' is refused - it is no directory that you can see",
    ),
    ("root_idmap", 1, "root_idmap: 1 is a int - give a bool"),
    ("root_idmap", "yes", "root_idmap: 'yes' is a str - give a bool"),
    ("root_writable", 1, "root_writable: 1 is a int - give a bool"),
    ("root_writable", "yes", "root_writable: 'yes' is a str - give a bool"),
    ("seccomp", "", "seccomp: '' is refused - give one that is not empty"),
    (
        "seccomp",
        "/nowhere",
        "seccomp: '/nowhere' is refused - there is no such path that you can see",
    ),
    ("seccomp", 5, "seccomp: 5 is a int - give a string"),
    (
        "seccomp",
        "a\x00b",
        "seccomp: 'a\\x00b' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("tty", 1, "tty: 1 is a int - give a bool"),
    ("tty", "yes", "tty: 'yes' is a str - give a bool"),
    ("uid", -1, "uid: -1 is refused - give a number from 0 to 4294967294"),
    ("uid", 4294967295, "uid: 4294967295 is refused - give a number from 0 to 4294967294"),
    (
        "uid",
        18446744073709551616,
        "uid: 18446744073709551616 is refused - give a number from 0 to 4294967294",
    ),
    ("uid", True, "uid: True is a bool - give an int"),
    ("uid", "0", "uid: '0' is a str - give an int"),
    ("uid", 1.5, "uid: 1.5 is a float - give an int"),
    ("umask", -2, "umask: -2 is refused - give a number from 0 to 511"),
    ("umask", 512, "umask: 512 is refused - give a number from 0 to 511"),
    ("umask", True, "umask: True is a bool - give an int"),
    ("umask", "022", "umask: '022' is a str - give an int"),
    (
        "umask",
        18446744073709551616,
        "umask: 18446744073709551616 is refused - give a number from 0 to 511",
    ),
    ("user", "nobody-here", "user: 'nobody-here' is refused - did you mean 'nobody'?"),
    ("user", "", "user: '' is refused - give one of nobody, root"),
    (
        "user",
        "a\x00",
        "user: 'a\\x00' is refused - it has a NUL byte, and the kernel's strings",
    ),
    ("user", "0:nogroup-here", "user: 'nogroup-here' is refused - did you mean 'nogroup'?"),
    ("userns", "x", "userns: 'x' is refused - give one of auto, host, subids"),
    ("userns", 5, "userns: 5 is a int - give a string"),
    ("userns", "", "userns: '' is refused - give one of auto, host, subids"),
]

COMMANDS: list[tuple[Any, str]] = [
    ([], "command: () is refused - give the program to execute, and its arguments"),
    ("", "command: ('',) is refused - give the program to execute, and its arguments"),
    (5, "command: 5 is a int - give the program and its arguments"),
    (None, "command: None is a NoneType - give the program and its arguments"),
    (["a\0"], "command[0]: 'a\\x00' is refused - it has a NUL byte, and the kernel's strings end"),
    ([5], "command[0]: 5 is a int - give a string"),
    ("a b", "command: 'a b' is refused - give its words as a list: ['a', 'b']"),
    (["true", "\ud800"], "command[1]: '\\ud800' is refused - it has half of a surrogate pair"),
]

wrong: Any = crabcan  # as a caller without types has it

NOT_THERE = "there is no such path that you can see"
ABSOLUTE = "give an absolute path inside the container, without '..'"

# Of the objects that options are made of, and of calls.
CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: wrong.Bind("", "/a"), "Bind.source: '' is refused - give one that is not empty"),
    (lambda: wrong.Bind("/nowhere", "/a"), f"Bind.source: '/nowhere' is refused - {NOT_THERE}"),
    (lambda: wrong.Bind("/etc", ""), f"Bind.target: '' is refused - {ABSOLUTE}"),
    (lambda: wrong.Bind("/etc", "a"), f"Bind.target: 'a' is refused - {ABSOLUTE}"),
    (lambda: wrong.Bind("/etc", "/../a"), f"Bind.target: '/../a' is refused - {ABSOLUTE}"),
    (lambda: wrong.Bind("/etc", "/"), "Bind.target: '/' is refused - what is to be the root"),
    (lambda: wrong.Bind("/etc", "/a\0"), "Bind.target: '/a\\x00' is refused - it has a NUL byte"),
    (lambda: wrong.Tmpfs("/a", size=-1), "Tmpfs.size: -1 is refused - give a number from 0"),
    (lambda: wrong.Tmpfs("/a", size="x"), "Tmpfs.size: 'x' is refused - give bytes, or a size"),
    (lambda: wrong.Tmpfs("/a", size=2**70), "Tmpfs.size: 1180591620717411303424 is refused"),
    (lambda: wrong.Tmpfs("/a", size=True), "Tmpfs.size: True is a bool - give an int"),
    (lambda: wrong.Tmpfs("/a", mode=0o10000), "Tmpfs.mode: 4096 is refused - give a number"),
    (lambda: wrong.File("/a", "\ud800"), "File.content: '\\ud800' is refused - it is no text"),
    (lambda: wrong.File("/a"), "File.content: None is refused - give the content, or a"),
    (lambda: wrong.Overlay("/a"), "Overlay.source: None is refused - give the directory to be"),
    (lambda: wrong.Overlay("/a", "/nowhere"), "Overlay.source: '/nowhere' is refused - it is no"),
    (lambda: wrong.Proc("x"), f"Proc.target: 'x' is refused - {ABSOLUTE}"),
    (lambda: wrong.Dev("x"), f"Dev.target: 'x' is refused - {ABSOLUTE}"),
    (lambda: wrong.Limits(memory=0), "limits.memory: 0 is refused - give at least 65536 bytes"),
    (lambda: wrong.Limits(memory="1X"), "limits.memory: '1X' is refused - give bytes, or a size"),
    (lambda: wrong.Limits(memory=True), "limits.memory: True is a bool - give an int"),
    (lambda: wrong.Limits(swap=-1), "limits.swap: -1 is refused - give a number from 0"),
    (lambda: wrong.Limits(pids=0), "limits.pids: 0 is refused - give a number from 1"),
    (lambda: wrong.Limits(cpus=0), "limits.cpus: 0 is refused - give a number above 0"),
    (lambda: wrong.Limits(cpus=0.001), "limits.cpus: 0.001 is refused - give at least 0.01"),
    (lambda: wrong.Limits(cpus=10**400), "limits.cpus: 1000000"),
    (lambda: wrong.Limits(cpu_weight=0), "limits.cpu_weight: 0 is refused - give a number"),
    (lambda: wrong.Limits(io_weight=10001), "limits.io_weight: 10001 is refused - give a number"),
    (lambda: wrong.Limits(cpu_time="x"), "limits.cpu_time: 'x' is a str - give a number"),
    (lambda: wrong.Limits(wall_time=float("nan")), "limits.wall_time: nan is refused - give a"),
    (lambda: wrong.Limits(wall_time=1e300), "limits.wall_time: 1e+300 is refused - give a"),
    (lambda: wrong.Limits(output=-1), "limits.output: -1 is refused - give a number from 0"),
    (lambda: wrong.Limits(file_size="x"), "limits.file_size: 'x' is refused - give bytes"),
    (lambda: wrong.Join(), "Join: None is refused - give one of path, pid, pidfd and container"),
    (lambda: wrong.Join(pid=0), "Join.pid: 0 is refused - give a number from 1 to 4194304"),
    (lambda: wrong.Join(path="/nowhere"), f"Join.path: '/nowhere' is refused - {NOT_THERE}"),
    (lambda: wrong.Join(pidfd=-1), "Join.pidfd: -1 is refused - give a number from 0"),
    (lambda: wrong.Landlock(read=5), "landlock.read: 5 is a int - give a list of strings"),
    (lambda: wrong.Landlock(read=["a"]), f"landlock.read: 'a' is refused - {ABSOLUTE}"),
    (lambda: wrong.Landlock(connect=[65536]), "landlock.connect[0]: 65536 is refused - give a"),
    (lambda: wrong.Pool(size=0), "size: 0 is refused - give a number from 1 to 4096"),
    (lambda: wrong.Pool(size="x"), "size: 'x' is a str - give an int"),
    (lambda: wrong.Pool(nothing=1), "option: 'nothing' is refused - give one of allow_syscalls"),
    (lambda: wrong.Executor(max_workers=0), "max_workers: 0 is refused - give a number from 1"),
    (lambda: wrong.Executor(nothing=1), "option: 'nothing' is refused - give one of"),
    (lambda: wrong.Spec(["true"], nothing=1), "option: 'nothing' is refused - give one of"),
    (lambda: wrong.Container(["true"], memory=1), "option: 'memory' is refused - "),
    (lambda: wrong.run(["true"], timeout="x"), "timeout: 'x' is a str - give a number of"),
    (lambda: wrong.run(["true"], timeout=float("nan")), "timeout: nan is refused - give a"),
    (lambda: wrong.run(["true"], input=5), "input: 5 is a int, not bytes or a string"),
    (lambda: wrong.run(["true"], input="x"), "input: a string is given, and text is not set"),
    (lambda: wrong.run(["true"], input=b"", stdin=-1), "input: stdin may not be given with it"),
    (lambda: wrong.run(["true"], stdout=99999), "stdout: 99999 is refused - give a descriptor"),
    (lambda: wrong.run(["true"], stdout="x"), "stdout: 'x' is a str, not a descriptor or a file"),
    (lambda: wrong.run(["true"], encoding="nothing"), "unknown encoding: nothing"),
    (lambda: wrong.run(["true"], errors="nothing"), "unknown error handler name 'nothing'"),
    (lambda: wrong.Popen(["true"], bufsize="x"), "bufsize: 'x' is a str, not an int"),
    (lambda: wrong.Popen(["true"], preexec_fn=print), "preexec_fn: <built-in function print> is"),
    (lambda: wrong.Popen(["true"], pass_fds=[-1]), "pass_fds: -1 is refused - give descriptors"),
    (lambda: wrong.Popen(["true"], pass_fds=["x"]), "pass_fds: 'x' is a str, not a descriptor"),
    (lambda: wrong.get("../x"), "there is no container '../x' - see them with crabcan.list()"),
    (lambda: wrong.get(5), "name: 5 is a int - give a string"),
    (lambda: wrong.start(["true"], name="a/b"), "name: 'a/b' is refused - give letters, digits"),
    (lambda: wrong.start([], name="a"), "command: () is refused - give the program to execute"),
]  # fmt: skip

# The command line: its words, and what it says.
LINES: list[tuple[list[str], str]] = [
    ([], "crabcan: no subcommand was given\n  say: crabcan run COMMAND"),
    (["rum"], "crabcan: there is no subcommand 'rum'\n  did you mean rm?"),
    (["run"], "crabcan: no command was given"),
    (["run", "--nothing", "true"], "crabcan: there is no option --nothing"),
    (["run", "--uid", "x", "true"], "crabcan: --uid 'x' is no number"),
    (["run", "--memory", "1X", "true"], "crabcan: limits.memory: '1X' is refused\n  give bytes"),
    (["run", "-v", "/etc", "true"], "crabcan: --volume '/etc' cannot be understood"),
    (["run", "--root", "/nowhere", "true"], "crabcan: root: '/nowhere' is refused\n  it is no"),
    (["run", "--cpu-affinity", "0-99999999", "true"], "crabcan: --cpu-affinity '0-99999999'"),
    (["run", "--timeout", "x", "true"], "crabcan: --timeout 'x'"),
    (["run", "--env", "=x", "true"], "crabcan: --env '=x'"),
    (["exec", "no-such-name", "true"], "crabcan: there is no container 'no-such-name'"),
]


def refused(call: Callable[[], object], beginning: str) -> None:
    """By a class that says so, with nothing started."""
    children = Path("/proc/thread-self/children").read_text()
    with pytest.raises((crabcan.Error, TypeError, ValueError, LookupError)) as raised:
        call()
    assert str(raised.value).startswith(beginning), str(raised.value)
    assert len(str(raised.value)) < 3000
    assert Path("/proc/thread-self/children").read_text() == children


@pytest.mark.parametrize(("option", "value", "error"), OPTIONS, ids=lambda value: repr(value)[:40])
def test_options(option: str, value: Any, error: str) -> None:
    options: dict[str, Any] = {option: value}
    for call in (crabcan.run, crabcan.Popen, crabcan.Container, crabcan.Spec):
        refused(lambda call=call: call(["true"], **options), error)  # type: ignore[misc]


@pytest.mark.parametrize(("command", "error"), COMMANDS, ids=lambda value: repr(value)[:40])
def test_commands(command: Any, error: str) -> None:
    for call in (crabcan.run, crabcan.Popen, crabcan.Container, crabcan.Spec):
        refused(lambda call=call: call(command), error)  # type: ignore[misc]


@pytest.mark.parametrize(("call", "error"), CALLS, ids=lambda value: repr(value)[:40])
def test_calls(call: Callable[[], object], error: str) -> None:
    refused(call, error)


def test_every_option_has_wrong_values() -> None:
    assert {option for option, _, _ in OPTIONS} == {*spec.names()}


@pytest.mark.parametrize(("words", "error"), LINES, ids=lambda value: repr(value)[:40])
def test_command_lines(words: list[str], error: str) -> None:
    command = [sys.executable, "-P", "-m", "crabcan", *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode in (1, 125)  # 1: of one that is named
    assert done.stdout == ""
    assert done.stderr.startswith(error), done.stderr
    assert "Traceback" not in done.stderr


def test_the_longest_argument() -> None:
    """It is passed on whole; one byte more is the kernel's to refuse, and the error tells of it."""
    script = "echo ${#1}"
    done = crabcan.run(
        ["sh", "-c", script, "sh", "x" * MAX_ARGUMENT], capture_output=True, text=True
    )
    assert done.stdout == f"{MAX_ARGUMENT}\n"
    with pytest.raises(crabcan.SetupError, match=r"E2BIG.*131071 bytes at most") as raised:
        crabcan.run(["true", "x" * (MAX_ARGUMENT + 1)])
    assert raised.value.step == "exec"


def test_an_environment_of_two_mebibytes() -> None:
    environment = {f"A{i}": "x" * 100_000 for i in range(21)}
    with pytest.raises(crabcan.SetupError, match="E2BIG"):
        crabcan.run(["/bin/true"], env=environment, rlimits={"stack": 2**22})
    assert crabcan.run(["/bin/true"], env=environment, rlimits={"stack": 2**24}).returncode == 0


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """As arguments, as names of variables and as paths, of the host and inside."""
    directory = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(directory)
    Path(os.fsdecode(directory), "file").write_text("content")
    tmp_path.chmod(0o755)
    done = crabcan.run(
        [b"sh", b"-c", b"cat /mnt/\xfe/file; echo $A $1; pwd", b"sh", b"\xfd"],
        mounts=[crabcan.Bind(os.fsdecode(directory), os.fsdecode(b"/mnt/\xfe"))],
        env={"A": os.fsdecode(b"\xfc"), "PATH": "/bin"},
        cwd=os.fsdecode(b"/mnt/\xfe"),
        capture_output=True,
    )
    assert done.stdout == b"content\xfc \xfd\n/mnt/\xfe\n"


def test_a_profile_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.touch(mode=0)
    why = "is no JSON" if os.geteuid() == 0 else "cannot be read: Permission denied"
    with pytest.raises(crabcan.ArgumentInvalid, match=f"seccomp: .* is refused - it {why}"):
        crabcan.run(["true"], seccomp=str(path))


def test_one_target_twice() -> None:
    """Mounts are stacked in their order, as mount(2) does."""
    mounts = [crabcan.File("/made", b"first"), crabcan.File("/made", b"second")]
    done = crabcan.run(["cat", "/made"], mounts=mounts, capture_output=True)
    assert done.stdout == b"second"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cwd": "/no/such"}, "changing to the working directory /no/such: ENOENT"),
        ({"cwd": "/etc/passwd"}, "changing to the working directory /etc/passwd: ENOTDIR"),
        ({"allow_syscalls": ["nothing"]}, "allow_syscalls: 'nothing' is refused - give one of"),
        ({"deny_syscalls": [""]}, "deny_syscalls: '' is refused - give one of"),
        ({"seccomp": "/etc"}, "seccomp: '/etc' is refused - give a regular file"),
        ({"rlimits": {"nofile": 2**40}}, "setting the resource limit nofile to 1099511627776"),
        ({"cpu_affinity": [8000]}, "setting the CPU affinity: EINVAL"),
        ({"mounts": [crabcan.Bind("/etc/passwd", "/etc")]}, "mounting mounts["),
        ({"executable": "x" * 5000}, "executing the command true: ENAMETOOLONG"),
    ],
    ids=str,
)
def test_what_only_the_launch_can_tell(options: dict[str, Any], error: str) -> None:
    with pytest.raises(crabcan.Error) as raised:
        crabcan.run(["true"], **options)
    assert str(raised.value).startswith(error)
    assert raised.value.advice
