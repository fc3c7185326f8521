/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <limits.h>
#include <linux/filter.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/*
 * A plan is written in two passes of the same code: the first, without a
 * buffer, finds the size; the second writes. So they cannot disagree.
 */
struct writer {
	char *buffer; /* NULL in the first pass */
	size_t size;
};

static uint32_t put(struct writer *w, const void *bytes, size_t size,
		    size_t align)
{
	size_t at = (w->size + align - 1) & ~(align - 1);

	if (w->buffer)
		memcpy(w->buffer + at, bytes, size);
	w->size = at + size;
	return (uint32_t)at;
}

static uint32_t put_string(struct writer *w, const char *string)
{
	return string ? put(w, string, strlen(string) + 1, 1) : CRAB_PLAN_NONE;
}

static struct crab_plan_list put_list(struct writer *w,
				      const char *const *strings)
{
	struct crab_plan_list list = { 0 };
	const uint64_t end = 0;

	while (strings && strings[list.count])
		list.count++;
	/* The array first, with its terminator; each slot is filled in below.
	 */
	for (uint32_t i = 0; i <= list.count; i++) {
		uint32_t at = put(w, &end, sizeof(end), sizeof(end));

		if (i == 0)
			list.offset = at;
	}
	for (uint32_t i = 0; i < list.count; i++) {
		uint64_t at = put_string(w, strings[i]);

		if (w->buffer)
			memcpy(w->buffer + list.offset + i * sizeof(at), &at,
			       sizeof(at));
	}
	return list;
}

static uint32_t put_mounts(struct writer *w, const struct crab_mount *mounts,
			   size_t count)
{
	uint32_t first = CRAB_PLAN_NONE;

	for (size_t i = 0; i < count; i++) {
		const struct crab_plan_mount none = { 0 };
		uint32_t at = put(w, &none, sizeof(none), sizeof(uint64_t));

		if (i == 0)
			first = at;
	}
	for (size_t i = 0; i < count; i++) {
		struct crab_plan_mount mount = {
			.kind = mounts[i].kind,
			.flags = mounts[i].flags,
			.mode = mounts[i].mode,
			.source = mounts[i].kind == CRAB_MOUNT_FILE
					  ? put(w, mounts[i].source,
						mounts[i].size + 1, 1)
					  : put_string(w, mounts[i].source),
			.target = put_string(w, mounts[i].target),
			.data = put_string(w, mounts[i].data),
			.upper = put_string(w, mounts[i].upper),
			.size = mounts[i].size,
			.base = mounts[i].base,
		};

		if (w->buffer)
			memcpy(w->buffer + first + i * sizeof(mount), &mount,
			       sizeof(mount));
	}
	return first;
}

static struct crab_plan_array
put_array(struct writer *w, struct crab_items array, size_t item_size)
{
	return (struct crab_plan_array){
		.offset = array.count
				  ? put(w, array.items, array.count * item_size,
					sizeof(uint64_t))
				  : CRAB_PLAN_NONE,
		.count = (uint32_t)array.count,
	};
}

static struct crab_plan_array put_landlock(struct writer *w,
					   const struct crab_spec *spec)
{
	struct crab_plan_array array = { 0 };

	for (size_t i = 0; i < spec->landlock_count; i++) {
		struct crab_plan_landlock rule = {
			.kind = spec->landlock[i].kind,
			.path = CRAB_PLAN_NONE,
			.port = spec->landlock[i].port,
		};
		uint32_t at = put(w, &rule, sizeof(rule), sizeof(uint64_t));

		if (i == 0)
			array.offset = at;
		array.count++;
	}
	for (size_t i = 0; i < spec->landlock_count; i++) {
		uint32_t path = put_string(w, spec->landlock[i].path);
		size_t at = array.offset +
			    i * sizeof(struct crab_plan_landlock) +
			    offsetof(struct crab_plan_landlock, path);

		if (w->buffer)
			memcpy(w->buffer + at, &path, sizeof(path));
	}
	return array;
}

static void write_plan(struct writer *w, const struct crab_spec *spec)
{
	struct crab_plan_header header = {
		.magic = CRAB_PLAN_MAGIC,
		.version = CRAB_PLAN_VERSION,
		.flags = spec->flags,
		.clone_flags = spec->clone_flags,
		.uid = spec->uid,
		.gid = spec->gid,
		.mount_count = (uint32_t)spec->mount_count,
		.capabilities = spec->capabilities,
		.landlock_access = spec->landlock_access,
		.landlock_ports = spec->landlock_ports,
		.wall_time = spec->wall_time,
		.cpu_time = spec->cpu_time,
		.group_count = spec->group_count,
		.umask = spec->umask,
		.nice = spec->nice,
		.oom_score_adj = spec->oom_score_adj,
		.rows = spec->rows,
		.columns = spec->columns,
	};

	put(w, &header, sizeof(header), sizeof(uint64_t));
	header.hostname = put_string(w, spec->hostname);
	header.root = put_string(w, spec->root);
	header.cwd = put_string(w, spec->cwd);
	header.uid_map = put_string(w, spec->uid_map);
	header.gid_map = put_string(w, spec->gid_map);
	header.mounts = put_mounts(w, spec->mounts, spec->mount_count);
	header.executables = put_list(w, spec->executables);
	header.argv = put_list(w, spec->argv);
	header.environ = put_list(w, spec->environ);
	header.groups = put_array(w, spec->groups, sizeof(uint32_t));
	header.rlimits =
		put_array(w, spec->rlimits, sizeof(struct crab_plan_rlimit));
	header.affinity = put_array(w, spec->affinity, sizeof(uint64_t));
	header.seccomp =
		put_array(w, spec->seccomp, sizeof(struct sock_filter));
	header.landlock = put_landlock(w, spec);
	header.joins = put_array(w, spec->joins, sizeof(uint64_t));
	header.passed = put_array(w, spec->passed, sizeof(int32_t));
	put(w, "", 1, 1); /* every string ends before the plan does */
	header.size = (uint32_t)w->size;
	if (w->buffer)
		memcpy(w->buffer, &header, sizeof(header));
}

static bool mount_is_complete(const struct crab_mount *mount, uint32_t bases)
{
	static const bool needs_source[CRAB_MOUNT_KINDS] = {
		[CRAB_MOUNT_BIND] = true,
		[CRAB_MOUNT_FILESYSTEM] = true,
		[CRAB_MOUNT_FILE] = true,
		[CRAB_MOUNT_SYMLINK] = true,
	};

	return mount->kind < CRAB_MOUNT_KINDS && mount->target &&
	       !(mount->flags & ~CRAB_MOUNT_ALL_FLAGS) &&
	       mount->base <= bases &&
	       (mount->source || !needs_source[mount->kind]);
}

static bool mounts_are_complete(const struct crab_spec *spec)
{
	uint32_t bases = 0;

	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct crab_mount *mount = &spec->mounts[i];

		if (!mount_is_complete(mount, bases))
			return false;
		if (mount->flags & CRAB_MOUNT_BASE)
			bases++;
	}
	return bases <= CRAB_MAX_BASES;
}

static bool landlock_is_complete(const struct crab_spec *spec)
{
	for (size_t i = 0; i < spec->landlock_count; i++) {
		const struct crab_landlock *rule = &spec->landlock[i];

		if (rule->kind >= CRAB_LANDLOCK_KINDS ||
		    (rule->kind <= CRAB_LANDLOCK_WRITE && !rule->path))
			return false;
	}
	return true;
}

static bool spec_is_complete(const struct crab_spec *spec)
{
	return spec->executables && spec->executables[0] && spec->argv &&
	       spec->argv[0] && spec->environ && spec->cwd &&
	       (!(spec->flags & CRAB_PLAN_USER_NAMESPACE) ||
		(spec->uid_map && spec->gid_map)) &&
	       spec->passed.count <= CRAB_MAX_PASSED &&
	       spec->group_count <= CRAB_MAX_GROUPS &&
	       mounts_are_complete(spec) && landlock_is_complete(spec);
}

int crab_plan_create(const struct crab_spec *spec, struct crab_plan **ret,
		     struct crab_error *error)
{
	struct writer w = { 0 };

	errno = EINVAL;
	if (!spec_is_complete(spec))
		return crab_fail(error, CRAB_STEP_COMPILE);
	write_plan(&w, spec);
	errno = E2BIG; /* offsets have 32 bits */
	if (w.size > INT_MAX)
		return crab_fail(error, CRAB_STEP_COMPILE);

	struct crab_plan *plan = calloc(1, sizeof(*plan));

	w.buffer = calloc(1, w.size);
	if (!plan || !w.buffer) {
		free(plan);
		free(w.buffer);
		errno = ENOMEM;
		return crab_fail(error, CRAB_STEP_COMPILE);
	}
	plan->header = (struct crab_plan_header *)w.buffer;
	plan->size = w.size;
	w.size = 0;
	write_plan(&w, spec);
	*ret = plan;
	return 0;
}

void crab_plan_destroy(struct crab_plan *plan)
{
	if (!plan)
		return;
	sealed_file_close(&plan->file);
	free(plan->header);
	free(plan);
}

void crab_plan_close_file(struct crab_plan *plan)
{
	sealed_file_close(&plan->file);
}

const struct crab_plan_header *crab_plan_header(const struct crab_plan *plan)
{
	return plan->header;
}
