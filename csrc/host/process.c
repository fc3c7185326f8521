/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../plan/count.h"
#include "cleanup.h"
#include "error.h"
#include "plan.h"
#include "sealed.h"

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

void process_begin_step(struct crab_process *process, enum crab_step step)
{
	if (step < CRAB_STEP_COUNT && !crab_step_count(process->plan, step))
		return;
	if (process->moment_count < MAX_CALLER_MOMENTS)
		process->moments[process->moment_count++] =
			(struct crab_moment){ .step = step,
					      .time = (uint64_t)crab_now() };
}

const struct crab_moment *
crab_process_timeline(const struct crab_process *process, enum crab_side side,
		      size_t *ret_count)
{
	if (side == CRAB_SIDE_CALLER) {
		*ret_count = process->moment_count;
		return process->moments;
	}
	*ret_count = process->child_moment_count;
	return process->child_moments;
}

/* Numbers from inside are believed only where they can be true. */
static bool report_is_sound(const struct crab_report *report, ssize_t size)
{
	if (size != (ssize_t)sizeof(*report))
		return false;
	switch (report->type) {
	case CRAB_REPORT_STARTED:
		return report->step < CRAB_STEP_COUNT;
	case CRAB_REPORT_FAILED:
		return report->step < CRAB_STEP_COUNT && report->error > 0 &&
		       report->error < 4096; /* MAX_ERRNO of the kernel */
	case CRAB_REPORT_TERMINAL:
		return true;
	case CRAB_REPORT_ENDED:
		if (report->limit > CRAB_TIME_CPU)
			return false;
		if (report->code == CLD_EXITED)
			return report->status >= 0 && report->status <= 255;
		return (report->code == CLD_KILLED ||
			report->code == CLD_DUMPED) &&
		       report->status > 0 && report->status < NSIG;
	default:
		return false;
	}
}

/* As report_is_sound(). */
static bool timeline_is_sound(const struct crab_timeline *timeline,
			      ssize_t size)
{
	if (size < (ssize_t)offsetof(struct crab_timeline, moments) ||
	    timeline->type != CRAB_REPORT_TIMELINE ||
	    timeline->count > CRAB_MAX_MOMENTS ||
	    size != (ssize_t)crab_timeline_size(timeline))
		return false;
	for (uint32_t i = 0; i < timeline->count; i++)
		if (timeline->moments[i].step >= CRAB_STEP_COUNT)
			return false;
	return true;
}

/* The first one only; without memory there is none. */
static void take_timeline(struct crab_process *process,
			  const struct crab_timeline *timeline)
{
	struct crab_moment *all =
		process->child_moments
			? NULL
			: calloc(STAGE0_STEPS + timeline->count, sizeof(*all));

	if (!all)
		return;
	size_t count = 0;

	for (int i = 0; i < STAGE0_STEPS; i++)
		if (process->stage0.moments[i].time)
			all[count++] = process->stage0.moments[i];
	memcpy(all + count, timeline->moments, timeline->count * sizeof(*all));
	process->child_moments = all;
	process->child_moment_count = count + timeline->count;
}

static void take_end(struct crab_process *process,
		     const struct crab_report *report)
{
	process->has_ended = true;
	process->status = (struct crab_status){
		.reported = true,
		.code = report->code,
		.status = report->status,
		.limit = (enum crab_time_limit)report->limit,
		.ended = (int64_t)report->time,
		.peak_memory = (int64_t)report->peak_kib * 1024,
		.user_time = (int64_t)(report->user_time & INT64_MAX),
		.system_time = (int64_t)(report->system_time & INT64_MAX),
	};
}

/*
 * One datagram, and the descriptor that came with it, or -1. The kernel closes
 * any more: there is room for one.
 */
static int receive(const struct crab_process *process, int flags, void *ret,
		   size_t room, ssize_t *ret_size)
{
	union {
		char bytes[CMSG_LEN(sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	struct iovec data = { ret, room };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = ancillary.bytes,
				  .msg_controllen = sizeof(ancillary.bytes) };
	int fd = -1;

	*ret_size =
		recvmsg(process->control, &message, flags | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = *ret_size < 0 ? NULL : CMSG_FIRSTHDR(&message);

	if (header && header->cmsg_level == SOL_SOCKET &&
	    header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

enum crab_poll crab_process_report(struct crab_process *process,
				   struct crab_report *ret)
{
	while (process->control >= 0) {
		union {
			struct crab_report report;
			struct crab_timeline timeline;
		} message;
		ssize_t size;
		_cleanup_close_ int fd =
			receive(process, MSG_DONTWAIT, &message,
				sizeof(message), &size);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return CRAB_POLL_NOTHING;
		if (timeline_is_sound(&message.timeline, size)) {
			take_timeline(process, &message.timeline);
			continue;
		}
		bool sound = report_is_sound(&message.report, size);

		if (sound && message.report.type == CRAB_REPORT_TERMINAL) {
			if (process->terminal < 0)
				process->terminal = steal_fd(&fd);
			continue;
		}
		if (sound) {
			*ret = message.report;
			if (ret->type == CRAB_REPORT_ENDED && ret->id == 0)
				take_end(process, ret);
			return CRAB_POLL_REPORT;
		}
		/*
		 * The other end is gone, or has said what init never says: then
		 * it is not init, and nothing more is believed.
		 */
		close_quietly(process->control);
		process->control = -1;
	}
	return CRAB_POLL_ENDED;
}

/* Up to the end, if that is among those that wait in the socket. */
static void take_last_reports(struct crab_process *process)
{
	struct crab_report report;

	while (!process->has_ended &&
	       crab_process_report(process, &report) == CRAB_POLL_REPORT)
		;
}

enum crab_poll crab_process_end(struct crab_process *process,
				struct crab_status *ret)
{
	if (!process->reaped)
		take_last_reports(process);
	if (!process->has_ended && process->control >= 0)
		return CRAB_POLL_NOTHING;
	if (!process->has_ended)
		return crab_process_poll(process, ret);
	*ret = process->status;
	return CRAB_POLL_ENDED;
}

static int64_t nanoseconds(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_usec * 1000;
}

static void take_usage(struct crab_status *status, const struct rusage *usage)
{
	status->user_time = nanoseconds(usage->ru_utime);
	status->system_time = nanoseconds(usage->ru_stime);
}

enum crab_poll crab_process_poll(struct crab_process *process,
				 struct crab_status *ret)
{
	if (!process->reaped) {
		siginfo_t info = { 0 };
		struct rusage usage = { 0 };
		/* The system call knows a fifth argument, libc does not. */
		long result = syscall(SYS_waitid, P_PIDFD, process->pidfd,
				      &info, WEXITED | WNOHANG, &usage);

		if (result == 0 && info.si_pid == 0)
			return CRAB_POLL_NOTHING;
		if (result < 0 && errno == EINTR)
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
		take_usage(&process->status, &usage);
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
	trees_close(&process->trees);
	free(process->stage0.extra);
	free(process->child_moments);
	close_quietly(process->control);
	close_quietly(process->terminal);
	close_quietly(process->pidfd);
	free(process);
	errno = saved;
}

static bool is_master(int fd)
{
	struct stat st;
	unsigned int number;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	       ioctl(fd, TIOCGPTN, &number) == 0;
}

int crab_process_terminal(struct crab_process *process,
			  struct crab_error *error)
{
	if (!is_master(process->terminal)) {
		errno = ENOTTY;
		return crab_fail(error, CRAB_STEP_TERMINAL);
	}
	return steal_fd(&process->terminal);
}

static int request(struct crab_process *process,
		   const struct crab_request *request, const int *fds,
		   size_t count)
{
	union {
		char bytes[CMSG_SPACE(CRAB_REQUEST_FDS * sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	struct iovec data = { (void *)(uintptr_t)request, sizeof(*request) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = ancillary.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *header = &ancillary.align;

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	}
	/* init answers at once or is dead: nobody waits for it here. */
	ssize_t size = sendmsg(process->control, &message,
			       MSG_NOSIGNAL | MSG_DONTWAIT);

	return size < 0 ? -1 : 0;
}

int crab_process_exec(struct crab_process *process, struct crab_plan *plan,
		      const int stdio[3], uint32_t id, struct crab_error *error)
{
	const struct crab_request exec = { .type = id ? CRAB_REQUEST_EXEC
						      : CRAB_REQUEST_START,
					   .id = id };
	int plan_fd = sealed_file_get(&plan->file, "crabcan-plan", plan->header,
				      plan->size);

	if (plan_fd < 0)
		return crab_fail(error, CRAB_STEP_IMAGE);
	const int fds[CRAB_REQUEST_FDS] = { plan_fd, stdio[0], stdio[1],
					    stdio[2] };

	if (request(process, &exec, fds, CRAB_REQUEST_FDS) < 0)
		return crab_fail(error, CRAB_STEP_HANDSHAKE);
	return 0;
}

int crab_process_tell(struct crab_process *process, enum crab_request_type type,
		      uint32_t id, int signum)
{
	const struct crab_request told = { .type = type,
					   .id = id,
					   .signum = signum };

	return request(process, &told, NULL, 0);
}

/* The pid in the caller's own terms; -1 for what is no live pidfd. */
static pid_t pid_of(int pidfd)
{
	char path[64];
	char line[128];
	int pid = -1;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	fclose(file);
	return pid;
}

static void become(struct crab_process *process, int pidfd)
{
	end_process(process); /* the one that joined; it has nothing to do */
	close_quietly(process->pidfd);
	process->pidfd = pidfd;
	process->pid = pid_of(pidfd);
}

/*
 * The other end of the socket is open in the caller as well, so no end of file
 * tells that what has joined is dead; its pidfd does.
 */
static bool has_reported_or_is_dead(const struct crab_process *process)
{
	struct pollfd fds[] = { { .fd = process->control, .events = POLLIN },
				{ .fd = process->pidfd, .events = POLLIN } };

	return poll(fds, 2, -1) > 0;
}

int process_receive_init(struct crab_process *process, struct crab_error *error)
{
	struct crab_report report = { 0 };
	ssize_t size;

	for (;;) {
		if (!has_reported_or_is_dead(process)) {
			if (errno == EINTR)
				continue;
			return crab_fail(error, CRAB_STEP_ENTER);
		}
		_cleanup_close_ int pidfd = receive(
			process, MSG_DONTWAIT, &report, sizeof(report), &size);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			errno = ECHILD;
		if (size == (ssize_t)sizeof(report) &&
		    report.type == CRAB_REPORT_INIT) {
			/* First, so that it is ended with the process. */
			become(process, steal_fd(&pidfd));
			return process->pid > 0
				       ? 0
				       : crab_fail(error, CRAB_STEP_ENTER);
		}
		if (size <= 0) {
			errno = size < 0 ? errno : ECHILD;
			return crab_fail(error, CRAB_STEP_ENTER);
		}
		if (report_is_sound(&report, size) &&
		    report.type == CRAB_REPORT_FAILED) {
			*error = (struct crab_error){ .step = report.step,
						      .index = report.index,
						      .errnum = report.error };
			return -1;
		}
	}
}
