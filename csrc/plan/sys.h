/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_SYS_H
#define CRABCAN_PLAN_SYS_H

/*
 * The system calls that the C library has no function for, or one that does
 * more than the call. All return a negative errno on failure, like a step.
 */
#include <errno.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long sys_result(long result)
{
	return result < 0 ? -errno : result;
}

#define SYS(name, ...) sys_result(syscall(SYS_##name, __VA_ARGS__))

static inline long sys_openat2(int dir, const char *path, uint64_t flags,
			       uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	return SYS(openat2, dir, path, &how, sizeof(how));
}

static inline long sys_open_tree(int dir, const char *path, unsigned int flags)
{
	return SYS(open_tree, dir, path, flags);
}

static inline long sys_is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode);
}

/* Attaches the mount `from` on the object `to`, both by descriptor. */
static inline long sys_attach(int from, int to)
{
	return SYS(move_mount, from, "", to, "",
		   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* The same on a name, by which no link is followed. */
static inline long sys_attach_by_name(int from, int dir, const char *name)
{
	return SYS(move_mount, from, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH);
}

static inline long sys_mount_setattr(int mount, unsigned int flags,
				     struct mount_attr *attr)
{
	return SYS(mount_setattr, mount, "", flags, attr, sizeof(*attr));
}

#endif
