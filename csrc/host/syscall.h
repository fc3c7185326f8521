/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_HOST_SYSCALL_H
#define CRABCAN_HOST_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

/*
 * System calls without a libc. What runs between clone and exec shares the
 * memory and the thread pointer of the caller's thread: libc's own wrappers
 * would write that thread's errno, and take locks that nobody will release.
 * The result is the kernel's: a negative errno on failure (syscall(2)).
 */
#if defined(__x86_64__)

static inline long raw_syscall6(long number, long a, long b, long c, long d,
				long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10),
			   "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/*
 * clone3(2) onto a stack of the child's own, where it calls entry(argument)
 * and never returns: no frame of the caller is the child's to return into.
 */
static inline long raw_clone3(void *args, unsigned long size,
			      void (*entry)(void *), void *argument)
{
	register void (*r8)(void *) __asm__("r8") = entry;
	register void *r9 __asm__("r9") = argument;
	long result;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %%r9, %%rdi\n\t"
			 "callq *%%r8\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(args), "S"(size), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__)

static inline long raw_syscall6(long number, long a, long b, long c, long d,
				long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static inline long raw_clone3(void *args, unsigned long size,
			      void (*entry)(void *), void *argument)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = (long)size;
	register void (*x9)(void *) __asm__("x9") = entry;
	register void *x10 __asm__("x10") = argument;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x30, xzr\n\t"
			 "mov x0, x10\n\t"
			 "blr x9\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
			 : "memory");
	return x0;
}

#else
#error "crabcan runs on x86_64 and aarch64"
#endif

#define raw_syscall(number, a, b, c, d, e)                                     \
	raw_syscall6((number), (long)(a), (long)(b), (long)(c), (long)(d),     \
		     (long)(e), 0)

#endif
