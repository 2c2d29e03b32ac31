# Writes what a profiler could have sampled of each thread of a process, and the chain that gdb finds:
#
#     gdb -batch -nx -p PID -ex "python OUT = '/dir/look'" -x look.py
#
# OUT.samples   as unwind/trace.h writes them: registers by DWARF's numbers, a count of words, the words
# OUT.chains    a line for each: addresses, leaf first, and the name of the last function
# OUT.maps      what is mapped
import struct
import gdb

REGISTERS = "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()
MOST_WORDS = 1 << 15

gdb.execute("set backtrace past-main on")
inferior = gdb.selected_inferior()
maps = open("/proc/%d/maps" % inferior.pid).read()


def end_of_stack(sp):
    for line in maps.splitlines():
        start, end = (int(at, 16) for at in line.split()[0].split("-"))
        if start <= sp < end:
            return end
    return sp


def chain():
    frame, addresses, name = gdb.newest_frame(), [], None
    while frame is not None:
        if frame.type() != gdb.INLINE_FRAME:
            addresses.append("%x" % frame.pc())
        name = frame.name() or name
        frame = frame.older()
    return addresses + [name or "?"]


with open(OUT + ".samples", "wb") as samples, open(OUT + ".chains", "w") as chains:
    for thread in inferior.threads():
        thread.switch()
        value = lambda name: int(gdb.parse_and_eval("(unsigned long)$" + name)) & (1 << 64) - 1
        registers = [value(name) for name in REGISTERS]
        sp = registers[7]
        words = min(MOST_WORDS, (end_of_stack(sp) - sp) // 8)
        samples.write(struct.pack("<18Q", *registers, words))
        samples.write(inferior.read_memory(sp, words * 8).tobytes())
        chains.write(" ".join(chain()) + "\n")
with open(OUT + ".maps", "w") as out:
    out.write(maps)
