/* SPDX-License-Identifier: MIT */
/*
 * init after the payload has been started: reap, pass signals on, and end
 * with the payload or with the caller. Once PID 1 ends, the kernel kills
 * whatever else is in the container (pid_namespaces(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../plan/sys.h"
#include "init.h"

enum { WATCH_SIGNALS, WATCH_CONTROL, WATCH_CALLER, WATCH_COUNT };

long signals_take_over(struct init *init)
{
	sigset_t all;

	if ((init->plan->flags & CRAB_PLAN_SUBREAPER) &&
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -errno;
	/* Only what is not ignored can be read, and only what is blocked. */
	for (int signum = 1; signum < _NSIG; signum++)
		signal(signum, SIG_DFL);
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return -errno;
	init->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return init->signals < 0 ? -errno : 0;
}

/*
 * From here on the caller's pidfd tells of its death. The signal would come
 * with the end of the one thread that launched us (prctl(2)), which may be as
 * soon as it has been told that the payload runs.
 */
static bool report_start(void)
{
	struct crab_report report = { .type = CRAB_REPORT_STARTED,
				      .step = CRAB_STEP_EXEC };

	prctl(PR_SET_PDEATHSIG, 0);
	send_timeline();
	return send_report(&report);
}

static uint64_t nanoseconds(struct timeval a, struct timeval b)
{
	return (uint64_t)(a.tv_sec + b.tv_sec) * 1000000000u +
	       (uint64_t)(a.tv_usec + b.tv_usec) * 1000u;
}

/*
 * Once all is dead: who is told needs not wait for the namespaces to go.
 * With the peak, which the caller cannot learn: init's own account begins with
 * that of the memory which it was born in, the caller's.
 */
static void report_end(const struct init *init)
{
	struct rusage own = { 0 };
	struct rusage usage = { 0 };
	struct crab_report report = {
		.type = CRAB_REPORT_ENDED,
		.code = init->end.si_code,
		.status = init->end.si_status,
		.limit = init->limit,
	};

	if (!init->payload_ended)
		return;
	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &usage);
	report.peak_kib = (uint32_t)usage.ru_maxrss;
	report.user_time = nanoseconds(own.ru_utime, usage.ru_utime);
	report.system_time = nanoseconds(own.ru_stime, usage.ru_stime);
	send_report(&report);
}

static void payload_ended(struct init *init, const siginfo_t *end)
{
	init->payload_ended = true;
	init->end = *end;
}

/* True once the payload itself is among the dead. */
static bool reap(struct init *init)
{
	for (;;) {
		siginfo_t end = { 0 };

		if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG) < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		if (end.si_pid == 0)
			return false;
		if (end.si_pid == init->payload) {
			payload_ended(init, &end);
			return true;
		}
		exec_ended(&end);
	}
}

static bool take_signals(struct init *init)
{
	struct signalfd_siginfo info;
	bool ended = false;

	while (read(init->signals, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			ended |= reap(init);
		else if (!ended && init->payload)
			kill(init->payload, (int)info.ssi_signo);
	}
	return ended;
}

/* Waits for one that has been killed; false when there is none. */
static bool reap_one(struct init *init)
{
	siginfo_t end = { 0 };

	if (waitid(P_ALL, 0, &end, WEXITED) < 0)
		return errno == EINTR;
	if (end.si_pid == init->payload && !init->payload_ended)
		payload_ended(init, &end);
	exec_ended(&end);
	return true;
}

/*
 * In a PID namespace that is not ours nothing ends with us but what we end.
 * What a killed process leaves behind becomes our child, and its turn comes.
 */
static void kill_descendants(struct init *init)
{
	char text[4096];

	for (;;) {
		int fd = open("/proc/thread-self/children",
			      O_RDONLY | O_CLOEXEC);
		ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		close(fd);
		if (size <= 0)
			return;
		text[size] = '\0';
		char *rest = text;
		char *word = strsep(&rest, " ");

		/* The last one may have been cut off. */
		for (; rest && *word; word = strsep(&rest, " "))
			kill((pid_t)strtol(word, NULL, 10), SIGKILL);
		reap_one(init);
	}
}

static int watch_until_end(struct init *init)
{
	struct pollfd watch[WATCH_COUNT] = {
		[WATCH_SIGNALS] = { .fd = init->signals, .events = POLLIN },
		[WATCH_CONTROL] = { .fd = CRAB_FD_CONTROL, .events = POLLIN },
		[WATCH_CALLER] = { .fd = CRAB_FD_CALLER, .events = POLLIN },
	};

	for (;;) {
		int timeout = clock_left(init);

		if (timeout == 0)
			return 0;
		if (poll(watch, WATCH_COUNT, timeout) < 0) {
			if (errno == EINTR)
				continue;
			return 1;
		}
		if (watch[WATCH_SIGNALS].revents & ~POLLIN)
			return 1;
		if (watch[WATCH_SIGNALS].revents && take_signals(init))
			return 0;
		if (watch[WATCH_CALLER].revents)
			return 0;
		if (watch[WATCH_CONTROL].revents && !requests_take(init))
			return 0;
	}
}

/*
 * What is left ends with us anyway, but uncounted: the kernel gives its CPU
 * time to nobody (pid_namespaces(7), zap_pid_ns_processes).
 */
static void kill_and_reap_all(struct init *init)
{
	kill(-1, SIGKILL);
	while (reap_one(init))
		;
}

int supervise(struct init *init)
{
	clock_start(init);
	/* A caller that has not heard of the start would wait for it: it is to
	 * see that init has ended before. */
	bool is_told = report_start();
	int code = is_told ? watch_until_end(init) : 1;

	/* kill(-1) is for PID 1 alone: elsewhere it means the host. */
	if (getpid() == 1)
		kill_and_reap_all(init);
	else
		kill_descendants(init);
	if (is_told)
		report_end(init);
	return code;
}
