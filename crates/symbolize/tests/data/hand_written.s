# Without .type and .size, as hand-written assembly often is.
        .text
        .globl  hand_written
hand_written:
        nop
        nop
        ret
        .p2align 5
        .globl  outermost
        .type   outermost, @function
outermost:
        .cfi_startproc
        .cfi_undefined rip
        xorl    %ebp, %ebp
        hlt
        .cfi_endproc
        .size   outermost, .-outermost
        .section .note.GNU-stack, "", @progbits
