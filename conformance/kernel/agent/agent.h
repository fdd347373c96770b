/* SPDX-License-Identifier: MIT */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PAGE 4096UL
/* What a script may name; the parser of scripts has the same limits. */
enum { PROCESSES = 8, REGIONS = 16, REGION_PAGES = 64, DEVICES = 4, WORDS = 6 };

/* Regions are so far from each other that no two share a page table. */
#define REGION_BASE 0x200000000UL
#define REGION_STEP 0x10000000UL

static inline uint64_t address(uint64_t region, uint64_t page)
{
	return REGION_BASE + region * REGION_STEP + page * PAGE;
}

/* What is said between the controller and the process of one number. */
struct channel {
	uint32_t posted; /* operations that were asked for, and those that are done: futexes */
	uint32_t done;
	int operation; /* in operations[] */
	uint64_t word[WORDS];

	int err; /* a positive error number */
	int sig, code; /* of a load or store */
	uint64_t val;
	uint64_t cpages, faults;
	pid_t child;

	/* Of the process, which a forked child has too: files of the test drivers, -1 for those that are not open. */
	int devices[DEVICES];
	int gup_test;

	/* Of the first channel: some process has opened a device. */
	bool devices_used;
};

/* What follows the error number in an answer. */
enum shows { NOTHING, LOADED, COUNTS, COUNTS_DATA, COUNTS_SNAP, DATA };

struct operation {
	const char *name;
	/* One letter for each word: Region, page i, number n, prot p, kind k, advice a, Process P */
	const char *words;
	enum shows shows;
	/* Which word says how many pages the buffer shows. */
	int shown;
	void (*run)(struct channel *channel, const uint64_t *word, char *buffer);
};

extern const struct operation operations[];

/*
 * Shared by all: a channel, a buffer of REGION_PAGES pages, and a stack, for each process number. A process of a script
 * writes to nothing else of its own: it would be pages that wait in the CPU's LRU batches beside those of the script, and
 * decide when a batch is drained.
 */
extern struct channel *channels;
extern char *buffers;

enum { STACK = 16 * 4096 };
extern char *stacks;

static inline char *buffer_of(int process)
{
	return buffers + (size_t)process * REGION_PAGES * PAGE;
}

/* boot.c */
void boot(void);
_Noreturn void die(const char *what);
void store_text(const char *path, const char *text);

/* settle.c */
void *shared(size_t size);
void own_pages(void);
void drain_batches(void);

/* worker.c */
void wait_while(uint32_t *word, uint32_t value, bool forever);
void wake(uint32_t *word);
void catch_signals(void);
/* Returns the pid, or a negative error number. */
long start_worker(int process);
/*
 * Gives the devices, if they were used, other memory: what folios of an earlier script have left in the flags of its pages,
 * and in which order those are free, would show.
 */
void renew_devices(void);

/* words.c */
uint64_t value_of(char kind, const char *word);

/* observe.c */
void open_observer(void);
void observe(FILE *out, int process, int pagemap, int region, int first, int count);

/* trace.c */
void trace_begin(void);
void trace_show(FILE *out, int process, bool opened);

#endif
