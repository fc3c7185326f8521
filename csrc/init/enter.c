/* SPDX-License-Identifier: MIT */
/*
 * Joining namespaces. This process enters them, clones the one that becomes
 * init as the caller's child, hands the caller its pidfd, and is gone: a PID
 * namespace is joined by children only (pid_namespaces(7)), and new
 * namespaces must belong to the user namespace that was joined.
 *
 * It has closed itself to ptrace before: what lives in there is hostile.
 */
#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "../plan/boolean.h"
#include "../plan/sys.h"
#include "init.h"

static long join_all(struct init *init)
{
	const uint64_t *types = crab_plan_items(init->plan, init->plan->joins);

	for (uint32_t i = 0; i < init->plan->joins.count; i++) {
		int fd = CRAB_FD_COUNT + (int)i;

		begin_step(init, CRAB_STEP_JOIN, i);
		if (setns(fd, (int)types[i]) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

static long clone_init(uint64_t namespaces, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = namespaces | CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uintptr_t)ret_pidfd,
	};

	return SYS(clone3, &args, sizeof(args));
}

/* As the first process of a container without joins does, in stage0.c. */
static void await_go_on(void)
{
	struct pollfd watch[] = {
		{ .fd = CRAB_FD_CONTROL, .events = POLLIN },
		{ .fd = CRAB_FD_CALLER, .events = POLLIN },
	};
	unsigned char byte[CRAB_BOOLEAN_BUFFER] = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(watch, 2, -1) < 0 || watch[1].revents)
		_exit(127);
	long size = recv(CRAB_FD_CONTROL, byte, sizeof(byte), MSG_DONTWAIT);

	if (crab_boolean_decode(byte, size) != CRAB_TRUE)
		_exit(127);
}

long namespaces_join(struct init *init)
{
	int pidfd = -1;

	long result = join_all(init);

	if (result < 0)
		return result;
	/* Entering a user namespace has set it anew. */
	result = init_undumpable(init);
	if (result < 0)
		return result;
	long pid = clone_init(init->plan->clone_flags, &pidfd);

	if (pid == 0) {
		await_go_on();
		return 0;
	}
	result = pid < 0 ? pid : send_descriptor(init, CRAB_REPORT_INIT, pidfd);
	if (result < 0)
		return result;
	_exit(0);
}
