/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_ERROR_H
#define CRABCAN_HOST_ERROR_H

#include <errno.h>

#include "../crabcan.h"

/* Fills in the error from errno, and is the -1 to return. */
static inline int crab_fail(struct crab_error *error, enum crab_step step)
{
	*error = (struct crab_error){ .step = step, .errnum = errno };
	return -1;
}

#endif
