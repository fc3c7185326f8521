/* SPDX-License-Identifier: MIT */
/*
 * Booleans back and forth, in plain C. `echo FD` answers each datagram of a
 * socket with itself; `echo` alone forks such a one and reads numbers: for each
 * it makes so many round trips and prints the nanoseconds that they took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void answer(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) == 1)
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
			return;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	int pair[2];
	long count;

	if (argc > 1) {
		answer(atoi(argv[1]));
		return 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 1;
	if (fork() == 0) {
		close(pair[0]);
		answer(pair[1]);
		return 0;
	}
	close(pair[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%ld", &count) == 1) {
		long long begin = now();
		char byte = 1;

		for (long i = 0; i < count; i++)
			if (send(pair[0], &byte, 1, 0) != 1 ||
			    recv(pair[0], &byte, 1, 0) != 1)
				return 1;
		printf("%lld\n", now() - begin);
	}
	return 0;
}
