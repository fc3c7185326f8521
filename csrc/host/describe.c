/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <stdio.h>

#include "../crabcan.h"
#include "../plan/count.h"

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

/* The n-th mount that others count from. */
static const struct crab_plan_mount *
nth_base(const struct crab_plan_header *plan, uint32_t n)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(plan);

	for (uint32_t i = 0; i < plan->mount_count; i++)
		if ((mounts[i].flags & CRAB_MOUNT_BASE) && --n == 0)
			return &mounts[i];
	return NULL;
}

static void mount_target(const struct crab_plan_header *plan,
			 const struct crab_plan_mount *mount, char *buffer,
			 size_t size)
{
	const struct crab_plan_mount *base =
		mount->base ? nth_base(plan, mount->base) : NULL;

	snprintf(buffer, size, "%s%s%s",
		 base ? crab_plan_text(plan, base->target) : "",
		 base ? "/" : "", crab_plan_text(plan, mount->target));
}

/* What and where, in words. */
static void describe_mount(const struct crab_plan_header *plan, uint32_t index,
			   char *buffer, size_t size)
{
	static const char *const forms[CRAB_MOUNT_KINDS] = {
		[CRAB_MOUNT_BIND] = "bind %s on %s",
		[CRAB_MOUNT_FILESYSTEM] = "%s on %s",
		[CRAB_MOUNT_OVERLAY] = "overlay over %s on %s",
		[CRAB_MOUNT_FILE] = "%sfile %s",
		[CRAB_MOUNT_DIRECTORY] = "%sdirectory %s",
		[CRAB_MOUNT_SYMLINK] = "link to %s on %s",
		[CRAB_MOUNT_MASK] = "%smask over %s",
		[CRAB_MOUNT_PROTECT] = "%sread-only %s",
	};

	if (index >= plan->mount_count)
		return;
	const struct crab_plan_mount *mount = &crab_plan_mounts(plan)[index];
	const char *source = crab_plan_string(plan, mount->source);
	char target[4096];

	if (mount->kind == CRAB_MOUNT_FILE)
		source = "";
	else if (mount->kind == CRAB_MOUNT_OVERLAY && !source)
		source = "what is there";
	mount_target(plan, mount, target, sizeof(target));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(buffer, size, forms[mount->kind], source ? source : "",
		 target);
#pragma GCC diagnostic pop
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

static void describe_landlock(const struct crab_plan_header *plan,
			      uint32_t index, char *buffer, size_t size)
{
	const struct crab_plan_landlock *rules =
		crab_plan_items(plan, plan->landlock);

	if (index >= plan->landlock.count)
		return;
	if (rules[index].kind <= CRAB_LANDLOCK_WRITE)
		snprintf(buffer, size, "for %s",
			 crab_plan_string(plan, rules[index].path));
	else
		snprintf(buffer, size, "for port %llu",
			 (unsigned long long)rules[index].port);
}

static void describe_rlimit(const struct crab_plan_header *plan, uint32_t index,
			    char *buffer, size_t size)
{
	/* asm-generic/resource.h */
	static const char *const names[] = {
		"cpu",	    "fsize", "data",   "stack",
		"core",	    "rss",   "nproc",  "nofile",
		"memlock",  "as",    "locks",  "sigpending",
		"msgqueue", "nice",  "rtprio", "rttime",
	};
	const struct crab_plan_rlimit *limits =
		crab_plan_items(plan, plan->rlimits);

	if (index >= plan->rlimits.count ||
	    limits[index].resource >= sizeof(names) / sizeof(names[0]))
		return;
	snprintf(buffer, size, "%s to %lld, at most %lld",
		 names[limits[index].resource], (long long)limits[index].soft,
		 (long long)limits[index].hard);
}

/* The n-th of what has its owners mapped. */
static void describe_idmapped(const struct crab_plan_header *plan,
			      uint32_t index, char *buffer, size_t size)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(plan);

	if (plan->flags & CRAB_PLAN_ROOT_IDMAP) {
		if (index-- == 0) {
			snprintf(buffer, size, "the root %s",
				 crab_plan_string(plan, plan->root));
			return;
		}
	}
	for (uint32_t i = 0; i < plan->mount_count; i++)
		if (crab_mount_is_idmapped(&mounts[i]) && index-- == 0) {
			describe_mount(plan, i, buffer, size);
			return;
		}
}

static void describe_namespaces(uint64_t flags, char *buffer, size_t size)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} names[] = {
		{ CLONE_NEWUSER, "user" },   { CLONE_NEWNS, "mount" },
		{ CLONE_NEWPID, "pid" },     { CLONE_NEWIPC, "ipc" },
		{ CLONE_NEWNET, "network" }, { CLONE_NEWUTS, "uts" },
	};
	size_t used = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & names[i].flag)
			used += (size_t)snprintf(buffer + used, size - used,
						 "%s%s", used ? ", " : "",
						 names[i].name);
}

void crab_plan_describe(const struct crab_plan *plan, uint32_t step,
			uint32_t index, char *buffer, size_t size)
{
	const struct crab_plan_header *header = crab_plan_header(plan);

	buffer[0] = '\0';
	if (step == CRAB_STEP_MOUNT)
		describe_mount(header, index, buffer, size);
	else if (step == CRAB_STEP_IDMAP)
		describe_idmapped(header, index, buffer, size);
	else if (step == CRAB_STEP_CLONE)
		describe_namespaces(header->clone_flags, buffer, size);
	else if (step == CRAB_STEP_LANDLOCK)
		describe_landlock(header, index, buffer, size);
	else if (step == CRAB_STEP_RLIMIT)
		describe_rlimit(header, index, buffer, size);
	else if (step == CRAB_STEP_IDS)
		snprintf(buffer, size, "uid %u, gid %u", header->uid,
			 header->gid);
	else if (step == CRAB_STEP_CAPABILITIES)
		snprintf(buffer, size, "0x%llx",
			 (unsigned long long)header->capabilities);
	else if (step == CRAB_STEP_OOM_SCORE)
		snprintf(buffer, size, "to %d", header->oom_score_adj);
	else if (step == CRAB_STEP_NICE)
		snprintf(buffer, size, "to %d", header->nice);
	else if (step == CRAB_STEP_SECCOMP)
		snprintf(buffer, size, "of %u instructions",
			 header->seccomp.count);
	else
		snprintf(buffer, size, "%s", step_object(header, step));
}

uint32_t crab_plan_step_count(const struct crab_plan *plan, uint32_t step)
{
	return crab_step_count(crab_plan_header(plan), step);
}
