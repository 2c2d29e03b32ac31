// One function for each shape of frame that compilers make, each with a stack that is known.
#include "trace.h"
#include <alloca.h>
#include <setjmp.h>
#include <sys/epoll.h>

static volatile int sink;

NOINLINE void leaf(void) {
    for (int i = 0; i < 3; i++)
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

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    prepare(argv);
    const char *what = argv[1];
    int poll = epoll_create1(0), n = 7;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, 0);
    trace();
    if (!strcmp(what, "plain"))
        n = plain(n);
    else if (!strcmp(what, "with_alloca"))
        n = with_alloca(n);
    else if (!strcmp(what, "realigned"))
        n = realigned(n);
    else if (!strcmp(what, "realigned_and_growing"))
        n = realigned_and_growing(n, 2, 3, 4, 5, 6, 7, 8);
    else if (!strcmp(what, "large"))
        n = large(n);
    else if (!strcmp(what, "recurse"))
        n = recurse(20);
    else if (!strcmp(what, "before_tail"))
        n = before_tail(n);
    else if (!strcmp(what, "sorting"))
        n = sorting(n);
    else if (!strcmp(what, "interrupted"))
        n = interrupted(SIGUSR1);
    else if (!strcmp(what, "elsewhere"))
        n = elsewhere(SIGUSR2);
    else if (!strcmp(what, "jumped"))
        n = jumped(n);
    else if (!strcmp(what, "polling"))
        n = polling(poll);
    else if (!strcmp(what, "first_call"))
        n = first_call(n);
    else
        n = -1;
    untrace();
    return n == -1 ? 2 : 0;
}
