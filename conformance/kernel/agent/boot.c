/* SPDX-License-Identifier: MIT */
/* The agent is the guest's init: file systems, the swap area, and what would make recordings differ. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <unistd.h>

#include "agent.h"

#define SWAP_DISK "/dev/nullb0"
#define SWAP_PAGES (64UL << 20 >> 12)

_Noreturn void die(const char *what)
{
	fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void mounted(const char *type, const char *where)
{
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		die(where);
}

void store_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* The first page of a swap area: version 1, its last page, no bad pages, and the signature at the end. */
static void make_swap(void)
{
	static union {
		char bytes[PAGE];
		struct {
			char boot[1024];
			uint32_t version, last_page, bad_pages;
		};
	} header;
	int fd = open(SWAP_DISK, O_WRONLY);

	header.version = 1;
	header.last_page = SWAP_PAGES - 1;
	memcpy(header.bytes + PAGE - 10, "SWAPSPACE2", 10);
	if (fd < 0 || write(fd, header.bytes, PAGE) != (ssize_t)PAGE || fsync(fd))
		die(SWAP_DISK);
	close(fd);
	if (swapon(SWAP_DISK, 0))
		die("swapon");
}

void boot(void)
{
	cpu_set_t first;

	mounted("proc", "/proc");
	mounted("sysfs", "/sys");
	mounted("devtmpfs", "/dev");
	mounted("debugfs", "/sys/kernel/debug");
	mounted("tracefs", "/sys/kernel/tracing");

	/* A page that is in the batch of another CPU can't be moved or reclaimed. */
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof(first), &first))
		die("sched_setaffinity");

	/* One page is read at a time, that which is asked for. */
	store_text("/proc/sys/vm/page-cluster", "0");
	make_swap();
}
