/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the BPF programs and user space say to each other: the one definition of it.
 *
 * `decode.rs` mirrors the structs; the offsets that the compiler really chose are stored in the
 * object (its section `layout`) and a test compares them with the mirror.
 */
#ifndef FLAMEARC_RECORD_H
#define FLAMEARC_RECORD_H

/* Changed with every change of struct record_header; user space refuses any other. */
#define RECORD_LAYOUT 6
/* Of struct more_stack, at the same place: it goes on with the stack of a sample, or has the thread's other one. */
#define MORE_STACK_LAYOUT (1u << 31 | RECORD_LAYOUT)
#define OTHER_STACK_LAYOUT (1u << 30 | RECORD_LAYOUT)

/* The default of kernel.perf_event_max_stack; bpf_get_stack() gives no more whatever we ask. */
#define MAX_FRAMES 127

/* Registers that unwinding needs, by their DWARF numbers (x86-64): rbx 3, rbp 6, rsp 7, r10 10, r12 to r15 12
 * to 15, rip 16. The others are a caller's to save, or (r10) serve to realign a frame. */
#define REGISTER_COUNT 9

/* Most bytes of stack in a record; all parts of the largest record fit into a per-CPU value (32 KiB). */
#define MAX_SLICE_BYTES 16384

/* Records of struct more_stack that follow one sample. */
#define MAX_MORE_STACKS 3

/* Return addresses at which the good chains of a process end. */
#define MAX_ROOTS 4

/* How a walk along user frame pointers ended. */
enum walk_end {
	USER_END_UNKNOWN = 0, /* the kernel's own walk does not say */
	USER_END_ZERO = 1,    /* a frame pointer of zero: the outermost frame */
	USER_END_FAULT = 2,   /* the next frame could not be read */
	USER_END_LIMIT = 3,   /* MAX_FRAMES reached */
	USER_END_NOT_CODE = 4, /* what comes next is no frame: code without frame pointers */
};

/*
 * One sample. What follows it, in this order, each part a whole number of 8-byte words:
 *   user_bytes    user stack, leaf first (none if negative: then it is a negative errno)
 *   kernel_bytes  kernel stack, leaf first (likewise)
 *   goroutine_bytes  of a Go program: what the thread will go on with on the goroutine's stack, and its callers
 *   register_count * 8   user registers: none, or REGISTER_COUNT in the order stated there
 *   stack_bytes          user stack from sp upwards
 *   other_stack_bytes    never written here: user space puts there what came in a record of its own
 */
struct record_header {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 cgroup_id;
	__u32 layout;
	__u32 cpu;
	__u32 tgid; /* both in the initial PID namespace */
	__u32 tid;
	__s16 user_bytes;
	__s16 kernel_bytes;
	__u32 other_stack_bytes;
	__u8 register_count;
	__u8 walk_ends; /* enum walk_end: low four bits of the user frames, high four of the goroutine's */
	__u16 goroutine_bytes;
	__u32 stack_bytes;
	char comm[16];
};

/* The part of a stack that goes on where the record of a sample, or another part of its stack, ended; or the other
 * stack of a Go program's thread (then the record ends with what there is). */
struct more_stack {
	__u64 time_ns; /* the sample's; no two of a CPU have the same */
	__u64 bytes;   /* of `stack` */
	__u32 layout;  /* MORE_STACK_LAYOUT, OTHER_STACK_LAYOUT */
	__u32 cpu;
	__u64 from;    /* where in memory it is */
	char stack[MAX_SLICE_BYTES];
};

/* One per CPU; only that CPU writes, user space reads. */
struct counters {
	__u64 fired;         /* ticks that belong to the target */
	__u64 idle;          /* ticks that found the idle task */
	__u64 own;           /* ticks that found capture itself */
	__u64 other;         /* ticks that found a process not asked for */
	__u64 ring_full;     /* lost: no room in the ring buffer */
	__u64 ring_busy;     /* lost: scratch in use, or the ring's lock taken (NMI) */
	__u64 follow_failed; /* children that could not be added to the filter */
};

/* Of a process: what tells which of its chains are whole. */
struct roots {
	__u64 addresses[MAX_ROOTS]; /* a chain that ends with one of these is to be trusted; 0: no address */
	__u64 frameless_start;      /* code without frame pointers: a chain that leads through it skips callers */
	__u64 frameless_bytes;
};

/* Where a Go program keeps the goroutine that a thread works for: found by user space in its code. Offsets are in
 * bytes. */
struct go_program {
	__u64 switch_address; /* runtime.systemstack_switch: pretends to be where the goroutine goes on */
	__s32 g;              /* of the running g, from the thread pointer */
	__u32 g_m;            /* in g: the thread */
	__u32 m_g0;           /* in m: the g of the system stack */
	__u32 m_curg;         /* in m: the goroutine that it works for */
	__u32 g_sched_sp;     /* in g: where it will go on */
	__u32 g_sched_pc;
	__u32 g_sched_bp;
	__u32 zero;
};

/* Set by user space before loading. */
struct config {
	__u32 own_tgid;
	__u32 filtered;          /* 1: only processes in `targets` */
	__u32 ring_bytes;
	__u32 wake_bytes;        /* fill level from which the reader is woken */
	__u32 task_tgid_offset;  /* of task_struct.tgid and .pid in the running kernel */
	__u32 task_pid_offset;
	__u32 task_stack_offset; /* of task_struct.stack; 0: not known */
	__u32 task_fsbase_offset; /* of task_struct.thread.fsbase; 0: not known */
	__u32 task_mm_offset;    /* of task_struct.mm; 0: not known */
	__u32 mm_start_stack_offset; /* of mm_struct.start_stack */
	__u32 small_slice_bytes; /* at most, of every stack; 0: no slices */
	__u32 deep_slice_bytes;  /* at most, where a chain is not to be trusted; the same: always */
};

_Static_assert(sizeof(struct record_header) == 64, "no padding: its bytes go into the ring");
_Static_assert(offsetof(struct more_stack, layout) == offsetof(struct record_header, layout), "tells them apart");
_Static_assert(sizeof(struct counters) == 56, "user space reads it as seven numbers");
_Static_assert(sizeof(struct go_program) == 40, "no padding: its bytes come from user space");
_Static_assert(sizeof(struct config) == 48, "user space writes it as twelve numbers");

#endif
