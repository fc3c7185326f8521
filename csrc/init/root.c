/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include "init.h"
#include "sys.h"

#ifndef MNT_DETACH
#define MNT_DETACH 2 /* of sys/mount.h, which clashes with linux/mount.h */
#endif

/* Nothing that is mounted here may appear on the host, or the other way. */
long mounts_make_private(struct init *init)
{
	(void)init;
	return SYS(mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static long empty_tmpfs(void)
{
	long context = SYS(fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (context < 0)
		return context;
	long result = SYS(fsconfig, (int)context, FSCONFIG_SET_STRING, "mode",
			  "0755", 0);

	if (result == 0)
		result = SYS(fsconfig, (int)context, FSCONFIG_CMD_CREATE, NULL,
			     NULL, 0);
	if (result == 0)
		result = SYS(fsmount, (int)context, FSMOUNT_CLOEXEC,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	close((int)context);
	return result;
}

/*
 * A copy of the tree at `path`. What is mounted below it becomes read-only
 * now; the root itself stays writable until the mount points are made.
 */
static long cloned_root(const char *path, bool writable)
{
	struct mount_attr all = { .attr_set = MOUNT_ATTR_NOSUID |
					      MOUNT_ATTR_NODEV };
	struct mount_attr top = { .attr_clr = MOUNT_ATTR_RDONLY };
	long tree = sys_open_tree(AT_FDCWD, path,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					  AT_RECURSIVE);

	if (tree < 0)
		return tree;
	if (!writable)
		all.attr_set |= MOUNT_ATTR_RDONLY;
	long result = sys_mount_setattr((int)tree, AT_EMPTY_PATH | AT_RECURSIVE,
					&all);

	if (result == 0 && !writable) {
		result = sys_mount_setattr((int)tree, AT_EMPTY_PATH, &top);
		if (result == -EPERM) /* the host has it read-only: so be it */
			result = 0;
	}
	if (result < 0) {
		close((int)tree);
		return result;
	}
	return tree;
}

/*
 * The root is attached on top of the present one, where nobody needs a
 * directory for it; the present one stays below, and this process in it.
 */
long root_mount(struct init *init)
{
	const char *path = crab_plan_string(init->plan, init->plan->root);
	bool writable = init->plan->flags & CRAB_PLAN_ROOT_WRITABLE;
	long tree = path ? cloned_root(path, writable) : empty_tmpfs();

	if (tree < 0)
		return tree;
	init->root = (int)tree;
	return SYS(move_mount, init->root, "", AT_FDCWD, "/",
		   MOVE_MOUNT_F_EMPTY_PATH);
}

/*
 * pivot_root(".", "."): the old root lands on top of the new one, and is
 * detached from there, so no directory is needed for it (pivot_root(2)).
 */
long root_pivot(struct init *init)
{
	if (fchdir(init->root) < 0)
		return -errno;
	long result = SYS(pivot_root, ".", ".");

	if (result < 0)
		return result;
	result = SYS(umount2, ".", MNT_DETACH);
	if (result < 0)
		return result;
	return chdir("/") < 0 ? -errno : 0;
}

long root_make_readonly(struct init *init)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	long result = 0;

	if (!(init->plan->flags & CRAB_PLAN_ROOT_WRITABLE))
		result = sys_mount_setattr(init->root, AT_EMPTY_PATH, &attr);
	close(init->root);
	init->root = -1;
	return result;
}
