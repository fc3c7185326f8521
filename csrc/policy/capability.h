/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_POLICY_CAPABILITY_H
#define CRABCAN_POLICY_CAPABILITY_H

/* A capability's number by libcap's name, "cap_net_raw"; -1 if it is none. */
int capability_number(const char *name);
/* Its name, to be freed with capability_free(); NULL for a number beyond. */
char *capability_name(int number);
void capability_free(char *name);

#endif
