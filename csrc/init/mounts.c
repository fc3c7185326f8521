/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "init.h"
#include "sys.h"

static uint64_t attributes(uint32_t flags)
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

/* "key=value,key=value": one at a time, so that the kernel can refuse one. */
static long configure(int context, const char *options)
{
	char copy[512];
	char *rest = copy;

	if (!options)
		return 0;
	if (strlen(options) >= sizeof(copy))
		return -E2BIG;
	strcpy(copy, options);
	for (char *key; (key = strsep(&rest, ","));) {
		char *value = strchr(key, '=');

		if (value)
			*value++ = '\0';
		long set = value ? SYS(fsconfig, context, FSCONFIG_SET_STRING,
				       key, value, 0)
				 : SYS(fsconfig, context, FSCONFIG_SET_FLAG,
				       key, NULL, 0);

		if (set < 0)
			return set;
	}
	return 0;
}

/* A new file system's mount, attached nowhere yet. */
static long make_filesystem(const struct crab_plan_header *plan,
			    const struct crab_plan_mount *mount)
{
	long context = SYS(fsopen, crab_plan_string(plan, mount->source),
			   FSOPEN_CLOEXEC);

	if (context < 0)
		return context;
	long result =
		configure((int)context, crab_plan_string(plan, mount->data));

	if (result == 0)
		result = SYS(fsconfig, (int)context, FSCONFIG_CMD_CREATE, NULL,
			     NULL, 0);
	if (result == 0)
		result = SYS(fsmount, (int)context, FSMOUNT_CLOEXEC,
			     attributes(mount->flags));
	close((int)context);
	return result;
}

/*
 * A copy of a part of the host's tree, attached nowhere yet. Recursive: in a
 * user namespace the kernel refuses to show what lies under a mount of the
 * host (mount_namespaces(7), locked mounts).
 */
static long clone_tree(const struct crab_plan_header *plan,
		       const struct crab_plan_mount *mount)
{
	struct mount_attr attr = { .attr_set = attributes(mount->flags) };
	long tree = sys_open_tree(
		AT_FDCWD, crab_plan_string(plan, mount->source),
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0)
		return tree;
	long set = sys_mount_setattr((int)tree, AT_EMPTY_PATH | AT_RECURSIVE,
				     &attr);

	if (set < 0) {
		close((int)tree);
		return set;
	}
	return tree;
}

static long is_directory(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode);
}

/* Attaches a detached mount at a path inside the root, and closes it. */
static long attach(int root, int tree, const char *path)
{
	long result = is_directory(tree);

	if (result >= 0) {
		long target = target_open(root, path, result);

		result = target;
		if (target >= 0) {
			result = sys_attach(tree, (int)target);
			close((int)target);
		}
	}
	close(tree);
	return result;
}

static long make_directory(int root, const char *path, uint32_t mode)
{
	const char *name;
	long parent = target_open_parent(root, path, &name);

	if (parent < 0)
		return parent;
	long made = SYS(mkdirat, (int)parent, name, mode);

	close((int)parent);
	return made == -EEXIST ? 0 : made;
}

static long make_symlink(int root, const char *path, const char *text)
{
	const char *name;
	long parent = target_open_parent(root, path, &name);

	if (parent < 0)
		return parent;
	long made = SYS(symlinkat, text, (int)parent, name);

	close((int)parent);
	return made;
}

static long make_mount(struct init *init, const struct crab_plan_mount *mount)
{
	const struct crab_plan_header *plan = init->plan;
	const char *source = crab_plan_string(plan, mount->source);
	const char *target = crab_plan_string(plan, mount->target);
	long tree;

	switch (mount->kind) {
	case CRAB_MOUNT_DIRECTORY:
		return make_directory(init->root, target, mount->mode);
	case CRAB_MOUNT_SYMLINK:
		return make_symlink(init->root, target, source);
	case CRAB_MOUNT_BIND:
		tree = clone_tree(plan, mount);
		break;
	case CRAB_MOUNT_FILESYSTEM:
		tree = make_filesystem(plan, mount);
		break;
	default:
		return -EINVAL;
	}
	return tree < 0 ? tree : attach(init->root, (int)tree, target);
}

long mounts_make(struct init *init)
{
	const struct crab_plan_mount *mounts = crab_plan_mounts(init->plan);

	for (uint32_t i = 0; i < init->plan->mount_count; i++) {
		begin_step(init, CRAB_STEP_MOUNT, i);
		long result = make_mount(init, &mounts[i]);

		if (result < 0)
			return result;
	}
	return 0;
}
