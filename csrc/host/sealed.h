/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_SEALED_H
#define CRABCAN_HOST_SEALED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes in a sealed memfd that is made at first use and kept. Nothing can
 * write to it any more, not even through /proc/PID/exe (CVE-2019-5736).
 * Zero-initialised it is empty; any number of threads may get it at once.
 */
struct sealed_file {
	_Atomic uint64_t handle;
};

/* The descriptor, which stays the file's; -1 with errno. */
int sealed_file_get(struct sealed_file *file, const char *name,
		    const void *bytes, size_t size);
void sealed_file_close(struct sealed_file *file);

#endif
