/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Takes a stack sample at every tick of a perf event and follows the target's children.
 *
 * Only stable interfaces: UAPI headers, no kernel headers and no CO-RE, so that loading needs no BTF
 * of the kernel (megabytes of memory in the loader). The few offsets into task_struct come from
 * user space.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <stddef.h>

#include <bpf/bpf_helpers.h>

#include "record.h"

#define PAGE_BYTES 4096
#define MAX_STACK_BYTES (MAX_FRAMES * sizeof(__u64))
/* Frames are usually read many at a time: a read of user memory costs as much as ten steps inside what
 * was read. */
#define WINDOW_BYTES 1024
#define WINDOW_MASK (WINDOW_BYTES - sizeof(__u64))
#define FRAME_BYTES 16
/* A chain that goes 4 GiB up, or down, has gone to another stack. */
#define LEAP_SHIFT 32

/* The plain form of a map definition; the BTF form would need BTF in the object. */
struct map_definition {
	__u32 type;
	__u32 key_bytes;
	__u32 value_bytes;
	__u32 max_entries;
	__u32 flags;
};

/* A walk along frame pointers. */
struct walk {
	__u64 pointer;  /* to its second frame */
	__u64 whole_to; /* the frame up to which it may have skipped callers; 0: none is known to be missing */
	__u64 leaps;    /* not 0: it went from one stack to another */
	__u8 end;       /* enum walk_end */
};

/* Where a goroutine goes on. */
struct go_on {
	__u64 sp; /* 0: it runs */
	__u64 pc;
	__u64 frame; /* 0: it has none */
};

struct scratch {
	struct record_header header;
	/* User frames, kernel frames, the goroutine's, registers, stack. The slack lets the verifier see that
	 * masks are in bounds. */
	__u64 words[3 * (MAX_FRAMES + 1) + REGISTER_COUNT + (MAX_SLICE_BYTES + 2 * PAGE_BYTES) / 8];
	/* A piece of the user stack while it is walked; never in a record. */
	__u64 window[WINDOW_BYTES / 8 + 1];
	/* What is known of the process and of its chains; likewise. */
	struct roots roots;
	struct walk user;
	struct walk goroutine;
	struct go_on go_on;
	/* Go: where the stack ends on which the thread stands, or where it was switched to. 0: not known. */
	__u64 stack_end;
	/* Go code that C code called: from where on the callers stand on the thread's other stack. 0: it is not so. */
	__u64 other_from;
	__u64 other_bytes;
	/* Of the stack, what the record has no room for. */
	__u64 more_from;
	__u64 more_bytes;
	/* How much is wanted is known to be stack: pages that were never touched are not its end. */
	__u64 is_all_stack;
	__u64 busy;
};

/* max_entries of `ring` is set by user space. */
struct map_definition ring SEC("maps") = {
	.type = BPF_MAP_TYPE_RINGBUF,
	.max_entries = PAGE_BYTES,
};

/* Processes to sample. Preallocated, because programs in interrupt context require it before 6.1. */
struct map_definition targets SEC("maps") = {
	.type = BPF_MAP_TYPE_HASH,
	.key_bytes = sizeof(__u32),
	.value_bytes = sizeof(__u8),
	.max_entries = 8192,
};

/* Where the good chains of processes end, and where they skip callers: learnt by user space from their samples. */
struct map_definition roots SEC("maps") = {
	.type = BPF_MAP_TYPE_HASH,
	.key_bytes = sizeof(__u32),
	.value_bytes = sizeof(struct roots),
	.max_entries = 8192,
};

struct map_definition counters SEC("maps") = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.key_bytes = sizeof(__u32),
	.value_bytes = sizeof(struct counters),
	.max_entries = 1,
};

struct map_definition scratches SEC("maps") = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.key_bytes = sizeof(__u32),
	.value_bytes = sizeof(struct scratch),
	.max_entries = 1,
};

struct map_definition names SEC("maps") = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_bytes = sizeof(__u32),
	.value_bytes = 256,
	.max_entries = 1,
};

const volatile struct config config = {};

/* bpf_snprintf() takes a format only from a read-only map, which .rodata is. */
const char name_format[] = "%pS";

/* Not loaded: read by the test that compares it with the mirror in decode.rs. */
const __u32 record_layout[] SEC("layout") = {
	sizeof(struct record_header),
	offsetof(struct record_header, time_ns),
	offsetof(struct record_header, cgroup_id),
	offsetof(struct record_header, layout),
	offsetof(struct record_header, cpu),
	offsetof(struct record_header, tgid),
	offsetof(struct record_header, tid),
	offsetof(struct record_header, user_bytes),
	offsetof(struct record_header, kernel_bytes),
	offsetof(struct record_header, other_stack_bytes),
	offsetof(struct record_header, register_count),
	offsetof(struct record_header, walk_ends),
	offsetof(struct record_header, goroutine_bytes),
	offsetof(struct record_header, stack_bytes),
	offsetof(struct record_header, comm),
	sizeof(struct more_stack),
	offsetof(struct more_stack, time_ns),
	offsetof(struct more_stack, bytes),
	offsetof(struct more_stack, layout),
	offsetof(struct more_stack, cpu),
	offsetof(struct more_stack, from),
	offsetof(struct more_stack, stack),
	sizeof(struct counters),
	offsetof(struct counters, fired),
	offsetof(struct counters, idle),
	offsetof(struct counters, own),
	offsetof(struct counters, other),
	offsetof(struct counters, ring_full),
	offsetof(struct counters, ring_busy),
	offsetof(struct counters, follow_failed),
	sizeof(struct config),
	offsetof(struct config, own_tgid),
	offsetof(struct config, filtered),
	offsetof(struct config, ring_bytes),
	offsetof(struct config, wake_bytes),
	offsetof(struct config, task_tgid_offset),
	offsetof(struct config, task_pid_offset),
	offsetof(struct config, task_stack_offset),
	offsetof(struct config, task_fsbase_offset),
	offsetof(struct config, task_mm_offset),
	offsetof(struct config, mm_start_stack_offset),
	offsetof(struct config, small_slice_bytes),
	offsetof(struct config, deep_slice_bytes),
	sizeof(struct roots),
	offsetof(struct roots, frameless_start),
	offsetof(struct roots, frameless_bytes),
	sizeof(struct go_program),
	offsetof(struct go_program, switch_address),
	offsetof(struct go_program, g),
	offsetof(struct go_program, g_m),
	offsetof(struct go_program, m_g0),
	offsetof(struct go_program, m_curg),
	offsetof(struct go_program, g_sched_sp),
	offsetof(struct go_program, g_sched_pc),
	offsetof(struct go_program, g_sched_bp),
	RECORD_LAYOUT,
	MAX_FRAMES,
	REGISTER_COUNT,
	MAX_SLICE_BYTES,
	MAX_MORE_STACKS,
};

/* Into the scratch: with a pointer that may be none the verifier would follow everything twice. */
static __always_inline void look_up_roots(struct scratch *record)
{
	const struct roots none = {}, *known = 0;

	if (config.small_slice_bytes)
		known = bpf_map_lookup_elem(&roots, &record->header.tgid);
	record->roots = known ? *known : none;
}

static __always_inline struct counters *own_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

/* Bytes of a stack that was taken: what bpf_get_stack() returned, or nothing on an error. Without a branch, which
 * clang would make of a comparison: the verifier would follow the rest of the program once for each way. The last
 * mask changes no value that can occur; it shows the verifier the bound. */
static __always_inline __u64 taken(long returned)
{
	__u64 bytes = returned, error = returned >> 63;

	asm volatile("" : "+r"(error));
	bytes &= ~error;
	bytes &= 0x3ff;
	return bytes;
}
_Static_assert(MAX_STACK_BYTES <= 0x3ff, "the mask in taken() cuts nothing off");

#ifdef __TARGET_ARCH_x86
/* arch/x86: the registers of user mode stand at the top of a task's kernel stack. */
#define THREAD_BYTES 16384
#define USER_CS 0x33 /* 64-bit code */
#define USER_SS 0x2b
/* Highest address of user space with five-level page tables. */
#define USER_LIMIT (1ULL << 56)

/* The user-mode registers. False: not found where expected (a 32-bit program, a kernel thread, a kernel
 * with another layout); then the kernel's own walk must do. */
static __always_inline int user_registers(struct bpf_perf_event_data *ctx, struct pt_regs *regs)
{
	const char *task, *stack = 0;

	if (ctx->regs.cs == USER_CS) {
		regs->rip = ctx->regs.rip;
		regs->rsp = ctx->regs.rsp;
		regs->rbp = ctx->regs.rbp;
		regs->rbx = ctx->regs.rbx;
		regs->r10 = ctx->regs.r10;
		regs->r12 = ctx->regs.r12;
		regs->r13 = ctx->regs.r13;
		regs->r14 = ctx->regs.r14;
		regs->r15 = ctx->regs.r15;
		return 1;
	}
	if (!config.task_stack_offset)
		return 0;
	task = (const char *)bpf_get_current_task();
	if (bpf_probe_read_kernel(&stack, sizeof(stack), task + config.task_stack_offset) ||
	    bpf_probe_read_kernel(regs, sizeof(*regs), stack + THREAD_BYTES - sizeof(*regs)))
		return 0;
	return regs->cs == USER_CS && regs->ss == USER_SS;
}

/* Whether a frame may stand there: in user space, not in its first page, and aligned. One comparison for
 * all three, because each branch in the loop costs the verifier time: unaligned addresses become large. */
static __always_inline int plausible_frame(__u64 pointer)
{
	__u64 turned = pointer >> 3 | pointer << 61;

	return turned - PAGE_BYTES / 8 < (USER_LIMIT - PAGE_BYTES) / 8;
}

/* 1 if an address is in the code without frame pointers that is known of the process. Without a branch, which the
 * verifier would follow once for each way and frame. */
static __always_inline __u64 is_frameless(const struct roots *known, __u64 address)
{
	__u64 distance = address - known->frameless_start;

	return (~distance & (distance - known->frameless_bytes)) >> 63;
}

/* Follows the frame pointers of user space from the one that leads to the second frame; returns how many bytes
 * of frames there are with the first one, which is there. Unlike bpf_get_stack() it says how the chain ended,
 * and it leaves it at the first word that no return address can be: in code without frame pointers the walk
 * goes through arbitrary memory. */
static __always_inline long follow_frames(struct walk *walk, __u64 *to, struct scratch *record)
{
	__u64 window_bytes = 0, address, *frame, whole_to = 0, skips = 0, leaps = 0;
	__u64 pointer = *(volatile __u64 *)&walk->pointer, window_start = 0, first = pointer;
	int i;

	walk->end = USER_END_LIMIT;
	for (i = 1; i < MAX_FRAMES; i++) {
		if (!plausible_frame(pointer)) {
			walk->end = pointer ? USER_END_NOT_CODE : USER_END_ZERO;
			break;
		}
		if (pointer - window_start >= window_bytes) {
			/* At the end of a mapping only the frame itself may be there. */
			window_bytes = WINDOW_BYTES - sizeof(__u64);
			if (bpf_probe_read_user(record->window, WINDOW_BYTES, (const void *)pointer)) {
				window_bytes = sizeof(__u64);
				if (bpf_probe_read_user(record->window, FRAME_BYTES, (const void *)pointer)) {
					walk->end = USER_END_FAULT;
					break;
				}
			}
			window_start = pointer;
		}
		/* Code without frame pointers that does not end the chain: its callers stand below this frame. */
		whole_to += (pointer - whole_to) & -skips;
		leaps |= pointer ^ first;
		/* The window has room for one word more than the mask lets through. */
		frame = (__u64 *)((char *)record->window + ((pointer - window_start) & WINDOW_MASK));
		pointer = frame[0];
		address = frame[1];
		if (address - PAGE_BYTES >= USER_LIMIT - PAGE_BYTES) {
			walk->end = address ? USER_END_NOT_CODE : USER_END_ZERO;
			break;
		}
		to[i] = address;
		skips = is_frameless(&record->roots, address);
	}
	walk->whole_to = whole_to;
	walk->leaps = leaps >> LEAP_SHIFT;
	return i * sizeof(__u64);
}

static __always_inline long walk_user(struct pt_regs *regs, struct scratch *record)
{
	long bytes;

	if (!regs->rip) /* a worker of io_uring: made by user space, but has no user code */
		return 0;
	record->words[0] = regs->rip;
	record->user.pointer = regs->rbp;
	bytes = follow_frames(&record->user, record->words, record);
	record->header.walk_ends = record->user.end;
	return bytes;
}

static __always_inline void put_registers(const struct pt_regs *regs, __u64 *to)
{
	to[0] = regs->rbx;
	to[1] = regs->rbp;
	to[2] = regs->rsp;
	to[3] = regs->r10;
	to[4] = regs->r12;
	to[5] = regs->r13;
	to[6] = regs->r14;
	to[7] = regs->r15;
	to[8] = regs->rip;
}

/* Whether a chain ends where the good ones of its process do. */
static __always_inline int is_trusted(const struct roots *known, __u64 outermost)
{
	return outermost == known->addresses[0] || outermost == known->addresses[1] ||
	       outermost == known->addresses[2] || outermost == known->addresses[3];
}

/* Where the stack of the process's first thread starts: above it are arguments and environment, and no
 * frame. 0: not known. */
static __always_inline __u64 first_stack_start(void)
{
	const char *task = (const char *)bpf_get_current_task(), *mm = 0;
	__u64 start = 0;

	if (!config.task_mm_offset ||
	    bpf_probe_read_kernel(&mm, sizeof(mm), task + config.task_mm_offset) ||
	    bpf_probe_read_kernel(&start, sizeof(start), mm + config.mm_start_stack_offset))
		return 0;
	return start;
}

static __always_inline __u32 deep_slice(struct scratch *record, __u64 sp)
{
	__u64 rest = first_stack_start() - sp;

	if (rest >= config.deep_slice_bytes)
		return config.deep_slice_bytes;
	record->is_all_stack = 1;
	return rest & -sizeof(__u64);
}

/* How much of the stack is wanted: of a trusted chain what lies below the end of the frame that the frame
 * pointer is at, because above it the chain says it all, or of one further up where the chain leads through code
 * without frame pointers; else much. */
static __always_inline __u32 wanted_stack(const struct pt_regs *regs, struct scratch *record, __u64 outermost)
{
	__u64 frame = regs->rbp, whole_to = record->user.whole_to, near, most = config.small_slice_bytes;

	if (regs->rsp % sizeof(__u64))
		return 0;
	near = record->stack_end - regs->rsp;
	if (near < config.deep_slice_bytes && near % sizeof(__u64) == 0)
		return near;
	if (config.small_slice_bytes == config.deep_slice_bytes || !is_trusted(&record->roots, outermost))
		return deep_slice(record, regs->rsp);
	if (whole_to)
		frame = whole_to;
	if (whole_to || is_frameless(&record->roots, regs->rip))
		most = config.deep_slice_bytes;
	near = frame + FRAME_BYTES - regs->rsp;
	if (near < most && near >= FRAME_BYTES && near % sizeof(__u64) == 0)
		return near;
	return whole_to ? deep_slice(record, regs->rsp) : config.small_slice_bytes;
}

/* Copies the stack as far as it can be read: all at once where its end lies further up, for certain or most
 * probably, else page by page. What cannot be read is zero. */
static __always_inline __u32 copy_stack(const struct scratch *record, char *to, __u64 from, __u32 wanted)
{
	__u64 done = 0, piece, at;
	int i;

	if (wanted < MAX_SLICE_BYTES && !bpf_probe_read_user(to, wanted, (const void *)from))
		return wanted;
	for (i = 0; i <= MAX_SLICE_BYTES / PAGE_BYTES && done < wanted; i++) {
		piece = PAGE_BYTES - ((from + done) & (PAGE_BYTES - 1));
		if (piece > wanted - done)
			piece = wanted - done;
		/* The masks change nothing; clang, who knows, must not take them away from the verifier. */
		at = done;
		asm volatile("" : "+r"(piece), "+r"(at));
		piece &= 2 * PAGE_BYTES - 1;
		at &= MAX_SLICE_BYTES - 1;
		if (bpf_probe_read_user(to + at, piece, (const void *)(from + done)) && !record->is_all_stack)
			break;
		done += piece;
	}
	return done;
}

/* Adds registers and a slice of the stack behind the chains; returns their bytes. */
static __always_inline __u64 add_slice(const struct pt_regs *regs, struct scratch *record, __u64 user, __u64 others)
{
	struct record_header *header = &record->header;
	char *to = (char *)record->words + user + others;
	__u64 outermost, stack, first;

	if (!config.small_slice_bytes || user < sizeof(__u64))
		return 0;
	outermost = *(__u64 *)((char *)record->words + user - sizeof(__u64));
	put_registers(regs, (__u64 *)to);
	header->register_count = REGISTER_COUNT;
	to += REGISTER_COUNT * sizeof(__u64);
	/* Through memory, as in sample(): else the verifier follows the copying once for each way to a length. */
	header->stack_bytes = wanted_stack(regs, record, outermost);
	stack = *(volatile __u32 *)&header->stack_bytes;
	first = stack;
	if (stack > MAX_SLICE_BYTES)
		first = MAX_SLICE_BYTES - (regs->rsp & (PAGE_BYTES - 1)); /* what follows begins with a page */
	header->stack_bytes = copy_stack(record, to, regs->rsp, first);
	if (*(volatile __u32 *)&header->stack_bytes == first) {
		record->more_from = regs->rsp + first;
		record->more_bytes = stack - first;
	}
	stack = *(volatile __u32 *)&header->stack_bytes;
	if (stack > MAX_SLICE_BYTES)
		return 0;
	return REGISTER_COUNT * sizeof(__u64) + stack;
}

#include "go.h"
#else
static __always_inline int user_registers(struct bpf_perf_event_data *ctx, struct pt_regs *regs)
{
	return 0;
}

static __always_inline long walk_user(struct pt_regs *regs, struct scratch *record)
{
	return 0;
}

static __always_inline __u64 add_slice(const struct pt_regs *regs, struct scratch *record, __u64 user, __u64 others)
{
	return 0;
}

static __always_inline __u64 walk_goroutine(struct scratch *record, __u64 *to)
{
	return 0;
}

static __always_inline void submit_other(struct scratch *record)
{
}
#endif

/* Wakes the reader only while the ring is between one and two times the wake level: by then it has
 * fallen behind its own clock. Beyond that it was woken already; each wake-up costs as much as several
 * samples. */
static __always_inline long submit(struct counters *count, struct scratch *record, __u64 bytes)
{
	__u64 filled = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u64 flags = BPF_RB_NO_WAKEUP;
	long error;

	if (filled >= config.wake_bytes && filled < 2 * (__u64)config.wake_bytes)
		flags = BPF_RB_FORCE_WAKEUP;
	error = bpf_ringbuf_output(&ring, record, bytes, flags);
	if (error) {
		/* -EAGAIN says both; 8 bytes are the ring's own header. */
		if (filled + bytes + 8 > config.ring_bytes)
			count->ring_full++;
		else
			count->ring_busy++;
	}
	return error;
}

/* Copies the next part of a stack, whole pages as far as they can be read; returns its bytes. */
static __always_inline __u64 submit_more(const struct scratch *record, __u64 from, __u64 wanted)
{
	struct more_stack *more = bpf_ringbuf_reserve(&ring, sizeof(*more), 0);
	__u64 done = MAX_SLICE_BYTES;
	int page;

	if (!more)
		return 0;
	if (bpf_probe_read_user(more->stack, MAX_SLICE_BYTES, (const void *)from)) {
		for (page = 0; page < MAX_SLICE_BYTES / PAGE_BYTES; page++) {
			if (bpf_probe_read_user(more->stack + page * PAGE_BYTES, PAGE_BYTES,
						(const void *)(from + page * PAGE_BYTES)) &&
			    !record->is_all_stack)
				break;
		}
		done = page * PAGE_BYTES;
	}
	more->time_ns = record->header.time_ns;
	more->layout = MORE_STACK_LAYOUT;
	more->cpu = record->header.cpu;
	more->from = from;
	more->bytes = done < wanted ? done : wanted;
	bpf_ringbuf_submit(more, BPF_RB_NO_WAKEUP);
	return done;
}

/* What the record had no room for, while the ring is less than half full: the rest is for the samples of others. */
static __always_inline void submit_stacks(struct scratch *record)
{
	int part;

	for (part = 0; part < MAX_MORE_STACKS && record->more_bytes; part++) {
		if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > 2 * (__u64)config.wake_bytes)
			break;
		if (submit_more(record, record->more_from, record->more_bytes) < MAX_SLICE_BYTES ||
		    record->more_bytes < MAX_SLICE_BYTES)
			break;
		record->more_from += MAX_SLICE_BYTES;
		record->more_bytes -= MAX_SLICE_BYTES;
	}
	if (record->other_from && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) <= 2 * (__u64)config.wake_bytes)
		submit_other(record);
}

SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct counters *count = own_counters();
	__u32 tgid = pid_tgid >> 32, zero = 0;
	struct record_header *header;
	struct scratch *record;
	struct pt_regs regs = {};
	__u64 kernel, user, goroutine = 0, slice = 0;
	int found;

	if (!count)
		return 0;
	if (!pid_tgid) {
		count->idle++;
		return 0;
	}
	if (tgid == config.own_tgid) {
		count->own++;
		return 0;
	}
	if (config.filtered && !bpf_map_lookup_elem(&targets, &tgid)) {
		count->other++;
		return 0;
	}
	count->fired++;

	record = bpf_map_lookup_elem(&scratches, &zero);
	if (!record || record->busy) {
		/* A second event may interrupt us here once there is one that comes as NMI. */
		count->ring_busy++;
		return 0;
	}
	record->busy = 1;

	header = &record->header;
	header->time_ns = bpf_ktime_get_ns();
	header->cgroup_id = bpf_get_current_cgroup_id();
	header->layout = RECORD_LAYOUT;
	header->cpu = bpf_get_smp_processor_id();
	header->tgid = tgid;
	header->tid = (__u32)pid_tgid;
	header->register_count = 0;
	header->walk_ends = USER_END_UNKNOWN;
	header->goroutine_bytes = 0;
	header->stack_bytes = 0;
	header->other_stack_bytes = 0;
	record->stack_end = 0;
	record->other_from = 0;
	record->more_bytes = 0;
	record->is_all_stack = 0;
	bpf_get_current_comm(header->comm, sizeof(header->comm));
	look_up_roots(record);

	found = user_registers(ctx, &regs);
	if (found)
		header->user_bytes = walk_user(&regs, record);
	else
		header->user_bytes = bpf_get_stack(ctx, record->words, MAX_STACK_BYTES, BPF_F_USER_STACK);
	/* Read back from memory, which the verifier does not track: it would follow the rest of the program
	 * once for each possible length (measured: 19 ms instead of 6). */
	user = taken(*(volatile __s16 *)&header->user_bytes);
	header->kernel_bytes = bpf_get_stack(ctx, (char *)record->words + user, MAX_STACK_BYTES, 0);
	kernel = taken(header->kernel_bytes);

	if (found) {
		header->goroutine_bytes = walk_goroutine(record, (__u64 *)((char *)record->words + user + kernel));
		goroutine = taken(*(volatile __u16 *)&header->goroutine_bytes);
		slice = add_slice(&regs, record, user, kernel + goroutine);
	}

	if (!submit(count, record, sizeof(*header) + kernel + user + goroutine + slice))
		submit_stacks(record);
	record->busy = 0;
	return 0;
}

/* Runs in the parent before the child can: not one sample of the child is missed. */
SEC("raw_tracepoint/sched_process_fork")
int follow_fork(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 parent = bpf_get_current_pid_tgid() >> 32, child = 0;
	const char *task = (const char *)ctx->args[1];
	struct counters *count;
	__u8 one = 1;

	if (!bpf_map_lookup_elem(&targets, &parent))
		return 0;
	if (bpf_probe_read_kernel(&child, sizeof(child), task + config.task_tgid_offset))
		child = 0;
	if (child == parent) /* a thread */
		return 0;
	if (!child || bpf_map_update_elem(&targets, &child, &one, BPF_ANY)) {
		count = own_counters();
		if (count)
			count->follow_failed++;
	}
	return 0;
}

/* A task_struct is freed: when it is a group leader's, the whole process has gone. (On exit of the
 * leader alone the other threads still run; and when another thread calls exec, it takes over pid
 * and tgid, so that the old leader's pid differs from its tgid when it is freed.) */
SEC("raw_tracepoint/sched_process_free")
int forget_process(struct bpf_raw_tracepoint_args *ctx)
{
	const char *task = (const char *)ctx->args[0];
	__u32 tgid = 0, pid = 1;

	if (bpf_probe_read_kernel(&tgid, sizeof(tgid), task + config.task_tgid_offset) ||
	    bpf_probe_read_kernel(&pid, sizeof(pid), task + config.task_pid_offset))
		return 0;
	if (tgid == pid)
		bpf_map_delete_elem(&targets, &tgid);
	return 0;
}

/* Run by user space on demand, never attached: the kernel's name of one address. Microseconds an
 * address; a pass over /proc/kallsyms takes tens of milliseconds. */
SEC("raw_tracepoint/name_address")
int name_address(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[0];
	__u32 zero = 0;
	char *name = bpf_map_lookup_elem(&names, &zero);

	if (!name)
		return 0;
	name[0] = 0;
	bpf_snprintf(name, 256, name_format, &address, sizeof(address));
	return 0;
}

char licence[] SEC("license") = "Dual MIT/GPL";
