#!/usr/bin/env bash
# Three nodes beside a PostgreSQL with two synchronous standbys, of which one must have flushed before
# a commit is acknowledged (ANY 1: the same promise as a majority of three). Everything on this machine.
#
#   benches/macro/standbys.sh SHARDFORGE COMPARE [options of compare]
#
# Needs PostgreSQL's server programs, and a user `postgres` if run as root. What it starts it ends.

set -euo pipefail
server=$1 compare=$2
shift 2

dir=$(mktemp -d)
pg_bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
pids=()
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi; }
stop() {
    kill -TERM "${pids[@]}" 2>/dev/null || true
    for standby in pg1 pg2 pg0; do as_postgres "$pg_bin/pg_ctl" -D "$dir/$standby" -m fast -w stop > /dev/null 2>&1 || true; done
    wait
    rm -rf "$dir"
}
trap stop EXIT
[ "$(id -u)" != 0 ] || chown postgres "$dir"

start_postgres() { # directory, port
    as_postgres "$pg_bin/pg_ctl" -D "$dir/$1" -l "$dir/$1.log" -w -t 30 start > /dev/null \
        -o "-p $2 -k $dir -c listen_addresses=127.0.0.1 -c shared_buffers=512MB -c max_connections=200"
}
cd "$dir"
as_postgres "$pg_bin/initdb" -D "$dir/pg0" -U postgres -A trust > /dev/null
start_postgres pg0 27501
for n in 1 2; do
    as_postgres "$pg_bin/pg_basebackup" -h 127.0.0.1 -p 27501 -U postgres -D "$dir/pg$n" -R -c fast
    sed -i "s/primary_conninfo = '/&application_name=s$n /" "$dir/pg$n/postgresql.auto.conf"
    start_postgres "pg$n" $((27501 + n))
done
psql -q -h 127.0.0.1 -p 27501 -U postgres -c "alter system set synchronous_standby_names = 'ANY 1 (s1, s2)'" \
    -c "select pg_reload_conf()" -c "create database bench" > /dev/null
flushing="select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'"
for _ in $(seq 50); do
    standbys=$(psql -At -h 127.0.0.1 -p 27501 -U postgres -c "$flushing")
    [ "$standbys" = 2 ] && break
    sleep 0.2
done
[ "$standbys" = 2 ] || { echo "$standbys synchronous standbys, not 2" >&2; exit 1; }

join=127.0.0.1:27521,127.0.0.1:27522,127.0.0.1:27523
for n in 1 2 3; do
    "$server" start --node-id $n --data "$dir/sf$n" --sql-addr 127.0.0.1:2751$n --peer-addr 127.0.0.1:2752$n \
        --http-addr off --join $join --insecure > "$dir/sf$n.out" 2> "$dir/sf$n.err" &
    pids+=($!)
done
"$server" init --peer-addr 127.0.0.1:27521 --timeout 30s

# PostgreSQL's clients talk to the primary; ours to the node that leads, and for comparison to another.
leads=
for _ in $(seq 50); do
    status=$("$server" status --peer-addr 127.0.0.1:27521 --format json || true)
    leads=$(tr -d ' \n' <<< "$status" | sed -n 's/.*"epoch":[0-9]*,"id":1,"leader":\([1-3]\).*/\1/p')
    [ -z "$leads" ] || break
    sleep 0.2
done
[ -n "$leads" ] || { echo "nobody leads the data shard: $status" >&2; exit 1; }
other=$((leads % 3 + 1)) third=$(((leads + 1) % 3 + 1))
"$compare" --target pg=127.0.0.1:27501,db=bench,also=27502,also=27503 \
    --target "leader=127.0.0.1:2751$leads,also=2751$other,also=2751$third" \
    --target "other=127.0.0.1:2751$other,also=2751$leads,also=2751$third" "$@"
