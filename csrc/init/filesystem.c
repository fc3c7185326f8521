/* SPDX-License-Identifier: MIT */
/*
 * New file systems, as mounts that are attached nowhere yet: fsopen(2),
 * fsconfig(2), fsmount(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../plan/tree.h"
#include "init.h"
#include "text.h"

static long set_option(int context, const char *key, const char *value)
{
	if (value)
		return SYS(fsconfig, context, FSCONFIG_SET_STRING, key, value,
			   0);
	return SYS(fsconfig, context, FSCONFIG_SET_FLAG, key, NULL, 0);
}

/* "key=value,key": one at a time, so that the kernel can refuse one. */
static long configure(int context, const char *options)
{
	char copy[512];
	char *rest = copy;

	if (!options)
		return 0;
	size_t length = strlen(options);

	if (length >= sizeof(copy))
		return -E2BIG;
	memcpy(copy, options, length + 1);
	for (char *key; (key = strsep(&rest, ","));) {
		char *value = strchr(key, '=');

		if (value)
			*value++ = '\0';
		long set = set_option(context, key, value);

		if (set < 0)
			return set;
	}
	return 0;
}

static long create(int context, uint32_t flags)
{
	long result =
		SYS(fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);

	if (result < 0)
		return result;
	return SYS(fsmount, context, FSMOUNT_CLOEXEC,
		   crab_mount_attributes(flags));
}

long filesystem_make(const char *type, const char *options, uint32_t flags)
{
	long context = SYS(fsopen, type, FSOPEN_CLOEXEC);

	if (context < 0)
		return context;
	long result = configure((int)context, options);

	if (result == 0)
		result = create((int)context, flags);
	close((int)context);
	return result;
}

static long make_directory(int parent, const char *name)
{
	long made = SYS(mkdirat, parent, name, 0755);

	return made == -EEXIST ? 0 : made;
}

static long set_layer(int context, const char *key, int fd, const char *name)
{
	char path[64] = "/proc/self/fd/";

	append_number(path, fd);
	strcat(path, "/");
	strcat(path, name);
	return set_option(context, key, path);
}

/*
 * `lower` and `layer` are attached already: the kernel takes no layer from a
 * mount namespace that is not ours. The layer's "upper" keeps what is changed;
 * "work" is the kernel's (overlayfs.rst), and must lie on the same mount.
 */
long overlay_make(int lower, int layer, uint32_t flags)
{
	long context = SYS(fsopen, "overlay", FSOPEN_CLOEXEC);

	if (context < 0)
		return context;
	long result = make_directory(layer, "upper");

	if (result == 0)
		result = make_directory(layer, "work");
	if (result == 0)
		result = set_layer((int)context, "lowerdir", lower, "");
	if (result == 0)
		result = set_layer((int)context, "upperdir", layer, "upper");
	if (result == 0)
		result = set_layer((int)context, "workdir", layer, "work");
	/* Without privilege over the host its trusted.* are not to be had. */
	if (result == 0)
		result = set_option((int)context, "userxattr", NULL);
	if (result == 0)
		result = create((int)context, flags);
	close((int)context);
	return result;
}

static long write_all(int fd, const char *content, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, content, size);

		if (written < 0)
			return -errno;
		content += written;
		size -= (size_t)written;
	}
	return 0;
}

static long write_file(int fd, const struct crab_plan_mount *mount,
		       const char *content)
{
	long result = write_all(fd, content, mount->size);

	if (result == 0 && fchmod(fd, mount->mode) < 0)
		result = -errno;
	return result;
}

/* A file of the scratch tmpfs, as a mount of its own. */
long file_make(struct init *init, const struct crab_plan_mount *mount)
{
	const char *content = crab_plan_text(init->plan, mount->source);
	struct mount_attr attr = { .attr_set = crab_mount_attributes(
					   mount->flags) };
	char name[NUMBER_SIZE] = "";

	append_number(name, init->index);
	long fd = SYS(openat, init->scratch, name,
		      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fd;
	long result = write_file((int)fd, mount, content);

	close((int)fd);
	if (result < 0)
		return result;
	long tree = sys_open_tree(init->scratch, name,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree >= 0)
		result = sys_mount_setattr((int)tree, AT_EMPTY_PATH, &attr);
	return result < 0 ? result : tree;
}
