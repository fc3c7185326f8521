/* SPDX-License-Identifier: MIT */
/* The plan, written by the host's code and read back by init's, without Python.
 */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../csrc/host/plan.h"
#include "../../csrc/host/sealed.h"
#include "../../csrc/init/init.h"

static const char *const argv[] = { "sh", "-c", "exit 0", NULL };
static const char *const executables[] = { "/usr/bin/sh", "/bin/sh", NULL };
static const char *const no_strings[] = { NULL };
static const struct crab_mount mounts[] = {
	{ .kind = CRAB_MOUNT_BIND,
	  .flags = CRAB_MOUNT_READONLY,
	  .source = "/a",
	  .target = "/b" },
	{ .kind = CRAB_MOUNT_FILESYSTEM,
	  .source = "tmpfs",
	  .target = "/tmp",
	  .data = "size=1m" },
	{ .kind = CRAB_MOUNT_DIRECTORY, .mode = 0700, .target = "/run" },
};

static struct crab_spec good_spec(void)
{
	return (struct crab_spec){
		.flags = CRAB_PLAN_LOOPBACK,
		.uid = 7,
		.gid = 8,
		.hostname = "moon",
		.cwd = "/",
		.executables = executables,
		.argv = argv,
		.environ = no_strings,
		.mounts = mounts,
		.mount_count = 3,
	};
}

static void test_what_is_written_is_read(void)
{
	struct crab_spec spec = good_spec();
	struct crab_error error;
	struct crab_plan *plan;
	struct init init = { 0 };

	assert(crab_plan_create(&spec, &plan, &error) == 0);
	int fd = sealed_file_get(&plan->file, "plan", plan->header, plan->size);

	assert(fd > 2);
	assert(sealed_file_get(&plan->file, "plan", plan->header, plan->size) ==
	       fd);
	assert(write(fd, "x", 1) < 0 && errno == EPERM);
	assert(dup2(fd, CRAB_FD_PLAN) == CRAB_FD_PLAN);
	assert(plan_open(&init) == 0);

	const struct crab_plan_header *read = init.plan;
	char **words = (char **)((char *)(uintptr_t)read + read->argv.offset);

	assert(read->uid == 7 && read->gid == 8);
	assert(strcmp(crab_plan_string(read, read->hostname), "moon") == 0);
	assert(crab_plan_string(read, read->root) == NULL);
	for (int i = 0; i < 3; i++)
		assert(strcmp(words[i], argv[i]) == 0);
	assert(words[3] == NULL);
	words = (char **)((char *)(uintptr_t)read + read->environ.offset);
	assert(read->environ.count == 0 && words[0] == NULL);

	const struct crab_plan_mount *m = crab_plan_mounts(read);

	assert(read->mount_count == 3);
	assert(strcmp(crab_plan_string(read, m[0].source), "/a") == 0);
	assert(m[0].flags == CRAB_MOUNT_READONLY);
	assert(strcmp(crab_plan_string(read, m[1].data), "size=1m") == 0);
	assert(m[2].mode == 0700 && m[2].source == CRAB_PLAN_NONE);
	crab_plan_destroy(plan);
}

static void test_descriptions(void)
{
	struct crab_spec spec = good_spec();
	struct crab_error error;
	struct crab_plan *plan;
	char text[64];

	assert(crab_plan_create(&spec, &plan, &error) == 0);
	crab_plan_describe(plan, CRAB_STEP_MOUNT, 0, text, sizeof(text));
	assert(strcmp(text, "bind /a on /b") == 0);
	crab_plan_describe(plan, CRAB_STEP_MOUNT, 99, text, sizeof(text));
	assert(strcmp(text, "") == 0);
	crab_plan_describe(plan, CRAB_STEP_EXEC, 0, text, sizeof(text));
	assert(strcmp(text, "sh") == 0);
	assert(crab_step_name(CRAB_STEP_COUNT) == NULL);
	crab_plan_destroy(plan);
}

static const uint32_t groups[] = { 5, 6 };
static const struct crab_plan_rlimit rlimits[] = { { 7, 64, 128 } };
static const uint64_t joins[] = { 1, 2, 3 };
static const struct crab_landlock landlock[] = {
	{ .kind = CRAB_LANDLOCK_READ, .path = "/usr" },
	{ .kind = CRAB_LANDLOCK_BIND, .port = 80 },
};
static const char content[] = "a\0b";
static const struct crab_mount based[] = {
	{ .kind = CRAB_MOUNT_FILESYSTEM,
	  .flags = CRAB_MOUNT_BASE,
	  .source = "proc",
	  .target = "/proc" },
	{ .kind = CRAB_MOUNT_MASK, .target = "kcore", .base = 1 },
	{ .kind = CRAB_MOUNT_FILE,
	  .source = content,
	  .size = sizeof(content) - 1,
	  .target = "/f" },
	{ .kind = CRAB_MOUNT_OVERLAY,
	  .flags = CRAB_MOUNT_IDMAP,
	  .source = "/low",
	  .upper = "/up",
	  .target = "/o" },
};

static struct crab_spec full_spec(void)
{
	struct crab_spec spec = good_spec();

	spec.mounts = based;
	spec.mount_count = 4;
	spec.capabilities = 1ULL << 40;
	spec.groups = (struct crab_items){ groups, 2 };
	spec.rlimits = (struct crab_items){ rlimits, 1 };
	spec.joins = (struct crab_items){ joins, 3 };
	spec.landlock = landlock;
	spec.landlock_count = 2;
	spec.landlock_access = 7;
	return spec;
}

static void test_privileges_are_read(void)
{
	struct crab_spec spec = full_spec();
	struct crab_error error;
	struct crab_plan *plan;

	assert(crab_plan_create(&spec, &plan, &error) == 0);
	const struct crab_plan_header *h = plan->header;
	const uint32_t *g = crab_plan_items(h, h->groups);
	const struct crab_plan_rlimit *r = crab_plan_items(h, h->rlimits);
	const uint64_t *j = crab_plan_items(h, h->joins);
	const struct crab_plan_landlock *l = crab_plan_items(h, h->landlock);

	assert(h->capabilities == 1ULL << 40);
	assert(h->groups.count == 2 && g[0] == 5 && g[1] == 6);
	assert(h->rlimits.count == 1 && r[0].soft == 64 && r[0].hard == 128);
	assert(h->joins.count == 3 && j[2] == 3);
	assert(h->landlock.count == 2 && l[1].port == 80);
	assert(strcmp(crab_plan_string(h, l[0].path), "/usr") == 0);
	assert(crab_plan_string(h, l[1].path) == NULL);
	assert(h->seccomp.count == 0 && h->affinity.count == 0);
	crab_plan_destroy(plan);
}

static void test_mounts_are_read(void)
{
	struct crab_spec spec = full_spec();
	struct crab_error error;
	struct crab_plan *plan;
	uint32_t trees[CRAB_MOUNT_TREES];
	char text[64];

	assert(crab_plan_create(&spec, &plan, &error) == 0);
	const struct crab_plan_header *h = plan->header;
	const struct crab_plan_mount *m = crab_plan_mounts(h);

	assert(m[1].base == 1);
	assert(m[2].size == 3);
	assert(memcmp(crab_plan_string(h, m[2].source), content, 4) == 0);
	assert(crab_mount_trees(&m[0], trees) == 0);
	assert(crab_mount_trees(&m[3], trees) == 2);
	assert(strcmp(crab_plan_string(h, trees[1]), "/up") == 0);
	crab_plan_describe(plan, CRAB_STEP_MOUNT, 1, text, sizeof(text));
	assert(strcmp(text, "mask over /proc/kcore") == 0);
	crab_plan_describe(plan, CRAB_STEP_IDMAP, 0, text, sizeof(text));
	assert(strcmp(text, "overlay over /low on /o") == 0);
	crab_plan_describe(plan, CRAB_STEP_IDMAP, 1, text, sizeof(text));
	assert(strcmp(text, "") == 0);
	crab_plan_describe(plan, CRAB_STEP_LANDLOCK, 9, text, sizeof(text));
	assert(strcmp(text, "") == 0);
	assert(crab_plan_step_count(plan, CRAB_STEP_MOUNT) == 4);
	assert(crab_plan_step_count(plan, CRAB_STEP_IDMAP) == 1);
	assert(crab_plan_step_count(plan, CRAB_STEP_NICE) == 0);
	assert(crab_plan_step_count(plan, CRAB_STEP_EXEC) == 1);
	crab_plan_destroy(plan);
}

static void refused(struct crab_spec spec)
{
	struct crab_error error = { 0 };
	struct crab_plan *plan;

	assert(crab_plan_create(&spec, &plan, &error) == -1);
	assert(error.step == CRAB_STEP_COMPILE && error.errnum == EINVAL);
}

static void test_incomplete_specs(void)
{
	struct crab_mount mount = mounts[0];
	struct crab_spec spec = good_spec();

	spec.argv = no_strings;
	refused(spec);
	spec = good_spec();
	spec.executables = NULL;
	refused(spec);
	spec = good_spec();
	spec.flags = CRAB_PLAN_USER_NAMESPACE; /* without its maps */
	refused(spec);
	spec = good_spec();
	spec.mounts = &mount;
	spec.mount_count = 1;
	mount.source = NULL;
	refused(spec);
	mount = mounts[0];
	mount.flags = 1 << 30;
	refused(spec);
	mount = mounts[0];
	mount.base = 1; /* of which there is none before it */
	refused(spec);
	struct crab_landlock rule = { .kind = CRAB_LANDLOCK_READ };

	spec = good_spec();
	spec.landlock = &rule;
	spec.landlock_count = 1;
	refused(spec);
}

static void refused_by_init(const void *bytes, size_t size)
{
	struct init init = { 0 };
	int fd = memfd_create("plan", 0);

	assert(write(fd, bytes, size) == (ssize_t)size);
	assert(dup2(fd, CRAB_FD_PLAN) == CRAB_FD_PLAN);
	close(fd);
	assert(plan_open(&init) == -EINVAL);
	close(CRAB_FD_PLAN);
}

static void test_init_refuses_what_is_no_plan(void)
{
	struct crab_plan_header header = { .magic = CRAB_PLAN_MAGIC,
					   .version = CRAB_PLAN_VERSION,
					   .size = sizeof(header) };

	header.version++;
	refused_by_init(&header, sizeof(header));
	header.version--;
	header.size++;
	refused_by_init(&header, sizeof(header));
	refused_by_init("short", 5);
}

/* A program that closes all that it has must not have a stranger executed. */
static void test_sealed_file_whose_number_is_a_strangers(void)
{
	struct sealed_file file = { 0 };
	int fd = sealed_file_get(&file, "one", "one", 3);
	int stranger = open("/dev/null", O_RDONLY);
	char text[4] = { 0 };

	assert(dup2(stranger, fd) == fd);
	int again = sealed_file_get(&file, "one", "one", 3);

	assert(again != fd);
	assert(pread(again, text, 3, 0) == 3 && strcmp(text, "one") == 0);
	sealed_file_close(&file);
	close(fd);
	close(stranger);
}

int main(void)
{
	test_what_is_written_is_read();
	test_descriptions();
	test_privileges_are_read();
	test_mounts_are_read();
	test_incomplete_specs();
	test_init_refuses_what_is_no_plan();
	test_sealed_file_whose_number_is_a_strangers();
	puts("ok");
	return 0;
}
