#!/bin/sh
# Signals, callbacks and frames of every shape, in C at -O2: gcc.
set -e
built=$(dirname "$0")/../../target/load
mkdir -p "$built"
gcc -O2 -w -o "$built/handlers" "$(dirname "$0")/handlers.c" -lm
exec "$built/handlers" "$1"
