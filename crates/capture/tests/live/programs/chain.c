/* Spins for argv[1] seconds at the bottom of main → outer → middle → inner → leaf. Compiled without frame
 * pointers, with frames of different sizes. */
#include <stdlib.h>
#include <time.h>

#ifndef ROOM
#define ROOM 6000
#endif

static volatile unsigned long sink;

__attribute__((noinline)) void leaf(unsigned long rounds)
{
	for (unsigned long i = 0; i < rounds; i++)
		sink += i * sink;
}

__attribute__((noinline)) void inner(unsigned long rounds)
{
	leaf(rounds);
	sink += rounds; /* so that the call above is none in tail position */
}

__attribute__((noinline)) void middle(unsigned long rounds)
{
	volatile char room[ROOM];

	room[rounds % sizeof(room)] = 1;
	inner(rounds);
	sink += room[rounds % sizeof(room)];
}

__attribute__((noinline)) void outer(unsigned long rounds)
{
	middle(rounds);
	sink += rounds;
}

int main(int argc, char **argv)
{
	double until = argc > 1 ? atof(argv[1]) : 1;

	while (clock() < until * CLOCKS_PER_SEC)
		outer(1000000);
	return 0;
}
