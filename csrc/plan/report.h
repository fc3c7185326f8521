/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_REPORT_H
#define CRABCAN_PLAN_REPORT_H

#include <stdint.h>

/*
 * What the inside tells the caller over the control socket: one datagram of
 * this fixed size, numbers only. The caller treats it as hostile input, so it
 * carries no string, no length and no descriptor.
 */
enum crab_report_type {
	CRAB_REPORT_STEP = 1, /* step `step` (item `index`) begins at `time` */
	CRAB_REPORT_FAILED,   /* it failed with errno `error`: setup is over */
	CRAB_REPORT_STARTED,  /* the payload's exec has succeeded */
	CRAB_REPORT_ENDED, /* the payload ended: `code`, `status` of waitid(2)
			    */
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
	uint64_t time;	   /* CLOCK_MONOTONIC, nanoseconds */
};

#endif
