/* SPDX-License-Identifier: MIT */
#include "seccomp.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

/* A tree of comparisons, where a list would cost the last call the most. */
#define BINARY_TREE 2

static int add_rule(scmp_filter_ctx filter, const struct seccomp_rule *rule)
{
	struct scmp_arg_cmp comparisons[SECCOMP_ARGUMENTS];
	int number = seccomp_syscall_resolve_name(rule->name);

	if (number == __NR_SCMP_ERROR)
		return -ENOSYS;
	for (unsigned int i = 0; i < rule->comparison_count; i++)
		comparisons[i] = (struct scmp_arg_cmp){
			.arg = rule->comparisons[i].argument,
			.op = (enum scmp_compare)rule->comparisons[i].operator,
			.datum_a = rule->comparisons[i].a,
			.datum_b = rule->comparisons[i].b,
		};
	return seccomp_rule_add_array(filter, rule->action, number,
				      rule->comparison_count, comparisons);
}

static int add_architectures(scmp_filter_ctx filter, const char *const *names)
{
	for (; *names; names++) {
		uint32_t token = seccomp_arch_resolve_name(*names);
		int result = token ? seccomp_arch_add(filter, token) : -EINVAL;

		if (result < 0 && result != -EEXIST)
			return result;
	}
	return 0;
}

static int fill(scmp_filter_ctx filter, const struct seccomp_policy *policy,
		size_t *ret_rule)
{
	/* Also x32 on x86_64, whose numbers pass for the native ones. */
	int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
				      SCMP_ACT_ERRNO(ENOSYS));

	if (result == 0)
		result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE,
					  BINARY_TREE);
	if (result == 0)
		result = add_architectures(filter, policy->architectures);
	for (size_t i = 0; result == 0 && i < policy->rule_count; i++) {
		*ret_rule = i;
		result = add_rule(filter, &policy->rules[i]);
	}
	if (result == 0)
		*ret_rule = policy->rule_count;
	return result;
}

/* seccomp_export_bpf_mem() came with libseccomp 2.6. */
static int export(scmp_filter_ctx filter)
{
	int fd = memfd_create("crabcan-filter", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	int result = seccomp_export_bpf(filter, fd);

	if (result < 0) {
		close(fd);
		errno = -result;
		return -1;
	}
	return fd;
}

int seccomp_compile(const struct seccomp_policy *policy, size_t *ret_rule)
{
	scmp_filter_ctx filter = seccomp_init(policy->default_action);
	int fd = -1;

	*ret_rule = policy->rule_count;
	errno = EINVAL;
	if (!filter)
		return -1;
	int result = fill(filter, policy, ret_rule);

	if (result == 0)
		fd = export(filter);
	else
		errno = -result;
	int saved = errno;

	seccomp_release(filter);
	errno = saved;
	return fd;
}

int seccomp_knows(const char *name)
{
	return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}
