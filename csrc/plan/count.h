/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_COUNT_H
#define CRABCAN_PLAN_COUNT_H

#include "plan.h"
#include "steps.h"

static inline uint32_t crab_count_idmapped(const struct crab_plan_header *plan)
{
	uint32_t count = (plan->flags & CRAB_PLAN_ROOT_IDMAP) != 0;

	for (uint32_t i = 0; i < plan->mount_count; i++)
		count += (uint32_t)crab_mount_is_idmapped(
			&crab_plan_mounts(plan)[i]);
	return count;
}

static inline uint32_t crab_has_flag(const struct crab_plan_header *plan,
				     enum crab_plan_flag flag)
{
	return (plan->flags & flag) != 0;
}

/*
 * How often a plan takes a step: for init, which leaves out the others, and
 * for whoever wants to know beforehand.
 */
static inline uint32_t crab_step_count(const struct crab_plan_header *plan,
				       uint32_t step)
{
	if (crab_has_flag(plan, CRAB_PLAN_NO_MOUNTS) &&
	    step >= CRAB_STEP_PRIVATE && step <= CRAB_STEP_ROOT_READONLY)
		return 0;
	switch (step) {
	case CRAB_STEP_TREES:
		return crab_has_flag(plan, CRAB_PLAN_HOST_TREES);
	case CRAB_STEP_ENTER:
		return plan->joins.count > 0;
	case CRAB_STEP_JOIN:
		return plan->joins.count;
	case CRAB_STEP_GROUP:
		return plan->group_count;
	case CRAB_STEP_SETGROUPS:
		return crab_has_flag(plan, CRAB_PLAN_DENY_SETGROUPS);
	case CRAB_STEP_GID_MAP:
	case CRAB_STEP_UID_MAP:
		return crab_has_flag(plan, CRAB_PLAN_USER_NAMESPACE);
	case CRAB_STEP_IDMAP:
		return crab_count_idmapped(plan);
	case CRAB_STEP_KEEP_CAPS:
		return plan->uid != 0 ||
		       crab_has_flag(plan, CRAB_PLAN_INIT_ROOT);
	case CRAB_STEP_OOM_SCORE:
		return crab_has_flag(plan, CRAB_PLAN_OOM_SCORE);
	case CRAB_STEP_INIT_IDS:
		return crab_has_flag(plan, CRAB_PLAN_INIT_ROOT);
	case CRAB_STEP_CGROUP_NAMESPACE:
		return crab_has_flag(plan, CRAB_PLAN_CGROUP_NAMESPACE);
	case CRAB_STEP_HOSTNAME:
		return plan->hostname != CRAB_PLAN_NONE;
	case CRAB_STEP_LOOPBACK:
		return crab_has_flag(plan, CRAB_PLAN_LOOPBACK);
	case CRAB_STEP_MOUNT:
		return plan->mount_count;
	case CRAB_STEP_ROOT_READONLY:
		return !crab_has_flag(plan, CRAB_PLAN_ROOT_WRITABLE);
	case CRAB_STEP_TERMINAL:
	case CRAB_STEP_PAYLOAD_TERMINAL:
		return crab_has_flag(plan, CRAB_PLAN_TTY);
	case CRAB_STEP_SPAWN:
		return !crab_has_flag(plan, CRAB_PLAN_WARM);
	case CRAB_STEP_NICE:
		return crab_has_flag(plan, CRAB_PLAN_NICE);
	case CRAB_STEP_AFFINITY:
		return plan->affinity.count > 0;
	case CRAB_STEP_LANDLOCK:
		return plan->landlock_access || plan->landlock_ports;
	case CRAB_STEP_RLIMIT:
		return plan->rlimits.count;
	case CRAB_STEP_SECCOMP:
		return plan->seccomp.count > 0;
	default:
		return 1;
	}
}

#endif
