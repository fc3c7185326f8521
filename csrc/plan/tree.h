/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_TREE_H
#define CRABCAN_PLAN_TREE_H

/*
 * Copies of parts of the host's mount tree, attached nowhere yet. init makes
 * them where the caller has no more rights than it; a privileged caller makes
 * them itself, since init, once its ids are mapped, may not even see them.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>

#include "plan.h"
#include "sys.h"

static inline uint64_t crab_mount_attributes(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		uint64_t attribute;
	} table[] = {
		{ CRAB_MOUNT_READONLY, MOUNT_ATTR_RDONLY },
		{ CRAB_MOUNT_NOSUID, MOUNT_ATTR_NOSUID },
		{ CRAB_MOUNT_NODEV, MOUNT_ATTR_NODEV },
		{ CRAB_MOUNT_NOEXEC, MOUNT_ATTR_NOEXEC },
	};
	uint64_t result = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (flags & table[i].flag)
			result |= table[i].attribute;
	return result;
}

/*
 * Recursive unless told otherwise: in a user namespace the kernel refuses to
 * show what lies under a mount of the host (mount_namespaces(7), locked
 * mounts). The attributes go to all of it.
 */
static inline long crab_tree_open(const char *path, uint32_t flags)
{
	unsigned int recursive =
		flags & CRAB_MOUNT_NOT_RECURSIVE ? 0 : AT_RECURSIVE;
	struct mount_attr attr = { .attr_set = crab_mount_attributes(flags) };
	long tree =
		sys_open_tree(AT_FDCWD, path,
			      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);

	if (tree < 0)
		return tree;
	long set =
		sys_mount_setattr((int)tree, AT_EMPTY_PATH | recursive, &attr);

	if (set < 0) {
		close((int)tree);
		return set;
	}
	return tree;
}

/*
 * The tree that becomes the root. What is mounted below it becomes read-only
 * now; the root itself stays writable until the mount points are made.
 */
static inline long crab_tree_open_root(const char *path, bool writable)
{
	struct mount_attr top = { .attr_clr = MOUNT_ATTR_RDONLY };
	long tree = crab_tree_open(
		path, CRAB_MOUNT_NOSUID | CRAB_MOUNT_NODEV |
			      (writable ? 0 : CRAB_MOUNT_READONLY));

	if (tree < 0 || writable)
		return tree;
	long result = sys_mount_setattr((int)tree, AT_EMPTY_PATH, &top);

	/* EPERM: the host has it read-only, and so be it. */
	if (result < 0 && result != -EPERM) {
		close((int)tree);
		return result;
	}
	return tree;
}

#endif
