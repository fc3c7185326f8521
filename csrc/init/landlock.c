/* SPDX-License-Identifier: MIT */
/*
 * A second wall behind the mounts, landlock(7): below the paths that the plan
 * lists, and to the ports, what they are listed for; nothing else of what the
 * plan walls in. The rights are the plan's, which knows the kernel's version.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>

#include "../plan/sys.h"
#include "init.h"

#define READ_RIGHTS                                                            \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |           \
	 LANDLOCK_ACCESS_FS_READ_DIR)
/* Those that a rule on a file may have; the kernel refuses the others. */
#define FILE_RIGHTS                                                            \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |           \
	 LANDLOCK_ACCESS_FS_WRITE_FILE | (1ULL << 14) /* truncate */ |         \
	 (1ULL << 15) /* ioctl on devices */)

/* Of linux/landlock.h, since Linux 6.7; build machines can be older. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
};
struct net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};
#define RULE_NET_PORT 2
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)

static long add_path(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights };
	int fd = open(path, O_PATH | O_CLOEXEC);
	long mode = fd < 0 ? -errno : sys_is_directory(fd);

	if (mode >= 0) {
		if (mode == 0)
			rule.allowed_access &= FILE_RIGHTS;
		rule.parent_fd = fd;
		mode = SYS(landlock_add_rule, ruleset,
			   LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	if (fd >= 0)
		close(fd);
	return mode;
}

static long add_port(int ruleset, uint64_t port, uint64_t rights)
{
	struct net_port_attr rule = { .allowed_access = rights, .port = port };

	return SYS(landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0);
}

static long add_rule(const struct crab_plan_header *plan, int ruleset,
		     const struct crab_plan_landlock *rule)
{
	const char *path = crab_plan_text(plan, rule->path);

	switch (rule->kind) {
	case CRAB_LANDLOCK_READ:
		return add_path(ruleset, path,
				plan->landlock_access & READ_RIGHTS);
	case CRAB_LANDLOCK_WRITE:
		return add_path(ruleset, path, plan->landlock_access);
	case CRAB_LANDLOCK_CONNECT:
		return add_port(ruleset, rule->port, NET_CONNECT_TCP);
	case CRAB_LANDLOCK_BIND:
		return add_port(ruleset, rule->port, NET_BIND_TCP);
	default:
		return -EINVAL;
	}
}

static long restrict_by(struct init *init, int ruleset)
{
	const struct crab_plan_header *plan = init->plan;
	const struct crab_plan_landlock *rules =
		crab_plan_items(plan, plan->landlock);

	for (uint32_t i = 0; i < plan->landlock.count; i++) {
		init->index = i;
		long added = add_rule(plan, ruleset, &rules[i]);

		if (added < 0)
			return added;
	}
	return SYS(landlock_restrict_self, ruleset, 0);
}

long landlock_restrict(struct init *init)
{
	struct ruleset_attr attr = {
		.handled_access_fs = init->plan->landlock_access,
		.handled_access_net = init->plan->landlock_ports,
	};

	/* Older kernels know only the first field, and want its size. */
	long ruleset = SYS(
		landlock_create_ruleset, &attr,
		attr.handled_access_net ? sizeof(attr) : sizeof(uint64_t), 0);

	if (ruleset < 0)
		return ruleset;
	long result = restrict_by(init, (int)ruleset);

	close((int)ruleset);
	return result;
}
