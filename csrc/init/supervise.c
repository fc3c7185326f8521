/* SPDX-License-Identifier: MIT */
/*
 * init after the payload has been started: reap, pass signals on, and end
 * with the payload or with the caller. Once PID 1 ends, the kernel kills
 * whatever else is in the container (pid_namespaces(7)).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "init.h"
#include "sys.h"

enum { WATCH_SIGNALS, WATCH_CONTROL, WATCH_CALLER, WATCH_COUNT };

long signals_take_over(struct init *init)
{
	sigset_t all;

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
static void report_start(void)
{
	struct crab_report report = { .type = CRAB_REPORT_STARTED,
				      .step = CRAB_STEP_EXEC };

	prctl(PR_SET_PDEATHSIG, 0);
	send_report(&report);
}

static void report_end(const siginfo_t *end)
{
	struct crab_report report = {
		.type = CRAB_REPORT_ENDED,
		.code = end->si_code,
		.status = end->si_status,
	};

	send_report(&report);
}

/* True once the payload itself is among the dead. */
static bool reap(pid_t payload)
{
	for (;;) {
		siginfo_t end = { 0 };

		if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG) < 0 ||
		    end.si_pid == 0)
			return false;
		if (end.si_pid == payload) {
			report_end(&end);
			return true;
		}
	}
}

static bool take_signals(struct init *init)
{
	struct signalfd_siginfo info;
	bool ended = false;

	while (read(init->signals, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			ended |= reap(init->payload);
		else if (!ended)
			kill(init->payload, (int)info.ssi_signo);
	}
	return ended;
}

int supervise(struct init *init)
{
	struct pollfd watch[WATCH_COUNT] = {
		[WATCH_SIGNALS] = { .fd = init->signals, .events = POLLIN },
		[WATCH_CONTROL] = { .fd = CRAB_FD_CONTROL, .events = POLLIN },
		[WATCH_CALLER] = { .fd = CRAB_FD_CALLER, .events = POLLIN },
	};

	report_start();
	for (;;) {
		if (poll(watch, WATCH_COUNT, -1) < 0 ||
		    (watch[WATCH_SIGNALS].revents & ~POLLIN))
			return 1;
		if (watch[WATCH_SIGNALS].revents && take_signals(init))
			return 0;
		/* Nothing is sent to us: readable means that it was closed. */
		if (watch[WATCH_CALLER].revents || watch[WATCH_CONTROL].revents)
			return 0;
	}
}
