/* Built with frame pointers. Labels mark addresses for the tests; they have no size. */
#define MARK(name) __asm__ volatile(".globl " #name "\n" #name ":")

extern int outside(int);

static inline __attribute__((always_inline)) int innermost(int x)
{
    __asm__ volatile(".globl at_innermost\nat_innermost: nop" : "+r"(x));
    return x * 3 + 1;
}

static inline __attribute__((always_inline)) int middle(int x)
{
    return innermost(x ^ 5) + 2;
}

__attribute__((noinline)) int with_inlines(int x)
{
    int y = outside(x);
    return middle(y) - x;
}

__attribute__((noinline)) int __superseded_name(int x)
{
    MARK(at_aliased);
    return x + 40;
}
int public_name(int x) __attribute__((weak, alias("__superseded_name")));
static int local_name(int x) __attribute__((alias("__superseded_name"), used));
