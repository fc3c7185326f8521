/* SPDX-License-Identifier: MIT */
/*
 * Paths inside the root. The root may be anybody's, and somebody may be
 * changing it while it is mounted, so a path is resolved once, by openat2
 * with RESOLVE_IN_ROOT, and what comes of it is a descriptor (CVE-2021-30465).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "../plan/sys.h"
#include "init.h"

#define INSIDE (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

static long open_inside(int root, const char *path)
{
	return sys_openat2(root, path, O_PATH | O_CLOEXEC, INSIDE);
}

/*
 * An O_PATH descriptor of what is there. No link is followed: this is for what
 * the kernel itself has put there.
 */
long target_find(int root, const char *path)
{
	return sys_openat2(root, path, O_PATH | O_CLOEXEC,
			   INSIDE | RESOLVE_NO_SYMLINKS);
}

/* Opens the directory that holds path's last name, making what is missing. */
long target_open_parent(int root, const char *path, const char **ret_name)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, length);
	parent[length] = '\0';
	*ret_name = slash ? slash + 1 : path;
	return length ? target_open(root, parent, true)
		      : open_inside(root, ".");
}

static long make(int dir, const char *name, bool directory)
{
	if (directory)
		return SYS(mkdirat, dir, name, 0755);
	return SYS(mknodat, dir, name, S_IFREG | 0644, 0);
}

/* An O_PATH descriptor of path inside the root, made where it is missing. */
long target_open(int root, const char *path, bool directory)
{
	const char *name;
	long target = open_inside(root, path);

	if (target != -ENOENT)
		return target;
	long parent = target_open_parent(root, path, &name);

	if (parent < 0)
		return parent;
	long made = make((int)parent, name, directory);

	close((int)parent);
	if (made < 0 && made != -EEXIST)
		return made;
	return open_inside(root, path);
}
