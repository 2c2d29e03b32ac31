/* For argv[1] seconds main → sort → qsort() of the C library → compare, which takes all the time. */
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) int compare(const void *a, const void *b)
{
	for (int i = 0; i < 10000; i++)
		sink += i * sink;
	return *(const int *)a - *(const int *)b;
}

__attribute__((noinline)) void sort(void)
{
	int numbers[64];

	for (int i = 0; i < 64; i++)
		numbers[i] = i * 37 % 64;
	qsort(numbers, 64, sizeof(numbers[0]), compare);
	sink += numbers[0];
}

int main(int argc, char **argv)
{
	double until = argc > 1 ? atof(argv[1]) : 1;

	while (clock() < until * CLOCKS_PER_SEC)
		sort();
	return 0;
}
