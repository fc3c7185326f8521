/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_CLEANUP_H
#define CRABCAN_HOST_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes without disturbing errno, which a failure is just being told by. */
static inline void close_quietly(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

static inline void cleanup_close(const int *fd)
{
	close_quietly(*fd);
}

/* Closes the descriptor at the end of its scope, unless steal_fd() took it. */
#define _cleanup_close_ __attribute__((cleanup(cleanup_close)))

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

/* Frees the pointer at the end of its scope. */
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif
