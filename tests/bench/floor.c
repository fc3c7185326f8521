/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own price for a container of crabcan's defaults: the same
 * namespaces and the same mounts by the shortest way, and the same static
 * program executed in them. No limits, no filters, no supervisor, nothing that
 * is checked: what is left is what any runtime must pay.
 *
 * floor ROOT PROGRAM reads lines "COUNT ALIVE THREADS" and answers each with
 * the nanoseconds that it took: COUNT launches in each of THREADS threads,
 * ALIVE of them started before the first is waited for.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE 16384
#define FIRST_ID "0 1879048192 65536\n"
#define AT_RECURSIVE_ 0x8000 /* AT_RECURSIVE, where libc has none */

static const char *root;
static const char *program;
static bool privileged;
static char own_uid[64];
static char own_gid[64];

/* What crabcan masks and makes read-only below /proc, as far as it exists. */
static const char *const masked[] = {
	"interrupts",  "kallsyms",   "kcore",	      "key-users", "keys",
	"sched_debug", "timer_list", "latency_stats", NULL
};
static const char *const masked_directories[] = { "acpi", "asound", "scsi",
						  NULL };
static const char *const read_only[] = { "bus",		  "fs", "irq", "sys",
					 "sysrq-trigger", NULL };
static const char *const devices[] = { "null",	  "zero", "full", "random",
				       "urandom", "tty",  NULL };
static const char *const links[][2] = {
	{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },		 { NULL, NULL },
};

struct launch {
	int root_tree;
	int device_trees[6];
	uint32_t mapped; /* futex: the id maps are written */
	int error;
	pid_t pid;
	char stack[STACK_SIZE] __attribute__((aligned(16)));
};

static long check(struct launch *launch, long result)
{
	if (result < 0 && !launch->error)
		launch->error = errno;
	return result;
}

static int open_tree_of(int at, const char *path)
{
	return (int)syscall(SYS_open_tree, at, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
				    AT_RECURSIVE_ |
				    (*path ? 0 : AT_EMPTY_PATH));
}

static int set_attributes(int tree, uint64_t set, int userns)
{
	struct mount_attr attr = {
		.attr_set = set | (userns >= 0 ? MOUNT_ATTR_IDMAP : 0),
		.userns_fd = userns >= 0 ? (uint64_t)userns : 0,
	};

	return (int)syscall(SYS_mount_setattr, tree, "",
			    AT_EMPTY_PATH | AT_RECURSIVE_, &attr, sizeof(attr));
}

static int new_mount(const char *type, const char *const options[][2],
		     unsigned int attributes)
{
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

	for (int i = 0; options && options[i][0]; i++)
		syscall(SYS_fsconfig, fs,
			options[i][1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			options[i][0], options[i][1], 0);
	syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);

	close(fs);
	return mount;
}

static int attach(struct launch *launch, int tree, int at, const char *path)
{
	return (int)check(launch, syscall(SYS_move_mount, tree, "", at, path,
					  MOVE_MOUNT_F_EMPTY_PATH));
}

static void mount_proc(struct launch *launch)
{
	static const char *const empty[][2] = { { "size", "0" },
						{ "mode", "0555" },
						{ NULL, NULL } };
	const unsigned int hard =
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int proc = new_mount("proc", NULL, hard);

	attach(launch, proc, launch->root_tree, "proc");
	for (int i = 0; masked_directories[i]; i++) {
		if (faccessat(proc, masked_directories[i], F_OK, 0) < 0)
			continue;
		int none = new_mount("tmpfs", empty, hard | MOUNT_ATTR_RDONLY);

		attach(launch, none, proc, masked_directories[i]);
		close(none);
	}
	for (int i = 0; masked[i]; i++) {
		if (faccessat(proc, masked[i], F_OK, 0) < 0)
			continue;
		int null = open_tree_of(AT_FDCWD, "/dev/null");

		set_attributes(null, hard & ~(unsigned)MOUNT_ATTR_NODEV, -1);
		attach(launch, null, proc, masked[i]);
		close(null);
	}
	for (int i = 0; read_only[i]; i++) {
		int same = open_tree_of(proc, read_only[i]);

		if (same < 0)
			continue;
		set_attributes(same, MOUNT_ATTR_RDONLY, -1);
		attach(launch, same, proc, read_only[i]);
		close(same);
	}
	close(proc);
}

static void mount_dev(struct launch *launch)
{
	static const char *const small[][2] = { { "size", "64k" },
						{ "mode", "0755" },
						{ NULL, NULL } };
	static const char *const shm[][2] = { { "size", "64m" },
					      { "mode", "1777" },
					      { NULL, NULL } };
	static const char *const pts[][2] = { { "newinstance", NULL },
					      { "ptmxmode", "0666" },
					      { "mode", "0620" },
					      { NULL, NULL } };
	const unsigned int hard = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	int dev = new_mount("tmpfs", small, hard);

	attach(launch, dev, launch->root_tree, "dev");
	for (int i = 0; devices[i]; i++) {
		mknodat(dev, devices[i], S_IFREG | 0644, 0);
		attach(launch, launch->device_trees[i], dev, devices[i]);
	}
	for (int i = 0; links[i][0]; i++)
		symlinkat(links[i][1], dev, links[i][0]);
	int made = new_mount("devpts", pts, hard);

	mkdirat(dev, "pts", 0755);
	attach(launch, made, dev, "pts");
	close(made);
	made = new_mount("tmpfs", shm, hard | MOUNT_ATTR_NODEV);
	mkdirat(dev, "shm", 0755);
	attach(launch, made, dev, "shm");
	close(made);
	made = new_mount("mqueue", NULL, hard | MOUNT_ATTR_NODEV);
	mkdirat(dev, "mqueue", 0755);
	attach(launch, made, dev, "mqueue");
	close(made);
	close(dev);
}

static void set_root_read_only(int tree)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
		sizeof(attr));
}

static void open_trees(struct launch *launch)
{
	launch->root_tree = open_tree_of(AT_FDCWD, root);
	set_attributes(launch->root_tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		       -1);
	for (int i = 0; devices[i]; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/dev/%s", devices[i]);
		launch->device_trees[i] = open_tree_of(AT_FDCWD, path);
	}
}

static void close_trees(const struct launch *launch)
{
	close(launch->root_tree);
	for (int i = 0; devices[i]; i++)
		close(launch->device_trees[i]);
}

static int child(void *argument)
{
	static const char *const sticky[][2] = { { "size", "256m" },
						 { "mode", "1777" },
						 { NULL, NULL } };
	struct launch *launch = argument;
	const char *argv[] = { program, NULL };
	const char *envp[] = { NULL };

	while (!__atomic_load_n(&launch->mapped, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &launch->mapped, FUTEX_WAIT, 0, NULL, NULL,
			0);
	/* Raw: libc's would have all threads do it. */
	check(launch, syscall(SYS_setresgid, 0, 0, 0));
	check(launch, syscall(SYS_setresuid, 0, 0, 0));
	/* Only the owner of a mount namespace may clone trees in it:
	 * open_tree(2). */
	if (!privileged)
		open_trees(launch);
	attach(launch, launch->root_tree, AT_FDCWD, "/");
	mount_proc(launch);
	mount_dev(launch);
	int tmp = new_mount("tmpfs", sticky,
			    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);

	attach(launch, tmp, launch->root_tree, "tmp");
	/* pivot_root(".", "."): pivot_root(2) */
	check(launch, fchdir(launch->root_tree));
	check(launch, syscall(SYS_pivot_root, ".", "."));
	syscall(SYS_umount2, ".", 2 /* MNT_DETACH */);
	set_root_read_only(launch->root_tree);
	if (!launch->error)
		execve(program, (char **)argv, (char **)envp);
	check(launch, -1);
	_exit(127);
}

static void write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int file = open(path, O_WRONLY | O_CLOEXEC);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(file);
}

static void write_maps(struct launch *launch)
{
	if (!privileged)
		write_file(launch->pid, "setgroups", "deny");
	write_file(launch->pid, "gid_map", privileged ? FIRST_ID : own_gid);
	write_file(launch->pid, "uid_map", privileged ? FIRST_ID : own_uid);
}

static void start(struct launch *launch)
{
	const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
				    CLONE_NEWUSER | CLONE_NEWPID |
				    CLONE_NEWNET | CLONE_NEWCGROUP;
	launch->mapped = 0;
	launch->error = 0;
	if (privileged)
		open_trees(launch);
	launch->pid = clone(child, launch->stack + STACK_SIZE,
			    (int)namespaces | CLONE_VM | SIGCHLD, launch);
	if (launch->pid < 0)
		err(1, "clone");
	write_maps(launch);
	if (privileged) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/ns/user", launch->pid);
		int userns = open(path, O_RDONLY | O_CLOEXEC);

		if (set_attributes(launch->root_tree, 0, userns) < 0)
			err(1, "idmap");
		close(userns);
	}
	__atomic_store_n(&launch->mapped, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &launch->mapped, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void finish(struct launch *launch)
{
	int status;

	if (waitpid(launch->pid, &status, 0) < 0)
		err(1, "waitpid");
	if (status)
		errx(1, "the child ended with %#x: %s", status,
		     strerror(launch->error));
	if (privileged)
		close_trees(launch);
}

struct work {
	long count;
	long alive;
};

static void *launch_all(void *argument)
{
	const struct work *work = argument;
	struct launch *launches =
		calloc((size_t)work->alive, sizeof(*launches));

	if (!launches)
		err(1, "calloc");
	for (long done = 0; done < work->count; done += work->alive) {
		for (long i = 0; i < work->alive; i++)
			start(&launches[i]);
		for (long i = 0; i < work->alive; i++)
			finish(&launches[i]);
	}
	free(launches);
	return NULL;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long measure(const struct work *work, long threads)
{
	pthread_t ids[64];
	long long begin = now();

	for (long i = 1; i < threads; i++)
		pthread_create(&ids[i], NULL, launch_all, (void *)work);
	launch_all((void *)work);
	for (long i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	return now() - begin;
}

int main(int argc, char **argv)
{
	struct work work;
	long threads;

	if (argc != 3)
		errx(2, "usage: floor ROOT PROGRAM");
	root = argv[1];
	program = argv[2];
	privileged = geteuid() == 0;
	snprintf(own_uid, sizeof(own_uid), "0 %d 1\n", (int)geteuid());
	snprintf(own_gid, sizeof(own_gid), "0 %d 1\n", (int)getegid());
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%ld %ld %ld", &work.count, &work.alive, &threads) == 3)
		printf("%lld\n", measure(&work, threads));
	return 0;
}
