/* SPDX-License-Identifier: MIT */
/* A process of a script: executes one operation at a time in its own address space. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/types.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"
#include "gup_test.h"
#include "test_hmm_uapi.h"

/* Of this process. A forked child has its parent's. */
static int devices[DEVICES] = { -1, -1, -1, -1 };
static int gup_test = -1;

void wait_while(uint32_t *word, uint32_t value, bool forever)
{
	const struct timespec soon = { .tv_nsec = 100000000 };

	syscall(SYS_futex, word, FUTEX_WAIT, value, forever ? NULL : &soon, NULL, 0);
}

void wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int failed(long result)
{
	return result < 0 ? errno : 0;
}

/* ---- Loads and stores, with the signal that one of them gets. */

static sigjmp_buf back;
static volatile int signalled, signal_code;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	signalled = sig;
	signal_code = info->si_code;
	siglongjmp(back, 1);
}

static void run_r(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	signalled = 0;
	if (sigsetjmp(back, 1) == 0)
		channel->val = *(volatile uint64_t *)address(word[0], word[1]);
	channel->sig = signalled;
	channel->code = signal_code;
}

static void run_w(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	signalled = 0;
	if (sigsetjmp(back, 1) == 0)
		*(volatile uint64_t *)address(word[0], word[1]) = word[2];
	channel->sig = signalled;
	channel->code = signal_code;
}

/* ---- System calls. */

static void run_mmap(struct channel *channel, const uint64_t *word, char *buffer)
{
	static const int flags[] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED, MAP_PRIVATE };
	int fd = -1;
	void *at;

	(void)buffer;
	if (!(flags[word[3]] & MAP_ANONYMOUS)) {
		fd = memfd_create("region", 0);
		if (fd < 0 || ftruncate(fd, word[1] * PAGE)) {
			channel->err = errno;
			return;
		}
	}
	at = mmap((void *)address(word[0], 0), word[1] * PAGE, word[2], flags[word[3]] | MAP_FIXED_NOREPLACE, fd, 0);
	channel->err = at == MAP_FAILED ? errno : 0;
	if (fd >= 0)
		close(fd);
}

static void run_munmap(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(munmap((void *)address(word[0], word[1]), word[2] * PAGE));
}

static void run_mprotect(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(mprotect((void *)address(word[0], word[1]), word[2] * PAGE, word[3]));
}

static void run_madvise(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(madvise((void *)address(word[0], word[1]), word[2] * PAGE, word[3]));
}

static void run_mremap(struct channel *channel, const uint64_t *word, char *buffer)
{
	uint64_t size = word[2] * PAGE;
	void *at = mremap((void *)address(word[0], word[1]), size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
			  (void *)address(word[3], word[4]));

	(void)buffer;
	channel->err = at == MAP_FAILED ? errno : 0;
}

static void run_mlock(struct channel *channel, const uint64_t *word, char *buffer)
{
	void *at = (void *)address(word[0], word[1]);

	(void)buffer;
	channel->err = failed(word[3] ? mlock(at, word[2] * PAGE) : munlock(at, word[2] * PAGE));
}

/* The controller is the parent of all: it waits for those that end. When the child runs, it may have written new words. */
static void run_fork(struct channel *channel, const uint64_t *word, char *buffer)
{
	int process = word[0];
	uint32_t done = channels[process].done;
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, NULL, NULL, 0);

	(void)buffer;
	if (pid == 0)
		worker(process, done);
	channel->child = pid;
	channel->err = failed(pid);
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
	if (gup_test < 0)
		gup_test = open("/sys/kernel/debug/gup_test", O_RDWR);
	channel->err = failed(ioctl(gup_test, PIN_LONGTERM_TEST_START, &args));
}

static void run_unpin(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)word;
	(void)buffer;
	channel->err = failed(ioctl(gup_test, PIN_LONGTERM_TEST_STOP));
}

static void run_pinread(struct channel *channel, const uint64_t *word, char *buffer)
{
	uint64_t to = (uint64_t)buffer;

	(void)word;
	channel->err = failed(ioctl(gup_test, PIN_LONGTERM_TEST_READ, &to));
}

/* ---- The HMM test driver. */

static void run_open(struct channel *channel, const uint64_t *word, char *buffer)
{
	char path[] = "/dev/hmm_dmirror0";
	int *fd = &devices[word[0]];

	(void)buffer;
	path[sizeof(path) - 2] += word[0];
	if (*fd >= 0)
		close(*fd);
	*fd = open(path, O_RDWR);
	channel->err = failed(*fd);
	if (tracing && *fd >= 0) {
		void *sign = (void *)(SIGN_BASE + (channel - channels) * PAGE);

		mmap(sign, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		munmap(sign, PAGE);
	}
}

static void run_close(struct channel *channel, const uint64_t *word, char *buffer)
{
	(void)buffer;
	channel->err = failed(close(devices[word[0]]));
	devices[word[0]] = -1;
}

static void command(struct channel *channel, const uint64_t *word, char *buffer, unsigned long number)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = address(word[1], word[2]),
		.ptr = (uint64_t)buffer,
		.npages = word[3],
	};

	channel->err = failed(ioctl(devices[word[0]], number, &cmd));
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

_Noreturn void worker(int process, uint32_t done)
{
	struct channel *channel = &channels[process];
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
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
