// One function for each shape of frame, for ARM64 and without a library: what calls what is all here.
#define ALONE __attribute__((noipa))
// After a call: without it the call would be a jump.
#define KEEP __asm__ volatile("")

static volatile int sink;

ALONE void leaf(void) { sink++; }

ALONE int inner(int n)
{
    leaf();
    KEEP;
    return n + sink;
}

ALONE int with_alloca(int n)
{
    volatile char *bytes = __builtin_alloca(n * 16);
    bytes[n] = n;
    n = inner(n);
    return n + bytes[3];
}

ALONE int aligned(int n)
{
    __attribute__((aligned(64))) volatile int row[16];
    row[n % 16] = n;
    n = inner(n);
    return n + row[2];
}

ALONE int aligned_and_growing(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j)
{
    __attribute__((aligned(64))) volatile int row[16];
    volatile char *bytes = __builtin_alloca(a * 8);
    row[a % 8] = b + c + d + e + f;
    bytes[a] = g + i;
    a = inner(a);
    return a + row[a & 7] + bytes[0] + h + j;
}

// More than an instruction can take off the stack pointer at once.
ALONE int large(int n)
{
    volatile char bytes[5000];
    bytes[n] = n;
    n = inner(n);
    return n + bytes[7];
}

ALONE int recurse(int n)
{
    n = n == 0 ? inner(1) : recurse(n - 1);
    KEEP;
    return n + 1;
}

ALONE int tail_target(int n)
{
    n = inner(n);
    KEEP;
    return n;
}

ALONE int tail_calling(int n) { return tail_target(n + 1); }

ALONE int compare(const int *a, const int *b)
{
    int n = inner(1) & 0;
    KEEP;
    return n + *a - *b;
}

ALONE void sort(int *rows, int count, int (*order)(const int *, const int *))
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && order(rows + k - 1, rows + k) > 0; k--) {
            int row = rows[k];
            rows[k] = rows[k - 1];
            rows[k - 1] = row;
        }
}

ALONE int sorting(int n)
{
    int rows[3] = {5, n, 2};
    sort(rows, 3, compare);
    return rows[0];
}

// Only one of its ways needs a frame.
ALONE int seldom_calling(int n)
{
    if (n < 3)
        return n;
    return inner(n) * 3 + inner(n + 1);
}

// Keeps values in many registers over calls.
ALONE int busy(int a, int b, int c, int d)
{
    int e = inner(a), f = inner(b), g = inner(c), h = inner(d);
    return inner(a + b * c - d) + e * f - g * h + a * b;
}

ALONE int run(void)
{
    int n = with_alloca(9) + aligned(3) + aligned_and_growing(4, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    n += large(8) + recurse(3) + tail_calling(2) + sorting(4);
    n += seldom_calling(2) + seldom_calling(5) + busy(n, 2, 3, 4);
    return n;
}

__attribute__((noreturn)) void finish(int status)
{
    register long number __asm__("x8") = 93, first __asm__("x0") = status & 0;
    __asm__ volatile("svc 0" : : "r"(number), "r"(first));
    __builtin_unreachable();
}

// Nobody calls it: its return address is undefined.
__asm__(".globl _start\n.type _start, %function\n_start:\n.cfi_startproc\n.cfi_undefined x30\n"
        "mov x29, 0\nmov x30, 0\nbl run\nbl finish\n.cfi_endproc\n.size _start, . - _start\n");
