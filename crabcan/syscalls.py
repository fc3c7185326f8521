"""System calls: what the default filter lets a container do, as data, with the reason.

Two lists. The first is of what is allowed; what no list names is answered ENOSYS, as by a kernel
that does not have it, so that libraries fall back on what they know. The second refuses, of the
calls that are allowed, what their arguments ask for. A call passes when both let it.
"""

from __future__ import annotations

# Behind socketcall(2) and ipc(2) on 32-bit x86. Where those are allowed as a whole, a rule for one
# of these does not hold beside it; in a filter of its own it does.
MULTIPLEXED = frozenset(
    """
accept accept4 bind connect getpeername getsockname getsockopt listen msgctl msgget msgrcv msgsnd
recv recvfrom recvmmsg recvmsg semctl semget semop semtimedop send sendmmsg sendmsg sendto
setsockopt shmat shmctl shmdt shmget shutdown socket socketpair
""".split()
)

# For programs without capabilities: no more than Docker's default profile allows them (a test
# compares). Not in it, though there: openat2 and fchmodat2, whose modes the second filter could not
# see or libseccomp 2.5 not name; socketcall, the same for sockets; adjtimex and modify_ldt, which
# nobody without privilege needs today; memfd_secret, whose memory no limit sees.
ALLOWED = """
_llseek _newselect accept accept4 access alarm arch_prctl arm_fadvise64_64 arm_sync_file_range
bind breakpoint brk cacheflush cachestat capget capset chdir chmod chown chown32 clock_getres
clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 clone
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate
fanotify_mark fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr
flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp
getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link
linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat
lstat64 madvise map_shadow_stack membarrier memfd_create mincore mkdir mkdirat mknod mknodat
mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat
pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv
process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead
readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages
removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile
sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address set_tls
setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget
shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socket socketpair splice stat
stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range sync_file_range2
syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid
write writev
"""

# Known, and refused with EPERM: a program that asks for these wants to be told no.
REFUSED = {
    "acct": "writes to a file of the host's choosing",
    "add_key": "keyrings are not namespaced by user id alone",
    "adjtimex": "the host's clock",
    "bpf": "programs in the kernel: a wide surface",
    "chroot": "a step of many escapes; needs a capability anyway",
    "clock_adjtime": "the host's clock",
    "clock_settime": "the host's clock",
    "delete_module": "the kernel's code",
    "fanotify_init": "watches the host's files",
    "finit_module": "the kernel's code",
    "fsconfig": "mounts",
    "fsmount": "mounts",
    "fsopen": "mounts, and file systems' parsers (CVE-2022-0185)",
    "fspick": "mounts",
    "get_mempolicy": "the host's memory layout",
    "init_module": "the kernel's code",
    "io_uring_enter": "calls that no filter sees",
    "io_uring_register": "calls that no filter sees",
    "io_uring_setup": "calls that no filter sees, and a wide surface",
    "ioperm": "the hardware's ports",
    "iopl": "the hardware's ports",
    "kcmp": "compares processes' kernel addresses",
    "kexec_file_load": "another kernel",
    "kexec_load": "another kernel",
    "keyctl": "keyrings are not namespaced by user id alone",
    "lookup_dcookie": "the host's file names",
    "mbind": "the host's memory layout",
    "migrate_pages": "the host's memory layout",
    "modify_ldt": "16-bit segments: old holes (CVE-2015-5157)",
    "mount": "mounts",
    "mount_setattr": "mounts",
    "move_mount": "mounts",
    "move_pages": "the host's memory layout",
    "nfsservctl": "gone from the kernel",
    "open_by_handle_at": 'opens what has no path here (CVE-2014-3519, the "shocker")',
    "open_tree": "mounts",
    "perf_event_open": "the host's counters, and a wide surface",
    "pidfd_getfd": "descriptors of other processes",
    "pivot_root": "mounts",
    "process_madvise": "other processes' memory",
    "quotactl": "the host's quotas",
    "quotactl_fd": "the host's quotas",
    "reboot": "the host",
    "request_key": "runs the host's key programs",
    "set_mempolicy": "the host's memory layout",
    "set_mempolicy_home_node": "the host's memory layout",
    "setdomainname": "needs a capability",
    "sethostname": "needs a capability",
    "setns": "other namespaces",
    "settimeofday": "the host's clock",
    "swapoff": "the host's memory",
    "swapon": "the host's memory",
    "sysfs": "obsolete; tells of the kernel's file systems",
    "syslog": "the kernel's messages",
    "umount2": "mounts",
    "unshare": "new namespaces, and the kernel's code behind their capabilities (CVE-2024-1086)",
    "userfaultfd": "holds the kernel up at a chosen place: makes races winnable",
    "ustat": "obsolete",
    "vhangup": "the terminal",
}

# What a kept capability is good for: these calls are allowed with it. As Docker has it.
BY_CAPABILITY = {
    "bpf": "bpf",
    "dac_read_search": "open_by_handle_at",
    "perfmon": "perf_event_open",
    "sys_admin": (
        "bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr"
        " move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd setdomainname"
        " sethostname setns syslog umount umount2 unshare"
    ),
    "sys_boot": "reboot",
    "sys_chroot": "chroot",
    "sys_module": "delete_module finit_module init_module",
    "sys_nice": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "sys_pacct": "acct",
    "sys_ptrace": "kcmp pidfd_getfd process_madvise",
    "sys_rawio": "ioperm iopl",
    "sys_time": "adjtimex clock_adjtime clock_settime settimeofday",
    "sys_tty_config": "vhangup",
    "syslog": "syslog",
}

# personality(2): Linux, 32-bit addresses, no randomisation as gdb sets it is not among them.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

S_ISUID, S_ISGID = 0o4000, 0o2000
_BITS = (S_ISUID, S_ISGID)
_O_CREAT, _O_TMPFILE = 0o100, 0o20000000
_LOW = 0xFFFFFFFF  # the kernel takes an int: what is above it does not count (CVE-2019-10063)

# clone(2)'s namespaces; clone3 has its flags in memory and is answered ENOSYS.
CLONE_NAMESPACES = {
    "CLONE_NEWNS": 0x00020000,
    "CLONE_NEWCGROUP": 0x02000000,
    "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWIPC": 0x08000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}
# Characters into the caller's terminal (CVE-2017-5226), its console, and its paste buffer.
TERMINAL_INJECTION = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C, "TIOCCONS": 0x541D}
# Reach past the network namespace: the hypervisor, and the kernel's ciphers.
SOCKET_FAMILIES = {"AF_ALG": 38, "AF_VSOCK": 40}

# Call and comparisons (argument, mask, value): refused when all hold.
Refusal = tuple[str, tuple[tuple[int, int, int], ...]]


def refusals() -> tuple[Refusal, ...]:
    """What the second filter refuses with EPERM."""
    found: list[Refusal] = []
    # A file that others of the host can execute, with the id of whoever made it.
    for bit in _BITS:
        for name, mode in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("creat", 1)):
            found.append((name, ((mode, bit, bit),)))
        for name, mode in (("mknod", 1), ("mknodat", 2)):
            found.append((name, ((mode, bit, bit),)))
        for name, flags in (("open", 1), ("openat", 2)):
            for create in (_O_CREAT, _O_TMPFILE):
                found.append((name, ((flags, create, create), (flags + 1, bit, bit))))
    found += [("clone", ((0, flag, flag),)) for flag in CLONE_NAMESPACES.values()]
    found += [("ioctl", ((1, _LOW, request),)) for request in TERMINAL_INJECTION.values()]
    found += [("socket", ((0, _LOW, family),)) for family in SOCKET_FAMILIES.values()]
    return tuple(found)
