/* SPDX-License-Identifier: MIT */
/*
 * Whether a plan holds together: every offset leads to something whole inside
 * it. The plan is the caller's own and sealed; but what is wrong with one is to
 * be an error that is told, not a process that goes astray as root.
 */
#include <linux/filter.h>

#include "init.h"

struct extent {
	const struct crab_plan_header *plan;
	uint64_t size;
};

static bool is_range(struct extent e, uint32_t offset, uint64_t count,
		     uint64_t item, uint32_t alignment)
{
	return offset >= sizeof(*e.plan) && offset % alignment == 0 &&
	       offset <= e.size && count <= (e.size - offset) / item;
}

/* The last byte of all is NUL, so that each string that begins here ends. */
static bool is_string(struct extent e, uint64_t offset)
{
	return offset >= sizeof(*e.plan) && offset < e.size;
}

static bool is_optional(struct extent e, uint32_t offset)
{
	return offset == CRAB_PLAN_NONE || is_string(e, offset);
}

static bool is_list(struct extent e, const struct crab_plan_list *list)
{
	if (!is_range(e, list->offset, (uint64_t)list->count + 1,
		      sizeof(uint64_t), sizeof(uint64_t)))
		return false;
	const uint64_t *slots =
		(const uint64_t *)((const char *)e.plan + list->offset);

	for (uint32_t i = 0; i < list->count; i++)
		if (!is_string(e, slots[i]))
			return false;
	return slots[list->count] == 0;
}

static bool is_array(struct extent e, struct crab_plan_array array,
		     uint64_t item)
{
	return array.count == 0 ||
	       is_range(e, array.offset, array.count, item, sizeof(uint64_t));
}

static bool has_source(struct extent e, const struct crab_plan_mount *mount)
{
	switch (mount->kind) {
	case CRAB_MOUNT_FILE:
		return is_range(e, mount->source, mount->size, 1, 1);
	case CRAB_MOUNT_BIND:
	case CRAB_MOUNT_FILESYSTEM:
	case CRAB_MOUNT_SYMLINK:
		return is_string(e, mount->source);
	default:
		return is_optional(e, mount->source);
	}
}

static bool is_mount(struct extent e, const struct crab_plan_mount *mount,
		     uint32_t bases)
{
	return mount->kind < CRAB_MOUNT_KINDS &&
	       !(mount->flags & ~CRAB_MOUNT_ALL_FLAGS) &&
	       mount->base <= bases && is_string(e, mount->target) &&
	       is_optional(e, mount->data) && is_optional(e, mount->upper) &&
	       has_source(e, mount);
}

static bool has_mounts(struct extent e)
{
	uint32_t bases = 0;

	if (e.plan->mount_count == 0)
		return true;
	if (!is_range(e, e.plan->mounts, e.plan->mount_count,
		      sizeof(struct crab_plan_mount), sizeof(uint32_t)))
		return false;
	for (uint32_t i = 0; i < e.plan->mount_count; i++) {
		const struct crab_plan_mount *mount =
			&crab_plan_mounts(e.plan)[i];

		if (!is_mount(e, mount, bases))
			return false;
		bases += (mount->flags & CRAB_MOUNT_BASE) != 0;
	}
	return bases <= CRAB_MAX_BASES;
}

static uint64_t end_of(struct crab_plan_list list)
{
	return list.offset + ((uint64_t)list.count + 1) * sizeof(uint64_t);
}

static bool are_apart(struct crab_plan_list a, struct crab_plan_list b)
{
	return end_of(a) <= b.offset || end_of(b) <= a.offset;
}

/* Apart as well: no slot is to be turned into a pointer twice. */
static bool has_lists(struct extent e)
{
	const struct crab_plan_header *plan = e.plan;

	return is_list(e, &plan->executables) && is_list(e, &plan->argv) &&
	       is_list(e, &plan->environ) && plan->executables.count &&
	       plan->argv.count && are_apart(plan->executables, plan->argv) &&
	       are_apart(plan->argv, plan->environ) &&
	       are_apart(plan->environ, plan->executables);
}

static bool has_strings(struct extent e)
{
	const struct crab_plan_header *plan = e.plan;
	bool maps = plan->flags & CRAB_PLAN_USER_NAMESPACE;

	return is_optional(e, plan->hostname) && is_optional(e, plan->root) &&
	       is_string(e, plan->cwd) &&
	       (maps ? is_string(e, plan->uid_map) &&
				is_string(e, plan->gid_map)
		     : is_optional(e, plan->uid_map) &&
				is_optional(e, plan->gid_map));
}

static bool has_landlock(struct extent e)
{
	const struct crab_plan_array rules = e.plan->landlock;

	if (!is_array(e, rules, sizeof(struct crab_plan_landlock)))
		return false;
	const struct crab_plan_landlock *rule = crab_plan_items(e.plan, rules);

	for (uint32_t i = 0; i < rules.count; i++)
		if (rule[i].kind >= CRAB_LANDLOCK_KINDS ||
		    (rule[i].kind <= CRAB_LANDLOCK_WRITE &&
		     !is_string(e, rule[i].path)))
			return false;
	return true;
}

static bool has_arrays(struct extent e)
{
	const struct crab_plan_header *plan = e.plan;

	return is_array(e, plan->groups, sizeof(uint32_t)) &&
	       is_array(e, plan->rlimits, sizeof(struct crab_plan_rlimit)) &&
	       is_array(e, plan->affinity, sizeof(uint64_t)) &&
	       is_array(e, plan->seccomp, sizeof(struct sock_filter)) &&
	       is_array(e, plan->joins, sizeof(uint64_t)) &&
	       is_array(e, plan->passed, sizeof(int32_t)) &&
	       plan->passed.count <= CRAB_MAX_PASSED &&
	       plan->group_count <= CRAB_MAX_GROUPS;
}

/* Turns a list's offsets into pointers, in place. */
static void relocate(struct crab_plan_header *plan, struct crab_plan_list list)
{
	uint64_t *slots = (uint64_t *)((char *)plan + list.offset);

	for (uint32_t i = 0; i < list.count; i++)
		slots[i] += (uintptr_t)plan;
}

bool plan_prepare(struct crab_plan_header *plan, uint64_t size)
{
	const struct extent e = { plan, size };

	if (size < sizeof(*plan) || plan->magic != CRAB_PLAN_MAGIC ||
	    plan->version != CRAB_PLAN_VERSION || plan->size != size ||
	    ((const char *)plan)[size - 1] != '\0' || !has_lists(e))
		return false;
	relocate(plan, plan->executables);
	relocate(plan, plan->argv);
	relocate(plan, plan->environ);
	/* Looked at as it will be read, even where it lies in a list. */
	return has_strings(e) && has_mounts(e) && has_arrays(e) &&
	       has_landlock(e);
}
