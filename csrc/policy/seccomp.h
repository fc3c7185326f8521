/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_POLICY_SECCOMP_H
#define CRABCAN_POLICY_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

/*
 * From rules to a program for seccomp(2), by libseccomp. In the caller: it
 * allocates, which may not be done between clone and exec.
 */
#define SECCOMP_ARGUMENTS 6

struct seccomp_comparison {
	unsigned int argument;
	int operator; /* enum scmp_compare */
	uint64_t a;
	uint64_t b;
};

struct seccomp_rule {
	const char *name;
	uint32_t action; /* SCMP_ACT_* */
	struct seccomp_comparison comparisons[SECCOMP_ARGUMENTS];
	unsigned int comparison_count;
};

struct seccomp_policy {
	uint32_t default_action;
	const char *const
		*architectures; /* besides the native one; NULL ends */
	const struct seccomp_rule *rules;
	size_t rule_count;
};

/*
 * A memfd that holds the array of struct sock_filter; -1 with errno, and
 * `ret_rule` at the rule that was refused, or rule_count.
 */
int seccomp_compile(const struct seccomp_policy *policy, size_t *ret_rule);
/* Whether libseccomp knows the name, on whatever architecture. */
int seccomp_knows(const char *name);

#endif
