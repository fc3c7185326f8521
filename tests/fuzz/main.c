/* SPDX-License-Identifier: MIT */
/*
 * Without libFuzzer: each file that is named, and with SEED=N so many mutations
 * of it as ROUNDS says.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define MAX_INPUT 65536

static uint64_t state;

/* xorshift64: the same everywhere. */
static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t mutate(uint8_t *bytes, size_t size)
{
	static const uint8_t edges[] = { 0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff };

	for (uint64_t count = 1 + next_random() % 4; count && size; count--) {
		size_t at = next_random() % size;

		switch (next_random() % 4) {
		case 0:
			bytes[at] ^= (uint8_t)(1u << next_random() % 8);
			break;
		case 1:
			bytes[at] = edges[next_random() % sizeof(edges)];
			break;
		case 2:
			bytes[at] = (uint8_t)next_random();
			break;
		default:
			if (next_random() % 8 == 0)
				size = at;
		}
	}
	return size;
}

static size_t read_input(const char *path, uint8_t *ret)
{
	FILE *file = fopen(path, "rb");

	if (!file)
		err(1, "%s", path);
	size_t size = fread(ret, 1, MAX_INPUT, file);

	fclose(file);
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t input[MAX_INPUT];
	static uint8_t changed[MAX_INPUT];
	const char *seed = getenv("SEED");
	const char *rounds = getenv("ROUNDS");
	long executions = 0;

	state = seed ? strtoull(seed, NULL, 10) : 1;
	for (int i = 1; i < argc; i++) {
		size_t size = read_input(argv[i], input);

		LLVMFuzzerTestOneInput(input, size);
		executions++;
		for (long n = rounds ? strtol(rounds, NULL, 10) : 0; n > 0;
		     n--) {
			memcpy(changed, input, size);
			LLVMFuzzerTestOneInput(changed, mutate(changed, size));
			executions++;
		}
	}
	printf("%ld executions\n", executions);
	return 0;
}
