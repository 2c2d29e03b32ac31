#!/bin/sh
# A server under load: nginx wrk.
set -e
dir=$(mktemp -d)
trap 'kill "$server"; wait "$server" || true; rm -rf "$dir"' EXIT
chmod 755 "$dir"
seq 4000 >"$dir/numbers.txt"
cat >"$dir/conf" <<END
daemon off;
worker_processes 1;
pid $dir/pid;
error_log $dir/errors;
events {}
http {
    access_log $dir/requests;
    server {
        listen 127.0.0.1:18099;
        root $dir;
        gzip on;
        gzip_types *;
        location ~ ^/(\d+)/(.*)\$ { rewrite ^ /\$2 break; }
    }
}
END
/usr/sbin/nginx -p "$dir" -c "$dir/conf" -e "$dir/errors" &
server=$!
sleep 0.5
wrk -t 1 -c 8 -d "$1" -H 'Accept-Encoding: gzip' http://127.0.0.1:18099/1/numbers.txt >/dev/null
