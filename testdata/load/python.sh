#!/bin/sh
# Debian's interpreter: python3.
timeout "$1" /usr/bin/python3 -c '
import hashlib, json, re, zlib
def deeper(depth, data):
    if depth:
        return deeper(depth - 1, data)
    text = json.dumps(data)
    re.sub(r"(\d+), (\d+)", lambda match: match.group(2) * 2, text)
    return hashlib.sha256(zlib.compress(text.encode()))
while True:
    deeper(20, {"numbers": sorted(range(500), key=lambda n: -n)})
' || test $? -eq 124
