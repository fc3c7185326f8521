/* SPDX-License-Identifier: MIT */
/*
 * The payloads of the museum: escapes TRICK [ARGUMENT...]. Each prints a line
 * for every call that decides, "call = ok", the name of its errno, or what it
 * saw. Static, for an empty root; raw calls where libc would do more.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../csrc/plan/report.h"

#define MEGABYTE (1L << 20)
#define TRICK(name) static void name(__attribute__((unused)) char **args)

static const char *prefix = "";

static void say(const char *result, const char *format, va_list values)
{
	fputs(prefix, stdout);
	vprintf(format, values);
	printf(" = %s\n", result);
	fflush(stdout);
}

__attribute__((format(printf, 2, 3))) static void saw(const char *result,
						      const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say(result, format, values);
	va_end(values);
}

__attribute__((format(printf, 2, 3))) static long told(long result,
						       const char *format, ...)
{
	const char *name = result < 0 ? strerrorname_np(errno) : "ok";
	va_list values;

	va_start(values, format);
	say(name ? name : "unknown errno", format, values);
	va_end(values);
	return result;
}

static bool is(const char *argument, const char *word)
{
	return argument && strcmp(argument, word) == 0;
}

static long number(const char *argument)
{
	return argument ? strtol(argument, NULL, 0) : 0;
}

static pid_t sibling;

static void end_sibling(void)
{
	if (sibling > 0)
		kill(sibling, SIGKILL);
}

/* "init", or a process of ours with the same ids, which may be had. */
static pid_t target(const char *whom)
{
	if (is(whom, "init"))
		return 1;
	sibling = fork();
	if (sibling == 0) {
		for (;;)
			pause();
	}
	atexit(end_sibling);
	return sibling;
}

/* Files */

TRICK(read_files)
{
	char bytes[4096];

	for (; *args; args++) {
		int fd = open(*args, O_RDONLY | O_NONBLOCK);
		long size = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

		if (size < 0)
			told(-1, "read(%s)", *args);
		else
			saw(size ? "something" : "nothing", "read(%s)", *args);
	}
}

/* Opened and not written to: some of these are the host's. */
TRICK(open_for_writing)
{
	for (; *args; args++)
		told(open(*args, O_WRONLY | O_NONBLOCK), "open(%s, O_WRONLY)",
		     *args);
}

TRICK(list)
{
	char line[256];

	for (; *args; args++) {
		char command[128];
		int fd = open(*args, O_RDONLY | O_DIRECTORY);
		long size = -1;

		if (fd >= 0) /* what follows "." and ".." */
			size = syscall(SYS_getdents64, fd, line, sizeof(line));
		snprintf(command, sizeof(command), "getdents64(%s)", *args);
		if (size < 0)
			told(-1, "%s", command);
		else
			saw(size > 48 ? "something" : "nothing", "%s", command);
	}
}

TRICK(follow)
{
	char link[4096];

	for (; *args; args++)
		told(readlink(*args, link, sizeof(link)), "readlink(%s)",
		     *args);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	size_t size = strlen(text);

	told(fd < 0 ? -1 : write(fd, text, size), "write(%s, \"%s\")", path,
	     text);
}

TRICK(write_own)
{
	write_text(args[0], args[1]);
}

TRICK(make_suid)
{
	told(chmod(args[0], 04755), "chmod(%s, 04755)", args[0]);
	told(syscall(SYS_fchmodat, AT_FDCWD, args[0], 04755),
	     "fchmodat(04755)");
}

/* Runs as a set-user-ID program of somebody else's. */
TRICK(suid_gain)
{
	struct statvfs fs;
	uid_t real, effective, saved;

	getresuid(&real, &effective, &saved);
	saw(effective == real && saved == real ? "same" : "another",
	    "geteuid()");
	saw(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "set" : "clear",
	    "prctl(PR_GET_NO_NEW_PRIVS)");
	statvfs(args[0], &fs);
	saw(fs.f_flag & ST_NOSUID ? "set" : "clear", "statvfs(ST_NOSUID)");
}

TRICK(rename_over)
{
	for (; args[0] && args[1]; args += 2)
		told(rename(args[0], args[1]), "rename(%s, %s)", args[0],
		     args[1]);
}

TRICK(device)
{
	char byte;

	unlink("/tmp/node");
	if (told(mknod("/tmp/node", S_IFCHR | 0666, makedev(1, 5)),
		 "mknod(zero)") < 0)
		return;
	int fd = open("/tmp/node", O_RDONLY);

	told(fd < 0 ? -1 : read(fd, &byte, 1), "open(/tmp/node)");
}

TRICK(handle)
{
	struct {
		struct file_handle handle;
		unsigned char bytes[128];
	} file = { .handle.handle_bytes = 128 };
	int mount;
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	mkdir("/tmp/file", 0700);
	if (name_to_handle_at(AT_FDCWD, "/tmp/file", &file.handle, &mount, 0) <
	    0)
		file.handle.handle_bytes = 8; /* the shocker guesses */
	told(open_by_handle_at(fd, &file.handle, O_RDONLY),
	     "open_by_handle_at(/tmp)");
}

/* Descriptors and directories */

TRICK(descriptors)
{
	int found = 0;

	for (int fd = 3; fd < 4096; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		found++;
		told(openat(fd, args[0], O_RDONLY), "openat(%d, %s)", fd,
		     args[0]);
	}
	if (!found)
		told(fcntl(3, F_GETFD), "fcntl(3 to 4095, F_GETFD)");
}

TRICK(chroot_out)
{
	int kept = open("/", O_RDONLY | O_DIRECTORY);

	mkdir("/tmp/jail", 0755);
	if (told(chroot("/tmp/jail"), "chroot(/tmp/jail)") == 0) {
		fchdir(kept);
		told(open("bin/busybox", O_RDONLY),
		     "open(bin/busybox) outside the jail");
	}
	for (int i = 0; i < 64; i++)
		chdir("..");
	told(open(args[0] + 1, O_RDONLY), "open(%s) of the host", args[0]);
}

/* The other processes */

TRICK(trace)
{
	pid_t pid = target(args[0]);

	told(ptrace(PTRACE_ATTACH, pid, 0, 0), "ptrace(PTRACE_ATTACH, %s)",
	     args[0]);
	told(ptrace(PTRACE_SEIZE, pid, 0, 0), "ptrace(PTRACE_SEIZE, %s)",
	     args[0]);
}

TRICK(read_memory)
{
	static char mark = 'x';
	char byte = 0;
	char path[64];
	pid_t pid = target(args[0]);
	struct iovec local = { &byte, 1 };
	struct iovec remote = { &mark, 1 };

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	told(open(path, O_RDWR), "open(/proc/PID/mem of %s)", args[0]);
	told(process_vm_readv(pid, &local, 1, &remote, 1, 0),
	     "process_vm_readv(%s)", args[0]);
	told(process_vm_writev(pid, &local, 1, &remote, 1, 0),
	     "process_vm_writev(%s)", args[0]);
}

TRICK(take_descriptor)
{
	int pidfd = (int)syscall(SYS_pidfd_open, target(args[0]), 0);

	told(syscall(SYS_pidfd_getfd, pidfd, 0, 0), "pidfd_getfd(%s)", args[0]);
}

TRICK(compare)
{
	told(syscall(SYS_kcmp, getpid(), target(args[0]), 1 /* KCMP_VM */, 0,
		     0),
	     "kcmp(%s)", args[0]);
}

/* What is read belongs to a process: its environment, its code. */
TRICK(read_process)
{
	static const char *const names[] = { "environ", "maps", "stack",
					     "syscall", "auxv" };
	pid_t pid = target(args[0]);
	char byte;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
		int fd = open(path, O_RDONLY);

		told(fd < 0 ? -1 : read(fd, &byte, 1),
		     "read(/proc/PID/%s of %s)", names[i], args[0]);
	}
}

TRICK(follow_process)
{
	static const char *const names[] = { "root", "cwd", "exe", "fd/4",
					     "ns/mnt" };
	char link[4096];
	pid_t pid = target(args[0]);

	dup2(0, 4);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
		told(readlink(path, link, sizeof(link)),
		     "readlink(/proc/PID/%s of %s)", names[i], args[0]);
	}
}

TRICK(end_process)
{
	pid_t pid = target(args[0]);

	kill(pid, SIGSTOP);
	kill(pid, SIGKILL);
	usleep(20000);
	bool dead = pid != 1 && waitpid(pid, NULL, WNOHANG) == pid;

	saw(dead ? "dead" : "alive", "kill(%s, SIGKILL)", args[0]);
}

/* What init may no longer open, it can no longer do. */
TRICK(limit_process)
{
	struct rlimit none = { 0, 0 };
	pid_t pid = target(args[0]);

	told(prlimit(pid, RLIMIT_NOFILE, &none, NULL),
	     "prlimit(%s, RLIMIT_NOFILE, 0)", args[0]);
	told(prlimit(pid, RLIMIT_CPU, &none, NULL),
	     "prlimit(%s, RLIMIT_CPU, 0)", args[0]);
	for (;;)
		pause();
}

TRICK(signal_host)
{
	pid_t pid = (pid_t)number(args[0]);
	int pair[2];

	told(kill(pid, 0), "kill(the caller's pid, 0)");
	told(syscall(SYS_pidfd_open, pid, 0), "pidfd_open(the caller's pid)");
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	told(fcntl(pair[0], F_SETOWN, pid),
	     "fcntl(F_SETOWN, the caller's pid)");
}

/* Namespaces and mounts */

TRICK(new_namespaces)
{
	told(unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)");
}

TRICK(clone_namespaces)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0,
			   0, 0, 0);

	if (pid == 0)
		_exit(0);
	told(pid, "clone(CLONE_NEWUSER | CLONE_NEWNET)");
}

TRICK(clone3_namespaces)
{
	struct clone_args how = { .flags = CLONE_NEWUSER,
				  .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &how, sizeof(how));

	if (pid == 0)
		_exit(0);
	told(pid, "clone3(CLONE_NEWUSER)");
}

TRICK(enter_namespace)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY);

	told(setns(fd, 0), "setns(/proc/self/ns/uts)");
	told(setns((int)syscall(SYS_pidfd_open, 1, 0), CLONE_NEWNS),
	     "setns(pidfd of init)");
}

TRICK(pivot)
{
	mkdir("/tmp/new", 0755);
	mount("new", "/tmp/new", "tmpfs", 0, NULL);
	told(syscall(SYS_pivot_root, "/tmp/new", "/tmp/new"),
	     "pivot_root(/tmp/new)");
}

TRICK(mount_over)
{
	told(mount("museum", args[1], args[0], 0, args[2]), "mount(%s, %s)",
	     args[0], args[1]);
}

TRICK(unmask)
{
	for (; *args; args++)
		told(umount2(*args, MNT_DETACH), "umount2(%s)", *args);
}

TRICK(remount)
{
	char path[128];

	told(mount(NULL, args[0], NULL, MS_REMOUNT | MS_BIND, NULL),
	     "mount(%s, MS_REMOUNT)", args[0]);
	snprintf(path, sizeof(path), "%s/file", args[0]);
	told(open(path, O_WRONLY), "open(%s, O_WRONLY)", path);
}

TRICK(new_mount_calls)
{
	told(syscall(SYS_fsopen, "tmpfs", 0), "fsopen(tmpfs)");
	told(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */),
	     "open_tree(/)");
}

/* Terminals */

TRICK(type_into_terminal)
{
	told(ioctl(0, TIOCSTI, "x"), "ioctl(0, TIOCSTI)");
}

TRICK(type_with_high_bits)
{
	told(syscall(SYS_ioctl, 0, 0xdeadbeef00000000 | TIOCSTI, "x"),
	     "ioctl(0, 0xdeadbeef00000000 | TIOCSTI)");
}

TRICK(paste_into_terminal)
{
	char paste = 3; /* TIOCL_PASTESEL */

	told(ioctl(0, TIOCLINUX, &paste), "ioctl(0, TIOCLINUX)");
	told(syscall(SYS_ioctl, 0, 0xdeadbeef00000000 | TIOCLINUX, &paste),
	     "ioctl(0, 0xdeadbeef00000000 | TIOCLINUX)");
}

TRICK(controlling_terminal)
{
	told(open("/dev/tty", O_RDWR), "open(/dev/tty)");
}

/* Privileges */

TRICK(capability_sets)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { 0 };

	syscall(SYS_capget, &header, data);
	saw(data[0].inheritable | data[1].inheritable ? "some" : "none",
	    "capget(inheritable)");
	saw(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0)
		    ? "some"
		    : "none",
	    "prctl(PR_CAP_AMBIENT_IS_SET)");
}

TRICK(drop_groups)
{
	told(syscall(SYS_setgroups, 0, NULL), "setgroups(0)");
}

TRICK(raise_core_limit)
{
	struct rlimit limit;

	getrlimit(RLIMIT_CORE, &limit);
	saw(limit.rlim_max == 1 ? "1" : "more", "getrlimit(RLIMIT_CORE)");
	limit = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	told(setrlimit(RLIMIT_CORE, &limit), "setrlimit(RLIMIT_CORE)");
}

TRICK(realtime)
{
	struct sched_param param = { .sched_priority = 1 };

	told(sched_setscheduler(0, SCHED_FIFO, &param),
	     "sched_setscheduler(SCHED_FIFO)");
}

TRICK(no_randomisation)
{
	told(syscall(SYS_personality, 0x40000),
	     "personality(ADDR_NO_RANDOMIZE)");
}

/* A filter of one's own that allows all does not take another's place. */
TRICK(filter_of_its_own)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		prefix = "under a filter of its own: ";
	new_namespaces(args);
}

TRICK(from_memory)
{
	char *argv[] = { "escapes", "-p", "from a memfd: ", "new_namespaces",
			 NULL };
	char bytes[65536];
	int self = open("/proc/self/exe", O_RDONLY);
	int copy = memfd_create("copy", 0);
	long size;

	while ((size = read(self, bytes, sizeof(bytes))) > 0)
		if (write(copy, bytes, (size_t)size) != size)
			break;
	syscall(SYS_execveat, copy, "", argv, NULL, AT_EMPTY_PATH);
	saw("nothing", "execveat(memfd)");
}

#ifdef __x86_64__
/* The tracer puts another call in the place of one that the filter let by. */
TRICK(change_call)
{
	struct user_regs_struct regs;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		long result = syscall(SYS_getppid, CLONE_NEWUSER);

		told(result, "unshare(CLONE_NEWUSER) by a tracer");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	for (;;) {
		int status;

		ptrace(PTRACE_SYSCALL, pid, 0, 0);
		if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
			break;
		ptrace(PTRACE_GETREGS, pid, 0, &regs);
		if (regs.orig_rax != SYS_getppid)
			continue;
		regs.orig_rax = SYS_unshare;
		ptrace(PTRACE_SETREGS, pid, 0, &regs);
	}
}

TRICK(x32_call)
{
	told(syscall(0x40000000 | SYS_unshare, CLONE_NEWUSER),
	     "x32 unshare(CLONE_NEWUSER)");
}

static void i386_unshare(void)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(310L), "b"((long)CLONE_NEWUSER), "c"(0), "d"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	told(result < 0 ? -1 : 0, "i386 unshare(CLONE_NEWUSER)");
	_exit(0);
}

/* A kernel without these calls kills whoever makes one. */
TRICK(i386_call)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		i386_unshare();
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		saw("killed", "i386 unshare(CLONE_NEWUSER)");
}
#endif

/* Rare calls */

TRICK(keys)
{
	told(syscall(SYS_keyctl, 0, -3, 0), "keyctl(KEYCTL_GET_KEYRING_ID)");
	told(syscall(SYS_add_key, "user", "museum", "x", 1, -2), "add_key()");
	told(syscall(SYS_request_key, "user", "museum", NULL, 0),
	     "request_key()");
}

TRICK(bpf)
{
	told(syscall(SYS_bpf, 0, NULL, 0), "bpf(BPF_MAP_CREATE)");
}

TRICK(perf)
{
	char attr[128] = { 1 };

	told(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0),
	     "perf_event_open()");
}

TRICK(hold_faults)
{
	told(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */),
	     "userfaultfd()");
}

TRICK(ring)
{
	char params[120] = { 0 };

	told(syscall(SYS_io_uring_setup, 1, params), "io_uring_setup()");
}

TRICK(kernel_code)
{
	told(syscall(SYS_init_module, "", 0, ""), "init_module()");
	told(syscall(SYS_finit_module, 0, "", 0), "finit_module()");
	told(syscall(SYS_kexec_load, 0, 0, NULL, 0), "kexec_load()");
}

/* The time is what it is already, should it ever be set. */
TRICK(clock_of_host)
{
	struct timespec now;
	struct timeval same;

	gettimeofday(&same, NULL);
	told(syscall(SYS_settimeofday, &same, NULL), "settimeofday()");
	clock_gettime(CLOCK_REALTIME, &now);
	told(syscall(SYS_clock_settime, CLOCK_REALTIME, &now),
	     "clock_settime()");
}

TRICK(swap_and_accounts)
{
	told(syscall(SYS_swapon, "/nonexistent", 0), "swapon()");
	told(syscall(SYS_swapoff, "/nonexistent"), "swapoff()");
	told(syscall(SYS_acct, "/nonexistent"), "acct()");
}

TRICK(quota)
{
	told(syscall(SYS_quotactl, 0x80000100 /* Q_SYNC */, NULL, 0, NULL),
	     "quotactl(Q_SYNC)");
}

TRICK(restart_host)
{
	told(syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD_OFF */, NULL),
	     "reboot(CAD_OFF)");
}

TRICK(kernel_messages)
{
	told(syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0),
	     "syslog(SIZE_BUFFER)");
}

/* Sockets */

TRICK(open_socket)
{
	for (; args[0] && args[1] && args[2]; args += 3)
		told(syscall(SYS_socket, number(args[0]), number(args[1]),
			     number(args[2])),
		     "socket(%s, %s, %s)", args[0], args[1], args[2]);
}

TRICK(connect_abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(args[0]);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path + 1, args[0], size);
	told(connect(fd, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				 size)),
	     "connect(@%s)", args[0]);
}

/* What the kernel says to one message: an error, or 0. */
static void ask_kernel(int protocol, int type, int flags, const char *what)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = (unsigned short)type,
			    .nlmsg_flags = (unsigned short)(NLM_F_REQUEST |
							    NLM_F_ACK | flags) }
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} answer = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW, protocol);

	if (fd < 0 || send(fd, &message, sizeof(message), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0) {
		told(-1, "%s", what);
		return;
	}
	errno = -answer.error.error;
	told(errno ? -1 : 0, "%s", what);
}

TRICK(netlink)
{
	ask_kernel(NETLINK_ROUTE, RTM_DELLINK, 0, "netlink(RTM_DELLINK)");
	ask_kernel(NETLINK_NETFILTER, 0x0a00, 0, "netlink(NFT_MSG_NEWTABLE)");
}

TRICK(shared_memory)
{
	told(shmget((key_t)number(args[0]), 0, 0), "shmget(%s)", args[0]);
}

/* The caller's side */

TRICK(forge_report)
{
	struct crab_report report = { .type = CRAB_REPORT_ENDED,
				      .code = CLD_EXITED };
	int last = EBADF;

	for (int fd = 0; fd < 4096; fd++) {
		if (send(fd, &report, sizeof(report),
			 MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			told(0, "send(%d, a report)", fd);
		else if (errno != EBADF && errno != ENOTSOCK)
			last = errno;
	}
	errno = last;
	told(-1, "send(0 to 4095, a report)");
}

/* A boolean, and with it as many descriptors as are asked for. */
TRICK(pass_back)
{
	union {
		char bytes[CMSG_SPACE(253 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte = 1;
	size_t count = (size_t)number(args[0]);
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen =
					  CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		((int *)(void *)CMSG_DATA(header))[i] = 1;
	sendmsg((int)number(getenv("CRABCAN_CHANNEL_FD")), &message,
		MSG_NOSIGNAL);
}

/* Floods, of a size that the host can bear should a limit not hold */

TRICK(fork_flood)
{
	long wanted = number(args[0]);
	long made = 0;

	for (; made < wanted; made++) {
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
	}
	told(made < wanted ? -1 : 0, "fork() %ld times", wanted);
}

TRICK(memory_flood)
{
	long size = number(args[0]) * MEGABYTE;
	char *memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		told(-1, "mmap(%s MiB)", args[0]);
		return;
	}
	memset(memory, 1, (size_t)size);
	told(0, "mmap(%s MiB), all written", args[0]);
}

TRICK(inode_flood)
{
	long wanted = number(args[1]);
	long made = 0;

	for (; made < wanted; made++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%ld", args[0], made);
		int fd = open(path, O_CREAT | O_WRONLY, 0600);

		if (fd < 0)
			break;
		close(fd);
	}
	told(made < wanted ? -1 : 0, "open(O_CREAT) %ld times in %s", wanted,
	     args[0]);
}

TRICK(mount_flood)
{
	long wanted = number(args[0]);
	long made = 0;

	while (made < wanted &&
	       mount("flood", "/tmp", "tmpfs", 0, "size=4k") == 0)
		made++;
	told(made < wanted ? -1 : 0, "mount() %ld times", wanted);
}

TRICK(file_flood)
{
	static char bytes[MEGABYTE];
	long wanted = number(args[1]);
	long made = 0;
	int fd = open(args[0], O_CREAT | O_WRONLY, 0600);

	signal(SIGXFSZ, SIG_IGN);
	while (made < wanted &&
	       write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
		made++;
	/* The last one may have been short: the next tells why. */
	if (made < wanted && write(fd, bytes, 1) >= 0)
		errno = 0;
	told(made < wanted ? -1 : 0, "write(%ld MiB)", wanted);
}

TRICK(output_flood)
{
	static char bytes[MEGABYTE];

	for (long i = number(args[0]); i > 0; i--)
		if (write(1, bytes, sizeof(bytes)) < 0)
			return;
}

TRICK(ignore_all)
{
	sigset_t all;

	for (int signum = 1; signum < NSIG; signum++)
		signal(signum, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static const struct {
	const char *name;
	void (*play)(char **args);
} tricks[] = {
#define ROW(name) { #name, name }
	ROW(read_files),
	ROW(open_for_writing),
	ROW(list),
	ROW(follow),
	ROW(write_own),
	ROW(make_suid),
	ROW(suid_gain),
	ROW(rename_over),
	ROW(device),
	ROW(handle),
	ROW(descriptors),
	ROW(chroot_out),
	ROW(trace),
	ROW(read_memory),
	ROW(take_descriptor),
	ROW(compare),
	ROW(read_process),
	ROW(follow_process),
	ROW(end_process),
	ROW(limit_process),
	ROW(signal_host),
	ROW(new_namespaces),
	ROW(clone_namespaces),
	ROW(clone3_namespaces),
	ROW(enter_namespace),
	ROW(pivot),
	ROW(mount_over),
	ROW(unmask),
	ROW(remount),
	ROW(new_mount_calls),
	ROW(type_into_terminal),
	ROW(type_with_high_bits),
	ROW(paste_into_terminal),
	ROW(controlling_terminal),
	ROW(capability_sets),
	ROW(drop_groups),
	ROW(raise_core_limit),
	ROW(realtime),
	ROW(no_randomisation),
	ROW(filter_of_its_own),
	ROW(from_memory),
#ifdef __x86_64__
	ROW(change_call),
	ROW(x32_call),
	ROW(i386_call),
#endif
	ROW(keys),
	ROW(bpf),
	ROW(perf),
	ROW(hold_faults),
	ROW(ring),
	ROW(kernel_code),
	ROW(clock_of_host),
	ROW(swap_and_accounts),
	ROW(quota),
	ROW(restart_host),
	ROW(kernel_messages),
	ROW(open_socket),
	ROW(connect_abstract),
	ROW(netlink),
	ROW(shared_memory),
	ROW(forge_report),
	ROW(pass_back),
	ROW(fork_flood),
	ROW(memory_flood),
	ROW(inode_flood),
	ROW(mount_flood),
	ROW(file_flood),
	ROW(output_flood),
	ROW(ignore_all),
};

/* escapes [-p PREFIX] TRICK [ARGUMENT...] */
int main(int argc, char **argv)
{
	char **args = argv + 1;

	if (argc > 2 && is(args[0], "-p")) {
		prefix = args[1];
		args += 2;
	}
	for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
		if (!is(args[0], tricks[i].name))
			continue;
		tricks[i].play(args + 1);
		return 0;
	}
	fprintf(stderr, "no such trick\n");
	return 2;
}
