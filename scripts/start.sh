#!/usr/bin/env bash
# From a fresh clone to a node that psql talks to: sets up what is missing, builds the server, and
# starts a single node.
#
#     scripts/start.sh [--yes] [flags of `shardforge start --single-node`]
#
# For instance: scripts/start.sh --data /var/tmp/sf --sql-addr 127.0.0.1:5433
# The node runs in the foreground; Ctrl-C or SIGTERM drains and stops it.

set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"

setup=(--for server)
flags=()
data=./shardforge-data
password=yes
while [[ $# -gt 0 ]]; do
    case $1 in
        --yes | -y) setup+=(--yes) ;;
        --help | -h) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        --data) data=${2:?--data needs a directory}; flags+=("$1" "$2"); shift ;;
        --data=*) data=${1#--data=}; flags+=("$1") ;;
        --insecure) password=no; flags+=("$1") ;;
        *) flags+=("$1") ;;
    esac
    shift
done

"$here/setup.sh" "${setup[@]}"
use_rocksdb_archive
printf 'start.sh: building the server (a first build takes minutes)\n' >&2
cargo build --release --locked --manifest-path "$root/Cargo.toml" \
    -p shardforge-io-real --bin shardforge

# Passes the server's lines on, and after the one that says it is ready tells how to talk to it.
show() {
    trap '' INT TERM
    local line sql secret
    while IFS= read -r line; do
        printf '%s\n' "$line"
        [[ $line =~ ^shardforge\ ready\ .*sql=([^ ]+) ]] || continue
        sql=${BASH_REMATCH[1]}
        secret=
        if [[ $password == yes ]]; then
            for file in "$data"/cluster/security/*password*; do
                [[ -f $file ]] && secret="PGPASSWORD=\$(cat $(printf '%q' "$file")) "
            done
        fi
        printf '\n    in another terminal:  %spsql -h %s -p %s -U postgres\n\n' \
            "$secret" "${sql%:*}" "${sql##*:}"
    done
}

# exec: the server gets our process id and with it every signal that is sent to this script.
exec "$CARGO_TARGET_DIR/release/shardforge" start --single-node ${flags[@]+"${flags[@]}"} > >(show)
