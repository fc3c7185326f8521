/* SPDX-License-Identifier: MIT */
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#ifndef MFD_EXEC /* Linux 6.3; without it vm.memfd_noexec=1 takes the x bit */
#define MFD_EXEC 0x0010U
#endif

/*
 * The handle is the descriptor and what it was made as, in one word so that it
 * changes in one step: a program that closes "all its descriptors" (a daemon
 * does) must not make us execute whatever file has that number now. memfd
 * inodes are numbered within their one mount, and the low bits are enough to
 * tell a stranger.
 */
static uint64_t handle_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return 0;
	return (uint64_t)(unsigned int)fd << 32 | (uint32_t)st.st_ino;
}

static int handle_fd(uint64_t handle)
{
	return (int)(handle >> 32);
}

static bool handle_is_ours(uint64_t handle)
{
	return handle != 0 && handle_of(handle_fd(handle)) == handle &&
	       fcntl(handle_fd(handle), F_GET_SEALS) == SEALS;
}

static int create_memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* before 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

static int create_sealed(const char *name, const void *bytes, size_t size)
{
	_cleanup_close_ int low = create_memfd(name);

	if (low < 0)
		return -1;
	/* Never 0, 1 or 2, which a caller may have closed and will reopen. */
	_cleanup_close_ int fd = fcntl(low, F_DUPFD_CLOEXEC, 3);

	if (fd < 0 || write_all(fd, bytes, size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -1;
	return steal_fd(&fd);
}

int sealed_file_get(struct sealed_file *file, const char *name,
		    const void *bytes, size_t size)
{
	uint64_t known = atomic_load(&file->handle);

	if (handle_is_ours(known))
		return handle_fd(known);

	int fd = create_sealed(name, bytes, size);
	uint64_t made = fd < 0 ? 0 : handle_of(fd);

	if (made == 0) {
		close_quietly(fd);
		return -1;
	}
	if (atomic_compare_exchange_strong(&file->handle, &known, made))
		return fd;
	/* Another thread was first, and its file is as good. */
	close_quietly(fd);
	return handle_fd(known);
}

void sealed_file_close(struct sealed_file *file)
{
	uint64_t handle = atomic_exchange(&file->handle, 0);

	if (handle_is_ours(handle))
		close_quietly(handle_fd(handle));
}
