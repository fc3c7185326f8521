/* SPDX-License-Identifier: MIT */
/*
 * A terminal of the container's own (pty(7)), its master to the caller. It is
 * opened before anything of the payload runs, and by descriptors alone: a path
 * could lead to another /dev/pts, or to a file that only looks like it
 * (CVE-2021-30465, CVE-2025-52565).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "../plan/sys.h"
#include "init.h"

static long open_master(const struct init *init)
{
	const int unlocked = 0;

	if (init->devpts < 0)
		return -ENODEV;
	long master = SYS(openat, init->devpts, "ptmx",
			  O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW, 0);

	if (master >= 0 && ioctl((int)master, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	return master;
}

/* It is the payload's, for tty(1), mesg(1), and who opens it anew. */
static long give_to_payload(const struct crab_plan_header *plan, int slave)
{
	struct termios attributes;
	const struct winsize size = {
		.ws_row = plan->rows,
		.ws_col = plan->columns,
	};

	if (fchown(slave, plan->uid, plan->gid) < 0 ||
	    ioctl(slave, TIOCSWINSZ, &size) < 0 ||
	    tcgetattr(slave, &attributes) < 0)
		return -errno;
	/* The container's LANG is UTF-8: a character is erased as a whole. */
	attributes.c_iflag |= IUTF8;
	return tcsetattr(slave, TCSANOW, &attributes) < 0 ? -errno : 0;
}

/* In the place of whatever the caller has given. */
static long replace_stdio(int slave)
{
	for (int fd = CRAB_FD_STDIN; fd <= CRAB_FD_STDERR; fd++)
		if (dup2(slave, fd) < 0)
			return -errno;
	return 0;
}

/*
 * init keeps the slave until it ends: the master would say EIO each time that
 * the payload has closed its own, and so EIO means that the container is gone.
 */
long terminal_open(struct init *init)
{
	long master = open_master(init);

	if (master < 0)
		return master;
	long slave =
		ioctl((int)master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (slave < 0)
		return -errno;
	long result = give_to_payload(init->plan, (int)slave);

	if (result == 0)
		result = replace_stdio((int)slave);
	if (result == 0)
		result = send_descriptor(init, CRAB_REPORT_TERMINAL,
					 (int)master);
	init->slave = (int)slave;
	close((int)master);
	return result;
}

/* By the leader of a new session (TIOCSCTTY(2const)). */
long terminal_control(struct init *init)
{
	(void)init;
	return ioctl(CRAB_FD_STDIN, TIOCSCTTY, 0) < 0 ? -errno : 0;
}
