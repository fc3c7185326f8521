/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../crabcan.h"
#include "../plan/boolean.h"
#include "cleanup.h"

int crab_socketpair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret);
}

int crab_send_bool(int fd, bool value)
{
	unsigned char byte = value ? CRAB_TRUE : CRAB_FALSE;

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* A peer can attach descriptors that nobody asked for; they are ours then. */
static void close_received(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
	     c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			close_quietly(fd);
		}
	}
}

static int receive_bool(int fd, int flags)
{
	unsigned char byte[CRAB_BOOLEAN_BUFFER] = { 0 };
	struct iovec iov = { .iov_base = byte, .iov_len = sizeof(byte) };
	/*
	 * Room for one descriptor, so that recvmsg takes and we close it; the
	 * kernel drops those that do not fit (MSG_CTRUNC).
	 */
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t size = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);

	if (size < 0)
		return errno == ECONNRESET ? CRAB_CLOSED : -1;
	close_received(&message);
	/*
	 * An empty datagram and the end of the stream both read as 0 bytes
	 * (recv(2)); only after the end does poll say that the peer hung up.
	 */
	if (size == 0) {
		struct pollfd poll_fd = { .fd = fd };

		if (poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP))
			return CRAB_CLOSED;
		return CRAB_MALFORMED;
	}
	return crab_boolean_decode(byte, size);
}

int crab_recv_bool(int fd)
{
	return receive_bool(fd, MSG_DONTWAIT);
}

int crab_await_bool(int fd)
{
	return receive_bool(fd, 0);
}

int64_t crab_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int crab_block(int fd, int64_t deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct timespec left = { 0 };

	if (deadline >= 0) {
		int64_t ns = deadline - crab_now();

		if (ns > 0) {
			left.tv_sec = (time_t)(ns / 1000000000);
			left.tv_nsec = (long)(ns % 1000000000);
		}
	}
	return ppoll(&poll_fd, 1, deadline < 0 ? NULL : &left, NULL);
}
