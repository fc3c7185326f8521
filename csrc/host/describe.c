/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "../crabcan.h"

static const struct {
	const char *name;
	const char *text;
} steps[CRAB_STEP_COUNT] = {
#define CRAB_STEP_ROW(id, name, text) { name, text },
	CRAB_STEPS(CRAB_STEP_ROW)
#undef CRAB_STEP_ROW
};

const char *crab_step_name(uint32_t step)
{
	return step < CRAB_STEP_COUNT ? steps[step].name : NULL;
}

const char *crab_step_text(uint32_t step)
{
	return step < CRAB_STEP_COUNT ? steps[step].text : NULL;
}

static void describe_mount(const struct crab_plan_header *plan, uint32_t index,
			   char *buffer, size_t size)
{
	if (index >= plan->mount_count)
		return;
	const struct crab_plan_mount *mount = &crab_plan_mounts(plan)[index];
	const char *source = crab_plan_string(plan, mount->source);
	const char *target = crab_plan_string(plan, mount->target);

	switch (mount->kind) {
	case CRAB_MOUNT_BIND:
		snprintf(buffer, size, "bind %s on %s", source, target);
		break;
	case CRAB_MOUNT_FILESYSTEM:
		snprintf(buffer, size, "%s on %s", source, target);
		break;
	case CRAB_MOUNT_DIRECTORY:
		snprintf(buffer, size, "directory %s", target);
		break;
	case CRAB_MOUNT_SYMLINK:
		snprintf(buffer, size, "link %s to %s", target, source);
		break;
	}
}

/* Which string of the plan a step works on, where it is just one. */
static const char *step_object(const struct crab_plan_header *plan,
			       uint32_t step)
{
	switch (step) {
	case CRAB_STEP_UID_MAP:
		return crab_plan_string(plan, plan->uid_map);
	case CRAB_STEP_GID_MAP:
		return crab_plan_string(plan, plan->gid_map);
	case CRAB_STEP_HOSTNAME:
		return crab_plan_string(plan, plan->hostname);
	case CRAB_STEP_ROOT:
	case CRAB_STEP_PIVOT:
	case CRAB_STEP_ROOT_READONLY:
		return plan->root ? crab_plan_string(plan, plan->root)
				  : "a view of the host's system";
	case CRAB_STEP_CWD:
		return crab_plan_string(plan, plan->cwd);
	case CRAB_STEP_EXEC: {
		const uint64_t *argv = (const uint64_t *)((const char *)plan +
							  plan->argv.offset);

		return crab_plan_string(plan, (uint32_t)argv[0]);
	}
	default:
		return "";
	}
}

void crab_plan_describe(const struct crab_plan *plan, uint32_t step,
			uint32_t index, char *buffer, size_t size)
{
	const struct crab_plan_header *header = crab_plan_header(plan);

	buffer[0] = '\0';
	if (step == CRAB_STEP_MOUNT)
		describe_mount(header, index, buffer, size);
	else if (step == CRAB_STEP_IDS)
		snprintf(buffer, size, "uid %u, gid %u", header->uid,
			 header->gid);
	else
		snprintf(buffer, size, "%s", step_object(header, step));
}
