// Stacks while an exception passes, and after it was caught.
#include "trace.h"

static volatile int sink;

NOINLINE void leaf() {
    for (int i = 0; i < ROUNDS; i++)
        sink = sink + i;
}

struct Guard {
    int n;
    NOINLINE ~Guard() {
        trace();
        leaf();
        untrace();
        KEEP;
    }
};

NOINLINE void throwing(int n) {
    if (n == 0)
        throw n;
    Guard guard{n};
    throwing(n - 1);
    KEEP;
}

NOINLINE void catching(int n) {
    try {
        throwing(n);
    } catch (int) {
        trace();
        leaf();
        untrace();
    }
    KEEP;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    prepare(argv);
    do
        catching(3);
    while (again());
    return 0;
}
