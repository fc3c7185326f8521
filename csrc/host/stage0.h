/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_STAGE0_H
#define CRABCAN_HOST_STAGE0_H

#include "../plan/plan.h"
#include "../plan/report.h"

#define STAGE0_STEPS 3 /* descriptors, capabilities, exec */

/*
 * What the child needs until it executes init. It lives in the caller's
 * memory, which the child shares until then.
 */
struct stage0 {
	int fds[CRAB_FD_COUNT]; /* the caller's numbers; -1: not given */
	int caller_control; /* the caller's end, which the child must lose */
	int init;	    /* the sealed init program */
	int keep_caps; /* executed by an id that is not root: see stage0.c */
	int *extra;    /* namespaces to join, then trees: see enum crab_fd */
	int extra_count;
	struct crab_moment moments[STAGE0_STEPS]; /* written by the child */
};

void stage0_entry(void *stage0) __attribute__((noreturn));

#endif
