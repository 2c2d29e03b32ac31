/* Spins at the bottom of argv[1] calls whose frames have very different sizes. */
#include <alloca.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void descend(int levels)
{
	/* 0 to 3,500 bytes more than the frame needs. */
	volatile char *room = alloca((levels * 7 % 8) * 500 + 16);

	room[0] = levels;
	if (levels)
		descend(levels - 1);
	else
		for (int i = 0; i < 1000000; i++)
			sink += i * sink;
	sink += room[0];
}

int main(int argc, char **argv)
{
	int levels = argc > 1 ? atoi(argv[1]) : 40;

	while (clock() < 2 * CLOCKS_PER_SEC)
		descend(levels);
	return 0;
}
