/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../crabcan.h"

/* Signal handlers have no argument of ours. */
static volatile sig_atomic_t receiver = -1;

static void pass_on(int signum)
{
	int saved = errno;

	syscall(SYS_pidfd_send_signal, receiver, signum, NULL, 0);
	errno = saved;
}

int crab_forward_signals(int pidfd, const int *signums, size_t count)
{
	struct sigaction action = { .sa_handler = pass_on,
				    .sa_flags = SA_RESTART };
	/* Ours until the exit: no signal reaches who gets the number next. */
	int own = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);

	if (own < 0)
		return -1;
	sigfillset(&action.sa_mask);
	receiver = own;
	for (size_t i = 0; i < count; i++)
		if (sigaction(signums[i], &action, NULL) < 0)
			return -1;
	return 0;
}
