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
};

struct crab_plan;

int crab_plan_create(const struct crab_spec *spec, struct crab_plan **ret,
		     struct crab_error *error);
void crab_plan_destroy(struct crab_plan *plan);
const struct crab_plan_header *crab_plan_header(const struct crab_plan *plan);
/* A step's name and text; NULL for a number that is none. */
const char *crab_step_name(uint32_t step);
const char *crab_step_text(uint32_t step);
/* The object that a step works on, "bind /src on /dst"; empty if it has none.
 */
void crab_plan_describe(const struct crab_plan *plan, uint32_t step,
			uint32_t index, char *buffer, size_t size);

struct crab_launch {
	int stdio[3];
	int channel; /* the payload's end of a crab_socketpair(), or -1 */
};

struct crab_process;

/*
 * Returns once the child runs and may go on; its reports tell the rest. The
 * descriptors in `how` stay the caller's.
 */
int crab_launch(struct crab_plan *plan, const struct crab_launch *how,
		struct crab_process **ret, struct crab_error *error);
/* Kills the container if it lives, reaps it, and frees what it held. */
void crab_process_destroy(struct crab_process *process);
pid_t crab_process_pid(const struct crab_process *process);
int crab_process_pidfd(const struct crab_process *process);
/* The numbers that the handshake's socket pair had in the caller, to log. */
void crab_process_sockets(const struct crab_process *process, int ret[2]);
/* kill(2) by pidfd; -1 with errno, ESRCH once it has been reaped. */
int crab_process_signal(struct crab_process *process, int signum);

/* How a container ended. */
struct crab_status {
	bool reported; /* by init; else read off init's own end */
	int code;      /* CLD_EXITED, CLD_KILLED or CLD_DUMPED, waitid(2) */
	int status;    /* the exit code or the signal */
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

/* The seed's socket pair: AF_UNIX, SOCK_SEQPACKET, close-on-exec. */
int crab_socketpair(int ret[2]);
/* One boolean as one datagram of one byte. -1 with errno. */
int crab_send_bool(int fd, bool value);
/*
 * The next boolean without sleeping: an enum crab_boolean, or -1 with errno
 * (EAGAIN: none yet). Descriptors that came with it are closed at once.
 */
int crab_recv_bool(int fd);

#endif
