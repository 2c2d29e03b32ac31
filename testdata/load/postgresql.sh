#!/bin/sh
# A database under load: postgresql.
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
dir=$(mktemp -d)
chown postgres "$dir"
as() { (cd / && runuser -u postgres -- "$@" >"$dir/said" 2>&1) || { cat "$dir/said"; exit 1; }; }
as "$bin/initdb" -D "$dir/data" --no-sync
as "$bin/pg_ctl" -D "$dir/data" -w -o "-k $dir -c listen_addresses= -c fsync=off" start
trap 'as "$bin/pg_ctl" -D "$dir/data" -w -m fast stop; rm -rf "$dir"' EXIT
as "$bin/pgbench" -h "$dir" -i -q -s 3 postgres
as "$bin/pgbench" -h "$dir" -c 4 -T "$1" postgres
