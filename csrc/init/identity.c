/* SPDX-License-Identifier: MIT */
/*
 * What init itself becomes, before it makes anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

#include "../plan/sys.h"
#include "init.h"
#include "text.h"

/*
 * A thread that moves itself takes no lock of the kernel's that would have to
 * wait for all processors: 0.1 ms instead of up to 15 (cgroup_procs_write_start
 * in kernel/cgroup/cgroup.c).
 */
long groups_enter(struct init *init)
{
	int first = CRAB_FD_COUNT + (int)init->plan->joins.count;

	for (uint32_t i = 0; i < init->plan->group_count; i++) {
		int fd = first + (int)i;

		begin_step(init, CRAB_STEP_GROUP, i);
		if (write(fd, "0", 1) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

/*
 * init's own, which the payload inherits: an undumpable process may not write
 * its file in /proc (proc_pid_oom_score_adj(5)).
 */
long oom_score_set(struct init *init)
{
	char text[NUMBER_SIZE] = "";

	append_number(text, init->plan->oom_score_adj);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	long result = write(fd, text, strlen(text)) < 0 ? -errno : 0;

	close(fd);
	return result;
}

/*
 * The payload may have init's ids: it may not trace it, nor reach the host by
 * its descriptors and its root in /proc (ptrace(2); CVE-2016-9962).
 */
long init_undumpable(struct init *init)
{
	(void)init;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/*
 * Born with the caller's ids, which the maps need not hold: files that are
 * made from here on belong to the container's root. Raw calls, as libc's
 * prepare for threads.
 */
long init_become_root(struct init *init)
{
	(void)init;
	long result = SYS(setgroups, 0, NULL);

	if (result == 0)
		result = SYS(setresgid, 0, 0, 0);
	if (result == 0)
		result = SYS(setresuid, 0, 0, 0);
	return result;
}

/* Now, in its own group: that becomes the root of what it can see. */
long cgroup_namespace_unshare(struct init *init)
{
	(void)init;
	return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}
