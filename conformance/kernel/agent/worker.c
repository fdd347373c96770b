/* SPDX-License-Identifier: MIT */
/* A process of a script: executes one operation at a time in its own address space. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/types.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent.h"
#include "gup_test.h"
#include "test_hmm_uapi.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

/* A system call that leaves errno alone, which is memory of the process. Returns a negative error number on failure. */
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static int failed(long result)
{
	return result < 0 && result >= -4095 ? -result : 0;
}

void wait_while(uint32_t *word, uint32_t value, bool forever)
{
	const struct timespec soon = { .tv_nsec = 100000000 };

	call(SYS_futex, (long)word, FUTEX_WAIT, value, forever ? 0 : (long)&soon, 0, 0);
}

void wake(uint32_t *word)
{
	call(SYS_futex, (long)word, FUTEX_WAKE, 1, 0, 0, 0);
}

/* ---- Loads and stores, with the signal that one of them gets. */

/*
 * The two instructions that may get a signal, and where a process goes on after one. Nothing is written but to its stack:
 * siglongjmp() writes to memory of the process, and the page would be copied after a fork.
 */
uint64_t load(const volatile uint64_t *from);
void store(volatile uint64_t *to, uint64_t value);
extern const char after_access[];
__asm__(".pushsection .text\n"
	"load: mov (%rdi), %rax\n"
	"ret\n"
	"store: mov %rsi, (%rdi)\n"
	"after_access: ret\n"
	".popsection");

/* The process that runs is known by its stack. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct channel *channel = &channels[((char *)__builtin_frame_address(0) - stacks) / STACK];
	ucontext_t *interrupted = context;

	channel->sig = sig;
	channel->code = info->si_code;
	interrupted->uc_mcontext.gregs[REG_RIP] = (greg_t)after_access;
}

void catch_signals(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static void run_r(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->val = load((const volatile uint64_t *)address(word[0], word[1]));
}

static void run_w(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)channel;
	(void)buffer;
	store((volatile uint64_t *)address(word[0], word[1]), word[2]);
}

/* ---- System calls. */

static void run_mmap(struct channel *channel, const uint64_t *word, char *buffer)
{
	static const int flags[] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED, MAP_PRIVATE };
	int how = flags[word[3]] | MAP_FIXED_NOREPLACE;
	long size = word[1] * PAGE;
	long fd = -1;

	(void)buffer;
	if (!(how & MAP_ANONYMOUS)) {
		fd = call(SYS_memfd_create, (long)"region", 0, 0, 0, 0, 0);
		channel->err = fd < 0 ? failed(fd) : failed(call(SYS_ftruncate, fd, size, 0, 0, 0, 0));
		if (channel->err)
			return;
	}
	channel->err = failed(call(SYS_mmap, address(word[0], 0), size, word[2], how, fd, 0));
	if (fd >= 0)
		call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void run_munmap(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(call(SYS_munmap, address(word[0], word[1]), word[2] * PAGE, 0, 0, 0, 0));
}

static void run_mprotect(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(call(SYS_mprotect, address(word[0], word[1]), word[2] * PAGE, word[3], 0, 0, 0));
}

static void run_madvise(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(call(SYS_madvise, address(word[0], word[1]), word[2] * PAGE, word[3], 0, 0, 0));
}

static void run_mremap(struct channel *channel, const uint64_t *word, char *buffer)
{
	long size = word[2] * PAGE;

	(void)buffer;
	channel->err = failed(call(SYS_mremap, address(word[0], word[1]), size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
				   address(word[3], word[4]), 0));
}

static void run_mlock(struct channel *channel, const uint64_t *word, char *buffer)
{
	long number = word[3] ? SYS_mlock : SYS_munlock;

	(void)buffer;
	channel->err = failed(call(number, address(word[0], word[1]), word[2] * PAGE, 0, 0, 0, 0));
}

static void run_fork(struct channel *channel, const uint64_t *word, char *buffer)
{
	struct channel *child = &channels[word[0]];

	(void)buffer;
	memcpy(child->devices, channel->devices, sizeof(child->devices));
	child->gup_test = channel->gup_test;
	channel->child = start_worker(word[0]);
	channel->err = failed(channel->child);
}

/* It is done before it ends: the controller waits for the end by other means. */
static void run_exit(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)word;
	(void)buffer;
	__atomic_store_n(&channel->done, channel->posted, __ATOMIC_RELEASE);
	wake(&channel->done);
	_exit(0);
}

/* ---- The GUP test driver. */

static void run_pin(struct channel *channel, const uint64_t *word, char *buffer)
{
	struct pin_longterm_test args = {
		.addr = address(word[0], word[1]),
		.size = word[2] * PAGE,
		.flags = word[3],
	};

	(void)buffer;
	if (channel->gup_test < 0)
		channel->gup_test = call(SYS_open, (long)"/sys/kernel/debug/gup_test", O_RDWR, 0, 0, 0, 0);
	channel->err = failed(call(SYS_ioctl, channel->gup_test, PIN_LONGTERM_TEST_START, (long)&args, 0, 0, 0));
}

static void run_unpin(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)word;
	(void)buffer;
	channel->err = failed(call(SYS_ioctl, channel->gup_test, PIN_LONGTERM_TEST_STOP, 0, 0, 0, 0));
}

static void run_pinread(struct channel *channel, const uint64_t *word, char *buffer)
{
	uint64_t to = (uint64_t)buffer;

	(void)word;
	channel->err = failed(call(SYS_ioctl, channel->gup_test, PIN_LONGTERM_TEST_READ, (long)&to, 0, 0, 0));
}

/* ---- The HMM test driver. */

static long open_device(int device)
{
	char path[] = "/dev/hmm_dmirror0";

	path[sizeof(path) - 2] += device;
	return call(SYS_open, (long)path, O_RDWR, 0, 0, 0, 0);
}

static void run_open(struct channel *channel, const uint64_t *word, char *buffer)
{
	int *fd = &channel->devices[word[0]];

	(void)buffer;
	if (*fd >= 0)
		call(SYS_close, *fd, 0, 0, 0, 0, 0);
	channels[0].devices_used = true;
	*fd = open_device(word[0]);
	channel->err = failed(*fd);
}

static void run_close(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(call(SYS_close, channel->devices[word[0]], 0, 0, 0, 0, 0));
	channel->devices[word[0]] = -1;
}

static void command(struct channel *channel, const uint64_t *word, char *buffer, unsigned long number)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = address(word[1], word[2]),
		.ptr = (uint64_t)buffer,
		.npages = word[3],
	};

	channel->err = failed(call(SYS_ioctl, channel->devices[word[0]], number, (long)&cmd, 0, 0, 0));
	channel->cpages = cmd.cpages;
	channel->faults = cmd.faults;
}

#define COMMAND(name, number)                                                                   \
	static void run_##name(struct channel *channel, const uint64_t *word, char *buffer)     \
	{                                                                                       \
		command(channel, word, buffer, HMM_DMIRROR_##number);                           \
	}
COMMAND(dread, READ)
COMMAND(todev, MIGRATE_TO_DEV)
COMMAND(tosys, MIGRATE_TO_SYS)
COMMAND(excl, EXCLUSIVE)
COMMAND(chkexcl, CHECK_EXCLUSIVE)
COMMAND(snap, SNAPSHOT)
COMMAND(release, RELEASE)

/* The pages get value, value + 1, … */
static void run_dwrite(struct channel *channel, const uint64_t *word, char *buffer)
{
	for (uint64_t i = 0; i < word[3]; i++)
		*(uint64_t *)(buffer + i * PAGE) = word[4] + i;
	command(channel, word, buffer, HMM_DMIRROR_WRITE);
}

const struct operation operations[] = {
	{ "mmap", "Rnpk", NOTHING, 0, run_mmap },
	{ "munmap", "Rin", NOTHING, 0, run_munmap },
	{ "mprotect", "Rinp", NOTHING, 0, run_mprotect },
	{ "madvise", "Rina", NOTHING, 0, run_madvise },
	{ "mremap", "RinRi", NOTHING, 0, run_mremap },
	{ "mlock", "Rinn", NOTHING, 0, run_mlock },
	{ "r", "Ri", LOADED, 0, run_r },
	{ "w", "Rin", NOTHING, 0, run_w },
	{ "fork", "P", NOTHING, 0, run_fork },
	{ "exit", "", NOTHING, 0, run_exit },
	{ "pin", "Rinn", NOTHING, 0, run_pin },
	{ "unpin", "", NOTHING, 0, run_unpin },
	{ "pinread", "n", DATA, 0, run_pinread },
	{ "open", "n", NOTHING, 0, run_open },
	{ "close", "n", NOTHING, 0, run_close },
	{ "dread", "nRin", COUNTS_DATA, 3, run_dread },
	{ "dwrite", "nRinn", COUNTS, 3, run_dwrite },
	{ "todev", "nRin", COUNTS_DATA, 3, run_todev },
	{ "tosys", "nRin", COUNTS, 3, run_tosys },
	{ "excl", "nRin", COUNTS_DATA, 3, run_excl },
	{ "chkexcl", "nRin", COUNTS, 3, run_chkexcl },
	{ "snap", "nRin", COUNTS_SNAP, 3, run_snap },
	{ "release", "nRin", COUNTS, 3, run_release },
	{ .name = NULL },
};

static _Noreturn int worker(void *number)
{
	int process = (intptr_t)number;
	struct channel *channel = &channels[process];
	uint32_t done = channel->done;

	for (;;) {
		while (__atomic_load_n(&channel->posted, __ATOMIC_ACQUIRE) == done)
			wait_while(&channel->posted, done, true);
		done++;
		channel->err = channel->sig = 0;
		channel->val = channel->cpages = channel->faults = 0;
		operations[channel->operation].run(channel, channel->word, buffer_of(process));
		__atomic_store_n(&channel->done, done, __ATOMIC_RELEASE);
		wake(&channel->done);
	}
}

/* On a stack of its own. The controller is the parent of all: it waits for those that end. */
long start_worker(int process)
{
	long pid = clone(worker, stacks + (process + 1) * STACK, (process ? CLONE_PARENT : 0) | SIGCHLD,
			 (void *)(intptr_t)process);

	return pid < 0 ? -errno : pid;
}

/*
 * In a process of its own, since devices mirror who opens them. A page goes to each device then, so that it has memory as it
 * had at first; nothing of a droppable page, which no swap backs, is left in the flags there.
 */
void renew_devices(void)
{
	pid_t pid;

	if (!channels[0].devices_used)
		return;
	channels[0].devices_used = false;
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		long page = call(SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
		struct hmm_dmirror_cmd cmd = { .addr = page, .ptr = (uint64_t)buffers, .npages = 1 };

		for (int device = 0; device < DEVICES; device++) {
			long fd = open_device(device);

			if (call(SYS_ioctl, fd, HMM_DMIRROR_RELEASE, (long)&cmd, 0, 0, 0) ||
			    call(SYS_ioctl, fd, HMM_DMIRROR_MIGRATE_TO_DEV, (long)&cmd, 0, 0, 0) || cmd.cpages != 1 ||
			    call(SYS_madvise, page, PAGE, MADV_DONTNEED, 0, 0, 0))
				die("the memory of a device");
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}
