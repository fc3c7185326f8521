/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "init.h"

/* A report with a descriptor (unix(7), SCM_RIGHTS). */
long send_descriptor(const struct init *init, enum crab_report_type type,
		     int fd)
{
	struct crab_report report = { .type = type, .id = init->id };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	struct iovec data = { &report, sizeof(report) };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = ancillary.bytes,
				  .msg_controllen = sizeof(ancillary.bytes) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(CRAB_FD_CONTROL, &message, MSG_NOSIGNAL | MSG_DONTWAIT) <
			       0
		       ? -errno
		       : 0;
}
