/* SPDX-License-Identifier: MIT */
/* init's reader of the plan: what it takes for sound can be read to its end. */
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/init/init.h"
#include "../../csrc/plan/count.h"
#include "fuzz.h"

static void read_string(const struct crab_plan_header *plan, uint64_t offset)
{
	if (offset != CRAB_PLAN_NONE)
		sink(strlen((const char *)plan + offset));
}

static void read_list(const struct crab_plan_header *plan,
		      const struct crab_plan_list *list)
{
	char **words = (char **)((char *)(uintptr_t)plan + list->offset);

	for (; *words; words++)
		sink(strlen(*words));
}

static void read_array(const struct crab_plan_header *plan,
		       struct crab_plan_array array, size_t item)
{
	const unsigned char *bytes = crab_plan_items(plan, array);

	for (size_t i = 0; i < array.count * item; i++)
		sink(bytes[i]);
}

static void read_mounts(const struct crab_plan_header *plan)
{
	uint32_t trees[CRAB_MOUNT_TREES];

	for (uint32_t i = 0; i < plan->mount_count; i++) {
		const struct crab_plan_mount *mount =
			&crab_plan_mounts(plan)[i];

		read_string(plan, mount->target);
		read_string(plan, mount->data);
		if (mount->kind != CRAB_MOUNT_FILE)
			read_string(plan, mount->source);
		for (uint32_t at = 0;
		     mount->kind == CRAB_MOUNT_FILE && at < mount->size; at++)
			sink(crab_plan_string(plan, mount->source)[at]);
		for (int t = crab_mount_trees(mount, trees); t > 0; t--)
			read_string(plan, trees[t - 1]);
		require(mount->base <= CRAB_MAX_BASES);
	}
}

static void read_landlock(const struct crab_plan_header *plan)
{
	const struct crab_plan_landlock *rules =
		crab_plan_items(plan, plan->landlock);

	for (uint32_t i = 0; i < plan->landlock.count; i++) {
		require(rules[i].kind < CRAB_LANDLOCK_KINDS);
		if (rules[i].kind <= CRAB_LANDLOCK_WRITE)
			read_string(plan, rules[i].path);
	}
}

static void read_all(const struct crab_plan_header *plan)
{
	read_string(plan, plan->hostname);
	read_string(plan, plan->root);
	read_string(plan, plan->cwd);
	read_string(plan, plan->uid_map);
	read_string(plan, plan->gid_map);
	read_list(plan, &plan->executables);
	read_list(plan, &plan->argv);
	read_list(plan, &plan->environ);
	read_array(plan, plan->groups, sizeof(uint32_t));
	read_array(plan, plan->rlimits, sizeof(struct crab_plan_rlimit));
	read_array(plan, plan->affinity, sizeof(uint64_t));
	read_array(plan, plan->seccomp, sizeof(struct sock_filter));
	read_array(plan, plan->joins, sizeof(uint64_t));
	read_array(plan, plan->passed, sizeof(int32_t));
	read_mounts(plan);
	read_landlock(plan);
	for (uint32_t step = 0; step < CRAB_STEP_COUNT; step++)
		sink(crab_step_count(plan, step));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As long as the input, and aligned as a mapping is. */
	struct crab_plan_header *plan = malloc(size ? size : 1);

	require(plan);
	if (size)
		memcpy(plan, data, size);
	if (plan_prepare(plan, size))
		read_all(plan);
	free(plan);
	return 0;
}
