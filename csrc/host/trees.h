/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_TREES_H
#define CRABCAN_HOST_TREES_H

#include <sys/types.h>

#include "../crabcan.h"

/*
 * The trees of the host that a plan with CRAB_PLAN_HOST_TREES is made of, in
 * the order in which init takes them. Zero-initialised there are none.
 */
struct trees {
	int *fds;
	size_t count;
};

int trees_open(const struct crab_plan_header *plan, struct trees *ret,
	       struct crab_error *error);
/* Maps their owners by the user namespace that `pid` is in. */
int trees_idmap(const struct crab_plan_header *plan, const struct trees *trees,
		pid_t pid, struct crab_error *error);
void trees_close(struct trees *trees);

#endif
