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
/* Calls from C to Go inside one another, at most. */
#define MAX_CALLBACKS 8

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

	return config.small_slice_bytes && !bpf_probe_read_user(frame, sizeof(frame), (const void *)sp) &&
	       (frame[2] == thread->m || (!frame[2] && frame[0] == sp));
}

/* Of C code on a thread's stack from there on, that called Go code: the end of it, and of what Go called before in the
 * same way. In the first word each time is where that called; behind the last one there is little. 0: Go called
 * none, and all there is may be C code. */
static __always_inline __u64 end_of_c_code(__u64 sp)
{
	__u64 end = sp, next;
	int i;

	for (i = 0; i < MAX_CALLBACKS; i++) {
		if (read_word(end, &next) || next - end - 1 >= MAX_SLICE_BYTES)
			break;
		end = next;
	}
	return end == sp ? 0 : end + PAGE_BYTES;
}

/* Of a thread on the stack of its goroutine: the C code on its own one, if that called. */
static __always_inline void find_c_callers(const struct go_program *go, const struct go_thread *thread,
					   struct scratch *record)
{
	__u64 g0, sp, bytes;

	if (read_word(thread->m + go->m_g0, &g0) || read_word(g0 + go->g_sched_sp, &sp) ||
	    !is_called_back(thread, sp) || read_word(thread->g + G_STACK_HI, &record->stack_end))
		return;
	bytes = end_of_c_code(sp) - sp;
	record->other_from = sp;
	record->other_bytes = bytes < MAX_SLICE_BYTES ? bytes : MAX_SLICE_BYTES;
}

/* Of a thread on its own stack: what the goroutine has above where it goes on, if it was called by C code that
 * stands further up on the thread's. */
static __always_inline void find_go_callers(const struct go_thread *thread, struct scratch *record, __u64 sp)
{
	__u64 end;

	if (!is_called_back(thread, record->stack_end) || read_word(thread->curg + G_STACK_HI, &end))
		return;
	record->stack_end = end_of_c_code(record->stack_end);
	record->other_from = sp;
	record->other_bytes = end - sp < MAX_SLICE_BYTES ? end - sp : MAX_SLICE_BYTES;
}

/* Writes the goroutine's chain of frames if the thread stands on its own stack; returns its bytes. */
static __always_inline __u64 walk_goroutine(struct scratch *record, __u64 *to)
{
	const struct go_program *go;
	struct go_thread thread;
	__u64 g0, sp, pc, frame[2], bytes;

	if (!config.task_fsbase_offset)
		return 0;
	go = bpf_map_lookup_elem(&go_programs, &record->header.tgid);
	if (!go || read_thread(go, &thread))
		return 0;
	if (thread.curg == thread.g) {
		if (record->user.leaps)
			find_c_callers(go, &thread, record);
		return 0;
	}
	if (read_word(thread.m + go->m_g0, &g0) || g0 != thread.g ||
	    read_word(g0 + go->g_sched_sp, &record->stack_end) ||
	    read_word(thread.curg + go->g_sched_sp, &sp) || read_word(thread.curg + go->g_sched_pc, &pc) ||
	    read_word(thread.curg + go->g_sched_bp, &frame[0]))
		return 0;
	if (pc - go->switch_address < SWITCH_BYTES) {
		/* Where it really goes on is what the function returns to that switched: above its frame, if it
		 * has one (since Go 1.21 or so), else at the top of the stack. */
		if (sp == frame[0]) {
			if (bpf_probe_read_user(frame, sizeof(frame), (const void *)sp))
				return 0;
			pc = frame[1];
			sp += sizeof(frame);
		} else {
			if (read_word(sp, &pc))
				return 0;
			sp += sizeof(pc);
		}
	}
	to[0] = pc;
	record->goroutine.pointer = frame[0];
	bytes = follow_frames(&record->goroutine, to, record);
	record->header.walk_ends |= record->goroutine.end << 4;
	if (record->goroutine.leaps)
		find_go_callers(&thread, record, sp);
	return bytes;
}

/* The thread's other stack. The sample is in the ring: its room is free. */
static __always_inline void submit_other(struct scratch *record)
{
	struct more_stack *more = (struct more_stack *)record->words;
	__u64 bytes;

	more->time_ns = record->header.time_ns;
	more->layout = OTHER_STACK_LAYOUT;
	more->cpu = record->header.cpu;
	more->from = record->other_from;
	more->bytes = copy_stack(record, more->stack, more->from, record->other_bytes);
	bytes = *(volatile __u64 *)&more->bytes;
	if (bytes <= MAX_SLICE_BYTES)
		bpf_ringbuf_output(&ring, more, offsetof(struct more_stack, stack) + bytes, BPF_RB_NO_WAKEUP);
}

#endif
