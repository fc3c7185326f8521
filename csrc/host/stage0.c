/* SPDX-License-Identifier: MIT */
/*
 * The child, from clone to the exec of init.
 *
 * It runs in the memory of a caller that may have any number of threads, all
 * of them still running: any lock may be held for good, and the thread pointer
 * is the calling thread's. So it makes raw system calls and nothing else, and
 * changes no credentials: those would make the caller's memory undumpable
 * (kernel: commit_creds). poison.h, included last, holds it to that; a test
 * holds its undefined symbols against an allow-list.
 */
#include "stage0.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "../plan/boolean.h"
#include "../plan/report.h"
#include "../plan/steps.h"
#include "syscall.h"

#include "poison.h"

/* No sanitizer may call into its runtime from here. */
#define STAGE0 __attribute__((no_sanitize("address", "undefined")))

static STAGE0 void quit(void) __attribute__((noreturn));
static STAGE0 void quit(void)
{
	for (;;)
		raw_syscall(SYS_exit_group, 127, 0, 0, 0, 0);
}

static STAGE0 void fail(int control, enum crab_step step, long error)
{
	struct crab_report report = {
		.type = CRAB_REPORT_FAILED,
		.step = step,
		.error = (int)-error,
	};

	raw_syscall6(SYS_sendto, control, (long)&report, sizeof(report),
		     MSG_NOSIGNAL, 0, 0);
	quit();
}

static STAGE0 void begin_step(struct crab_moment *moment, enum crab_step step)
{
	struct timespec now = { 0 };

	raw_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now, 0, 0, 0);
	*moment = (struct crab_moment){
		.step = step,
		.time = (uint64_t)now.tv_sec * 1000000000u +
			(uint64_t)now.tv_nsec,
	};
}

/*
 * True once the caller has said so. The caller's death shows on its pidfd even
 * where a process that it forked keeps a copy of the other end open.
 */
static STAGE0 int told_to_go_on(int control, int caller)
{
	struct pollfd fds[2] = { { .fd = control, .events = POLLIN },
				 { .fd = caller, .events = POLLIN } };
	unsigned char byte[CRAB_BOOLEAN_BUFFER] = { 0 };

	if (raw_syscall(SYS_ppoll, fds, 2, 0, 0, 0) < 0 || fds[1].revents)
		return 0;
	long size = raw_syscall6(SYS_recvfrom, control, (long)byte,
				 sizeof(byte), MSG_DONTWAIT, 0, 0);

	return crab_boolean_decode(byte, size) == CRAB_TRUE;
}

/* The first number that no descriptor of init has. */
static STAGE0 int after_fds(const struct stage0 *stage0)
{
	return CRAB_FD_COUNT + stage0->extra_count;
}

/* Out of the way: a source may have the number that another one needs. */
static STAGE0 long move_up(int *fds, int count, int above)
{
	for (int i = 0; i < count; i++) {
		if (fds[i] < 0)
			continue;
		long moved = raw_syscall(SYS_fcntl, fds[i], F_DUPFD_CLOEXEC,
					 above, 0, 0);

		if (moved < 0)
			return moved;
		fds[i] = (int)moved;
	}
	return 0;
}

static STAGE0 long move_down(const int *fds, int count, int first)
{
	for (int i = 0; i < count; i++) {
		if (fds[i] < 0) {
			raw_syscall(SYS_close, first + i, 0, 0, 0, 0);
			continue;
		}
		long placed = raw_syscall(SYS_dup3, fds[i], first + i, 0, 0, 0);

		if (placed < 0)
			return placed;
	}
	return 0;
}

/*
 * Gives every descriptor its number of enum crab_fd and leaves no other to
 * init.
 */
static STAGE0 long place_descriptors(struct stage0 *stage0)
{
	int above = after_fds(stage0);
	long result = move_up(stage0->fds, CRAB_FD_COUNT, above);

	if (result == 0)
		result = move_up(stage0->extra, stage0->extra_count, above);
	if (result == 0)
		result = move_down(stage0->fds, CRAB_FD_COUNT, 0);
	if (result == 0)
		result = move_down(stage0->extra, stage0->extra_count,
				   CRAB_FD_COUNT);
	if (result < 0)
		return result;
	return raw_syscall(SYS_close_range, above, ~0U, CLOSE_RANGE_CLOEXEC, 0,
			   0);
}

/*
 * An exec takes the capabilities of whoever is not root in the user namespace,
 * unless they are ambient (capabilities(7)), and init needs them. Raising what
 * is inheritable leaves the caller's memory dumpable; lowering what is
 * permitted would not.
 */
static STAGE0 long keep_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	long result = raw_syscall(SYS_capget, &header, data, 0, 0, 0);

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].inheritable = data[i].permitted;
	if (result == 0)
		result = raw_syscall(SYS_capset, &header, data, 0, 0, 0);
	/* Up to the first number that the kernel has no capability for. */
	for (int cap = 0; result == 0; cap++)
		result = raw_syscall(SYS_prctl, PR_CAP_AMBIENT,
				     PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return result == -EINVAL ? 0 : result;
}

STAGE0 void stage0_entry(void *argument)
{
	struct stage0 *stage0 = argument;
	int control = stage0->fds[CRAB_FD_CONTROL];
	static const char *const argv[] = { "crabcan-init", 0 };
	static const char *const no_environ[] = { 0 };

	/* Until init watches the caller itself; tied to the calling thread,
	 * which waits in crab_launch for just as long (prctl(2)). */
	raw_syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	raw_syscall(SYS_close, stage0->caller_control, 0, 0, 0, 0);
	if (!told_to_go_on(control, stage0->fds[CRAB_FD_CALLER]))
		quit();

	begin_step(&stage0->moments[0], CRAB_STEP_DESCRIPTORS);
	/* The copy of init is above the fixed numbers, or it would be replaced.
	 */
	long init = raw_syscall(SYS_fcntl, stage0->init, F_DUPFD_CLOEXEC,
				after_fds(stage0), 0, 0);

	if (init < 0)
		fail(control, CRAB_STEP_DESCRIPTORS, init);
	long placed = place_descriptors(stage0);

	if (placed < 0)
		fail(stage0->fds[CRAB_FD_CONTROL], CRAB_STEP_DESCRIPTORS,
		     placed);
	if (stage0->keep_caps)
		begin_step(&stage0->moments[1], CRAB_STEP_KEEP_CAPS);
	long kept = stage0->keep_caps ? keep_capabilities() : 0;

	if (kept < 0)
		fail(CRAB_FD_CONTROL, CRAB_STEP_KEEP_CAPS, kept);
	begin_step(&stage0->moments[2], CRAB_STEP_EXEC_INIT);
	long executed = raw_syscall(SYS_execveat, init, "", argv, no_environ,
				    AT_EMPTY_PATH);

	fail(CRAB_FD_CONTROL, CRAB_STEP_EXEC_INIT, executed);
	quit();
}
