/* SPDX-License-Identifier: MIT */
/*
 * init's side of the control socket: requests, with a plan in a file. The input
 * is one byte of flags, the size of a datagram, that many bytes, and the plan.
 * What would act on the machine is replaced; the reading is init's own.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../csrc/init/init.h"
#include "../../csrc/plan/sys.h"
#include "fuzz.h"

static int control;

static int kill_nobody(pid_t pid, int signum)
{
	require(pid > 0);
	sink((uint64_t)signum);
	return 0;
}

static int place_nowhere(int from, int to)
{
	require(to <= CRAB_FD_STDERR);
	return fcntl(from, F_GETFD) < 0 ? -1 : to;
}

#undef CRAB_FD_CONTROL
#define CRAB_FD_CONTROL control
#define kill kill_nobody
#define dup2 place_nowhere
#undef SYS
#define SYS(name, ...) sink(0)
#include "../../csrc/init/exec.c"
#undef SYS
#undef dup2
#undef kill

void begin_step(struct init *init, enum crab_step step, uint32_t index)
{
	init->step = step;
	init->index = index;
}

bool send_report(struct crab_report *report)
{
	require(report->type == CRAB_REPORT_FAILED ||
		report->type == CRAB_REPORT_STARTED);
	require(report->step < CRAB_STEP_COUNT && report->error >= 0);
	return true;
}

long terminal_open(struct init *init)
{
	init->slave = -1;
	return 0;
}

long payload_spawn(struct init *init)
{
	const struct crab_plan_header *plan = init->plan;

	require(plan->argv.count > 0 && plan->executables.count > 0);
	for (char **word =
		     (char **)((char *)(uintptr_t)plan + plan->argv.offset);
	     *word; word++)
		sink(strlen(*word));
	init->payload = 2;
	return 0;
}

void clock_start(struct init *init)
{
	sink(init->plan->wall_time);
}

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("plan", MFD_CLOEXEC);

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	return fd;
}

static void send_request(int socket, const uint8_t *data, size_t size,
			 const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = ancillary.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	}
	require(sendmsg(socket, &message, MSG_DONTWAIT) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct crab_plan_header first = { .wall_time = 1 };
	static int lowest = -1;
	struct init init = { .plan = &first, .slave = -1 };
	int fds[8];
	int ends[2];

	if (size < 2)
		return 0;
	size_t count = data[0] % 8;
	size_t length = data[1] < size - 2 ? data[1] : size - 2;

	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) ==
		0);
	if (lowest < 0)
		lowest = ends[0];
	require(ends[0] == lowest); /* else a descriptor has been left */
	control = ends[0];
	init.payload = data[0] & 8 ? 2 : 0;
	int plan = file_of(data + 2 + length, size - 2 - length);

	for (size_t i = 0; i < count; i++)
		fds[i] = plan;
	send_request(ends[1], data + 2, length, fds, count);
	close(plan);
	requests_take(&init);
	close(ends[1]);
	require(!requests_take(&init)); /* the caller is gone */
	close(ends[0]);
	memset(execs, 0, sizeof(execs));
	return 0;
}
