/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_REPORT_H
#define CRABCAN_PLAN_REPORT_H

#include <stddef.h>
#include <stdint.h>

/*
 * What the inside tells the caller over the control socket: one datagram of
 * this fixed size, and one timeline before the first, numbers only. The caller
 * treats it as hostile input, so it carries no string and no length; and a
 * descriptor only where one is waited for.
 */
enum crab_report_type {
	CRAB_REPORT_TIMELINE = 1, /* struct crab_timeline, not this one */
	CRAB_REPORT_FAILED,	  /* step `step` (item `index`) failed with
				   * errno `error`: setup is over */
	CRAB_REPORT_STARTED,	  /* the payload's exec has succeeded; with
				   * CRAB_PLAN_WARM first: it can be asked for
				   */
	CRAB_REPORT_ENDED, /* the payload ended: `code`, `status` of waitid(2);
			    * with id 0 all that was inside is dead */
	CRAB_REPORT_INIT,  /* with init's pidfd, from what has joined */
	CRAB_REPORT_TERMINAL, /* with the master of the terminal */
};

/* What the caller asks of init once the payload runs: one datagram as well. */
enum crab_request_type {
	/* Start another process: with the descriptors of its plan, and of its
	 * stdin, stdout and stderr. */
	CRAB_REQUEST_EXEC = 1,
	/* The same, and with CRAB_PLAN_WARM, once: it is the payload. */
	CRAB_REQUEST_START,
	CRAB_REQUEST_SIGNAL, /* to the process of `id` */
	CRAB_REQUEST_STOP,   /* all of the container, until the next one */
	CRAB_REQUEST_CONTINUE,
};

#define CRAB_REQUEST_FDS 4 /* plan, stdin, stdout, stderr */

struct crab_request {
	uint32_t type;
	uint32_t id; /* of the process, chosen by the caller; 0: the payload */
	int32_t signum;
};

/* Which limit of time, kept by init, has ended the payload. */
enum crab_time_limit {
	CRAB_TIME_NOT_LIMITED,
	CRAB_TIME_WALL,
	CRAB_TIME_CPU,
};

struct crab_report {
	uint32_t type;
	uint32_t step;
	uint32_t index;
	int32_t error;
	int32_t code;
	int32_t status;
	uint32_t limit;	   /* enum crab_time_limit */
	uint32_t peak_kib; /* of the largest process that was waited for */
	uint32_t id;	   /* of a process that was asked for; 0: the payload */
	uint32_t pid;	   /* of that one, as the inside counts, once started */
	uint64_t time;	   /* CLOCK_MONOTONIC, nanoseconds */
	/* Of all that has been waited for, getrusage(2), nanoseconds. */
	uint64_t user_time;
	uint64_t system_time;
};

/* A step, or one item of it, begins at `time`, as above. */
struct crab_moment {
	uint32_t step;
	uint32_t index;
	uint64_t time;
};

/* Some 16 KiB, of which only what is filled is sent. */
#define CRAB_MAX_MOMENTS 1024

struct crab_timeline {
	uint32_t type; /* CRAB_REPORT_TIMELINE */
	uint32_t count;
	struct crab_moment moments[CRAB_MAX_MOMENTS];
};

static inline size_t crab_timeline_size(const struct crab_timeline *timeline)
{
	return offsetof(struct crab_timeline, moments) +
	       timeline->count * sizeof(struct crab_moment);
}

#endif
