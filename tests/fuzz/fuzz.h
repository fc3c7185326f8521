/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_FUZZ_H
#define CRABCAN_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* What libFuzzer calls, and main.c without it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(3): it is to hold in every build. */
#define require(condition)                                                     \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)

/* A read that the compiler may not leave out. */
static inline void sink(uint64_t value)
{
	__asm__ volatile("" : : "r"(value));
}

#endif
