/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../crabcan.h"
#include "../plan/sys.h"
#include "cleanup.h"

/*
 * Every link is resolved as the container would. Looked at first, and then
 * opened: a device must not be opened at all, nor a FIFO waited for.
 */
int crab_open_inside(const char *root, const char *path)
{
	_cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char reopened[64];
	struct stat st;

	if (dir < 0)
		return -1;
	_cleanup_close_ int found =
		(int)sys_openat2(dir, path, O_PATH | O_CLOEXEC,
				 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

	if (found < 0 || fstat(found, &st) < 0)
		return -1;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode))
		return -1;
	snprintf(reopened, sizeof(reopened), "/proc/self/fd/%d", found);
	return open(reopened, O_RDONLY | O_CLOEXEC);
}

int crab_landlock_version(void)
{
	/* linux/landlock.h, LANDLOCK_CREATE_RULESET_VERSION */
	long version = SYS(landlock_create_ruleset, NULL, 0, 1U);

	return version < 0 ? 0 : (int)version;
}
