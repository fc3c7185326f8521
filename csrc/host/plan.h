/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_PLAN_H
#define CRABCAN_HOST_PLAN_H

#include "../crabcan.h"
#include "sealed.h"

struct crab_plan {
	struct sealed_file file;
	size_t size;
	struct crab_plan_header *header; /* the whole buffer begins here */
};

#endif
