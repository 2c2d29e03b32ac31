/* Uses CPU time for argv[1] seconds of its own and says how much it was. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void inner(void)
{
	for (int i = 0; i < 10000; i++)
		sink += i * sink;
}

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double until = argc > 1 ? atof(argv[1]) : 1;
	while (cpu_s() < until)
		inner();
	printf("cpu_s %.6f\n", cpu_s());
	return 0;
}
