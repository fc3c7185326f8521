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
	CRAB_PLAN_DENY_SETGROUPS = 1 << 1, /* user_namespaces(7) */
	CRAB_PLAN_LOOPBACK = 1 << 2,	   /* bring lo up */
	CRAB_PLAN_ROOT_WRITABLE = 1 << 3,  /* else read-only once set up */
	CRAB_PLAN_CHANNEL = 1 << 4,	   /* the payload's end is fd 3 */
	CRAB_PLAN_SET_GROUPS = 1 << 6,	   /* set the supplementary groups */
	CRAB_PLAN_NEWIDMAP = 1 << 7,	/* maps by newuidmap(1), newgidmap(1) */
	CRAB_PLAN_INIT_ROOT = 1 << 8,	/* init becomes id 0 of the maps */
	CRAB_PLAN_HOST_TREES = 1 << 9,	/* the caller opens root and binds */
	CRAB_PLAN_ROOT_IDMAP = 1 << 10, /* the root's owners by the maps */
	CRAB_PLAN_NO_MOUNTS = 1 << 11,	/* the caller's mounts stay as is */
	CRAB_PLAN_OOM_SCORE = 1 << 12,	/* set oom_score_adj */
	CRAB_PLAN_NICE = 1 << 13,	/* set nice */
	CRAB_PLAN_CGROUP_NAMESPACE = 1 << 14, /* unshared once in its group */
	CRAB_PLAN_SUBREAPER = 1 << 15, /* not PID 1 of its PID namespace */
	CRAB_PLAN_TTY = 1 << 16,       /* a terminal of its own as fds 0 to 2 */
	CRAB_PLAN_WARM = 1 << 17,      /* no payload before it is asked for */
};

enum crab_mount_kind {
	CRAB_MOUNT_BIND,       /* source: a path of the host */
	CRAB_MOUNT_FILESYSTEM, /* source: its type; data: key=value,... */
	CRAB_MOUNT_OVERLAY,    /* source: the lower, or what is at target */
	CRAB_MOUNT_FILE,       /* source: its content */
	CRAB_MOUNT_DIRECTORY,  /* no mount: a directory of mode `mode` */
	CRAB_MOUNT_SYMLINK,    /* no mount: a link to source */
	CRAB_MOUNT_MASK,       /* cover what is there: nothing to be seen */
	CRAB_MOUNT_PROTECT,    /* what is there becomes read-only */
	CRAB_MOUNT_KINDS,
};

enum crab_mount_flag {
	CRAB_MOUNT_READONLY = 1 << 0,
	CRAB_MOUNT_NOSUID = 1 << 1,
	CRAB_MOUNT_NODEV = 1 << 2,
	CRAB_MOUNT_NOEXEC = 1 << 3,
	CRAB_MOUNT_IDMAP = 1 << 4, /* owners by the maps, or an error */
	CRAB_MOUNT_IDMAP_IF_POSSIBLE = 1 << 5, /* else owners are nobody */
	CRAB_MOUNT_NOT_RECURSIVE = 1 << 6,     /* without mounts below it */
	CRAB_MOUNT_BASE = 1 << 7, /* later mounts count from its top */
};
#define CRAB_MOUNT_ALL_FLAGS 0xffu

/* How many mounts of a plan may have CRAB_MOUNT_BASE. */
#define CRAB_MAX_BASES 16

/* How many descriptors are passed on to the payload at most. */
#define CRAB_MAX_PASSED 253 /* as many as SCM_RIGHTS can carry, unix(7) */

/* How many control groups of version 1 are entered at most. */
#define CRAB_MAX_GROUPS 32

struct crab_plan_mount {
	uint32_t kind;
	uint32_t flags;
	uint32_t mode;
	uint32_t source;
	uint32_t target;
	uint32_t data;
	uint32_t upper; /* of an overlay: a directory of the host, or none */
	uint32_t size;	/* of a file's content */
	/*
	 * 0: the target counts from the root. n: from the top of the n-th
	 * mount with CRAB_MOUNT_BASE, whose own path may be swapped for a link
	 * by then (CVE-2025-31133, CVE-2025-52565).
	 */
	uint32_t base;
};

/* `count` offsets, then a zero: what execve(2) wants once they are pointers. */
struct crab_plan_list {
	uint32_t offset;
	uint32_t count;
};

/* `count` items of a fixed size, ready for the kernel. */
struct crab_plan_array {
	uint32_t offset;
	uint32_t count;
};

struct crab_plan_rlimit {
	uint64_t resource; /* RLIMIT_*, getrlimit(2) */
	uint64_t soft;
	uint64_t hard;
};

enum crab_landlock_kind {
	CRAB_LANDLOCK_READ,    /* path: read, list and execute below it */
	CRAB_LANDLOCK_WRITE,   /* path: everything below it */
	CRAB_LANDLOCK_CONNECT, /* port */
	CRAB_LANDLOCK_BIND,    /* port */
	CRAB_LANDLOCK_KINDS,
};

struct crab_plan_landlock {
	uint32_t kind;
	uint32_t path;
	uint64_t port;
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
	uint64_t capabilities;	       /* those that the payload keeps */
	struct crab_plan_array groups; /* uint32_t, setgroups(2) */
	struct crab_plan_array rlimits;
	struct crab_plan_array affinity; /* uint64_t, sched_setaffinity(2) */
	struct crab_plan_array seccomp;	 /* struct sock_filter */
	struct crab_plan_array landlock;
	struct crab_plan_array joins;  /* uint64_t CLONE_NEW*, user first */
	struct crab_plan_array passed; /* int32_t: numbers in the payload */
	uint64_t landlock_access; /* file system rights that are walled in */
	uint64_t landlock_ports;  /* network rights that are */
	uint64_t wall_time;   /* nanoseconds after which init ends it all; 0 */
	uint64_t cpu_time;    /* the same of CPU time, by the account's file */
	uint32_t group_count; /* control groups of version 1 to enter */
	uint32_t umask;
	int32_t nice;
	int32_t oom_score_adj;
	uint16_t rows; /* of the terminal, TIOCSWINSZ(2const) */
	uint16_t columns;
};

static inline const char *crab_plan_string(const struct crab_plan_header *plan,
					   uint32_t offset)
{
	return offset == CRAB_PLAN_NONE ? 0 : (const char *)plan + offset;
}

/* One that every sound plan has. */
static inline const char *crab_plan_text(const struct crab_plan_header *plan,
					 uint32_t offset)
{
	return (const char *)plan + offset;
}

static inline const struct crab_plan_mount *
crab_plan_mounts(const struct crab_plan_header *plan)
{
	return (const struct crab_plan_mount *)((const char *)plan +
						plan->mounts);
}

static inline const void *crab_plan_items(const struct crab_plan_header *plan,
					  struct crab_plan_array array)
{
	return (const char *)plan + array.offset;
}

/* The trees of the host that a mount is made of: offsets of their paths. */
#define CRAB_MOUNT_TREES 2
static inline int crab_mount_trees(const struct crab_plan_mount *mount,
				   uint32_t ret[CRAB_MOUNT_TREES])
{
	int count = 0;

	if (mount->kind != CRAB_MOUNT_BIND && mount->kind != CRAB_MOUNT_OVERLAY)
		return 0;
	if (mount->source != CRAB_PLAN_NONE)
		ret[count++] = mount->source;
	if (mount->upper != CRAB_PLAN_NONE)
		ret[count++] = mount->upper;
	return count;
}

static inline int crab_mount_is_idmapped(const struct crab_plan_mount *mount)
{
	return (mount->flags &
		(CRAB_MOUNT_IDMAP | CRAB_MOUNT_IDMAP_IF_POSSIBLE)) != 0;
}

/*
 * The descriptors that the child has when init begins. The first three and
 * the channel keep their numbers in the payload; init closes the rest to it.
 * From CRAB_FD_COUNT on follow the namespaces to join, the "tasks"
 * files of the groups to enter, the account of CPU time where that is limited,
 * what is passed on to the payload, and with CRAB_PLAN_HOST_TREES the trees:
 * the root's if there is one, and each that a mount needs, in their order.
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
