#!/bin/sh
# Rust's compiler, which keeps deep stacks: rustc.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
source=$(dirname "$0")/../native/tokens.rs
timeout "$1" sh -c 'while rustc -O --emit obj -o "$0/tokens.o" "$1"; do :; done' "$dir" "$source" || test $? -eq 124
