/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_H
#define CRABCAN_H

/*
 * The C API of crabcan: compile a plan once, launch it as often as you like,
 * from any thread, with or without Python.
 *
 *	struct crab_error error;
 *	struct crab_plan *plan;
 *	struct crab_process *process;
 *	struct crab_launch how = { .stdio = { 0, 1, 2 }, .channel = -1 };
 *
 *	if (crab_plan_create(&spec, &plan, &error) < 0 ||
 *	    crab_launch(plan, &how, &process, &error) < 0)
 *		...  error.step, error.index and error.errnum say what failed
 *
 * Functions return 0, or -1 with `error` filled in; nothing here prints,
 * exits, or calls up into its caller. Waiting is the caller's: crab_block()
 * sleeps and returns early on a signal, the others never sleep.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan/plan.h"
#include "plan/report.h"
#include "plan/steps.h"

/* Filled in once where a thing fails; turned into a sentence by the caller. */
struct crab_error {
	enum crab_step step;
	uint32_t index; /* which of several, for CRAB_STEP_MOUNT */
	int errnum;
};

struct crab_mount {
	enum crab_mount_kind kind;
	uint32_t flags; /* enum crab_mount_flag */
	uint32_t mode;
	const char *source;
	const char *target;
	const char *data;
	const char *upper;
	uint32_t size; /* of a file's content, which is `source` */
	uint32_t base;
};

/* Paths for the first two kinds of enum crab_landlock_kind, else ports. */
struct crab_landlock {
	enum crab_landlock_kind kind;
	const char *path;
	uint16_t port;
};

/* Items that need no look inside: `count` of the size that plan.h tells. */
struct crab_items {
	const void *items;
	size_t count;
};

/* Lists of strings end with NULL. Strings that are not given are NULL. */
struct crab_spec {
	uint32_t flags;	      /* enum crab_plan_flag */
	uint64_t clone_flags; /* CLONE_NEW*, clone(2) */
	uint32_t uid;
	uint32_t gid;
	const char *hostname;
	const char *root;
	const char *cwd;
	const char *uid_map; /* ready to be written, user_namespaces(7) */
	const char *gid_map;
	const char *const *executables;
	const char *const *argv;
	const char *const *environ;
	const struct crab_mount *mounts;
	size_t mount_count;
	uint64_t capabilities; /* a bit each, capabilities(7) */
	struct crab_items groups;
	struct crab_items rlimits;
	struct crab_items affinity;
	struct crab_items seccomp;
	struct crab_items joins;
	struct crab_items passed; /* int32_t: numbers in the payload */
	const struct crab_landlock *landlock;
	size_t landlock_count;
	uint64_t landlock_access;
	uint64_t landlock_ports;
	uint64_t wall_time; /* nanoseconds; 0: as long as it takes */
	uint64_t cpu_time;
	uint32_t group_count; /* control groups of version 1 to enter */
	uint32_t umask;
	int32_t nice;
	int32_t oom_score_adj;
	uint16_t rows; /* of the terminal, with CRAB_PLAN_TTY */
	uint16_t columns;
};

struct crab_plan;

int crab_plan_create(const struct crab_spec *spec, struct crab_plan **ret,
		     struct crab_error *error);
void crab_plan_destroy(struct crab_plan *plan);
/* The descriptor that launches are given; the next launch opens it anew. */
void crab_plan_close_file(struct crab_plan *plan);
const struct crab_plan_header *crab_plan_header(const struct crab_plan *plan);
/* A step's name and text; NULL for a number that is none. */
const char *crab_step_name(uint32_t step);
const char *crab_step_text(uint32_t step);
/* How often the plan takes a step: once for most, 0 if it does not apply. */
uint32_t crab_plan_step_count(const struct crab_plan *plan, uint32_t step);
/* The object that a step works on, "bind /src on /dst"; empty if it has none.
 */
void crab_plan_describe(const struct crab_plan *plan, uint32_t step,
			uint32_t index, char *buffer, size_t size);

struct crab_launch {
	int stdio[3]; /* open ones; with CRAB_PLAN_TTY nobody gets them */
	int channel;  /* the payload's end of a crab_socketpair(), or -1 */
	int cgroup; /* the v2 group to be born in (CLONE_INTO_CGROUP), or -1 */
	/* Of the files of the namespaces that the plan joins, setns(2). */
	const int *joins;
	size_t join_count;
	/*
	 * Of the "tasks" files of groups of version 1, to write to; and where
	 * CPU time is limited, last, of the file that tells it: cpuacct.usage
	 * or cpu.stat.
	 */
	const int *groups;
	size_t group_count;
	/* What the payload gets by the numbers that the plan has for it. */
	const int *passed;
	size_t passed_count;
};

struct crab_process;

/*
 * Returns once the child is in its namespaces with its ids mapped, and waits
 * to be told to go on: what else must be done to it from outside, such as
 * connecting its network, is done then. The descriptors in `how`
 * stay the caller's.
 */
int crab_launch(struct crab_plan *plan, const struct crab_launch *how,
		struct crab_process **ret, struct crab_error *error);
/* Lets the child go on; its reports tell the rest. */
int crab_process_go_on(struct crab_process *process, struct crab_error *error);
/* Kills the container if it lives, reaps it, and frees what it held. */
void crab_process_destroy(struct crab_process *process);
pid_t crab_process_pid(const struct crab_process *process);
int crab_process_pidfd(const struct crab_process *process);
/* The numbers that the handshake's socket pair had in the caller, to log. */
void crab_process_sockets(const struct crab_process *process, int ret[2]);
/*
 * With CRAB_PLAN_TTY, once it has started: the master of its terminal, which is
 * the caller's from then on, to be had once.
 */
int crab_process_terminal(struct crab_process *process,
			  struct crab_error *error);
/* kill(2) by pidfd; -1 with errno, ESRCH once it has been reaped. */
int crab_process_signal(struct crab_process *process, int signum);

/*
 * Asks init for another process, by a plan of its own, of which only what the
 * payload's process does is carried out: ids, privileges, filters, exec. The
 * reports with `id` tell the rest. With id 0 it is the payload of a container
 * that has been launched with CRAB_PLAN_WARM, and had none.
 */
int crab_process_exec(struct crab_process *process, struct crab_plan *plan,
		      const int stdio[3], uint32_t id,
		      struct crab_error *error);
/* The other requests; -1 with errno. */
int crab_process_tell(struct crab_process *process, enum crab_request_type type,
		      uint32_t id, int signum);

/* How a container ended. */
struct crab_status {
	bool reported; /* by init; else read off init's own end */
	int code;      /* CLD_EXITED, CLD_KILLED or CLD_DUMPED, waitid(2) */
	int status;    /* the exit code or the signal */
	enum crab_time_limit limit;
	int64_t ended; /* CLOCK_MONOTONIC, nanoseconds; 0: unknown */
	/* Of all that ran inside and was waited for, getrusage(2). */
	int64_t user_time; /* nanoseconds */
	int64_t system_time;
	int64_t peak_memory; /* bytes, of the largest process; 0: unknown */
};

enum crab_poll {
	CRAB_POLL_NOTHING, /* sleep with crab_block() and ask again */
	CRAB_POLL_REPORT,
	CRAB_POLL_ENDED,
};

/* The next report, if there is one. ENDED: there will be none any more. */
enum crab_poll crab_process_report(struct crab_process *process,
				   struct crab_report *ret);
/* ENDED once the container has been reaped: then, and ever after, `ret`. */
enum crab_poll crab_process_poll(struct crab_process *process,
				 struct crab_status *ret);

/*
 * The same, as soon as init has told that all is dead but itself: the kernel
 * has yet to take down its namespaces.
 */
enum crab_poll crab_process_end(struct crab_process *process,
				struct crab_status *ret);

enum crab_side {
	CRAB_SIDE_CALLER,
	CRAB_SIDE_CHILD, /* known once its first report has been taken */
};

/*
 * When each step began, in order; it lasted until the next one did. After
 * CRAB_STEP_COUNT the caller was about something else. The array lives as
 * long as `process`.
 */
const struct crab_moment *
crab_process_timeline(const struct crab_process *process, enum crab_side side,
		      size_t *ret_count);

enum crab_wait {
	CRAB_WAIT_REPORT, /* crab_process_report() has something to say */
	CRAB_WAIT_END,	  /* init has ended and can be reaped */
};

/* The descriptor to sleep on for it; -1 where there is nothing to wait for. */
int crab_process_wait_fd(const struct crab_process *process,
			 enum crab_wait wait);
/*
 * Sleeps until fd is readable or `deadline` (CLOCK_MONOTONIC nanoseconds;
 * negative: none) has passed. Returns 1, 0 at the deadline, -1 with errno,
 * EINTR included.
 */
int crab_block(int fd, int64_t deadline);
int64_t crab_now(void);

/* A regular file of a root that may be hostile, to read; -1 with errno. */
int crab_open_inside(const char *root, const char *path);
/* The version of landlock(7)'s interface, 0 where there is none. */
int crab_landlock_version(void);

/*
 * From now on these signals of the caller's go to the process of the pidfd,
 * until the exit: for a command line that is about one container. -1 with
 * errno.
 */
int crab_forward_signals(int pidfd, const int *signums, size_t count);

/* The seed's socket pair: AF_UNIX, SOCK_SEQPACKET, close-on-exec. */
int crab_socketpair(int ret[2]);
/* One boolean as one datagram of one byte. -1 with errno. */
int crab_send_bool(int fd, bool value);
/*
 * The next boolean without sleeping: an enum crab_boolean, or -1 with errno
 * (EAGAIN: none yet). Descriptors that came with it are closed at once.
 */
int crab_recv_bool(int fd);
/* The same, sleeping until there is one: one system call instead of three. */
int crab_await_bool(int fd);

#endif
