/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_INIT_INIT_H
#define CRABCAN_INIT_INIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../plan/plan.h"
#include "../plan/report.h"
#include "../plan/steps.h"

/*
 * crabcan-init: PID 1 of a container. It is executed first thing after the
 * clone, carries out the plan step by step, starts the payload, and stays as
 * its reaper and its link to the caller. It is single-threaded and alone in
 * its memory. A step is a function that returns 0 or a negative errno.
 */
struct init {
	const struct crab_plan_header *plan;
	enum crab_step step; /* being taken, and its item */
	uint32_t index;
	int root; /* the root mount, until the pivot */
	bool root_is_overlay;
	uint32_t stacked; /* mounts on the old root, the new one among them */
	int passed;	  /* the first that is passed on to the payload */
	int next_tree;	  /* of those that the caller has opened */
	int scratch;	  /* a tmpfs that nobody sees, for files and overlays */
	int bases[CRAB_MAX_BASES]; /* tops of the mounts with CRAB_MOUNT_BASE */
	bool is_own[CRAB_MAX_BASES]; /* made here: nobody else has been there */
	uint32_t base_count;
	int covers[2];	  /* what masks a file, a directory; -1: none yet */
	int devpts;	  /* the container's own, or -1 */
	int slave;	  /* of the terminal, or -1 */
	uint32_t id;	  /* of a process that was asked for; 0: the payload */
	int signals;	  /* signalfd */
	int account;	  /* where the CPU time is read, if it is limited */
	uint64_t started; /* monotonic, nanoseconds */
	enum crab_time_limit limit; /* that has ended it */
	pid_t payload;		    /* 0: not yet */
	bool payload_ended;
	siginfo_t end;	    /* of the payload, once it has ended */
	long payload_error; /* written by the payload's process, before its exec
			     */
};

struct step {
	enum crab_step step;
	long (*take)(struct init *init);
};

/* Takes them in order; returns the first failure, with init->step at it. */
long take_steps(struct init *init, const struct step *steps);
/* A step, or one item of it, begins. */
void begin_step(struct init *init, enum crab_step step, uint32_t index);
/* False: it could not be sent. */
bool send_report(struct crab_report *report);
void send_timeline(void);
/* descriptor.c: the descriptor becomes the caller's too. */
long send_descriptor(const struct init *init, enum crab_report_type type,
		     int fd);

/* prepare.c: its lists become pointers; false: it does not hold together */
bool plan_prepare(struct crab_plan_header *plan, uint64_t size);
/* plan.c */
long plan_open(struct init *init);
long plan_map(struct init *init, int fd);
/* enter.c */
long namespaces_join(struct init *init);
/* identity.c */
long groups_enter(struct init *init);
long oom_score_set(struct init *init);
long init_undumpable(struct init *init);
long init_become_root(struct init *init);
long cgroup_namespace_unshare(struct init *init);
/* network.c */
long loopback_up(struct init *init);
/* root.c */
long mounts_make_private(struct init *init);
long root_mount(struct init *init);
long root_pivot(struct init *init);
long root_make_readonly(struct init *init);
/* mounts.c */
long mounts_make(struct init *init);
/* filesystem.c: new file systems, attached nowhere yet */
long filesystem_make(const char *type, const char *options, uint32_t flags);
long overlay_make(int lower, int layer, uint32_t flags);
long file_make(struct init *init, const struct crab_plan_mount *mount);
/* target.c: a path inside the root, resolved so that it stays inside */
long target_find(int root, const char *path);
long target_open(int root, const char *path, bool directory);
long target_open_parent(int root, const char *path, const char **ret_name);
/* terminal.c */
long terminal_open(struct init *init);
long terminal_control(struct init *init);
/* payload.c */
long payload_spawn(struct init *init);
/* privileges.c: what the payload's process gives up */
long keyring_join(struct init *init);
long nice_set(struct init *init);
long affinity_set(struct init *init);
long bounding_drop(struct init *init);
long ids_set(struct init *init);
long capabilities_set(struct init *init);
long new_privileges_refuse(struct init *init);
long rlimits_set(struct init *init);
long seccomp_install(struct init *init);
/* landlock.c */
long landlock_restrict(struct init *init);
/* clock.c: the limits of time */
uint64_t monotonic(void);
void clock_start(struct init *init);
int clock_left(struct init *init);
/* exec.c: false once the caller has closed its end, or nothing is to come */
bool requests_take(struct init *init);
void exec_ended(const siginfo_t *end);
/* supervise.c */
long signals_take_over(struct init *init);
int supervise(struct init *init);

#endif
