/* SPDX-License-Identifier: MIT */
/*
 * What mmu notifiers are told while an operation is executed: a probe on the start of every range. It has the mm of the
 * range by its address; whose that is, another probe tells when the process that executes subscribes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define TRACING "/sys/kernel/tracing/"
/* Fields of struct mmu_notifier_range, the first argument: mm, start, end, and after the flags the event. */
#define RANGE                                                                                     \
	"p:range __mmu_notifier_invalidate_range_start mm=+0(%di):x64 start=+8(%di):x64 end=+16(%di):x64 " \
	"event=+28(%di):u32\n"
/* The second argument is the mm. */
#define SUBSCRIBE "p:subscribe mmu_interval_notifier_insert mm=%si:x64\n"

/* Of the trace, at once */
#define TEXT (16 * PAGE)

static const char *const events[] = { "UNMAP",	    "CLEAR",   "PROTECTION_VMA", "PROTECTION_PAGE",
				      "SOFT_DIRTY", "RELEASE", "MIGRATE",	 "EXCLUSIVE" };

static int pipe_fd = -1;
static uint64_t mms[PROCESSES];

static char *text;

/* What was told before does not belong to this script. */
void trace_begin(void)
{
	memset(mms, 0, sizeof(mms));
	if (pipe_fd < 0) {
		text = shared(TEXT);
		store_text(TRACING "kprobe_events", RANGE);
		store_text(TRACING "kprobe_events", SUBSCRIBE);
		store_text(TRACING "events/kprobes/enable", "1");
		pipe_fd = open(TRACING "trace_pipe", O_RDONLY | O_NONBLOCK);
		if (pipe_fd < 0)
			die("trace_pipe");
	}
	while (read(pipe_fd, text, TEXT) > 0)
		;
}

static void show_range(FILE *out, uint64_t mm, uint64_t start, uint64_t end, unsigned int event)
{
	uint64_t region = (start - REGION_BASE) / REGION_STEP;
	uint64_t base = address(region, 0);
	int process = 0;

	/* Other memory of the process, or all of it at its end. */
	if (start < REGION_BASE || region >= REGIONS || end > base + REGION_STEP)
		return;
	while (process < PROCESSES && mms[process] != mm)
		process++;
	if (process < PROCESSES)
		fprintf(out, "  P%d", process);
	else
		fprintf(out, "  P?");
	fprintf(out, " notify R%lu[%lu..%lu) %s\n", region, (start - base) / PAGE, (end - base) / PAGE,
		event < sizeof(events) / sizeof(*events) ? events[event] : "?");
}

/* The mm is that of a process; it may have been that of another one before. */
static void subscribe(uint64_t mm, int process)
{
	for (int i = 0; i < PROCESSES; i++)
		if (mms[i] == mm)
			mms[i] = 0;
	mms[process] = mm;
}

/*
 * Shows what has been told since it was last called: while a process executed an operation, and by a reset before it. The
 * process may have subscribed to the mm of another one, by a file of its parent's, but never when it opened the file.
 */
void trace_show(FILE *out, int process, bool opened)
{
	size_t kept = 0;
	ssize_t got;

	while ((got = read(pipe_fd, text + kept, TEXT - kept - 1)) > 0) {
		char *line = text, *end;

		text[kept + got] = 0;
		for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			char *fields = strstr(line, " mm=");
			unsigned long mm, from, to;
			unsigned int event;

			int found = fields ? sscanf(fields, " mm=%lx start=%lx end=%lx event=%u", &mm, &from, &to, &event) : 0;

			if (found == 4)
				show_range(out, mm, from, to, event);
			else if (found == 1 && opened)
				subscribe(mm, process);
		}
		kept = strlen(line);
		memmove(text, line, kept);
	}
}
