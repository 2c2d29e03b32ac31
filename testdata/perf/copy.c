// Computes and reads zeros for a second, in two processes. It needs no library, so that every frame of its
// stacks is its own: _start > begin > work > compute, or > copy > take and the kernel below.

static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

enum { READ = 0, OPEN = 2, FORK = 57, EXIT = 60, WAIT = 61, PRCTL = 157, CLOCK_GETTIME = 228 };
enum { PR_SET_NAME = 15, CLOCK_MONOTONIC = 1 };

static char buffer[1 << 11];
static volatile long sum;

__attribute__((noinline)) static long now_ms(void)
{
	long time[2];
	call(CLOCK_GETTIME, CLOCK_MONOTONIC, (long)time, 0);
	return time[0] * 1000 + time[1] / 1000000;
}

__attribute__((noinline)) static long take(int file)
{
	return call(READ, file, (long)buffer, sizeof buffer) + 1;
}

__attribute__((noinline)) static void copy(int file)
{
	for (int i = 0; i < 1000; i++)
		sum += take(file);
}

__attribute__((noinline)) static void compute(void)
{
	for (long i = 0; i < 300000; i++)
		sum += i * i;
}

__attribute__((noinline)) static void work(int file)
{
	for (long end = now_ms() + 1000; now_ms() < end; sum++) {
		compute();
		copy(file);
	}
}

__attribute__((used)) static void begin(void)
{
	long child = call(FORK, 0, 0, 0);
	if (child == 0)
		call(PRCTL, PR_SET_NAME, (long)"child", 0);
	work(call(OPEN, (long)"/dev/zero", 0, 0));
	if (child > 0)
		call(WAIT, -1, 0, 0);
	call(EXIT, 0, 0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	".cfi_startproc\n"
	".cfi_undefined rip\n"
	"xor %ebp, %ebp\n"
	"and $-16, %rsp\n"
	"call begin\n"
	"hlt\n"
	".cfi_endproc\n"
	".type _start, @function\n"
	".size _start, . - _start\n");
