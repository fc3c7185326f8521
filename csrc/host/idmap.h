/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_IDMAP_H
#define CRABCAN_HOST_IDMAP_H

#include "process.h"

/* Writes the plan's id maps for a child that waits in its new user namespace.
 */
int idmap_write(struct crab_process *process, struct crab_error *error);

#endif
