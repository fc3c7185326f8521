/* SPDX-License-Identifier: MIT */
#include "trees.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../plan/tree.h"
#include "cleanup.h"
#include "error.h"

static size_t count_trees(const struct crab_plan_header *plan)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(plan);
	uint32_t paths[CRAB_MOUNT_TREES];
	size_t count = plan->root != CRAB_PLAN_NONE;

	for (uint32_t i = 0; i < plan->mount_count; i++)
		count += (size_t)crab_mount_trees(&mounts[i], paths);
	return count;
}

/* Every descriptor is above 2, which a caller may have closed. */
static int add(struct trees *trees, long tree)
{
	if (tree < 0) {
		errno = (int)-tree;
		return -1;
	}
	_cleanup_close_ int low = (int)tree;
	int fd = low > 2 ? steal_fd(&low) : fcntl(low, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -1;
	trees->fds[trees->count++] = fd;
	return 0;
}

static int open_root(const struct crab_plan_header *plan, struct trees *trees,
		     struct crab_error *error)
{
	const char *path = crab_plan_string(plan, plan->root);

	if (path &&
	    add(trees,
		crab_tree_open_root(path,
				    plan->flags & CRAB_PLAN_ROOT_WRITABLE)) < 0)
		return crab_fail(error, CRAB_STEP_ROOT);
	return 0;
}

static int open_mounts(const struct crab_plan_header *plan, struct trees *trees,
		       struct crab_error *error)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(plan);

	for (uint32_t i = 0; i < plan->mount_count; i++) {
		uint32_t paths[CRAB_MOUNT_TREES];
		int count = crab_mount_trees(&mounts[i], paths);

		for (int k = 0; k < count; k++) {
			const char *path = crab_plan_string(plan, paths[k]);

			if (add(trees, crab_tree_open(path, mounts[i].flags)) <
			    0) {
				crab_fail(error, CRAB_STEP_MOUNT);
				error->index = i;
				return -1;
			}
		}
	}
	return 0;
}

int trees_open(const struct crab_plan_header *plan, struct trees *ret,
	       struct crab_error *error)
{
	if (!(plan->flags & CRAB_PLAN_HOST_TREES))
		return 0;
	/* calloc(0) may be NULL. */
	ret->fds = calloc(count_trees(plan) + 1, sizeof(int));
	if (!ret->fds)
		return crab_fail(error, CRAB_STEP_COMPILE);
	if (open_root(plan, ret, error) < 0 ||
	    open_mounts(plan, ret, error) < 0)
		return -1;
	return 0;
}

void trees_close(struct trees *trees)
{
	for (size_t i = 0; i < trees->count; i++)
		close_quietly(trees->fds[i]);
	free(trees->fds);
	*trees = (struct trees){ 0 };
}

/* mount_setattr(2): every mount of the tree, or none of them. */
static long idmap(int tree, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
				   .userns_fd = (unsigned int)userns };

	return sys_mount_setattr(tree, AT_EMPTY_PATH | AT_RECURSIVE, &attr);
}

static int open_user_namespace(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int idmap_tree(int tree, int userns, uint32_t flags, uint32_t index,
		      struct crab_error *error)
{
	long result = idmap(tree, userns);

	if (result == 0 || (flags & CRAB_MOUNT_IDMAP_IF_POSSIBLE))
		return 0;
	errno = (int)-result;
	crab_fail(error, CRAB_STEP_IDMAP);
	error->index = index;
	return -1;
}

static int idmap_tree_if(bool mapped, int tree, int userns, uint32_t flags,
			 uint32_t index, struct crab_error *error)
{
	return mapped ? idmap_tree(tree, userns, flags, index, error) : 0;
}

/* `index` counts what has an idmap, as crab_plan_describe() does. */
static int idmap_all(const struct crab_plan_header *plan,
		     const struct trees *trees, int userns,
		     struct crab_error *error)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(plan);
	const int *tree = trees->fds;
	uint32_t index = 0;

	if (plan->root != CRAB_PLAN_NONE) {
		if ((plan->flags & CRAB_PLAN_ROOT_IDMAP) &&
		    idmap_tree(*tree, userns, CRAB_MOUNT_IDMAP, index++,
			       error) < 0)
			return -1;
		tree++;
	}
	for (uint32_t i = 0; i < plan->mount_count; i++) {
		uint32_t paths[CRAB_MOUNT_TREES];
		bool mapped = crab_mount_is_idmapped(&mounts[i]);

		for (int k = crab_mount_trees(&mounts[i], paths); k > 0; k--)
			if (idmap_tree_if(mapped, *tree++, userns,
					  mounts[i].flags, index, error) < 0)
				return -1;
		index += mapped;
	}
	return 0;
}

int trees_idmap(const struct crab_plan_header *plan, const struct trees *trees,
		pid_t pid, struct crab_error *error)
{
	if (trees->count == 0)
		return 0;
	_cleanup_close_ int userns = open_user_namespace(pid);

	if (userns < 0)
		return crab_fail(error, CRAB_STEP_IDMAP);
	return idmap_all(plan, trees, userns, error);
}
