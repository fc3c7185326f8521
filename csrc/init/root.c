/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

#include "../plan/tree.h"
#include "init.h"

#ifndef MNT_DETACH
#define MNT_DETACH 2 /* of sys/mount.h, which clashes with linux/mount.h */
#endif

/* Nothing that is mounted here may appear on the host, or the other way. */
long mounts_make_private(struct init *init)
{
	(void)init;
	return SYS(mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Over the present root, where nobody needs a directory for it. */
static long attach_over_root(struct init *init, int tree)
{
	init->stacked++;
	return SYS(move_mount, tree, "", AT_FDCWD, "/",
		   MOVE_MOUNT_F_EMPTY_PATH);
}

static int64_t mount_id(const char *path)
{
	struct statx st;

	long result = SYS(statx, AT_FDCWD, path, 0, STATX_MNT_ID, &st);

	return result < 0 ? result : (int64_t)st.stx_mnt_id;
}

/* What an errno says of a path that leads nowhere, or nowhere for anybody. */
static bool is_no_way(int64_t error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ELOOP ||
	       error == -EACCES;
}

/*
 * Whether another mount lies on top of our root. "/" does not lead there, but
 * ".." does, and it would lead the payload (path_resolution(7)). So it is said
 * where that cannot be told.
 */
static bool root_is_covered(void)
{
	int64_t above = mount_id("/proc/..");

	return !is_no_way(above) && (above < 0 || above != mount_id("/"));
}

static bool has_files(const struct crab_plan_header *plan)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(plan);

	for (uint32_t i = 0; i < plan->mount_count; i++)
		if (mounts[i].kind == CRAB_MOUNT_FILE)
			return true;
	return false;
}

/*
 * Attached below the root that is to come: what is attached nowhere can not
 * be cloned before Linux 6.15 (open_tree(2)).
 */
static long scratch_mount(struct init *init)
{
	if (!has_files(init->plan))
		return 0;
	long tree = filesystem_make("tmpfs", "mode=0755",
				    CRAB_MOUNT_NOSUID | CRAB_MOUNT_NODEV);

	if (tree < 0)
		return tree;
	init->scratch = (int)tree;
	return attach_over_root(init, init->scratch);
}

static long make_root(struct init *init)
{
	const struct crab_plan_header *plan = init->plan;
	const char *path = crab_plan_string(plan, plan->root);

	if (!path)
		return filesystem_make("tmpfs", "mode=0755,size=1m",
				       CRAB_MOUNT_NOSUID | CRAB_MOUNT_NODEV);
	if (plan->flags & CRAB_PLAN_HOST_TREES)
		return init->next_tree++;
	return crab_tree_open_root(path, plan->flags & CRAB_PLAN_ROOT_WRITABLE);
}

/* The present root stays below, and this process in it, until the pivot. */
long root_mount(struct init *init)
{
	/* What is there already could not be told from ours. */
	long result = root_is_covered() ? -EBUSY : scratch_mount(init);

	if (result < 0)
		return result;
	long tree = make_root(init);

	if (tree < 0)
		return tree;
	init->root = (int)tree;
	return attach_over_root(init, init->root);
}

/*
 * pivot_root(".", "."): the old root lands on top of the new one, and is
 * detached from there, so no directory is needed for it (pivot_root(2)). What
 * was stacked on the old root below the new one lies there too, uppermost.
 */
static long detach_old_root(const struct init *init)
{
	for (uint32_t i = 0; i < init->stacked; i++) {
		long result = SYS(umount2, ".", MNT_DETACH);

		if (result < 0)
			return result;
	}
	return root_is_covered() ? -EBUSY : 0;
}

long root_pivot(struct init *init)
{
	if (fchdir(init->root) < 0)
		return -errno;
	long result = SYS(pivot_root, ".", ".");

	if (result == 0)
		result = detach_old_root(init);
	if (result < 0)
		return result;
	return chdir("/") < 0 ? -errno : 0;
}

long root_make_readonly(struct init *init)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	long result = 0;

	if (!init->root_is_overlay)
		result = sys_mount_setattr(init->root, AT_EMPTY_PATH, &attr);
	return result;
}
