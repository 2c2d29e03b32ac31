/* Runs argv[1] children one after another, each of which executes this program again, spins for
 * argv[2] ms of its own CPU time and ends. Says how much CPU time all of it took. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double used_s(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "child")) {
		while (cpu_s() < atof(argv[2]) / 1e3)
			for (int i = 0; i < 1000; i++)
				sink += i * sink;
		return 0;
	}
	for (int i = 0; i < atoi(argv[1]); i++) {
		pid_t pid = fork();
		if (!pid) {
			execl(argv[0], argv[0], "child", argv[2], NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
	printf("cpu_s %.6f\n", used_s(RUSAGE_SELF) + used_s(RUSAGE_CHILDREN));
	return 0;
}
