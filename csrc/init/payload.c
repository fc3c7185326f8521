/* SPDX-License-Identifier: MIT */
/*
 * The payload's process, from its birth to its exec. It is a vfork child: it
 * shares init's memory, and init is suspended until it executes or exits, so
 * a failure needs no message; it is written where init looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "init.h"
#include "sys.h"

static long start_session(struct init *init)
{
	(void)init;
	return setsid() < 0 ? -errno : 0;
}

/* Raw calls: libc's would synchronise threads, in memory that is init's. */
static long set_ids(struct init *init)
{
	const struct crab_plan_header *plan = init->plan;
	long result = 0;

	if (plan->flags & CRAB_PLAN_SET_GROUPS)
		result = SYS(setgroups, 0, NULL);
	if (result == 0)
		result = SYS(setresgid, plan->gid, plan->gid, plan->gid);
	if (result == 0)
		result = SYS(setresuid, plan->uid, plan->uid, plan->uid);
	return result;
}

/*
 * Inheritable and ambient sets are for init alone (stage0.c): left in place,
 * they would reach every program that the payload executes (CVE-2022-29162).
 */
static long drop_capabilities(struct init *init)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	(void)init;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	long result = SYS(capget, &header, data);

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].inheritable = 0;
	return result < 0 ? result : SYS(capset, &header, data);
}

static long change_directory(struct init *init)
{
	const char *cwd = crab_plan_string(init->plan, init->plan->cwd);

	return chdir(cwd) < 0 ? -errno : 0;
}

static long refuse_new_privileges(struct init *init)
{
	(void)init;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* The last descriptor that is the payload's: without a channel, 3 is any. */
static unsigned int last_payload_fd(const struct crab_plan_header *plan)
{
	return plan->flags & CRAB_PLAN_CHANNEL ? CRAB_FD_CHANNEL
					       : CRAB_FD_STDERR;
}

/* Everything but 0 to 2 and the channel closes at the exec. */
static long hand_over_channel(struct init *init)
{
	return SYS(close_range, last_payload_fd(init->plan) + 1, ~0U,
		   CLOSE_RANGE_CLOEXEC);
}

/*
 * An ignored signal stays ignored and a mask stays over exec (signal(7)):
 * Python, for one, ignores SIGPIPE, and init has all of them blocked.
 */
static long reset_signals(struct init *init)
{
	sigset_t none;

	(void)init;
	for (int signum = 1; signum < _NSIG; signum++)
		signal(signum, SIG_DFL); /* fails for SIGKILL and SIGSTOP */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* The order and the errors of execvp(3), over the names that the plan lists. */
static long execute(struct init *init)
{
	const struct crab_plan_header *plan = init->plan;
	char *base = (char *)(uintptr_t)plan;
	char **names = (char **)(base + plan->executables.offset);
	char **argv = (char **)(base + plan->argv.offset);
	char **environ = (char **)(base + plan->environ.offset);
	long result = -ENOENT;

	for (; *names; names++) {
		execve(*names, argv, environ);
		if (errno == EACCES)
			result = -EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return -errno;
	}
	return result;
}

static const struct step steps[] = {
	{ CRAB_STEP_PAYLOAD_SESSION, start_session },
	{ CRAB_STEP_IDS, set_ids },
	{ CRAB_STEP_DROP_CAPS, drop_capabilities },
	{ CRAB_STEP_CWD, change_directory },
	{ CRAB_STEP_NO_NEW_PRIVS, refuse_new_privileges },
	{ CRAB_STEP_CHANNEL, hand_over_channel },
	{ CRAB_STEP_UNBLOCK, reset_signals },
	{ CRAB_STEP_EXEC, execute },
	{ 0 },
};

static void run_payload(struct init *init) __attribute__((noreturn));
static void run_payload(struct init *init)
{
	init->payload_error = take_steps(init, steps);
	_exit(127);
}

/* What the payload has, init need not keep: an EOF must be seen as one. */
static void let_go_of_payload_fds(const struct crab_plan_header *plan)
{
	SYS(close_range, CRAB_FD_STDIN, last_payload_fd(plan), 0);
}

long payload_spawn(struct init *init)
{
	init->payload = vfork();
	if (init->payload < 0)
		return -errno;
	if (init->payload == 0)
		run_payload(init);
	let_go_of_payload_fds(init->plan);
	return init->payload_error;
}
