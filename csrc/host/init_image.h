/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_INIT_IMAGE_H
#define CRABCAN_HOST_INIT_IMAGE_H

/* The init program as a sealed file, one for the process; -1 with errno. */
int init_image_fd(void);

#endif
