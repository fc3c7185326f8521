/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_PROCESS_H
#define CRABCAN_HOST_PROCESS_H

#include <sys/types.h>

#include "../crabcan.h"
#include "stage0.h"
#include "trees.h"

#define STAGE0_STACK 8192     /* it uses some hundred bytes */
#define MAX_CALLER_MOMENTS 16 /* each of its steps is taken once */

struct crab_process {
	pid_t pid;
	pid_t owner; /* who launched it: a fork of that has only a copy */
	int pidfd;
	int control;
	int terminal;	/* its master, until somebody takes it */
	int sockets[2]; /* the numbers of the handshake's pair, for the log */
	bool has_ended; /* init's report of the payload's end has come */
	bool reaped;
	struct crab_status status;
	struct crab_moment moments[MAX_CALLER_MOMENTS];
	size_t moment_count;
	struct crab_moment *child_moments;
	size_t child_moment_count;
	const struct crab_plan_header *plan; /* the caller keeps it alive */
	struct trees trees; /* until the child has been told to go on */
	/* The child's until it has executed init. */
	struct stage0 stage0;
	_Alignas(16) char stack[STAGE0_STACK];
};

/* A step of the caller begins; CRAB_STEP_COUNT: none does. */
void process_begin_step(struct crab_process *process, enum crab_step step);

/*
 * Takes init's pidfd from the process that has joined the plan's namespaces
 * and cloned init, and reaps that process.
 */
int process_receive_init(struct crab_process *process,
			 struct crab_error *error);

#endif
