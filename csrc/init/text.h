/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_INIT_TEXT_H
#define CRABCAN_INIT_TEXT_H

#include <string.h>

/*
 * Text with a number in it. printf(3) would double the size of init, which is
 * read and mapped anew at each launch.
 */
#define NUMBER_SIZE 16

/* Appends `number` to a string that has room for NUMBER_SIZE more. */
static inline void append_number(char *string, long number)
{
	char digits[NUMBER_SIZE];
	size_t at = sizeof(digits) - 1;
	unsigned long rest = number < 0 ? 0UL - (unsigned long)number
					: (unsigned long)number;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest && at > 1);
	if (number < 0)
		digits[--at] = '-';
	strcat(string, digits + at);
}

#endif
