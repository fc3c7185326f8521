/* SPDX-License-Identifier: MIT */
#include "idmap.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

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

#define MAX_WORDS 64

/* "newuidmap PID 0 1000 1 1 100000 65536", from the text of the map. */
static int run_helper(const char *program, pid_t pid, const char *map)
{
	char *argv[MAX_WORDS + 1] = { NULL };
	char *const no_environ[] = { NULL };
	char copy[MAX_WORDS * 12]; /* ids have 10 digits */
	char number[16];
	int count = 2;
	pid_t helper;
	int status;

	size_t length = strlen(map);

	errno = E2BIG;
	if (length >= sizeof(copy))
		return -1;
	memcpy(copy, map, length + 1);
	snprintf(number, sizeof(number), "%d", (int)pid);
	argv[0] = (char *)(uintptr_t)program;
	argv[1] = number;
	for (char *rest = copy, *word;
	     count < MAX_WORDS && (word = strtok_r(rest, " \n", &rest));)
		argv[count++] = word;
	errno = posix_spawnp(&helper, program, NULL, NULL, argv, no_environ);
	if (errno)
		return -1;
	while (waitpid(helper, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	/* It has said on stderr what the matter is. */
	errno = EPERM;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int write_by_helpers(struct crab_process *process,
			    struct crab_error *error)
{
	const struct crab_plan_header *plan = process->plan;
	pid_t pid = process->pid;

	process_begin_step(process, CRAB_STEP_GID_MAP);
	if (run_helper("newgidmap", pid, crab_plan_text(plan, plan->gid_map)) <
	    0)
		return crab_fail(error, CRAB_STEP_GID_MAP);
	process_begin_step(process, CRAB_STEP_UID_MAP);
	if (run_helper("newuidmap", pid, crab_plan_text(plan, plan->uid_map)) <
	    0)
		return crab_fail(error, CRAB_STEP_UID_MAP);
	return 0;
}

static int write_map(struct crab_process *process, enum crab_step step,
		     const char *file, const char *text,
		     struct crab_error *error)
{
	process_begin_step(process, step);
	if (write_proc(process->pid, file, text) < 0)
		return crab_fail(error, step);
	return 0;
}

int idmap_write(struct crab_process *process, struct crab_error *error)
{
	const struct crab_plan_header *plan = process->plan;

	if (!(plan->flags & CRAB_PLAN_USER_NAMESPACE))
		return 0;
	if (plan->flags & CRAB_PLAN_NEWIDMAP)
		return write_by_helpers(process, error);
	/* Without privilege the kernel wants this first (CVE-2014-8989). */
	if ((plan->flags & CRAB_PLAN_DENY_SETGROUPS) &&
	    write_map(process, CRAB_STEP_SETGROUPS, "setgroups", "deny",
		      error) < 0)
		return -1;
	if (write_map(process, CRAB_STEP_GID_MAP, "gid_map",
		      crab_plan_text(plan, plan->gid_map), error) < 0)
		return -1;
	return write_map(process, CRAB_STEP_UID_MAP, "uid_map",
			 crab_plan_text(plan, plan->uid_map), error);
}
