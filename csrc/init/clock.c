/* SPDX-License-Identifier: MIT */
/*
 * The limits of time, kept by init: they hold whether the caller waits or not.
 */
#include <limits.h>
#include <time.h>

#include "../plan/sys.h"
#include "init.h"

#define MILLISECOND 1000000u
#define LEAST_CHECK                                                            \
	(10ul * MILLISECOND) /* between two looks at the CPU time              \
			      */

uint64_t monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clock_start(struct init *init)
{
	init->started = monotonic();
}

/* "123" in nanoseconds (cpuacct.usage), or "usage_usec 123" (cpu.stat). */
static uint64_t cpu_time_used(int account)
{
	char text[64] = "";
	uint64_t number = 0;
	const char *at = text;

	/* What cannot be counted is used up. */
	if (pread(account, text, sizeof(text) - 1, 0) <= 0)
		return UINT64_MAX;
	while (*at && (*at < '0' || *at > '9'))
		at++;
	for (; *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	return text[0] == 'u' ? number * 1000 : number;
}

static uint64_t wall_left(const struct init *init)
{
	uint64_t limit = init->plan->wall_time;
	uint64_t used = monotonic() - init->started;

	if (limit == 0)
		return UINT64_MAX;
	return used < limit ? limit - used : 0;
}

/* Until it can be used up at the earliest, by all processors together. */
static uint64_t cpu_left(const struct init *init)
{
	uint64_t limit = init->plan->cpu_time;

	if (limit == 0)
		return UINT64_MAX;
	uint64_t used = cpu_time_used(init->account);

	if (used >= limit)
		return 0;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t left =
		(limit - used) / (processors > 0 ? (uint64_t)processors : 1);

	return left > LEAST_CHECK ? left : LEAST_CHECK;
}

/* Milliseconds for poll(2): -1 for ever, 0 when a limit has been reached. */
int clock_left(struct init *init)
{
	uint64_t wall = wall_left(init);
	uint64_t cpu = cpu_left(init);
	uint64_t left = wall < cpu ? wall : cpu;

	if (left == UINT64_MAX)
		return -1;
	if (left == 0) {
		init->limit = wall == 0 ? CRAB_TIME_WALL : CRAB_TIME_CPU;
		return 0;
	}
	left = (left + MILLISECOND - 1) / MILLISECOND;
	return left < INT_MAX ? (int)left : INT_MAX;
}
