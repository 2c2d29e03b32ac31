/* Writes two functions into memory and spends its CPU time there, three parts in jit_heavy and one in
 * jit_light, for argv[1] seconds of it. Prints the two lines of a perf map; argv[2] says what else:
 * "map": writes them to /tmp/perf-PID.map. "late": does so at the end. "shared": as "map", with the code
 * in a memory file that is mapped twice. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "machine code of x86-64"
#endif

#define PART 0x100

/* push %rbp; mov %rsp,%rbp; 1: dec %rdi; jnz 1b; pop %rbp; ret */
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xff,
				     0xcf, 0x75, 0xfb, 0x5d, 0xc3};

static char map[300];

static void write_map(void)
{
	char path[64];
	snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
	FILE *file = fopen(path, "w");
	fputs(map, file);
	fclose(file);
}

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";
	char *to, *run;
	if (!strcmp(mode, "shared")) {
		int fd = memfd_create("doublemapper", 0);
		if (ftruncate(fd, 2 * PART))
			return 1;
		to = mmap(NULL, 2 * PART, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		run = mmap(NULL, 2 * PART, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	} else {
		to = run = mmap(NULL, 2 * PART, PROT_READ | PROT_WRITE | PROT_EXEC,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	if (to == MAP_FAILED || run == MAP_FAILED)
		return 1;
	memcpy(to, code, sizeof code);
	memcpy(to + PART, code, sizeof code);
	snprintf(map, sizeof map, "%lx %x jit_heavy\n%lx %x jit_light\n", (long)run, PART,
		 (long)run + PART, PART);
	fputs(map, stdout);
	fflush(stdout);
	if (!strcmp(mode, "map") || !strcmp(mode, "shared"))
		write_map();
	void (*heavy)(long) = (void (*)(long))run;
	void (*light)(long) = (void (*)(long))(run + PART);
	/* Turns of any length: equal ones beat with the sampler's ticks (81 % instead of 75 were seen). */
	while (cpu_s() < atof(argv[1])) {
		long part = 300000 + rand() % 1400000;
		heavy(3 * part);
		light(part);
	}
	if (!strcmp(mode, "late"))
		write_map();
	return 0;
}
