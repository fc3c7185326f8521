/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_PLAN_H
#define CRABCAN_PLAN_PLAN_H

#include <stdint.h>

/*
 * The Plan: one contiguous, position-independent buffer that the caller
 * compiles and init carries out. Everything is resolved in it; a string is an
 * offset from its start, a list is an array of 64-bit offsets that init turns
 * into pointers in place, in its private mapping.
 */
#define CRAB_PLAN_MAGIC 0x6e616362u /* "bcan" */
#define CRAB_PLAN_VERSION 1u
#define CRAB_PLAN_NONE 0u /* the offset of a string that is not given */

enum crab_plan_flag {
	CRAB_PLAN_USER_NAMESPACE = 1 << 0, /* write the id maps */
	CRAB_PLAN_DENY_SETGROUPS =
		1 << 1,		     /* user_namespaces(7): before gid_map */
	CRAB_PLAN_LOOPBACK = 1 << 2, /* bring lo up */
	CRAB_PLAN_ROOT_WRITABLE = 1 << 3, /* else read-only once set up */
	CRAB_PLAN_CHANNEL = 1 << 4,	  /* the payload gets its end at fd 3 */
	CRAB_PLAN_TRACE = 1 << 5,	  /* report each step as it begins */
	CRAB_PLAN_SET_GROUPS = 1 << 6,	  /* drop supplementary groups */
};

enum crab_mount_kind {
	CRAB_MOUNT_BIND,       /* source: a path of the host */
	CRAB_MOUNT_FILESYSTEM, /* source: its type; data: key=value,... */
	CRAB_MOUNT_DIRECTORY,  /* no mount: a directory of mode `mode` */
	CRAB_MOUNT_SYMLINK,    /* no mount: a link to source */
	CRAB_MOUNT_KINDS,
};

enum crab_mount_flag {
	CRAB_MOUNT_READONLY = 1 << 0,
	CRAB_MOUNT_NOSUID = 1 << 1,
	CRAB_MOUNT_NODEV = 1 << 2,
	CRAB_MOUNT_NOEXEC = 1 << 3,
};
#define CRAB_MOUNT_ALL_FLAGS 0xfu

struct crab_plan_mount {
	uint32_t kind;
	uint32_t flags;
	uint32_t mode;
	uint32_t source;
	uint32_t target;
	uint32_t data;
};

/* `count` offsets, then a zero: what execve(2) wants once they are pointers. */
struct crab_plan_list {
	uint32_t offset;
	uint32_t count;
};

struct crab_plan_header {
	uint32_t magic;
	uint32_t version;
	uint32_t size;
	uint32_t flags;
	uint64_t clone_flags;
	uint32_t uid;
	uint32_t gid;
	uint32_t hostname;
	uint32_t root; /* none: an empty tmpfs that the mounts fill */
	uint32_t cwd;
	uint32_t uid_map;
	uint32_t gid_map;
	uint32_t mounts;
	uint32_t mount_count;
	struct crab_plan_list
		executables; /* tried in order, as execvp(3) does */
	struct crab_plan_list argv;
	struct crab_plan_list environ;
};

static inline const char *crab_plan_string(const struct crab_plan_header *plan,
					   uint32_t offset)
{
	return offset == CRAB_PLAN_NONE ? 0 : (const char *)plan + offset;
}

static inline const struct crab_plan_mount *
crab_plan_mounts(const struct crab_plan_header *plan)
{
	return (const struct crab_plan_mount *)((const char *)plan +
						plan->mounts);
}

/*
 * The descriptors that the child has when init begins. The first three and
 * the channel keep their numbers in the payload; init closes the rest to it.
 */
enum crab_fd {
	CRAB_FD_STDIN,
	CRAB_FD_STDOUT,
	CRAB_FD_STDERR,
	CRAB_FD_CHANNEL, /* open only with CRAB_PLAN_CHANNEL */
	CRAB_FD_CONTROL,
	CRAB_FD_PLAN,
	CRAB_FD_CALLER, /* a pidfd: readable once the caller is dead */
	CRAB_FD_COUNT,
};

#endif
