/* SPDX-License-Identifier: MIT */
/*
 * What the host's side believes of an init that is not ours any more: reports
 * and timelines, with descriptors or without, booleans, and the first message
 * of what has joined namespaces. The input is one byte that chooses among
 * these, and then datagrams: two bytes of length, one that says which
 * descriptor comes along, and that many bytes.
 */
#include "../../csrc/host/process.c"

#include <fcntl.h>
#include <unistd.h>

#include "../../csrc/plan/boolean.h"
#include "fuzz.h"

struct input {
	const uint8_t *data;
	size_t size;
};

enum { REPORTS, ENDS, BOOLEANS, INIT, KINDS };

static int descriptor_to_send(unsigned int choice)
{
	switch (choice % 5) {
	case 1:
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	case 2:
		return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	case 3:
		return (int)syscall(SYS_pidfd_open, getpid(), 0);
	default:
		return -1;
	}
}

static void send_datagram(int socket, const uint8_t *bytes, size_t size, int fd)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	const int twice[] = { fd, fd };
	struct iovec data = { (void *)(uintptr_t)bytes, size };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		size_t length = (size % 2 + 1) * sizeof(int);

		message.msg_control = ancillary.bytes;
		message.msg_controllen = CMSG_SPACE(length);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(length);
		memcpy(CMSG_DATA(header), twice, length);
	}
	sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool send_next(struct input *input, int socket)
{
	if (input->size < 3)
		return false;
	size_t size = (size_t)(input->data[0] | input->data[1] << 8);
	int fd = descriptor_to_send(input->data[2]);

	input->data += 3;
	input->size -= 3;
	size = size < input->size ? size : input->size;
	send_datagram(socket, input->data, size, fd);
	if (fd >= 0)
		close(fd);
	input->data += size;
	input->size -= size;
	return true;
}

static void check_report(const struct crab_report *report)
{
	require(report->type >= CRAB_REPORT_FAILED &&
		report->type <= CRAB_REPORT_ENDED);
	if (report->type == CRAB_REPORT_FAILED)
		require(crab_step_name(report->step) && report->error > 0 &&
			report->error < 4096);
	if (report->type == CRAB_REPORT_ENDED)
		require(report->status >= 0 && report->status <= 255 &&
			report->limit <= CRAB_TIME_CPU);
}

static void check_timeline(const struct crab_process *process)
{
	size_t count;
	const struct crab_moment *moments =
		crab_process_timeline(process, CRAB_SIDE_CHILD, &count);

	require(count <= CRAB_MAX_MOMENTS + STAGE0_STEPS);
	for (size_t i = 0; i < count; i++)
		require(moments[i].step < CRAB_STEP_COUNT);
}

static void take_reports(struct crab_process *process)
{
	struct crab_report report;

	while (crab_process_report(process, &report) == CRAB_POLL_REPORT)
		check_report(&report);
	check_timeline(process);
}

static void take_end_of_all(struct crab_process *process)
{
	struct crab_status status = { 0 };
	struct crab_error error;

	crab_process_end(process, &status);
	require(status.user_time >= 0 && status.system_time >= 0 &&
		status.peak_memory >= 0);
	int terminal = crab_process_terminal(process, &error);

	if (terminal >= 0)
		close(terminal);
	crab_process_poll(process, &status);
}

static void take_booleans(int fd)
{
	for (int result = CRAB_TRUE;
	     result >= CRAB_FALSE && result != CRAB_CLOSED;) {
		result = crab_recv_bool(fd);
		require(result <= CRAB_MALFORMED);
	}
}

static struct crab_process *new_process(int control)
{
	struct crab_process *process = calloc(1, sizeof(*process));

	require(process);
	/* No owner: nothing is killed that a number happens to name. */
	process->pidfd = -1;
	process->terminal = -1;
	process->control = control;
	return process;
}

static void take_all(int kind, int control)
{
	struct crab_process *process = new_process(control);
	struct crab_error error = { 0 };

	if (kind == REPORTS)
		take_reports(process);
	if (kind == REPORTS || kind == ENDS)
		take_end_of_all(process);
	if (kind == BOOLEANS)
		take_booleans(control);
	if (kind == INIT && process_receive_init(process, &error) < 0)
		require(crab_step_name(error.step));
	crab_process_destroy(process);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int lowest = -1;
	int ends[2];

	if (size == 0)
		return 0;
	struct input rest = { data + 1, size - 1 };

	require(crab_socketpair(ends) == 0);
	if (lowest < 0)
		lowest = ends[0];
	require(ends[0] == lowest); /* else a descriptor has been left */
	/* No more than a socket holds, so that nobody sleeps. */
	for (int i = 0; i < 8 && send_next(&rest, ends[1]); i++)
		;
	close(ends[1]);
	take_all(data[0] % KINDS, ends[0]);
	return 0;
}
