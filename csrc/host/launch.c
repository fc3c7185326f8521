/* SPDX-License-Identifier: MIT */
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "../crabcan.h"
#include "cleanup.h"
#include "error.h"
#include "idmap.h"
#include "init_image.h"
#include "plan.h"
#include "process.h"
#include "syscall.h"

/* Linux 5.5 and later; the headers of a build machine can be older. */
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef CLONE_INTO_CGROUP /* 5.7 */
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

static struct crab_process *process_create(void)
{
	struct crab_process *process = calloc(1, sizeof(*process));

	if (process) {
		process->pidfd = -1;
		process->control = -1;
		process->terminal = -1;
		process->owner = getpid();
	}
	return process;
}

/*
 * CLONE_VM, so that the cost does not grow with the caller's memory, and no
 * copy of that memory is ever in the container. All signals are blocked for
 * the child: none of the caller's handlers may run in it, and a fatal signal
 * may not take a memory that is the caller's too. init begins with them
 * blocked, as it needs them.
 */
static long clone_child(struct crab_process *process, uint64_t namespaces,
			int cgroup)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0) | namespaces,
		.cgroup = cgroup >= 0 ? (unsigned int)cgroup : 0,
		.pidfd = (uintptr_t)&process->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)process->stack,
		.stack_size = sizeof(process->stack),
	};
	sigset_t all;
	sigset_t before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	long pid =
		raw_clone3(&args, sizeof(args), stage0_entry, &process->stage0);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static int clone_into(struct crab_process *process, uint64_t namespaces,
		      int cgroup, struct crab_error *error)
{
	long pid = clone_child(process, namespaces, cgroup);

	if (pid < 0) {
		errno = (int)-pid;
		return crab_fail(error, CRAB_STEP_CLONE);
	}
	process->pid = (pid_t)pid;
	return 0;
}

static int let_go_on(struct crab_process *process, struct crab_error *error)
{
	if (crab_send_bool(process->control, true) < 0)
		return crab_fail(error, CRAB_STEP_HANDSHAKE);
	return 0;
}

static int *append(int *to, const int *fds, size_t count)
{
	if (count)
		memcpy(to, fds, count * sizeof(int));
	return to + count;
}

/* What the child gets besides, in the order of plan.h. */
static int collect_extra(struct crab_process *process,
			 const struct crab_launch *how,
			 struct crab_error *error)
{
	const struct trees *trees = &process->trees;
	size_t count = how->join_count + how->group_count + how->passed_count +
		       trees->count;
	int *extra = calloc(count + 1, sizeof(int));

	if (!extra)
		return crab_fail(error, CRAB_STEP_DESCRIPTORS);
	process->stage0.extra = extra;
	process->stage0.extra_count = (int)count;
	extra = append(extra, how->joins, how->join_count);
	extra = append(extra, how->groups, how->group_count);
	extra = append(extra, how->passed, how->passed_count);
	append(extra, trees->fds, trees->count);
	return 0;
}

/*
 * Whether the exec of init would take its capabilities: it is no root in the
 * user namespace that it is born in (capabilities(7)).
 */
static bool init_is_no_root(const struct crab_plan_header *plan)
{
	return (plan->clone_flags & CLONE_NEWUSER) && plan->joins.count == 0 &&
	       (plan->uid != 0 || (plan->flags & CRAB_PLAN_INIT_ROOT));
}

/*
 * Namespaces are joined by a process of its own, which clones init and is
 * gone: entering a user namespace changes credentials, which may not be done
 * in memory that is the caller's (enter.c).
 */
static int clone_child_of_plan(struct crab_process *process,
			       const struct crab_launch *how,
			       struct crab_error *error)
{
	const struct crab_plan_header *plan = process->plan;

	if (plan->joins.count == 0)
		return clone_into(process, plan->clone_flags, how->cgroup,
				  error);
	if (clone_into(process, 0, how->cgroup, error) < 0 ||
	    let_go_on(process, error) < 0)
		return -1;
	process_begin_step(process, CRAB_STEP_ENTER);
	return process_receive_init(process, error);
}

static int make_child(struct crab_process *process,
		      const struct crab_launch *how, struct crab_error *error)
{
	const struct crab_plan_header *plan = process->plan;

	process_begin_step(process, CRAB_STEP_TREES);
	if (trees_open(plan, &process->trees, error) < 0 ||
	    collect_extra(process, how, error) < 0)
		return -1;
	process_begin_step(process, CRAB_STEP_CLONE);
	if (clone_child_of_plan(process, how, error) < 0)
		return -1;
	if (idmap_write(process, error) < 0)
		return -1;
	process_begin_step(process, CRAB_STEP_IDMAP);
	return trees_idmap(plan, &process->trees, process->pid, error);
}

static int launch(struct crab_process *process, struct crab_plan *plan,
		  const struct crab_launch *how, struct crab_error *error)
{
	int control[2];

	process->plan = plan->header;
	process_begin_step(process, CRAB_STEP_SOCKETPAIR);
	if (crab_socketpair(control) < 0)
		return crab_fail(error, CRAB_STEP_SOCKETPAIR);
	process->control = control[0];
	memcpy(process->sockets, control, sizeof(control));
	_cleanup_close_ int child_control = control[1];
	process_begin_step(process, CRAB_STEP_IMAGE);
	int init = init_image_fd();
	int plan_fd = sealed_file_get(&plan->file, "crabcan-plan", plan->header,
				      plan->size);

	if (init < 0 || plan_fd < 0)
		return crab_fail(error, CRAB_STEP_IMAGE);
	process_begin_step(process, CRAB_STEP_PIDFD);
	_cleanup_close_ int caller =
		(int)syscall(SYS_pidfd_open, process->owner, 0);

	if (caller < 0)
		return crab_fail(error, CRAB_STEP_PIDFD);
	process->stage0 = (struct stage0){
		.fds = { [CRAB_FD_STDIN] = how->stdio[0],
			 [CRAB_FD_STDOUT] = how->stdio[1],
			 [CRAB_FD_STDERR] = how->stdio[2],
			 [CRAB_FD_CHANNEL] = how->channel,
			 [CRAB_FD_CONTROL] = child_control,
			 [CRAB_FD_PLAN] = plan_fd,
			 [CRAB_FD_CALLER] = caller },
		.caller_control = process->control,
		.init = init,
		.keep_caps = init_is_no_root(plan->header),
	};
	return make_child(process, how, error);
}

int crab_launch(struct crab_plan *plan, const struct crab_launch *how,
		struct crab_process **ret, struct crab_error *error)
{
	struct crab_process *process = process_create();

	if (!process)
		return crab_fail(error, CRAB_STEP_CLONE);
	if (launch(process, plan, how, error) < 0) {
		crab_process_destroy(process);
		return -1;
	}
	process_begin_step(process, CRAB_STEP_COUNT);
	*ret = process;
	return 0;
}

int crab_process_go_on(struct crab_process *process, struct crab_error *error)
{
	process_begin_step(process, CRAB_STEP_HANDSHAKE);
	/* The child has its own descriptors of them. */
	trees_close(&process->trees);
	if (let_go_on(process, error) < 0)
		return -1;
	process_begin_step(process, CRAB_STEP_COUNT);
	return 0;
}
