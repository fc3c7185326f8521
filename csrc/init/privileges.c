/* SPDX-License-Identifier: MIT */
/*
 * What the payload's process gives up before its exec. Raw system calls where
 * libc would take part in more than this process, whose memory is init's.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../plan/sys.h"
#include "init.h"

/* The caller's keys stay the caller's (keyctl(2), session-keyring(7)). */
long keyring_join(struct init *init)
{
	(void)init;
	long result = SYS(keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);

	/* A kernel without keyrings has nothing to hide. */
	return result < 0 && result != -ENOSYS ? result : 0;
}

long nice_set(struct init *init)
{
	return SYS(setpriority, PRIO_PROCESS, 0, init->plan->nice);
}

long affinity_set(struct init *init)
{
	struct crab_plan_array set = init->plan->affinity;

	return SYS(sched_setaffinity, 0, set.count * sizeof(uint64_t),
		   crab_plan_items(init->plan, set));
}

/*
 * Up to the first number that the kernel has no capability for. Each that we
 * run on has those up to this one (Linux 5.9): of them EINVAL is a failure.
 */
long bounding_drop(struct init *init)
{
	for (int cap = 0; cap < 64; cap++) {
		if (init->plan->capabilities & (1ULL << cap))
			continue;
		long dropped = SYS(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);

		if (dropped == -EINVAL && cap > CAP_CHECKPOINT_RESTORE)
			break;
		/* None to drop it with: where no user namespace is ours. */
		if (dropped < 0)
			return dropped;
	}
	return 0;
}

long ids_set(struct init *init)
{
	const struct crab_plan_header *plan = init->plan;
	struct crab_plan_array groups = plan->groups;
	/* What is to be kept must survive the change (capabilities(7)). */
	long result = SYS(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);

	if (result == 0 && (plan->flags & CRAB_PLAN_SET_GROUPS))
		result = SYS(setgroups, groups.count,
			     crab_plan_items(plan, groups));
	if (result == 0)
		result = SYS(setresgid, plan->gid, plan->gid, plan->gid);
	if (result == 0)
		result = SYS(setresuid, plan->uid, plan->uid, plan->uid);
	return result;
}

static long raise_ambient(uint64_t capabilities)
{
	for (int cap = 0; cap < 64; cap++) {
		if (!(capabilities & (1ULL << cap)))
			continue;
		long raised = SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
				  cap, 0, 0);

		if (raised < 0)
			return raised;
	}
	return 0;
}

/*
 * All five sets hold what is kept and nothing else. To root an exec gives the
 * bounding set; whoever is not root keeps only what is ambient, and that must
 * be inheritable (capabilities(7)). Root's inheritable set stays empty
 * (CVE-2022-24769, CVE-2022-29162).
 */
long capabilities_set(struct init *init)
{
	uint64_t kept = init->plan->capabilities;
	uint64_t ambient = init->plan->uid == 0 ? 0 : kept;
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	long result =
		SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(kept >> (32 * i)),
			.permitted = (uint32_t)(kept >> (32 * i)),
			.inheritable = (uint32_t)(ambient >> (32 * i)),
		};
	if (result == 0)
		result = SYS(capset, &header, data);
	return result < 0 ? result : raise_ambient(ambient);
}

long new_privileges_refuse(struct init *init)
{
	(void)init;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

long rlimits_set(struct init *init)
{
	struct crab_plan_array limits = init->plan->rlimits;
	const struct crab_plan_rlimit *items =
		crab_plan_items(init->plan, limits);

	for (uint32_t i = 0; i < limits.count; i++) {
		const uint64_t limit[] = { items[i].soft, items[i].hard };

		begin_step(init, CRAB_STEP_RLIMIT, i);
		long set = SYS(prlimit64, 0, items[i].resource, limit, NULL);

		if (set < 0)
			return set;
	}
	return 0;
}

/* Compiled by the caller, seccomp(2). Nothing but the exec comes after it. */
long seccomp_install(struct init *init)
{
	struct crab_plan_array filter = init->plan->seccomp;
	struct sock_fprog program = {
		.len = (unsigned short)filter.count,
		.filter = (struct sock_filter *)(uintptr_t)crab_plan_items(
			init->plan, filter),
	};

	return SYS(seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
