"""The system call filter: each rule tried from inside, with the filter and without it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import crabcan
from crabcan import _policy, seccomp, syscalls

PROBE = Path(__file__).parents[1] / "probe" / "syscall.c"
X86 = os.uname().machine == "x86_64"

Probe = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def probe_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static program that makes the calls."""
    program = tmp_path_factory.mktemp("probe") / "probe"
    subprocess.run(["gcc", "-static", "-O1", "-D_GNU_SOURCE", PROBE, "-o", program], check=True)
    os.chmod(program.parent, 0o755)
    return program


@pytest.fixture
def probe(probe_program: Path, busybox_root: Path) -> Probe:
    """A function that makes attempts in a container and gives the errno's name of each."""
    shutil.copy(probe_program, busybox_root / "bin" / "probe")

    def run(*attempts: str, **options: object) -> dict[str, str]:
        done = crabcan.run(
            ["probe", *attempts],
            root=busybox_root,
            capture_output=True,
            text=True,
            **options,  # type: ignore[arg-type]
        )
        assert done.returncode == 0, done
        pairs = (line.split() for line in done.stdout.splitlines())
        return {name: errno.errorcode.get(int(number), "ok") for name, number in pairs}

    return run


# Refused with EPERM by the filter; without it the answer is another.
REFUSED = (
    "chmod_setuid", "chmod_setgid", "fchmod_setuid", "fchmod_both", "open_setuid", "open_setgid",
    "open_tmpfile_setuid", "mknod_setuid",
    "clone_newuser", "unshare_newuser", "setns_bad",
    "ioctl_tiocsti", "ioctl_tiocsti_high", "ioctl_tioclinux", "ioctl_tioccons",
    "socket_vsock", "socket_vsock_high", "socket_alg",
    "keyctl_get", "add_key_user", "request_key_user", "userfaultfd_plain", "perf_event", "bpf_map",
    "io_uring", "by_handle", "quota", "mbind_bad", "migrate", "move", "mempolicy",
)  # fmt: skip
# Refused as well, and by the kernel too for want of a capability: that is the other wall.
REFUSED_TWICE = (
    "clone_newns", "clone_newpid", "clone_newipc", "clone_newnet", "clone_newuts",
    "clone_newcgroup", "mount_proc", "umount_tmp", "pivot", "chroot_tmp", "fsopen_tmpfs",
    "open_tree_root", "kexec", "init_mod", "reboot_bad", "swapon_x", "settime", "syslog_size",
    "sethost", "acct_off",
)  # fmt: skip
# Answered as by a kernel that does not have them, so that libraries fall back.
ABSENT = ("clone3_empty", "openat2_plain", "fchmodat2_setuid", "unknown", "persona_norandom")
ALLOWED = (
    "chmod_plain", "open_plain", "open_garbage_mode", "clone_plain", "ioctl_plain", "socket_inet",
    "persona_plain", "getpid_plain",
)  # fmt: skip
# Some kernels are built without them: then they are absent with and without the filter.
OPTIONAL = {"socket_vsock", "socket_vsock_high", "socket_alg", "userfaultfd_plain", "bpf_map",
            "io_uring", "quota", "by_handle", "perf_event", "add_key_user", "keyctl_get",
            "request_key_user", "ioctl_tioclinux", "ioctl_tioccons", "ioctl_tiocsti",
            "ioctl_tiocsti_high", "fchmodat2_setuid", "mbind_bad", "migrate", "move",
            "mempolicy"}  # fmt: skip


def test_each_rule(probe: Probe) -> None:
    expected = {name: "EPERM" for name in (*REFUSED, *REFUSED_TWICE)}
    expected |= {name: "ENOSYS" for name in ABSENT} | {name: "ok" for name in ALLOWED}
    assert probe(*expected) == expected


def test_it_is_the_filter_that_refuses(probe: Probe) -> None:
    seen = probe(*REFUSED, *ABSENT, *ALLOWED, seccomp="off")
    through = {name for name in (*REFUSED, *ABSENT) if seen[name] not in ("EPERM", "ENOSYS")}
    assert {*REFUSED, *ABSENT} - through - OPTIONAL <= {"unknown"}
    assert "chmod_setuid" in through
    assert "unshare_newuser" in through
    print(f"{len(through)} of {len(REFUSED) + len(ABSENT)} pass without the filter")
    assert {seen[name] for name in ALLOWED} == {"ok"}


@pytest.mark.skipif(not X86, reason="these architectures run on x86_64 only")
def test_other_architectures(probe: Probe) -> None:
    seen = probe("getpid_x32", "getpid_i386", "unshare_i386", "socketcall_i386", "unknown_i386")
    assert seen["getpid_x32"] == "ENOSYS"
    # A kernel without 32-bit calls kills instead; the probe would not have come back.
    assert seen["getpid_i386"] in ("ok", "ENOSYS")
    assert seen["unshare_i386"] in ("EPERM", "ENOSYS")
    assert seen["socketcall_i386"] in ("EPERM", "ENOSYS")
    assert seen["unknown_i386"] == "ENOSYS"


@pytest.mark.skipif(not X86, reason="these architectures run on x86_64 only")
@pytest.mark.parametrize("allow", [[], ["ipc"]])
def test_what_is_behind_a_call_for_many(probe: Probe, tmp_path: Path, allow: list[str]) -> None:
    names = ("shmget_by_ipc_i386", "semget_by_ipc_i386")
    assert set(probe(*names).values()) <= {"ok", "ENOSYS"}
    seen = probe(*names, allow_syscalls=allow, deny_syscalls=["shmget"])
    assert seen["shmget_by_ipc_i386"] in ("EPERM", "ENOSYS")
    assert seen["semget_by_ipc_i386"] in ("ok", "ENOSYS")
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "architectures": '
                       '["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]}')  # fmt: skip
    seen = probe(*names, seccomp=profile, allow_syscalls=allow, deny_syscalls=["shmget"])
    assert seen["shmget_by_ipc_i386"] in ("EPERM", "ENOSYS")


def test_init_cannot_be_traced(probe: Probe) -> None:
    assert set(probe("ptrace_init", "read_init").values()) == {"EPERM"}
    assert set(probe("ptrace_init", "read_init", seccomp="off").values()) == {"EPERM"}


def test_allow_and_deny_by_name(probe: Probe) -> None:
    assert probe("keyctl_get", allow_syscalls=["keyctl"]) == {"keyctl_get": "ok"}
    assert probe("chmod_setuid", allow_syscalls=["fchmodat"]) == {"chmod_setuid": "ok"}
    assert probe("socket_inet", deny_syscalls=["socket"]) == {"socket_inet": "EPERM"}
    off = probe("socket_inet", "keyctl_get", deny_syscalls=["socket"], seccomp="off")
    assert off == {"socket_inet": "EPERM", "keyctl_get": "ok"}


def test_a_kept_capability_allows_its_calls(probe: Probe) -> None:
    seen = probe("sethost", "unshare_newuser", "chroot_tmp", capabilities=["sys_admin"])
    assert seen == {"sethost": "ok", "unshare_newuser": "ok", "chroot_tmp": "EPERM"}
    assert probe("chroot_tmp", capabilities=["sys_chroot"]) == {"chroot_tmp": "ok"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow_syscalls": ["keyctll"]}, "did you mean 'keyctl'"),
        ({"deny_syscalls": ["sockt"]}, "did you mean 'socket'"),
        ({"deny_syscalls": ["execve"]}, "could not start"),
        ({"deny_syscalls": ["bind"], "allow_syscalls": ["bind"]}, "allow_syscalls as well"),
        ({"seccomp": "/nonexistent"}, "no such path"),
    ],
)
def test_refused(options: dict[str, list[str]], message: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=message):
        crabcan.run(["true"], **options)  # type: ignore[arg-type]


DOCKER = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": syscalls.ALLOWED.split(), "action": "SCMP_ACT_ALLOW"},
        {"names": ["a_call_of_the_future"], "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["personality"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0xFFFFFFFF, "op": "SCMP_CMP_EQ"}],
        },
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
         "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["sethostname"], "action": "SCMP_ACT_ALLOW",
         "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["keyctl"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
    ],
}  # fmt: skip


def test_a_profile_as_docker_has_it(probe: Probe, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(DOCKER))
    attempts = ("persona_plain", "persona_norandom", "clone3_empty", "sethost", "keyctl_get",
                "bpf_map", "chmod_setuid")  # fmt: skip
    assert list(probe(*attempts, seccomp=profile).values()) == [
        "ok", "EPERM", "ENOSYS", "EPERM", "ok", "EPERM", "ok"
    ]  # fmt: skip
    widened = probe("sethost", seccomp=profile, capabilities=["sys_admin"])
    assert widened == {"sethost": "ok"}
    allowed = probe("request_key_user", seccomp=profile, allow_syscalls=["request_key"])
    assert allowed == {"request_key_user": "ENOKEY"}
    profile.write_text(json.dumps({**DOCKER, "defaultErrnoRet": 2}))  # read anew
    assert probe("persona_norandom", seccomp=profile) == {"persona_norandom": "ENOENT"}


def test_a_profile_of_the_runtime_specification(probe: Probe, tmp_path: Path) -> None:
    config = {
        "linux": {
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
            }
        }
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert probe("socket_inet", "keyctl_get", seccomp=path) == {
        "socket_inet": "EACCES",
        "keyctl_get": "ok",
    }


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("{", "no JSON"),
        ("[]", "no defaultAction"),
        ('{"defaultAction": "SCMP_ACT_MAYBE"}', "defaultAction: 'SCMP_ACT_MAYBE'"),
        ('{"defaultAction": "SCMP_ACT_NOTIFY"}', "nobody here to be asked"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [7]}', r"syscalls\[0\]"),
        (
            '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bind"], "action": '
            '"SCMP_ACT_ERRNO", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}]}',
            r"args\[0\]: index",
        ),
    ],
)
def test_a_profile_that_says_something_else(profile: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(profile)
    with pytest.raises(crabcan.ArgumentInvalid, match=message):
        crabcan.run(["true"], seccomp=path)


def test_no_more_is_allowed_than_docker_allows() -> None:
    text = (Path(__file__).parents[1] / "unit" / "docker_syscalls.txt").read_text()
    dockers = set(" ".join(row for row in text.splitlines() if not row.startswith("#")).split())
    assert len(dockers) > 300
    assert set(syscalls.ALLOWED.split()) <= dockers
    assert not set(syscalls.ALLOWED.split()) & set(syscalls.REFUSED)
    for names in syscalls.BY_CAPABILITY.values():
        for name in names.split():
            assert name in syscalls.REFUSED or not _policy.knows_syscall(name) or name in (
                "clone3", "umount", "stime",
            )  # fmt: skip


def test_the_shipped_filter_is_what_the_tables_say() -> None:
    built = seccomp._built()
    assert built is not None, "the package was built without its filter"
    assert built == seccomp.compile_default()
    assert len(built) % 8 == 0


def test_programs_run_under_it(inside: Callable[..., str]) -> None:
    script = (
        "import threading, subprocess, socket, tempfile, os\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "print(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout.strip())\n"
        "a, b = socket.socketpair(); a.send(b'x'); b.recv(1)\n"
        "f = tempfile.NamedTemporaryFile(); os.chmod(f.name, 0o755)\n"
    )
    done = crabcan.run(["python3", "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["thread", "child"], done.stderr
    assert inside("echo $((6 * 7)) | cat; (exit 0) & wait; date > /dev/null").strip() == "42"
