/* SPDX-License-Identifier: MIT */
/*
 * Makes one system call, by the name of the attempt, and prints the name of
 * its errno, or "ok". Static, so that it runs in an empty root; raw calls, so
 * that what is filtered is what is tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_NAME "/tmp/probe"
#define CALL(name, ...) return syscall(SYS_##name, __VA_ARGS__)
#define ATTEMPT(name) static long name(void)

static int file(void)
{
	return open(FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static long child(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

ATTEMPT(chmod_setuid)
{
	close(file());
	return fchmodat(AT_FDCWD, FILE_NAME, 04755, 0);
}
ATTEMPT(chmod_setgid)
{
	close(file());
	return fchmodat(AT_FDCWD, FILE_NAME, 02755, 0);
}
ATTEMPT(chmod_plain)
{
	close(file());
	return fchmodat(AT_FDCWD, FILE_NAME, 01755, 0);
}
ATTEMPT(fchmod_setuid)
{
	CALL(fchmod, file(), 04755);
}
ATTEMPT(fchmod_both)
{
	CALL(fchmod, file(), 06755);
}
ATTEMPT(open_setuid)
{
	CALL(openat, AT_FDCWD, "/tmp/new", O_CREAT | O_WRONLY, 04755);
}
ATTEMPT(open_setgid)
{
	CALL(openat, AT_FDCWD, "/tmp/new", O_CREAT | O_WRONLY, 02755);
}
ATTEMPT(open_plain)
{
	CALL(openat, AT_FDCWD, "/tmp/new", O_CREAT | O_WRONLY, 0755);
}
ATTEMPT(open_tmpfile_setuid)
{
	CALL(openat, AT_FDCWD, "/tmp", O_TMPFILE | O_WRONLY, 04755);
}
/* Without O_CREAT the mode does not count, and may be anything. */
ATTEMPT(open_garbage_mode)
{
	CALL(openat, AT_FDCWD, "/tmp", O_RDONLY, 06777);
}
ATTEMPT(mknod_setuid)
{
	CALL(mknodat, AT_FDCWD, "/tmp/node", S_IFREG | 04755, 0);
}
ATTEMPT(fchmodat2_setuid)
{
	close(file());
	return syscall(452, AT_FDCWD, FILE_NAME, 04755, 0);
}
ATTEMPT(openat2_plain)
{
	unsigned long how[3] = { 0 };
	return syscall(437, AT_FDCWD, "/tmp", how, sizeof(how));
}
ATTEMPT(clone_plain)
{
	return child(0);
}
ATTEMPT(clone_newuser)
{
	return child(CLONE_NEWUSER);
}
ATTEMPT(clone_newns)
{
	return child(CLONE_NEWNS);
}
ATTEMPT(clone_newpid)
{
	return child(CLONE_NEWPID);
}
ATTEMPT(clone_newipc)
{
	return child(CLONE_NEWIPC);
}
ATTEMPT(clone_newnet)
{
	return child(CLONE_NEWNET);
}
ATTEMPT(clone_newuts)
{
	return child(CLONE_NEWUTS);
}
ATTEMPT(clone_newcgroup)
{
	return child(CLONE_NEWCGROUP);
}
ATTEMPT(clone3_empty)
{
	return syscall(435, NULL, 0);
}
ATTEMPT(unshare_newuser)
{
	CALL(unshare, CLONE_NEWUSER);
}
ATTEMPT(setns_bad)
{
	CALL(setns, -1, 0);
}
ATTEMPT(ioctl_tiocsti)
{
	CALL(ioctl, 0, 0x5412, "x");
}
ATTEMPT(ioctl_tiocsti_high)
{
	CALL(ioctl, 0, 0xdeadbeef00005412, "x");
}
ATTEMPT(ioctl_tioclinux)
{
	CALL(ioctl, 0, 0x541c, "x");
}
ATTEMPT(ioctl_tioccons)
{
	CALL(ioctl, 0, 0x541d, 0);
}
ATTEMPT(ioctl_plain)
{
	int n;
	CALL(ioctl, file(), 0x541b /* FIONREAD */, &n);
}
ATTEMPT(socket_vsock)
{
	CALL(socket, 40, 1, 0);
}
ATTEMPT(socket_vsock_high)
{
	CALL(socket, 0x100000028, 1, 0);
}
ATTEMPT(socket_alg)
{
	CALL(socket, 38, 5, 0);
}
ATTEMPT(socket_inet)
{
	CALL(socket, 2, 1, 0);
}
ATTEMPT(keyctl_get)
{
	CALL(keyctl, 0, -3, 0);
}
ATTEMPT(add_key_user)
{
	CALL(add_key, "user", "x", "y", 1, -2);
}
ATTEMPT(request_key_user)
{
	CALL(request_key, "user", "x", NULL, -2);
}
ATTEMPT(mbind_bad)
{
	CALL(mbind, 1, 1, 99, 0, 0, 0);
}
ATTEMPT(migrate)
{
	CALL(migrate_pages, 0, 0, 0, 0);
}
ATTEMPT(move)
{
	CALL(move_pages, 0, 0, 0, 0, 0, 0);
}
ATTEMPT(mempolicy)
{
	CALL(set_mempolicy, 0, 0, 0);
}
ATTEMPT(userfaultfd_plain)
{
	CALL(userfaultfd, 1 /* UFFD_USER_MODE_ONLY */);
}
ATTEMPT(perf_event)
{
	char attr[128] = { 1 };
	CALL(perf_event_open, attr, 0, -1, -1, 0);
}
ATTEMPT(bpf_map)
{
	CALL(bpf, 0, NULL, 0);
}
ATTEMPT(io_uring)
{
	char params[120] = { 0 };
	return syscall(425, 1, params);
}
ATTEMPT(mount_proc)
{
	CALL(mount, "proc", "/tmp", "proc", 0, 0);
}
ATTEMPT(umount_tmp)
{
	CALL(umount2, "/tmp", 2);
}
ATTEMPT(pivot)
{
	CALL(pivot_root, "/", "/");
}
ATTEMPT(chroot_tmp)
{
	CALL(chroot, "/tmp");
}
ATTEMPT(fsopen_tmpfs)
{
	return syscall(430, "tmpfs", 0);
}
ATTEMPT(open_tree_root)
{
	return syscall(428, -100, "/", 1);
}
ATTEMPT(by_handle)
{
	CALL(open_by_handle_at, -100, "", 0);
}
ATTEMPT(kexec)
{
	CALL(kexec_load, 0, 0, 0, 0);
}
ATTEMPT(init_mod)
{
	CALL(init_module, 0, 0, "");
}
ATTEMPT(reboot_bad)
{
	CALL(reboot, 0, 0, 0, 0);
}
ATTEMPT(swapon_x)
{
	CALL(swapon, "/x", 0);
}
ATTEMPT(settime)
{
	CALL(settimeofday, NULL, NULL);
}
ATTEMPT(syslog_size)
{
	CALL(syslog, 10, NULL, 0);
}
ATTEMPT(sethost)
{
	CALL(sethostname, "x", 1);
}
ATTEMPT(acct_off)
{
	CALL(acct, NULL);
}
ATTEMPT(quota)
{
	CALL(quotactl, 0, NULL, 0, NULL);
}
ATTEMPT(persona_plain)
{
	CALL(personality, 0xffffffff);
}
ATTEMPT(persona_norandom)
{
	CALL(personality, 0x0040000);
}
ATTEMPT(ptrace_init)
{
	CALL(ptrace, 16 /* PTRACE_ATTACH */, 1, 0, 0);
}
ATTEMPT(read_init)
{
	char byte;
	struct {
		void *base;
		unsigned long size;
	} local = { &byte, 1 }, remote = { (void *)0x400000, 1 };
	CALL(process_vm_readv, 1, &local, 1, &remote, 1, 0);
}
ATTEMPT(unknown)
{
	return syscall(9999);
}
ATTEMPT(getpid_plain)
{
	CALL(getpid, 0);
}
#ifdef __x86_64__
ATTEMPT(getpid_x32)
{
	return syscall(0x40000000 | SYS_getpid);
}
/* The others are what ipc(2) needs for one page, and for one semaphore. */
static long int80(long number, long a)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(0), "d"(1), "S"(0600)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}
ATTEMPT(getpid_i386)
{
	return int80(20, 0);
}
ATTEMPT(unshare_i386)
{
	return int80(310, 0x10000000);
}
ATTEMPT(socketcall_i386)
{
	return int80(102, 1);
}
ATTEMPT(shmget_by_ipc_i386)
{
	return int80(117, 23);
}
ATTEMPT(semget_by_ipc_i386)
{
	return int80(117, 2);
}
ATTEMPT(unknown_i386)
{
	return int80(9999, 0);
}
#endif

static const struct {
	const char *name;
	long (*attempt)(void);
} attempts[] = {
#define ROW(name) { #name, name }
	ROW(chmod_setuid),
	ROW(chmod_setgid),
	ROW(chmod_plain),
	ROW(fchmod_setuid),
	ROW(fchmod_both),
	ROW(open_setuid),
	ROW(open_setgid),
	ROW(open_plain),
	ROW(open_tmpfile_setuid),
	ROW(open_garbage_mode),
	ROW(mknod_setuid),
	ROW(fchmodat2_setuid),
	ROW(openat2_plain),
	ROW(clone_plain),
	ROW(clone_newuser),
	ROW(clone_newns),
	ROW(clone_newpid),
	ROW(clone_newipc),
	ROW(clone_newnet),
	ROW(clone_newuts),
	ROW(clone_newcgroup),
	ROW(clone3_empty),
	ROW(unshare_newuser),
	ROW(setns_bad),
	ROW(ioctl_tiocsti),
	ROW(ioctl_tiocsti_high),
	ROW(ioctl_tioclinux),
	ROW(ioctl_tioccons),
	ROW(ioctl_plain),
	ROW(socket_vsock),
	ROW(socket_vsock_high),
	ROW(socket_alg),
	ROW(socket_inet),
	ROW(keyctl_get),
	ROW(add_key_user),
	ROW(request_key_user),
	ROW(mbind_bad),
	ROW(migrate),
	ROW(move),
	ROW(mempolicy),
	ROW(userfaultfd_plain),
	ROW(perf_event),
	ROW(bpf_map),
	ROW(io_uring),
	ROW(mount_proc),
	ROW(umount_tmp),
	ROW(pivot),
	ROW(chroot_tmp),
	ROW(fsopen_tmpfs),
	ROW(open_tree_root),
	ROW(by_handle),
	ROW(kexec),
	ROW(init_mod),
	ROW(reboot_bad),
	ROW(swapon_x),
	ROW(settime),
	ROW(syslog_size),
	ROW(sethost),
	ROW(acct_off),
	ROW(quota),
	ROW(persona_plain),
	ROW(persona_norandom),
	ROW(ptrace_init),
	ROW(read_init),
	ROW(unknown),
	ROW(getpid_plain),
#ifdef __x86_64__
	ROW(getpid_x32),
	ROW(getpid_i386),
	ROW(unshare_i386),
	ROW(socketcall_i386),
	ROW(shmget_by_ipc_i386),
	ROW(semget_by_ipc_i386),
	ROW(unknown_i386),
#endif
};

int main(int argc, char **argv)
{
	for (int k = 1; k < argc; k++)
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]);
		     i++)
			if (!strcmp(attempts[i].name, argv[k])) {
				errno = 0;
				long result = attempts[i].attempt();

				printf("%s %d\n", argv[k],
				       result < 0 ? errno : 0);
			}
	return 0;
}
