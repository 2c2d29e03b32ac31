// Records the registers and the stack at every instruction between trace() and untrace(). With LIVE
// nothing of this: the program runs for a while, and who wants its stacks samples them.
//
// The processor's trap flag makes each instruction a SIGTRAP; the handler writes 18 words (the general
// registers by their DWARF numbers, the instruction pointer, how many words of stack follow) and the
// stack from its pointer to its top.
#pragma once
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define KEEP __asm__ volatile("" ::: "memory")

static __attribute__((unused)) char other_stack[1 << 16];

#ifdef LIVE

#define ROUNDS 20000

static void prepare(char **argv) { (void)argv; }
static inline void trace(void) {}
static inline void untrace(void) {}

// Whether to do it again: for a quarter of a second of CPU time.
NOINLINE int again(void) {
    static clock_t until;
    clock_t now = clock();
    if (!until)
        until = now + CLOCKS_PER_SEC / 4;
    if (now >= until)
        until = 0;
    return until != 0;
}

#else

#define ROUNDS 3

extern void *__libc_stack_end;
static volatile int tracing;
static int samples;
static char own_stack[1 << 18];

static inline int again(void) { return 0; }

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (!tracing) {
        g[REG_EFL] &= ~0x100;
        return;
    }
    g[REG_EFL] |= 0x100;
    uintptr_t sp = g[REG_RSP], top = (uintptr_t)__libc_stack_end;
    if (sp >= (uintptr_t)other_stack && sp < (uintptr_t)other_stack + sizeof other_stack)
        top = (uintptr_t)other_stack + sizeof other_stack;
    uint64_t head[18] = {g[REG_RAX], g[REG_RDX], g[REG_RCX], g[REG_RBX], g[REG_RSI], g[REG_RDI],
                         g[REG_RBP], g[REG_RSP], g[REG_R8],  g[REG_R9],  g[REG_R10], g[REG_R11],
                         g[REG_R12], g[REG_R13], g[REG_R14], g[REG_R15], g[REG_RIP], (top - sp) / 8};
    if (write(samples, head, sizeof head) != sizeof head ||
        write(samples, (void *)sp, head[17] * 8) != (ssize_t)(head[17] * 8))
        abort();
}

static void copy_maps(const char *to) {
    char buffer[1 << 16];
    int maps = open("/proc/self/maps", O_RDONLY), out = open(to, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    for (ssize_t n; (n = read(maps, buffer, sizeof buffer)) > 0;)
        if (write(out, buffer, n) != n)
            abort();
    close(maps), close(out);
}

// argv[1]: what to run; argv[2]: where samples go; argv[3]: where the mappings go.
static void prepare(char **argv) {
    samples = open(argv[2], O_CREAT | O_TRUNC | O_WRONLY, 0600);
    copy_maps(argv[3]);
    stack_t stack = {.ss_sp = own_stack, .ss_flags = 0, .ss_size = sizeof own_stack};
    sigaltstack(&stack, 0);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGTRAP, &action, 0);
}

static inline __attribute__((always_inline)) void trace(void) {
    tracing = 1;
    raise(SIGTRAP);
}

static inline __attribute__((always_inline)) void untrace(void) {
    tracing = 0;
    KEEP;
}

#endif
