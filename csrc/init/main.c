/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../plan/count.h"
#include "../plan/sys.h"
#include "init.h"

static long start_session(struct init *init)
{
	(void)init;
	/* Else ps shows the memfd's name. */
	prctl(PR_SET_NAME, "crabcan-init");
	return setsid() < 0 ? -errno : 0;
}

static long set_hostname(struct init *init)
{
	const char *name = crab_plan_text(init->plan, init->plan->hostname);

	return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}

/* Of all steps, the payload's process included, which shares our memory. */
static struct crab_timeline timeline;

/* The order of isolation. */
static const struct step order[] = {
	{ CRAB_STEP_PLAN, plan_open },
	{ CRAB_STEP_GROUP, groups_enter },
	{ CRAB_STEP_OOM_SCORE, oom_score_set },
	{ CRAB_STEP_UNDUMPABLE, init_undumpable },
	{ CRAB_STEP_JOIN, namespaces_join },
	{ CRAB_STEP_INIT_IDS, init_become_root },
	{ CRAB_STEP_CGROUP_NAMESPACE, cgroup_namespace_unshare },
	{ CRAB_STEP_SIGNALS, signals_take_over },
	{ CRAB_STEP_SESSION, start_session },
	{ CRAB_STEP_HOSTNAME, set_hostname },
	{ CRAB_STEP_LOOPBACK, loopback_up },
	{ CRAB_STEP_PRIVATE, mounts_make_private },
	{ CRAB_STEP_ROOT, root_mount },
	{ CRAB_STEP_MOUNT, mounts_make },
	{ CRAB_STEP_PIVOT, root_pivot },
	{ CRAB_STEP_ROOT_READONLY, root_make_readonly },
	{ CRAB_STEP_TERMINAL, terminal_open },
	{ CRAB_STEP_SPAWN, payload_spawn },
	{ 0 },
};

/*
 * Never sleeps: a caller that does not read may not hold the container up.
 * The socket has room for far more reports than a setup has steps.
 */
bool send_report(struct crab_report *report)
{
	report->time = monotonic();
	return send(CRAB_FD_CONTROL, report, sizeof(*report),
		    MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* As send_report(), before the first of those. */
void send_timeline(void)
{
	timeline.type = CRAB_REPORT_TIMELINE;
	send(CRAB_FD_CONTROL, &timeline, crab_timeline_size(&timeline),
	     MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* These begin a step for each of their items. */
static bool is_many(enum crab_step step)
{
	return step == CRAB_STEP_MOUNT || step == CRAB_STEP_RLIMIT ||
	       step == CRAB_STEP_JOIN || step == CRAB_STEP_GROUP;
}

void begin_step(struct init *init, enum crab_step step, uint32_t index)
{
	init->step = step;
	init->index = index;
	/* What is taken once has room left, however many items come before. */
	if (timeline.count >=
	    CRAB_MAX_MOMENTS - (is_many(step) ? CRAB_STEP_COUNT : 0))
		return;
	timeline.moments[timeline.count++] = (struct crab_moment){
		.step = step, .index = index, .time = monotonic()
	};
}

static bool is_left_out(const struct init *init, enum crab_step step)
{
	return init->plan && crab_step_count(init->plan, step) == 0;
}

long take_steps(struct init *init, const struct step *steps)
{
	for (; steps->take; steps++) {
		if (is_left_out(init, steps->step))
			continue;
		if (!is_many(steps->step))
			begin_step(init, steps->step, 0);
		long result = steps->take(init);

		if (result < 0)
			return result;
	}
	return 0;
}

static void report_failure(const struct init *init, long error)
{
	struct crab_report report = {
		.type = CRAB_REPORT_FAILED,
		.step = init->step,
		.index = init->index,
		.error = (int)-error,
	};

	send_timeline();
	send_report(&report);
}

int main(void)
{
	struct init init = {
		.root = -1,
		.scratch = -1,
		.devpts = -1,
		.slave = -1,
		.covers = { -1, -1 },
	};
	long result = take_steps(&init, order);

	if (result < 0) {
		report_failure(&init, result);
		return 1;
	}
	return supervise(&init);
}
