/* SPDX-License-Identifier: MIT */
/*
 * Included last by what runs between clone and exec: everything that takes a
 * lock, allocates, signals threads or writes errno is a compile error there.
 * Measured: a raw clone3 child that calls glibc's setresuid() hangs in up to
 * four of ten launches beside four busy threads.
 */
#pragma GCC poison malloc calloc realloc free alloca strdup
#pragma GCC poison printf fprintf snprintf vsnprintf puts fputs perror strerror
#pragma GCC poison setuid setgid setresuid setresgid setgroups getpwnam getpwuid
#pragma GCC poison syscall read write open close dup dup2 dup3 fcntl execve fork
#pragma GCC poison vfork clone kill raise abort exit _exit assert getenv setenv
#pragma GCC poison pthread_mutex_lock pthread_self mmap munmap send recv poll
