#!/bin/sh
# A C++ program at -O2: g++.
set -e
built=$(dirname "$0")/../../target/load
mkdir -p "$built"
g++ -O2 -o "$built/letters" "$(dirname "$0")/letters.cc"
exec "$built/letters" "$1"
