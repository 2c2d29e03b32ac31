/* Keeps a secret on its stack and heap, in registers and in what frame pointers would be, and burns CPU
 * time. Compiled without frame pointers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static unsigned long mix(const char *secret, unsigned long length)
{
	unsigned long words[16], sum = 0;
	char copy[128];

	memcpy(copy, secret, length);
	memcpy(words, secret, sizeof(words) < length ? sizeof(words) : length);
	for (int round = 0; round < 2000; round++)
		for (unsigned i = 0; i < length / 8; i++)
			sum += words[i] ^ copy[i % length];
	sink += sum;
	return sum;
}

int main(int argc, char **argv)
{
	char on_stack[128] = {0};
	char *on_heap = malloc(1 << 16);

	fgets(on_stack, sizeof(on_stack), stdin);
	for (int i = 0; i < 512; i++)
		memcpy(on_heap + i * 128, on_stack, 128);
	double until = atof(argv[1]);
	while (clock() < until * CLOCKS_PER_SEC)
		mix(on_heap + (sink % 512) * 128, 64);
	return argc > 100;
}
