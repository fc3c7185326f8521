/* SPDX-License-Identifier: MIT */
#include "init_image.h"

#include "sealed.h"

/*
 * The finished init program, in this library: the two always are of one
 * build, so they agree on the plan, and there is no path to look it up by.
 */
#ifndef CRABCAN_INIT_PATH
#error "the build gives the path of the init program"
#endif

__asm__(".pushsection .rodata\n"
	".balign 16\n"
	".local crab_init_begin\n"
	"crab_init_begin: .incbin \"" CRABCAN_INIT_PATH "\"\n"
	".local crab_init_end\n"
	"crab_init_end:\n"
	".popsection\n");

extern const char crab_init_begin[] __attribute__((visibility("hidden")));
extern const char crab_init_end[] __attribute__((visibility("hidden")));

int init_image_fd(void)
{
	static struct sealed_file image;

	/* cppcheck-suppress comparePointers ; two labels of one object, above
	 */
	const size_t size = (size_t)(crab_init_end - crab_init_begin);

	return sealed_file_get(&image, "crabcan-init", crab_init_begin, size);
}
