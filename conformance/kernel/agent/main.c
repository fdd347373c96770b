/* SPDX-License-Identifier: MIT */
/*
 * Executes scripts of mm operations, one operation at a time, and answers them. This process is the controller: it reads
 * lines from the host and has none of the regions mapped; each process of a script is a child of it. It is the guest's
 * init too, and ends with the guest.
 *
 * A line is that of a script, or one of `begin` (of a script: nothing is left of the one before), `trace`
 * (show what notifiers are told, until the next begin) and `sync WORD` (is echoed once all before it is answered).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

struct channel *channels;
char *buffers;
char *stacks;
static bool tracing;

static struct {
	pid_t pid; /* 0: does not live */
	int pagemap;
} processes[PROCESSES];

static struct {
	bool on;
	int region, first, count;
} automatic;

static FILE *out;

static void adopt(int process, pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	processes[process].pid = pid;
	processes[process].pagemap = open(path, O_RDONLY);
	if (processes[process].pagemap < 0)
		die(path);
}

/* Waits until it is gone, with all that it had. */
static void bury(int process)
{
	waitpid(processes[process].pid, NULL, 0);
	close(processes[process].pagemap);
	processes[process].pid = 0;
}

/* Has a process execute what is in its channel. False: it has died of it. */
static bool execute(int process)
{
	struct channel *channel = &channels[process];
	uint32_t target = channel->posted + 1, done;

	__atomic_store_n(&channel->posted, target, __ATOMIC_RELEASE);
	wake(&channel->posted);
	while ((done = __atomic_load_n(&channel->done, __ATOMIC_ACQUIRE)) != target) {
		siginfo_t info = { 0 };

		wait_while(&channel->done, done, false);
		if (waitid(P_PID, processes[process].pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
			/* Or is it one that was done and then ended? */
			if (__atomic_load_n(&channel->done, __ATOMIC_ACQUIRE) == target)
				break;
			channel->done = target;
			return false;
		}
	}
	return true;
}

static void end_all(void)
{
	for (int i = PROCESSES - 1; i >= 0; i--) {
		if (!processes[i].pid)
			continue;
		kill(processes[i].pid, SIGKILL);
		bury(i);
	}
}

static void reset(void)
{
	long pid;

	end_all();
	for (int i = 0; i < DEVICES; i++)
		channels[0].devices[i] = -1;
	channels[0].gup_test = -1;
	pid = start_worker(0);
	if (pid < 0)
		die("fork");
	adopt(0, pid);
	own_pages();
	drain_batches();
}

static const struct operation *operation_of(const char *name)
{
	const struct operation *operation = operations;

	while (operation->name && strcmp(operation->name, name))
		operation++;
	return operation;
}

static void show_data(int process, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		fprintf(out, "%s%lx", i ? "," : " data=", *(uint64_t *)(buffer_of(process) + i * PAGE));
}

static void show_snap(int process, uint64_t pages)
{
	fputs(" snap=", out);
	for (uint64_t i = 0; i < pages; i++)
		fprintf(out, "%s%02x", i ? "," : "", (unsigned char)buffer_of(process)[i]);
}

static void answer(const char *line, int process, const struct operation *operation)
{
	const struct channel *channel = &channels[process];
	uint64_t pages = channel->word[operation->shown];

	fprintf(out, "> %s => err=%d", line, channel->err);
	if (channel->sig)
		fprintf(out, " sig=%d code=%d", channel->sig, channel->code);
	else if (operation->shows == LOADED)
		fprintf(out, " val=0x%lx", channel->val);
	if (operation->shows == COUNTS || operation->shows == COUNTS_DATA || operation->shows == COUNTS_SNAP)
		fprintf(out, " cpages=%lu faults=%lu", channel->cpages, channel->faults);
	if (!channel->err && (operation->shows == DATA || operation->shows == COUNTS_DATA))
		show_data(process, pages);
	if (!channel->err && operation->shows == COUNTS_SNAP)
		show_snap(process, pages);
	fputc('\n', out);
}

static void operate(const char *line, char *const *words, int count)
{
	int process = words[0][1] - '0';
	struct channel *channel = &channels[process];
	const struct operation *operation = operation_of(words[1]);
	bool lives;

	if (!operation->name || process < 0 || process >= PROCESSES || count != 2 + (int)strlen(operation->words)) {
		fprintf(out, "? %s\n", line);
		return;
	}
	if (!processes[process].pid) {
		fprintf(out, "> %s\n  nopid\n", line);
		return;
	}
	channel->operation = operation - operations;
	for (int i = 2; i < count; i++)
		channel->word[i - 2] = value_of(operation->words[i - 2], words[i]);
	if (!strcmp(operation->name, "fork") && (channel->word[0] == 0 || processes[channel->word[0]].pid)) {
		fprintf(out, "> %s\n  busy\n", line);
		return;
	}
	channel->err = channel->sig = 0;
	lives = execute(process);
	if (lives)
		answer(line, process, operation);
	else
		fprintf(out, "? died: %s\n", line);
	if (!lives || !strcmp(operation->name, "exit"))
		bury(process);
	else if (!strcmp(operation->name, "fork") && !channel->err)
		adopt(channel->word[0], channel->child);

	if (tracing)
		trace_show(out, process, !strcmp(operation->name, "open"));
	if (!automatic.on)
		return;
	for (int i = 0; i < PROCESSES; i++)
		if (processes[i].pid)
			observe(out, i, processes[i].pagemap, automatic.region, automatic.first, automatic.count);
}

static void control(const char *line, char *const *words, int count)
{
	if (!strcmp(words[0], "begin")) {
		tracing = false;
		automatic.on = false;
		end_all();
		renew_devices();
		reset();
		memset(buffers, 0, PROCESSES * REGION_PAGES * PAGE);
	} else if (!strcmp(words[0], "trace")) {
		tracing = true;
		trace_begin();
	} else if (!strcmp(words[0], "reset")) {
		reset();
		fputs("> reset\n", out);
	} else if (!strcmp(words[0], "autoobs") && count == 4) {
		automatic.on = true;
		automatic.region = atoi(words[1] + 1);
		automatic.first = atoi(words[2]);
		automatic.count = atoi(words[3]);
	} else if (!strcmp(words[0], "obs") && count == 5) {
		int process = atoi(words[1] + 1);

		if (processes[process].pid)
			observe(out, process, processes[process].pagemap, atoi(words[2] + 1), atoi(words[3]), atoi(words[4]));
		else
			fputs("  nopid\n", out);
	} else if (!strcmp(words[0], "sync")) {
		fprintf(out, "%s\n", line);
		fflush(out);
	} else {
		fprintf(out, "? %s\n", line);
	}
}

static void execute_line(char *line)
{
	char echo[512], *words[16];
	int count = 0;

	line[strcspn(line, "\r\n")] = 0;
	snprintf(echo, sizeof(echo), "%s", line);
	for (char *word = strtok(line, " \t"); word && *word != '#' && count < 16; word = strtok(NULL, " \t"))
		words[count++] = word;
	if (count > 1 && words[0][0] == 'P')
		operate(echo, words, count);
	else if (count > 0)
		control(echo, words, count);
}

static void pause_shortly(void)
{
	usleep(5000);
}

/* The port that the host has given, the only one. It comes some time after the guest has booted. */
static int open_port(void)
{
	for (int tries = 0; tries < 2000; tries++) {
		DIR *dev = opendir("/dev");
		char path[300] = "";
		int fd;

		for (struct dirent *entry; dev && (entry = readdir(dev));)
			if (!strncmp(entry->d_name, "vport", 5))
				snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		closedir(dev);
		fd = *path ? open(path, O_RDWR) : -1;
		if (fd >= 0)
			return fd;
		pause_shortly();
	}
	die("the port of the host");
}

int main(void)
{
	char line[512], banner[512] = "";
	FILE *in, *version;
	int port;

	boot();
	channels = shared(PROCESSES * sizeof(*channels));
	buffers = shared(PROCESSES * REGION_PAGES * PAGE);
	stacks = shared(PROCESSES * STACK);
	catch_signals();
	open_observer();
	port = open_port();
	/* What they buffer is not copied by a fork, and a child that ends by _exit() does not flush it. */
	in = fdopen(port, "r");
	out = fdopen(dup(port), "w");
	setvbuf(in, shared(PAGE), _IOFBF, PAGE);
	setvbuf(out, shared(16 * PAGE), _IOFBF, 16 * PAGE);
	version = fopen("/proc/version", "r");
	if (version && fgets(banner, sizeof(banner), version))
		fputs(banner, out);
	fflush(out);
	for (;;) {
		while (fgets(line, sizeof(line), in))
			execute_line(line);
		/* The host is not there yet. */
		clearerr(in);
		pause_shortly();
	}
}
