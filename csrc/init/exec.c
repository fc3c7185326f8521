/* SPDX-License-Identifier: MIT */
/*
 * Further processes, which the caller asks for. They are born from init as the
 * payload was, in its namespaces and behind the same steps: nobody enters the
 * container from outside, where a joining process could be got at before its
 * walls stand (CVE-2016-9962, CVE-2024-21626).
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../plan/sys.h"
#include "init.h"

#define MAX_EXECS 256

/* Those that live; an id is never 0. */
static struct {
	pid_t pid;
	uint32_t id;
} execs[MAX_EXECS];

static int slot_of(uint32_t id)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].id == id)
			return i;
	return -1;
}

static void close_all(const int fds[CRAB_REQUEST_FDS])
{
	for (int i = 0; i < CRAB_REQUEST_FDS; i++)
		close(fds[i]);
}

/* One datagram; false once the other end is closed. */
static ssize_t receive(struct crab_request *request, int fds[CRAB_REQUEST_FDS])
{
	union {
		char bytes[CMSG_SPACE(CRAB_REQUEST_FDS * sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	struct iovec data = { request, sizeof(*request) };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = ancillary.bytes,
				  .msg_controllen = sizeof(ancillary.bytes) };
	ssize_t size = recvmsg(CRAB_FD_CONTROL, &message,
			       MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);

	memset(fds, -1, CRAB_REQUEST_FDS * sizeof(int));
	if (header && header->cmsg_level == SOL_SOCKET &&
	    header->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	return size;
}

static long place_stdio(const int fds[CRAB_REQUEST_FDS])
{
	for (int fd = CRAB_FD_STDIN; fd <= CRAB_FD_STDERR; fd++)
		if (dup2(fds[1 + fd], fd) < 0)
			return -errno;
	return 0;
}

/* What the payload's process went through, by another plan. */
static long start(struct init *exec, const int fds[CRAB_REQUEST_FDS])
{
	begin_step(exec, CRAB_STEP_PLAN, 0);
	long result = plan_map(exec, fds[0]);

	if (result < 0)
		return result;
	begin_step(exec, CRAB_STEP_DESCRIPTORS, 0);
	result = place_stdio(fds);
	if (result == 0 && (exec->plan->flags & CRAB_PLAN_TTY)) {
		begin_step(exec, CRAB_STEP_TERMINAL, 0);
		result = terminal_open(exec);
	}
	if (result == 0) {
		begin_step(exec, CRAB_STEP_SPAWN, 0);
		result = payload_spawn(exec);
	}
	close(exec->slave);
	munmap((void *)(uintptr_t)exec->plan, exec->plan->size);
	return result;
}

/* The payload of a container that was made ahead; false: it is over. */
static bool start_payload(struct init *init, const int fds[CRAB_REQUEST_FDS])
{
	struct init exec = *init;
	long result = start(&exec, fds);
	struct crab_report report = {
		.type = result < 0 ? CRAB_REPORT_FAILED : CRAB_REPORT_STARTED,
		.step = result < 0 ? exec.step : CRAB_STEP_EXEC,
		.index = result < 0 ? exec.index : 0,
		.error = result < 0 ? (int)-result : 0,
	};

	if (result == 0) {
		init->payload = exec.payload;
		clock_start(init);
	}
	send_report(&report);
	return result == 0;
}

static void run(const struct init *init, uint32_t id,
		const int fds[CRAB_REQUEST_FDS])
{
	struct init exec = *init;
	int slot = slot_of(0);

	exec.id = id;
	exec.slave = -1;
	exec.payload_error = 0;
	long result = slot < 0 ? -EAGAIN : start(&exec, fds);
	struct crab_report report = {
		.type = result < 0 ? CRAB_REPORT_FAILED : CRAB_REPORT_STARTED,
		.step = result < 0 ? exec.step : CRAB_STEP_EXEC,
		.index = result < 0 ? exec.index : 0,
		.error = result < 0 ? (int)-result : 0,
		.id = id,
		.pid = (uint32_t)exec.payload,
	};

	if (result == 0) {
		execs[slot].pid = exec.payload;
		execs[slot].id = id;
	}
	send_report(&report);
}

static void pass_signal(const struct crab_request *request)
{
	int slot = slot_of(request->id);

	if (slot >= 0 && request->id)
		kill(execs[slot].pid, request->signum);
}

/* kill(-1) is for PID 1 alone: elsewhere it means the host. */
static void signal_all(int signum)
{
	if (getpid() == 1)
		kill(-1, signum);
}

static bool take(struct init *init, const struct crab_request *request,
		 const int fds[CRAB_REQUEST_FDS])
{
	if (request->type == CRAB_REQUEST_START && !init->payload)
		return start_payload(init, fds);
	if (request->type == CRAB_REQUEST_EXEC && request->id)
		run(init, request->id, fds);
	else if (request->type == CRAB_REQUEST_SIGNAL)
		pass_signal(request);
	else if (request->type == CRAB_REQUEST_STOP)
		signal_all(SIGSTOP);
	else if (request->type == CRAB_REQUEST_CONTINUE)
		signal_all(SIGCONT);
	return true;
}

bool requests_take(struct init *init)
{
	struct crab_request request = { 0 };
	bool goes_on = true;
	int fds[CRAB_REQUEST_FDS];
	ssize_t size = receive(&request, fds);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR;
	if (size == (ssize_t)sizeof(request))
		goes_on = take(init, &request, fds);
	close_all(fds);
	/* What an exec that failed has placed. */
	SYS(close_range, CRAB_FD_STDIN, CRAB_FD_STDERR, 0);
	return size > 0 && goes_on;
}

void exec_ended(const siginfo_t *end)
{
	for (int i = 0; i < MAX_EXECS; i++) {
		if (!execs[i].id || execs[i].pid != end->si_pid)
			continue;
		struct crab_report report = {
			.type = CRAB_REPORT_ENDED,
			.code = end->si_code,
			.status = end->si_status,
			.id = execs[i].id,
		};

		execs[i].id = 0;
		send_report(&report);
	}
}
