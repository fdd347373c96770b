/* SPDX-License-Identifier: MIT */
/* What is mapped in a process, seen from outside of it: pagemap, kpagecount and kpageflags. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

/* Of an entry of /proc/pid/pagemap */
#define PRESENT (1UL << 63)
#define SWAPPED (1UL << 62)
#define FRAME ((1UL << 55) - 1)
static const struct {
	int bit;
	char mark;
} marks[] = { { 61, 's' }, { 56, 'x' }, { 55, 'd' }, { 57, 'u' } };

/*
 * Of an entry of /proc/kpageflags. Not the bit of KSM: Linux 6.12 sets it for every anonymous page.
 */
#define ZERO_PAGE (1UL << 24)
static const struct {
	int bit;
	char letter;
} letters[] = { { 5, 'L' },  { 4, 'D' },  { 12, 'A' }, { 11, 'M' }, { 13, 'C' }, { 14, 'B' },
		{ 22, 'T' }, { 18, 'U' }, { 2, 'R' },  { 0, 'l' },  { 8, 'w' } };

/* Slots of the swap area have names of their own: no frame has such a number. */
#define SLOTS (1UL << 50)

static int counts, flags;

void open_observer(void)
{
	counts = open("/proc/kpagecount", O_RDONLY);
	flags = open("/proc/kpageflags", O_RDONLY);
	if (counts < 0 || flags < 0)
		die("/proc/kpagecount, /proc/kpageflags");
}

static uint64_t of_frame(int file, uint64_t frame)
{
	uint64_t value;

	if (pread(file, &value, sizeof(value), frame * sizeof(value)) != sizeof(value))
		die("/proc/kpage*");
	return value;
}

/* Entries that are not present: with 4 device, 3 migration and 1 marker type at the end of the 32. */
static const char *type_name(unsigned int type)
{
	static const char *const names[] = { "MIG", "MIG", "MIG", "DEVW", "DEVR", "EXCLW", "EXCLR", "MARK" };

	return type < 24 ? "SWAP" : names[type - 24];
}

static void show(FILE *out, uint64_t entry)
{
	char text[16], *end = text;
	uint64_t frame = entry & FRAME;

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (entry >> marks[i].bit & 1)
			*end++ = marks[i].mark;
	*end = 0;

	if (entry & PRESENT) {
		uint64_t kpf = of_frame(flags, frame);

		if (kpf & ZERO_PAGE) {
			fprintf(out, "zero,%s", text);
			return;
		}
		fprintf(out, "f%lu,%s,m%lu,", frame, text, of_frame(counts, frame));
		for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
			if (kpf >> letters[i].bit & 1)
				fputc(letters[i].letter, out);
	} else if (entry & SWAPPED) {
		unsigned int type = frame & 31;
		uint64_t offset = (frame >> 5) + (type < 24 ? SLOTS : 0);

		fprintf(out, "%s(f%lu),%s", type_name(type), offset, text);
	} else {
		fprintf(out, "-%s%s", *text ? "," : "", text);
	}
}

void observe(FILE *out, int process, int pagemap, int region, int first, int count)
{
	uint64_t entries[REGION_PAGES];
	ssize_t size = count * sizeof(*entries);

	if (pread(pagemap, entries, size, address(region, first) / PAGE * sizeof(*entries)) != size) {
		fprintf(out, "  P%d pagemap: %s\n", process, strerror(errno));
		return;
	}
	fprintf(out, "  P%d R%d[%d..%d):", process, region, first, first + count);
	for (int i = 0; i < count; i++) {
		fprintf(out, " %d:", first + i);
		show(out, entries[i]);
	}
	fputc('\n', out);
}
