/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../plan/sys.h"
#include "init.h"

/* Turns a list's offsets into pointers, in place. */
static void relocate(char *base, const struct crab_plan_list *list)
{
	uint64_t *slots = (uint64_t *)(base + list->offset);

	for (uint32_t i = 0; i < list->count; i++)
		slots[i] += (uintptr_t)base;
}

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

	/* Both are of one build; this is for whoever executes init by hand. */
	if (plan->magic != CRAB_PLAN_MAGIC ||
	    plan->version != CRAB_PLAN_VERSION || plan->size != st.st_size) {
		munmap(base, (size_t)st.st_size);
		return -EINVAL;
	}
	relocate(base, &plan->executables);
	relocate(base, &plan->argv);
	relocate(base, &plan->environ);
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
