/* SPDX-License-Identifier: MIT */
#include "idmap.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"

/* The kernel takes a map in one write(2) only, user_namespaces(7). */
static int write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

int idmap_write(const struct crab_plan_header *plan, pid_t pid,
		struct crab_error *error)
{
	if (!(plan->flags & CRAB_PLAN_USER_NAMESPACE))
		return 0;
	/* Without privilege the kernel wants this first (CVE-2014-8989). */
	if ((plan->flags & CRAB_PLAN_DENY_SETGROUPS) &&
	    write_proc(pid, "setgroups", "deny") < 0)
		return crab_fail(error, CRAB_STEP_SETGROUPS);
	if (write_proc(pid, "gid_map", crab_plan_string(plan, plan->gid_map)) <
	    0)
		return crab_fail(error, CRAB_STEP_GID_MAP);
	if (write_proc(pid, "uid_map", crab_plan_string(plan, plan->uid_map)) <
	    0)
		return crab_fail(error, CRAB_STEP_UID_MAP);
	return 0;
}
