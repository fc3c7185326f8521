/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_IDMAP_H
#define CRABCAN_HOST_IDMAP_H

#include <sys/types.h>

#include "../crabcan.h"

/* Writes the plan's id maps for a child that waits in its new user namespace.
 */
int idmap_write(const struct crab_plan_header *plan, pid_t pid,
		struct crab_error *error);

#endif
