/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../plan/sys.h"
#include "init.h"

long plan_map(struct init *init, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	char *base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	struct crab_plan_header *plan = (struct crab_plan_header *)base;

	if (!plan_prepare(plan, (uint64_t)st.st_size)) {
		munmap(base, (size_t)st.st_size);
		return -EINVAL;
	}
	init->plan = plan;
	return 0;
}

long plan_open(struct init *init)
{
	long result = plan_map(init, CRAB_FD_PLAN);

	if (result < 0)
		return result;
	close(CRAB_FD_PLAN);
	const struct crab_plan_header *plan = init->plan;

	init->account =
		CRAB_FD_COUNT + (int)(plan->joins.count + plan->group_count);
	init->passed = init->account + (plan->cpu_time != 0);
	init->next_tree = init->passed + (int)plan->passed.count;
	return 0;
}
