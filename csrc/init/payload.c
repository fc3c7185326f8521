/* SPDX-License-Identifier: MIT */
/*
 * The payload's process, from its birth to its exec. It is a vfork child: it
 * shares init's memory, and init is suspended until it executes or exits, so
 * a failure needs no message; it is written where init looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "../plan/sys.h"
#include "init.h"

static long start_session(struct init *init)
{
	(void)init;
	return setsid() < 0 ? -errno : 0;
}

/*
 * A path such as /proc/self/fd/0 could lead out by a descriptor that we were
 * given (CVE-2024-21626): what is not below our root has no path.
 */
static long check_inside(void)
{
	char path[PATH_MAX];
	long length = SYS(getcwd, path, sizeof(path));

	if (length < 0)
		return length;
	return path[0] == '/' ? 0 : -EXDEV;
}

/* Where init's end does not end it: the kernel clears this with the ids. */
static void die_with_init(const struct init *init)
{
	if (init->plan->flags & CRAB_PLAN_SUBREAPER)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static long change_directory(struct init *init)
{
	const char *cwd = crab_plan_text(init->plan, init->plan->cwd);

	die_with_init(init);
	umask(init->plan->umask);
	return chdir(cwd) < 0 ? -errno : check_inside();
}

/* The last descriptor that is the payload's: without a channel, 3 is any. */
static unsigned int last_payload_fd(const struct crab_plan_header *plan)
{
	return plan->flags & CRAB_PLAN_CHANNEL ? CRAB_FD_CHANNEL
					       : CRAB_FD_STDERR;
}

static bool is_passed_on(const struct crab_plan_header *plan, long fd)
{
	const int32_t *numbers = crab_plan_items(plan, plan->passed);

	for (uint32_t i = 0; i < plan->passed.count; i++)
		if (numbers[i] == fd)
			return true;
	return false;
}

/* Away from the numbers that others are to get; what is left there is lost. */
static long move_aside(const struct crab_plan_header *plan, int fd)
{
	long moved = fd;

	while (moved >= 0 && is_passed_on(plan, moved))
		moved = SYS(fcntl, fd, F_DUPFD_CLOEXEC, moved + 1);
	return moved;
}

static long pass_on(const struct init *init)
{
	const struct crab_plan_header *plan = init->plan;
	const int32_t *numbers = crab_plan_items(plan, plan->passed);
	long aside[CRAB_MAX_PASSED];

	for (uint32_t i = 0; i < plan->passed.count; i++) {
		aside[i] = move_aside(plan, init->passed + (int)i);
		if (aside[i] < 0)
			return aside[i];
	}
	for (uint32_t i = 0; i < plan->passed.count; i++) {
		long placed = SYS(dup3, aside[i], numbers[i], 0);

		if (placed < 0)
			return placed;
	}
	return 0;
}

/* Everything but 0 to 2, the channel and what is passed closes at the exec. */
static long hand_over(struct init *init)
{
	long result = SYS(close_range, last_payload_fd(init->plan) + 1, ~0U,
			  CLOSE_RANGE_CLOEXEC);

	return result < 0 ? result : pass_on(init);
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

/*
 * From the most to the least that is still allowed: what needs a capability
 * comes before they go, and the filter last, so that it need allow nothing
 * but the exec.
 */
static const struct step steps[] = {
	{ CRAB_STEP_PAYLOAD_SESSION, start_session },
	{ CRAB_STEP_PAYLOAD_TERMINAL, terminal_control },
	{ CRAB_STEP_KEYRING, keyring_join },
	{ CRAB_STEP_NICE, nice_set },
	{ CRAB_STEP_AFFINITY, affinity_set },
	{ CRAB_STEP_BOUNDING, bounding_drop },
	{ CRAB_STEP_IDS, ids_set },
	{ CRAB_STEP_CAPABILITIES, capabilities_set },
	{ CRAB_STEP_CWD, change_directory },
	{ CRAB_STEP_NO_NEW_PRIVS, new_privileges_refuse },
	{ CRAB_STEP_LANDLOCK, landlock_restrict },
	{ CRAB_STEP_HAND_OVER, hand_over },
	{ CRAB_STEP_RLIMIT, rlimits_set },
	{ CRAB_STEP_UNBLOCK, reset_signals },
	{ CRAB_STEP_SECCOMP, seccomp_install },
	{ CRAB_STEP_EXEC, execute },
	{ 0 },
};

static void run_payload(struct init *init) __attribute__((noreturn));
static void run_payload(struct init *init)
{
	init->payload_error = take_steps(init, steps);
	/* Raw: libc's would try again for ever where a filter refuses it. */
	for (;;) {
		SYS(exit_group, 127);
		__builtin_trap();
	}
}

/* What the payload has, init need not keep: an EOF must be seen as one. */
static void let_go_of_payload_fds(const struct init *init)
{
	uint32_t count = init->plan->passed.count;

	SYS(close_range, CRAB_FD_STDIN, last_payload_fd(init->plan), 0);
	if (count)
		SYS(close_range, init->passed, init->passed + (int)count - 1,
		    0);
}

long payload_spawn(struct init *init)
{
	init->payload = vfork();
	if (init->payload < 0)
		return -errno;
	if (init->payload == 0)
		run_payload(init);
	let_go_of_payload_fds(init);
	return init->payload_error;
}
