/* SPDX-License-Identifier: MIT */
/*
 * The controller's own pages are pages as all others. After it has forked they are copied when it writes to them, and the
 * copies wait in the CPU's LRU batches: it does that at once, and drains the batches. From then on only the script adds
 * to them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

/* Of the linker: what can be written to. */
extern char __data_start[], _end[];

/* Memory that nobody touches. */
static void *untouched;

void *shared(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static void touch(uintptr_t start, uintptr_t end)
{
	for (start &= ~(PAGE - 1); start < end; start += PAGE) {
		volatile char *byte = (volatile char *)start;

		*byte = *byte;
	}
}

/* Data, the heap, which begins with what is a thread's own, and the stack a bit deeper than it will be. */
void own_pages(void)
{
	char deep[4 * PAGE];

	touch((uintptr_t)__data_start, (uintptr_t)_end);
	touch((uintptr_t)&errno, (uintptr_t)sbrk(0));
	touch((uintptr_t)deep, (uintptr_t)deep + sizeof(deep));
}

/* madvise() drains the batches before it looks at the range: there is nothing in it. */
void drain_batches(void)
{
	if (!untouched)
		untouched = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (madvise(untouched, PAGE, MADV_COLD))
		die("madvise");
}
