/* SPDX-License-Identifier: MIT */
#include "capability.h"

#include <sys/capability.h>

int capability_number(const char *name)
{
	cap_value_t value;

	return cap_from_name(name, &value) < 0 ? -1 : value;
}

char *capability_name(int number)
{
	/* Beyond what it has names for, libcap gives the number as text. */
	return number < cap_max_bits() ? cap_to_name(number) : 0;
}

void capability_free(char *name)
{
	cap_free(name);
}
