/* SPDX-License-Identifier: MIT */
/* What the words of a script mean. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent.h"

static uint64_t prot_of(const char *word)
{
	return (strchr(word, 'r') ? PROT_READ : 0) | (strchr(word, 'w') ? PROT_WRITE : 0);
}

static uint64_t kind_of(const char *word)
{
	static const char *const kinds[] = { "anon", "shared", "memfd", "privfile" };
	uint64_t kind = 0;

	while (kind < 3 && strcmp(word, kinds[kind]))
		kind++;
	return kind;
}

static uint64_t advice_of(const char *word)
{
	static const struct {
		const char *name;
		int advice;
	} table[] = {
		{ "dontneed", 4 },	{ "free", 8 },		 { "remove", 9 },	    { "dontfork", 10 },
		{ "dofork", 11 },	{ "mergeable", 12 },	 { "unmergeable", 13 },	    { "hugepage", 14 },
		{ "nohugepage", 15 },	{ "wipeonfork", 18 },	 { "keeponfork", 19 },	    { "cold", 20 },
		{ "pageout", 21 },	{ "populate_read", 22 }, { "populate_write", 23 }, { "dontneed_locked", 24 },
		{ "collapse", 25 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (!strcmp(word, table[i].name))
			return table[i].advice;
	return -1UL;
}

/* A word of an operation, as a number. */
uint64_t value_of(char kind, const char *word)
{
	switch (kind) {
	case 'R':
	case 'P':
		return strtoull(word + 1, NULL, 10);
	case 'p':
		return prot_of(word);
	case 'k':
		return kind_of(word);
	case 'a':
		return advice_of(word);
	default:
		return strtoull(word, NULL, 0);
	}
}
