// One function for each shape of frame that compilers make, each with a stack that is known.
#include "trace.h"
#include <alloca.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/time.h>

static volatile int sink;

NOINLINE void leaf(void) {
    for (int i = 0; i < ROUNDS; i++)
        sink += i;
}

NOINLINE int inner(int n) {
    leaf();
    KEEP;
    return n + sink;
}

NOINLINE int plain(int n) {
    n = inner(n) * 3;
    KEEP;
    return n;
}

NOINLINE int with_alloca(int n) {
    char *bytes = alloca(n * 16);
    memset(bytes, n, n * 16);
    sink += bytes[n];
    n = inner(n);
    return n + bytes[3];
}

NOINLINE int realigned(int n) {
    __attribute__((aligned(64))) volatile int row[64];
    for (int i = 0; i < 4; i++)
        row[i] = n;
    n = inner(n);
    return n + row[2];
}

// Arguments on the stack, a stack that is aligned and grows: the frame is found through memory only.
NOINLINE int realigned_and_growing(int a, int b, int c, int d, int e, int f, int g, int h) {
    __attribute__((aligned(64))) volatile int row[64];
    volatile char *bytes = alloca(a * 8);
    row[a % 8] = b + c + d + e + f;
    bytes[a] = (char)g;
    a = inner(a);
    return a + row[a & 7] + bytes[0] + h;
}

NOINLINE int large(int n) {
    volatile char bytes[9000];
    bytes[n] = (char)n;
    n = inner(n);
    return n + bytes[7];
}

NOINLINE int recurse(int n) {
    n = n == 0 ? inner(1) : recurse(n - 1);
    KEEP;
    return n + 1;
}

NOINLINE int tail_target(int n) {
    n = inner(n);
    KEEP;
    return n;
}

NOINLINE int tail_calling(int n) { return tail_target(n + 1); }

NOINLINE int before_tail(int n) {
    n = tail_calling(n);
    KEEP;
    return n;
}

NOINLINE int compare(const void *a, const void *b) {
    int n = inner(1) & 0;
    KEEP;
    return n + *(const int *)a - *(const int *)b;
}

NOINLINE int sorting(int n) {
    int rows[5] = {5, 2, n, 4, 1};
    qsort(rows, 5, sizeof rows[0], compare);
    KEEP;
    return rows[0];
}

NOINLINE void on_signal(int signal) {
    trace(); // the kernel enters handlers without the trap flag
    inner(signal);
    KEEP;
}

NOINLINE int interrupted(int n) {
    raise(n);
    KEEP;
    return n + 1;
}

// Runs on the stack that the tracing handler has left: a thread has one for all signals.
NOINLINE int elsewhere(int n) {
    stack_t before, other = {.ss_sp = other_stack, .ss_flags = 0, .ss_size = sizeof other_stack};
    sigaltstack(0, &before);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, 0);
    untrace();
    sigaltstack(&other, 0);
    raise(n);
    return n;
}

static jmp_buf back;

NOINLINE void jumping(int n) {
    inner(n);
    longjmp(back, 1);
}

NOINLINE int jumped(int n) {
    volatile int kept = n;
    if (setjmp(back) == 0)
        jumping(n);
    n = inner(kept);
    KEEP;
    return n;
}

NOINLINE int polling(int n) {
    struct epoll_event events[4];
    n += epoll_wait(n, events, 4, 0);
    KEEP;
    return n;
}

// The first call of a function of a library, bound when it is called.
NOINLINE int first_call(int n) {
    n += atoi("12");
    KEEP;
    return n;
}

static ucontext_t own, coroutine;

NOINLINE void in_coroutine(void) {
    for (;;) {
        inner(3);
        swapcontext(&coroutine, &own);
    }
}

NOINLINE int resuming(int n) {
    if (!coroutine.uc_stack.ss_sp) {
        getcontext(&coroutine);
        coroutine.uc_stack.ss_sp = other_stack;
        coroutine.uc_stack.ss_size = sizeof other_stack;
        makecontext(&coroutine, in_coroutine, 0);
    }
    swapcontext(&own, &coroutine);
    KEEP;
    return n;
}

// A signal every millisecond, wherever the program is.
NOINLINE int by_timer(int n) {
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &often, 0);
    for (int i = 0; i < 50; i++)
        n = plain(n) & 7;
    setitimer(ITIMER_PROF, &never, 0);
    return n;
}

NOINLINE int telling_time(int n) {
    struct timespec now;
    for (int i = 0; i < ROUNDS; i++)
        n += clock_gettime(CLOCK_MONOTONIC, &now);
    return n + now.tv_sec;
}

static void handle(int signal) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(signal, &action, 0);
}

// Runs a shape if it is the one asked for: `all` are, but those that are not for every way to look.
#define SHAPE(name, call)                                                                          \
    if (!strcmp(what, #name) || !strcmp(what, "all")) {                                            \
        known = 1;                                                                                 \
        do                                                                                         \
            sink += (call);                                                                        \
        while (again());                                                                           \
    }

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    prepare(argv);
    const char *what = argv[1];
    int poll = epoll_create1(0), n = 7, known = 0;
    handle(SIGUSR1);
    handle(SIGPROF);
    trace();
    SHAPE(plain, plain(n))
    SHAPE(with_alloca, with_alloca(n))
    SHAPE(realigned, realigned(n))
    SHAPE(realigned_and_growing, realigned_and_growing(n, 2, 3, 4, 5, 6, 7, 8))
    SHAPE(large, large(n))
    SHAPE(recurse, recurse(20))
    SHAPE(before_tail, before_tail(n))
    SHAPE(sorting, sorting(n))
    SHAPE(interrupted, interrupted(SIGUSR1))
    SHAPE(jumped, jumped(n))
    SHAPE(polling, polling(poll))
    SHAPE(first_call, first_call(n))
    SHAPE(resuming, resuming(n))
    SHAPE(by_timer, by_timer(n))
    SHAPE(telling_time, telling_time(n))
    SHAPE(elsewhere, elsewhere(SIGUSR2)) // last: untraces
    untrace();
    return known ? 0 : 2;
}
