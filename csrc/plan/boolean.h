/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_BOOLEAN_H
#define CRABCAN_PLAN_BOOLEAN_H

#include <stddef.h>

/*
 * One boolean is one datagram of one byte, 0 or 1, on an AF_UNIX
 * SOCK_SEQPACKET socket. Reading one has four outcomes: a peer that is gone
 * must never look like false, because false is an answer (unix(7), recv(2)).
 */
enum crab_boolean {
	CRAB_FALSE = 0,
	CRAB_TRUE = 1,
	CRAB_CLOSED,
	CRAB_MALFORMED,
};

/* Room for one byte more than a boolean has, so that a longer datagram shows.
 */
#define CRAB_BOOLEAN_BUFFER 2

static inline enum crab_boolean
crab_boolean_decode(const unsigned char buffer[CRAB_BOOLEAN_BUFFER], long size)
{
	if (size == 0)
		return CRAB_CLOSED;
	if (size != 1 || buffer[0] > 1)
		return CRAB_MALFORMED;
	return buffer[0] ? CRAB_TRUE : CRAB_FALSE;
}

#endif
