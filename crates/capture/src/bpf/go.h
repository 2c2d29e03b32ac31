/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The stack of the goroutine that a thread works for while it stands on another one.
 *
 * Go's runtime has goroutines on stacks of their own. For C code and for parts of itself it switches to the
 * stack of the thread (asmcgocall, systemstack, mcall, morestack) and notes in the g where it will go on. So the
 * callers of such code are in two chains: the one that starts with the registers, and the one that starts there.
 */
#ifndef FLAMEARC_GO_H
#define FLAMEARC_GO_H

/* runtime.systemstack_switch is no longer. */
#define SWITCH_BYTES 16

/* Programs whose code is known to user space. */
struct map_definition go_programs SEC("maps") = {
	.type = BPF_MAP_TYPE_HASH,
	.key_bytes = sizeof(__u32),
	.value_bytes = sizeof(struct go_program),
	.max_entries = 8192,
};

static __always_inline int read_word(__u64 address, __u64 *word)
{
	return bpf_probe_read_user(word, sizeof(*word), (const void *)address);
}

/* The goroutine that the thread works for, if it stands on its system stack, and where that began; else 0. */
static __always_inline __u64 waiting_goroutine(const struct go_program *go, __u64 *switched_at)
{
	const char *task = (const char *)bpf_get_current_task();
	__u64 thread_pointer, g, m, curg, g0;

	if (bpf_probe_read_kernel(&thread_pointer, sizeof(thread_pointer), task + config.task_fsbase_offset) ||
	    read_word(thread_pointer + go->g, &g) || !g ||
	    read_word(g + go->g_m, &m) ||
	    read_word(m + go->m_curg, &curg) || curg == g || !curg ||
	    read_word(m + go->m_g0, &g0) || g0 != g || read_word(g + go->g_sched_sp, switched_at))
		return 0;
	return curg;
}

/* Writes the goroutine's chain of frames; returns its bytes. */
static __always_inline __u64 walk_goroutine(struct scratch *record, __u64 *to)
{
	const struct go_program *go;
	__u64 curg, sp, pc, frame[2], bytes;

	if (!config.task_fsbase_offset)
		return 0;
	go = bpf_map_lookup_elem(&go_programs, &record->header.tgid);
	if (!go)
		return 0;
	curg = waiting_goroutine(go, &record->switched_at);
	if (!curg || read_word(curg + go->g_sched_sp, &sp) || read_word(curg + go->g_sched_pc, &pc) ||
	    read_word(curg + go->g_sched_bp, &frame[0]))
		return 0;
	if (pc - go->switch_address < SWITCH_BYTES) {
		/* Where it really goes on is what the function returns to that switched: above its frame, if it
		 * has one (since Go 1.21 or so), else at the top of the stack. */
		if (sp == frame[0]) {
			if (bpf_probe_read_user(frame, sizeof(frame), (const void *)sp))
				return 0;
			pc = frame[1];
		} else if (read_word(sp, &pc)) {
			return 0;
		}
	}
	to[0] = pc;
	record->goroutine.pointer = frame[0];
	bytes = follow_frames(&record->goroutine, to, record);
	record->header.walk_ends |= record->goroutine.end << 4;
	return bytes;
}

#endif
