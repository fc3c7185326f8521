"""What a container has when nothing is said, as data, with the reason."""

from __future__ import annotations

import os
import sys

# The directories that execvp(3) looks a command up in.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Bounded, because a tmpfs is the host's memory.
TMP_SIZE = "256m"
SHM_SIZE = "64m"
HOME_SIZE = "64m"
DEV_SIZE = "64k"

# Bytes of the kernel's memory for an inode and its name, about; and how many any tmpfs may have.
TMPFS_INODE = 1024
TMPFS_MIN_INODES = 1024

# What the container runtimes agree on: the kernel's own view of the host. What a kernel does not
# have is passed over.
PROC_MASKED = (
    "acpi",
    "asound",
    "interrupts",  # keystroke and network timing
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
)
# Knobs that act on the host: core_pattern, sysrq, modprobe, interrupts.
PROC_READONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
SYS_MASKED = (
    "firmware",
    "devices/virtual/powercap",
    "fs/cgroup",
    "kernel/debug",
    "kernel/security",
)

# getrlimit(2): soft and hard. No core dumps; 1 and not 0, because with 0 the kernel still starts
# the host's core_pattern program (fs/coredump.c).
RLIMITS = {"core": (1, 1)}

# Rows and columns of a terminal whose caller has none: what terminals have had since the VT100.
WINDOW = (24, 80)

# The kernel's out-of-memory killer takes the container before anything of the host. The highest
# there is, since to lower it takes privilege.
OOM_SCORE_ADJ = 1000

# The device nodes that POSIX programs rely on; bound from the host, since mknod(2) needs
# privilege over the host.
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# proc(5): what shells and languages open by these names.
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

# The host's programs and libraries: world-readable by distribution policy.
HOST_TREES = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store")

# From /etc only what programs need to run, by name: a list of what to hide (/etc/shadow, host keys,
# credentials) would miss the file that a package adds tomorrow.
HOST_ETC = (
    "alternatives",  # Debian's /usr/bin/awk and the like are links into it
    "bash.bashrc",
    "ca-certificates",
    "debian_version",
    "fonts",
    "gai.conf",
    "host.conf",
    "inputrc",
    "ld.so.cache",  # the dynamic loader
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "magic",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/certs",
    "profile",
    "protocols",
    "python3",
    "python3.11",
    "services",
    "shells",
    "ssl/certs",  # and not ssl/private
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)

# Tells where the host's network is: shown only where there is one.
HOST_ETC_NETWORK = ("resolv.conf",)


def made_etc(uid: int, gid: int, hostname: str) -> dict[str, str]:
    """Files of /etc that would tell of the host's users and network, made for the container."""
    from crabcan import users

    return {
        "passwd": users.passwd_of(uid),
        "group": users.group_of(gid),
        "hosts": f"127.0.0.1 localhost {hostname}\n::1 localhost\n",
        "hostname": f"{hostname}\n",
    }


def home_of(uid: int) -> str:
    """The home directory of a user inside."""
    return "/root" if uid == 0 else "/home/user"


def python_prefixes() -> list[str]:
    """Where the running Python lives, without what lies in HOST_TREES or in another of them.

    A virtual environment and the installation below it are two; an executable that is a link may
    lead to a third.
    """
    real = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
    found: list[str] = []
    for prefix in sorted({sys.base_prefix, sys.prefix, sys.exec_prefix, real}):
        covered = (*HOST_TREES, *found)
        inside = any(prefix == tree or prefix.startswith(tree + "/") for tree in covered)
        if prefix != "/" and not inside and os.path.isdir(prefix):
            found.append(prefix)
    return found


def environment(uid: int, root: str | None) -> dict[str, str]:
    """The clean environment: PATH, HOME, TERM and LANG, and nothing of the caller's."""
    path = PATH
    if root is None and python_prefixes():
        path = f"{os.path.join(sys.prefix, 'bin')}:{PATH}"
    return {
        "PATH": path,
        "HOME": home_of(uid),
        "TERM": os.environ.get("TERM", "dumb"),
        "LANG": "C.UTF-8",
    }


_ADJECTIVES = (
    "blue", "red", "green", "yellow", "big", "small", "tall", "thin",
    "round", "square", "triangular", "weird", "noisy", "silent", "soft", "irregular",
)  # fmt: skip
_NOUNS = ("cat", "world", "coffee", "lamp", "otter", "book", "penguin", "moon")


def hostname() -> str:
    """A hostname like ``silent-moon-42``: adjective, noun and a number from 0 to 255."""
    adjective, noun, number = os.urandom(3)
    return f"{_ADJECTIVES[adjective % 16]}-{_NOUNS[noun % 8]}-{number}"
