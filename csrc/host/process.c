/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"

#ifndef P_PIDFD /* glibc before 2.36 */
#define P_PIDFD 3
#endif

pid_t crab_process_pid(const struct crab_process *process)
{
	return process->pid;
}

int crab_process_pidfd(const struct crab_process *process)
{
	return process->pidfd;
}

void crab_process_sockets(const struct crab_process *process, int ret[2])
{
	memcpy(ret, process->sockets, sizeof(process->sockets));
}

int crab_process_signal(struct crab_process *process, int signum)
{
	errno = ESRCH;
	if (process->reaped)
		return -1;
	return (int)syscall(SYS_pidfd_send_signal, process->pidfd, signum, NULL,
			    0);
}

/* Numbers from inside are believed only where they can be true. */
static bool report_is_sound(const struct crab_report *report, ssize_t size)
{
	if (size != (ssize_t)sizeof(*report))
		return false;
	switch (report->type) {
	case CRAB_REPORT_STEP:
	case CRAB_REPORT_STARTED:
		return report->step < CRAB_STEP_COUNT;
	case CRAB_REPORT_FAILED:
		return report->step < CRAB_STEP_COUNT && report->error > 0 &&
		       report->error < 4096; /* MAX_ERRNO of the kernel */
	case CRAB_REPORT_ENDED:
		if (report->code == CLD_EXITED)
			return report->status >= 0 && report->status <= 255;
		return (report->code == CLD_KILLED ||
			report->code == CLD_DUMPED) &&
		       report->status > 0 && report->status < NSIG;
	default:
		return false;
	}
}

static void take_end(struct crab_process *process,
		     const struct crab_report *report)
{
	process->has_ended = true;
	process->status = (struct crab_status){ .reported = true,
						.code = report->code,
						.status = report->status };
}

enum crab_poll crab_process_report(struct crab_process *process,
				   struct crab_report *ret)
{
	while (process->control >= 0) {
		ssize_t size =
			recv(process->control, ret, sizeof(*ret), MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return CRAB_POLL_NOTHING;
		if (size > 0 && !report_is_sound(ret, size))
			continue;
		if (size > 0) {
			if (ret->type == CRAB_REPORT_ENDED)
				take_end(process, ret);
			return CRAB_POLL_REPORT;
		}
		/* The other end is gone: nobody is left to report. */
		close_quietly(process->control);
		process->control = -1;
	}
	return CRAB_POLL_ENDED;
}

/* Once init is dead nothing can be added to what waits in the socket. */
static void take_last_reports(struct crab_process *process)
{
	struct crab_report report;

	while (!process->has_ended &&
	       crab_process_report(process, &report) == CRAB_POLL_REPORT)
		;
}

enum crab_poll crab_process_poll(struct crab_process *process,
				 struct crab_status *ret)
{
	if (!process->reaped) {
		siginfo_t info = { 0 };
		int result = waitid((idtype_t)P_PIDFD, (id_t)process->pidfd,
				    &info, WEXITED | WNOHANG);

		if (result == 0 && info.si_pid == 0)
			return CRAB_POLL_NOTHING;
		take_last_reports(process);
		process->reaped = true;
		/*
		 * Where the caller ignores SIGCHLD, or reaps every child that
		 * it has, the end is gone (waitid(2), ECHILD); only init's
		 * report can tell it then.
		 */
		if (!process->has_ended && result == 0)
			process->status = (struct crab_status){
				.code = info.si_code, .status = info.si_status
			};
	}
	*ret = process->status;
	return CRAB_POLL_ENDED;
}

int crab_process_wait_fd(const struct crab_process *process,
			 enum crab_wait wait)
{
	return wait == CRAB_WAIT_REPORT ? process->control : process->pidfd;
}

/* Only its parent can reap it; in a fork of that, only the copies go. */
static void end_process(struct crab_process *process)
{
	siginfo_t info;

	if (process->reaped || process->pidfd < 0 || process->owner != getpid())
		return;
	syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
	while (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED) <
		       0 &&
	       errno == EINTR)
		;
}

void crab_process_destroy(struct crab_process *process)
{
	int saved = errno;

	if (!process)
		return;
	end_process(process);
	close_quietly(process->control);
	close_quietly(process->pidfd);
	free(process);
	errno = saved;
}
