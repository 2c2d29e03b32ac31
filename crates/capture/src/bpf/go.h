/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The stack of the goroutine that a thread works for while it stands on another one.
 *
 * Go's runtime has goroutines on stacks of their own. For C code and for parts of itself it switches to the
 * stack of the thread (asmcgocall, systemstack, mcall, morestack) and notes in the g where it will go on. So the
 * callers of such code are in two chains: the one that starts with the registers, and the one that starts there.
 *
 * C code may call Go code back (cgocallback), which runs above those frames of the same goroutine. Then callers
 * stand on both stacks in turns, the C ones often without frame pointers: of both a slice is recorded.
 */
#ifndef FLAMEARC_GO_H
#define FLAMEARC_GO_H

/* runtime.systemstack_switch is no longer. */
#define SWITCH_BYTES 16
/* In a g, since ever: the address at which its stack ends. */
#define G_STACK_HI 8
/* runtime.maxstacksize: 1 GB; code is further away from them. */
#define MAX_GO_STACK_BYTES (1 << 30)
/* Calls from C to Go inside one another, at most. */
#define MAX_CALLBACKS 4

/* Programs whose code is known to user space. */
struct map_definition go_programs SEC("maps") = {
	.type = BPF_MAP_TYPE_HASH,
	.key_bytes = sizeof(__u32),
	.value_bytes = sizeof(struct go_program),
	.max_entries = 8192,
};

/* What a thread of a Go program runs. */
struct go_thread {
	__u64 g;    /* on whose stack it stands */
	__u64 m;    /* the thread */
	__u64 curg; /* the goroutine that it works for */
};

static __always_inline int read_word(__u64 address, __u64 *word)
{
	return bpf_probe_read_user(word, sizeof(*word), (const void *)address);
}

static __always_inline int read_thread(const struct go_program *go, struct go_thread *thread)
{
	const char *task = (const char *)bpf_get_current_task();
	__u64 thread_pointer;

	return bpf_probe_read_kernel(&thread_pointer, sizeof(thread_pointer), task + config.task_fsbase_offset) ||
	       read_word(thread_pointer + go->g, &thread->g) || !thread->g ||
	       read_word(thread->g + go->g_m, &thread->m) ||
	       read_word(thread->m + go->m_curg, &thread->curg) || !thread->curg;
}

/* Whether Go code was called by the C code that stands on a thread's stack from there on: at the stack pointer
 * cgocallback has what that was noted as before, and in its third word which thread called, if Go knew it. */
static __always_inline int is_called_back(const struct go_thread *thread, __u64 sp)
{
	__u64 frame[3];

	return !bpf_probe_read_user(frame, sizeof(frame), (const void *)sp) &&
	       (frame[2] == thread->m || (!frame[2] && frame[0] == sp));
}

/* Of that C code the end, and of what Go called before in the same way: a page's, because where that is the thread
 * starts. In the first word each time is where the one before begins. 0: Go called none, and all there is may be C
 * code. */
static __always_inline __u64 end_of_c_code(__u64 sp)
{
	__u64 end = sp, next;
	int i;

	for (i = 0; i < MAX_CALLBACKS; i++) {
		if (read_word(end, &next) || next - end - 1 >= MAX_SLICE_BYTES)
			break;
		end = next;
	}
	return end == sp ? 0 : (end & -PAGE_BYTES) + PAGE_BYTES;
}

/* What to record of both stacks where C code called Go code; or where the goroutine's chain is not known. */
static __always_inline void find_both_stacks(const struct go_thread *thread, struct scratch *record, __u64 is_blind)
{
	__u64 c_from = record->stack_end, go_from = *(volatile __u64 *)&record->go_on.sp, c_end, go_end;
	int is_below_c = is_called_back(thread, c_from);

	if (!config.small_slice_bytes || !(is_below_c | is_blind) || read_word(thread->curg + G_STACK_HI, &go_end))
		return;
	c_end = is_below_c ? end_of_c_code(c_from) : c_from;
	if (go_from) {
		record->stack_end = c_end;
		record->other_from = go_from;
		record->other_bytes = go_end - go_from;
	} else {
		record->stack_end = go_end;
		record->other_from = c_from;
		record->other_bytes = c_end - c_from;
	}
	/* No chain says it all then. */
	__builtin_memset(record->roots.addresses, 0, sizeof(record->roots.addresses));
}

/* False: it cannot be read. What was noted is the function that switched: where it really goes on is what that returns
 * to, above its frame, if it has one (since Go 1.21 or so), else at the top of the stack. Then the frame is what was
 * noted, too; but since then, C code may have called Go code, which runs further down, and that may have switched. */
static __always_inline int find_go_on(const struct go_program *go, __u64 curg, struct go_on *on)
{
	__u64 top[2];

	if (read_word(curg + go->g_sched_sp, &on->sp) || read_word(curg + go->g_sched_pc, &on->pc))
		return 0;
	if (on->pc - go->switch_address < SWITCH_BYTES) {
		if (bpf_probe_read_user(top, sizeof(top), (const void *)on->sp))
			return 0;
		if (!top[0] || top[0] - on->sp < MAX_GO_STACK_BYTES) {
			on->frame = top[0];
			on->pc = top[1];
			on->sp += sizeof(top);
			return 1;
		}
		on->pc = top[0];
		on->sp += sizeof(top[0]);
		if (read_word(curg + go->g_sched_bp, &on->frame))
			return 0;
		on->frame |= !on->frame; /* forgotten since then; what switched has a caller with a frame */
		return 1;
	}
	return !read_word(curg + go->g_sched_bp, &on->frame);
}

/* Writes the goroutine's chain of frames if the thread stands on its own stack; returns its bytes. */
static __always_inline __u64 walk_goroutine(struct scratch *record, __u64 *to)
{
	const struct go_program *go;
	struct go_thread thread;
	struct go_on *on = &record->go_on;
	__u64 g0, bytes = 0, leaps = record->user.leaps, is_blind = 0;

	on->sp = 0;
	if (!config.task_fsbase_offset)
		return 0;
	go = bpf_map_lookup_elem(&go_programs, &record->header.tgid);
	if (!go || read_thread(go, &thread))
		return 0;
	if (thread.curg == thread.g && !leaps)
		return 0;
	if (read_word(thread.m + go->m_g0, &g0) || read_word(g0 + go->g_sched_sp, &record->stack_end))
		return 0;
	if (thread.curg != thread.g) {
		if (g0 != thread.g || !find_go_on(go, thread.curg, on))
			return 0;
		to[0] = on->pc;
		/* A frame further down is not its callers'. Without a branch, and through memory: see sample(). The
		 * pointer becomes one that is no frame's. */
		is_blind = (on->frame - on->sp) >> 63 & -on->frame >> 63;
		asm volatile("" : "+r"(is_blind));
		record->goroutine.pointer = on->frame | is_blind;
		bytes = follow_frames(&record->goroutine, to, record);
		record->header.walk_ends |= record->goroutine.end << 4;
		leaps = record->goroutine.leaps;
	}
	if (leaps | is_blind)
		find_both_stacks(&thread, record, is_blind);
	return bytes;
}

/* The thread's other stack, to the end of the last page that can be read. The sample is in the ring: its room is
 * free. */
static __always_inline void submit_other(struct scratch *record)
{
	struct more_stack *more = (struct more_stack *)record->words;
	__u64 from = record->other_from, bytes = record->other_bytes;
	int i;

	if (bytes > MAX_SLICE_BYTES)
		bytes = MAX_SLICE_BYTES - (from & (PAGE_BYTES - 1));
	for (i = 0; i <= MAX_SLICE_BYTES / PAGE_BYTES; i++) {
		if (bytes > MAX_SLICE_BYTES)
			return;
		if (!bpf_probe_read_user(more->stack, bytes, (const void *)from))
			break;
		bytes -= PAGE_BYTES;
	}
	more->time_ns = record->header.time_ns;
	more->bytes = bytes;
	more->layout = OTHER_STACK_LAYOUT;
	more->cpu = record->header.cpu;
	more->from = from;
	bytes = *(volatile __u64 *)&more->bytes;
	if (bytes <= MAX_SLICE_BYTES)
		bpf_ringbuf_output(&ring, more, offsetof(struct more_stack, stack) + bytes, BPF_RB_NO_WAKEUP);
}

#endif
