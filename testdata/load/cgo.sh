#!/bin/sh
# Go, and C code under it: golang-go gcc.
set -e
built=$(dirname "$0")/../../target/load
mkdir -p "$built"
GO111MODULE=off go build -o "$built/digest" "$(dirname "$0")/../cgo/digest.go"
exec "$built/digest" "$1"
