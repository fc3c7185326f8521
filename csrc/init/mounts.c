/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>

#include "../plan/tree.h"
#include "init.h"

/* What the mount's target counts from. */
static int base_of(const struct init *init, const struct crab_plan_mount *mount)
{
	return mount->base ? init->bases[mount->base - 1] : init->root;
}

/*
 * Whether the target is one name in a file system that was made here and that
 * nobody else has seen yet: there it is what it is, and needs no descriptor of
 * its own to be held fast by.
 */
static bool is_own_name(const struct init *init,
			const struct crab_plan_mount *mount)
{
	return mount->base && init->is_own[mount->base - 1] &&
	       !strchr(crab_plan_text(init->plan, mount->target), '/');
}

static const char *target_of(const struct init *init,
			     const struct crab_plan_mount *mount)
{
	return crab_plan_text(init->plan, mount->target);
}

/* A tree of the host's: one that the caller has opened for us, or our own. */
static long take_tree(struct init *init, uint32_t path, uint32_t flags)
{
	if (init->plan->flags & CRAB_PLAN_HOST_TREES)
		return init->next_tree++;
	return crab_tree_open(crab_plan_string(init->plan, path), flags);
}

/* Keeps the mount's top for later mounts to count from, or closes it. */
static void keep(struct init *init, const struct crab_plan_mount *mount,
		 int tree)
{
	if (!(mount->flags & CRAB_MOUNT_BASE)) {
		close(tree);
		return;
	}
	init->is_own[init->base_count] = mount->kind == CRAB_MOUNT_FILESYSTEM;
	init->bases[init->base_count++] = tree;
}

/* Also where that cannot be told. */
static bool is_same_place(int a, int b)
{
	struct statx first;
	struct statx second;
	const unsigned int want = STATX_INO | STATX_MNT_ID;

	return SYS(statx, a, "", AT_EMPTY_PATH, want, &first) < 0 ||
	       SYS(statx, b, "", AT_EMPTY_PATH, want, &second) < 0 ||
	       (first.stx_ino == second.stx_ino &&
		first.stx_mnt_id == second.stx_mnt_id);
}

/* Makes the name, and mounts over it. */
static long attach_by_name(int tree, bool directory, int base, const char *name)
{
	long made = directory ? SYS(mkdirat, base, name, 0755)
			      : SYS(mknodat, base, name, S_IFREG | 0644, 0);

	if (made < 0 && made != -EEXIST)
		return made;
	return sys_attach_by_name(tree, base, name);
}

/*
 * A link in the root can lead back to its top: what is mounted there would
 * cover nothing that the payload sees, and hide what lies below (root.c).
 */
static bool covers_root(const struct init *init,
			const struct crab_plan_mount *mount, int target)
{
	return mount->kind != CRAB_MOUNT_OVERLAY &&
	       is_same_place(target, init->root);
}

/* Attaches a mount where it belongs, making the place where it is missing. */
static long attach(struct init *init, const struct crab_plan_mount *mount,
		   int tree)
{
	long result = sys_is_directory(tree);

	if (result < 0)
		return result;
	if (is_own_name(init, mount))
		return attach_by_name(tree, result, base_of(init, mount),
				      target_of(init, mount));
	long target = target_open(base_of(init, mount), target_of(init, mount),
				  result);

	if (target < 0)
		return target;
	result = covers_root(init, mount, (int)target)
			 ? -EBUSY
			 : sys_attach(tree, (int)target);
	close((int)target);
	return result;
}

static long attach_and_keep(struct init *init,
			    const struct crab_plan_mount *mount, long tree)
{
	if (tree < 0)
		return tree;
	long result = attach(init, mount, (int)tree);

	keep(init, mount, (int)tree);
	return result;
}

static long make_bind(struct init *init, const struct crab_plan_mount *mount)
{
	return attach_and_keep(init, mount,
			       take_tree(init, mount->source, mount->flags));
}

/* The last one, which covers those before it. */
static void keep_devpts(struct init *init, int tree)
{
	if (init->devpts >= 0)
		close(init->devpts);
	init->devpts = (int)SYS(fcntl, tree, F_DUPFD_CLOEXEC, 0);
}

static long make_filesystem(struct init *init,
			    const struct crab_plan_mount *mount)
{
	const char *type = crab_plan_text(init->plan, mount->source);
	const char *options = crab_plan_string(init->plan, mount->data);
	long tree = filesystem_make(type, options, mount->flags);

	if (tree >= 0 && !strcmp(type, "devpts"))
		keep_devpts(init, (int)tree);
	return attach_and_keep(init, mount, tree);
}

static long make_file(struct init *init, const struct crab_plan_mount *mount)
{
	return attach_and_keep(init, mount, file_make(init, mount));
}

/* The layer that takes the changes: a kept one, or a tmpfs. */
static long take_layer(struct init *init, const struct crab_plan_mount *mount)
{
	if (mount->upper != CRAB_PLAN_NONE)
		return take_tree(init, mount->upper, mount->flags);
	return filesystem_make("tmpfs",
			       crab_plan_string(init->plan, mount->data),
			       mount->flags);
}

/* The root is no longer what lies below an overlay on it. */
static void replace_root(struct init *init, int tree)
{
	close(init->root);
	init->root = fcntl(tree, F_DUPFD_CLOEXEC, 0);
	init->root_is_overlay = true;
	init->stacked += 2; /* its layer, and itself */
}

static long make_overlay_of(struct init *init,
			    const struct crab_plan_mount *mount, int lower)
{
	const char *target = target_of(init, mount);
	long layer = take_layer(init, mount);

	if (layer < 0)
		return layer;
	long result = attach(init, mount, (int)layer);

	if (result == 0)
		result = overlay_make(lower, (int)layer, mount->flags);
	close((int)layer);
	if (result < 0)
		return result;
	long overlay = result;

	result = attach(init, mount, (int)overlay);
	if (result == 0 && !strcmp(target, "/"))
		replace_root(init, (int)overlay);
	keep(init, mount, (int)overlay);
	return result;
}

/* The lower one lies at the target below it all, or is what was there. */
static long make_overlay(struct init *init, const struct crab_plan_mount *mount)
{
	long lower;
	long result = 0;

	if (mount->source == CRAB_PLAN_NONE) {
		lower = target_open(init->root, target_of(init, mount), true);
	} else {
		lower = take_tree(init, mount->source,
				  mount->flags | CRAB_MOUNT_READONLY);
		if (lower >= 0)
			result = attach(init, mount, (int)lower);
	}
	if (lower < 0)
		return lower;
	if (result == 0)
		result = make_overlay_of(init, mount, (int)lower);
	close((int)lower);
	return result;
}

static long make_directory(struct init *init,
			   const struct crab_plan_mount *mount)
{
	const char *name;
	long parent = target_open_parent(base_of(init, mount),
					 target_of(init, mount), &name);

	if (parent < 0)
		return parent;
	long made = SYS(mkdirat, (int)parent, name, mount->mode);

	close((int)parent);
	return made == -EEXIST ? 0 : made;
}

static long make_symlink(struct init *init, const struct crab_plan_mount *mount)
{
	const char *text = crab_plan_text(init->plan, mount->source);
	const char *name;

	if (is_own_name(init, mount))
		return SYS(symlinkat, text, base_of(init, mount),
			   target_of(init, mount));
	long parent = target_open_parent(base_of(init, mount),
					 target_of(init, mount), &name);

	if (parent < 0)
		return parent;
	long made = SYS(symlinkat, text, (int)parent, name);

	close((int)parent);
	return made;
}

/* What the kernel does not have needs no cover. */
static long if_there(long target)
{
	return target == -ENOENT ? 0 : target;
}

#define MASK_FLAGS (CRAB_MOUNT_READONLY | CRAB_MOUNT_NOSUID | CRAB_MOUNT_NOEXEC)

/*
 * Nothing is to be seen: an empty directory, or the null device. The first is
 * made, the others are its copies.
 */
static long make_cover(struct init *init, bool directory)
{
	int *first = &init->covers[directory];
	long tree;

	if (*first >= 0)
		return sys_open_tree(*first, "",
				     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					     AT_EMPTY_PATH);
	tree = directory ? filesystem_make("tmpfs", "size=0,mode=0555",
					   MASK_FLAGS | CRAB_MOUNT_NODEV)
			 : crab_tree_open("/dev/null", MASK_FLAGS);
	if (tree >= 0)
		*first = (int)SYS(fcntl, (int)tree, F_DUPFD_CLOEXEC, 0);
	return tree;
}

/*
 * What is there, to be covered: a descriptor of it, or of the directory that
 * has it by name.
 */
struct existing {
	int fd;
	const char *name; /* "": fd is it */
};

static long find(const struct init *init, const struct crab_plan_mount *mount,
		 struct existing *ret)
{
	*ret = (struct existing){ base_of(init, mount),
				  target_of(init, mount) };
	if (is_own_name(init, mount))
		return 0;
	long fd = target_find(ret->fd, ret->name);

	*ret = (struct existing){ (int)fd, "" };
	return fd < 0 ? fd : 0;
}

static void let_go(struct existing *existing)
{
	if (!*existing->name)
		close(existing->fd);
}

static long attach_on(int tree, const struct existing *existing)
{
	return *existing->name
		       ? sys_attach_by_name(tree, existing->fd, existing->name)
		       : sys_attach(tree, existing->fd);
}

static long mask(struct init *init, const struct existing *existing)
{
	struct stat st;

	if (fstatat(existing->fd, existing->name, &st,
		    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return if_there(-errno);
	long tree = make_cover(init, S_ISDIR(st.st_mode));

	if (tree < 0)
		return tree;
	long result = attach_on((int)tree, existing);

	close((int)tree);
	return result;
}

/* The same again on top of itself, but read-only. */
static long protect(const struct existing *existing)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	long tree = sys_open_tree(existing->fd, existing->name,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					  AT_RECURSIVE | AT_EMPTY_PATH |
					  AT_SYMLINK_NOFOLLOW);

	if (tree < 0)
		return if_there(tree);
	long result = sys_mount_setattr((int)tree, AT_EMPTY_PATH | AT_RECURSIVE,
					&attr);

	if (result == 0)
		result = attach_on((int)tree, existing);
	close((int)tree);
	return result;
}

static long make_on_existing(struct init *init,
			     const struct crab_plan_mount *mount)
{
	struct existing existing;
	long result = find(init, mount, &existing);

	if (result < 0)
		return if_there(result);
	result = mount->kind == CRAB_MOUNT_MASK ? mask(init, &existing)
						: protect(&existing);
	let_go(&existing);
	return result;
}

static void close_covers(struct init *init)
{
	for (int i = 0; i < 2; i++)
		if (init->covers[i] >= 0)
			close(init->covers[i]);
}

static long make_mount(struct init *init, const struct crab_plan_mount *mount)
{
	static long (*const makers[CRAB_MOUNT_KINDS])(
		struct init *, const struct crab_plan_mount *) = {
		[CRAB_MOUNT_BIND] = make_bind,
		[CRAB_MOUNT_FILESYSTEM] = make_filesystem,
		[CRAB_MOUNT_OVERLAY] = make_overlay,
		[CRAB_MOUNT_FILE] = make_file,
		[CRAB_MOUNT_DIRECTORY] = make_directory,
		[CRAB_MOUNT_SYMLINK] = make_symlink,
		[CRAB_MOUNT_MASK] = make_on_existing,
		[CRAB_MOUNT_PROTECT] = make_on_existing,
	};

	return makers[mount->kind](init, mount);
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
	while (init->base_count > 0)
		close(init->bases[--init->base_count]);
	close_covers(init);
	return 0;
}
