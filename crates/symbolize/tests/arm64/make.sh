#!/bin/sh
# Makes the programs and goldens here again. Needs Debian's gcc-aarch64-linux-gnu, qemu-user and gdb-multiarch.
#
#     ./make.sh [STRIDE [DIRECTORY]]     every STRIDEth instruction is kept (default 5), in DIRECTORY (default: here)
set -e
here=$(dirname "$0")
stride=${1:-5}
into=${2:-$here}
make() {
    name=$1
    shift
    aarch64-linux-gnu-gcc -nostdlib -static -w -Wl,--build-id=none -Wl,-z,max-page-size=4096 "$@" \
        -o "$into/$name" "$here/shapes.c"
    aarch64-linux-gnu-strip "$into/$name"
    qemu-aarch64 -cpu max -g 18234 "$into/$name" 2>/dev/null &
    sleep 0.3
    gdb-multiarch -batch -ex "python PORT, STRIDE, OUT = 18234, $stride, '$into/$name.stops'" \
        -x "$here/step.py" "$into/$name" >/dev/null 2>&1
    wait || true # the last step ends it
}
make O2 -O2
make frameless -O2 -fomit-frame-pointer
make Os -Os -fno-omit-frame-pointer
make O0 -O0
make signed -O2 -mbranch-protection=standard
make clash -O2 -fstack-clash-protection -fomit-frame-pointer
