#!/bin/sh -e
# Makes the files beside this one again: see README.md.
cd "$(dirname "$0")"
common="-O2 -fPIC -c -ffile-prefix-map=$PWD=/tiny"
for dwarf in 4 5; do
    gcc -gdwarf-$dwarf $common -fno-omit-frame-pointer framed.c -o framed.o
    gcc -gdwarf-$dwarf $common frameless.c -o frameless.o
    gcc $common hand_written.s -o hand_written.o
    gcc -shared -nostdlib -Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567 \
        framed.o frameless.o hand_written.o -o tiny-dwarf$dwarf.so
    rm framed.o frameless.o hand_written.o
done
objcopy --only-keep-debug tiny-dwarf5.so tiny.debug
strip -o tiny-stripped.so tiny-dwarf5.so
objcopy --add-gnu-debuglink=tiny.debug tiny-stripped.so
