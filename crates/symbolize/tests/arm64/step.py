# Steps a program through all its instructions, and writes what a profiler could have sampled at some of them:
# registers, stack, and the true chain of return addresses. That is kept by what the instructions do (a call
# adds one, a return takes one off), so no unwinder has a part in it.
#
#     gdb-multiarch -batch -ex "python PORT, STRIDE, OUT = 1234, 7, 'O2.stops'" -x step.py PROGRAM
#
# stop; x19 to x30, sp, pc; the stack's words that are not 0, as index:value; the chain, leaf first
import gdb

REGISTERS = ["x%d" % n for n in range(19, 31)] + ["sp", "pc"]

gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("target remote :%d" % PORT, to_string=True)
inferior = gdb.selected_inferior()


def register(name):
    return int(gdb.parse_and_eval("(unsigned long)$" + name)) & (1 << 64) - 1


def words(start, end):
    memory = inferior.read_memory(start, end - start).tobytes()
    return [int.from_bytes(memory[at : at + 8], "little") for at in range(0, len(memory), 8)]


top = register("sp")
chain, stops = [], 0
with open(OUT, "w") as out:
    while True:
        pc = register("pc")
        if stops % STRIDE == 0:
            stack = words(register("sp"), top)
            kept = ["%d:%x" % (n, word) for n, word in enumerate(stack) if word]
            out.write("stop %d\n" % len(stack))
            out.write(" ".join("%x" % register(name) for name in REGISTERS) + "\n")
            out.write(" ".join(kept) + "\n")
            out.write(" ".join("%x" % address for address in [pc] + chain[::-1]) + "\n")
        stops += 1
        instruction = int.from_bytes(inferior.read_memory(pc, 4).tobytes(), "little")
        if instruction >> 26 == 0b100101 or instruction & 0xFFFFFC1F == 0xD63F0000:  # bl, blr
            chain.append(pc + 4)
        elif instruction in (0xD65F03C0, 0xD65F0BFF, 0xD65F0FFF):  # ret, retaa, retab
            chain.pop()
        elif instruction & 0xFFE0001F == 0xD4000001:  # svc: the program ends
            break
        gdb.execute("stepi", to_string=True)
gdb.execute("kill", to_string=True)
