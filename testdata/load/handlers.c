// Frames of every shape, interrupted by signals all the time.
#include <alloca.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define ALONE __attribute__((noipa))

static volatile unsigned long sink;
static jmp_buf jump;

ALONE static void leaf(unsigned long rounds)
{
    for (unsigned long n = 0; n < rounds; n++)
        sink += n;
}

ALONE static int compare(const void *a, const void *b)
{
    leaf(3);
    return *(const int *)a - *(const int *)b;
}

ALONE static void sorting(void)
{
    int numbers[500];
    for (int n = 0; n < 500; n++)
        numbers[n] = (n * 7919) % 1000;
    qsort(numbers, 500, sizeof *numbers, compare);
}

ALONE static void on_signal(int number)
{
    sorting();
    leaf(2000);
}

ALONE static void growing(int bytes)
{
    char *memory = alloca(bytes);
    memset(memory, bytes, bytes);
    leaf(50);
    sink += memory[bytes / 2];
}

ALONE static void realigned(int bytes)
{
    char aligned[64] __attribute__((aligned(64)));
    char *memory = alloca(bytes);
    memset(memory, bytes, bytes);
    memset(aligned, bytes, sizeof aligned);
    leaf(50);
    sink += memory[bytes / 2] + aligned[3];
}

ALONE static void large(void)
{
    char memory[12000];
    memset(memory, 1, sizeof memory);
    growing(200);
    sink += memory[77];
}

ALONE static int recurse(int depth)
{
    if (depth == 0) {
        realigned(300);
        return 0;
    }
    return recurse(depth - 1) + 1;
}

ALONE static void tail_target(void) { leaf(100); }
ALONE static void tail_calling(void) { sink++; tail_target(); }

ALONE static void jumping(void) { leaf(50); longjmp(jump, 1); }
ALONE static void jumped(void)
{
    if (setjmp(jump) == 0)
        jumping();
}

int main(int count, char **arguments)
{
    struct sigaction handler = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &handler, NULL);
    struct itimerval often = { { 0, 700 }, { 0, 700 } };
    setitimer(ITIMER_REAL, &often, NULL);
    char text[64];
    for (time_t end = time(NULL) + atoi(arguments[1]); time(NULL) < end;) {
        sorting();
        growing(700);
        realigned(500);
        large();
        recurse(40);
        tail_calling();
        jumped();
        snprintf(text, sizeof text, "%.12f", sin(sink));
        sink += strtod(text, NULL) > 0;
    }
    return 0;
}
