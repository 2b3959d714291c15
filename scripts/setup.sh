#!/usr/bin/env bash
# Installs what ShardForge needs and this machine lacks. For Debian 12 and newer, with git and Rust
# from 1.95 on already there.
#
#     scripts/setup.sh [--yes] [--for sim|server|test]...
#
#     sim      cargo test -p sim-tests, and every crate but the server
#     server   building and talking to the server
#     test     everything that scripts/test.sh runs (the default)
#
# Says what is missing and why, and asks. --yes, CI=true, or a standard input that is no terminal
# mean yes. What is present is not touched, wherever it came from; if nothing is missing, nothing is
# asked and no root is needed.

set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

yes=no
[[ -n ${CI:-} && ${CI:-} != false || ! -t 0 ]] && yes=yes
groups=" "
while [[ $# -gt 0 ]]; do
    case $1 in
        --yes | -y) yes=yes ;;
        --for)
            [[ ${2:-} =~ ^(sim|server|test)$ ]] || { usage >&2; exit 2; }
            groups+="$2 "
            shift
            ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[[ $groups != " " ]] || groups=" test "
[[ $groups == *" test "* ]] && groups+="server "
[[ $groups == *" server "* ]] && groups+="sim "

# Each check answers whether the thing is there.
has() { command -v "$1" >/dev/null 2>&1; }
has_libc_headers() { printf '#include <stdlib.h>\n' | cc -E - >/dev/null 2>&1; }
has_libclang() {
    # bindgen needs the library and, to read C at all, clang's own headers.
    compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" >/dev/null &&
        compgen -G "/usr/lib/llvm-*/lib/clang/*/include/stddef.h" >/dev/null
}
has_postgres() { compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null; }
has_pgbench() { has pgbench || compgen -G "/usr/lib/postgresql/*/bin/pgbench" >/dev/null; }

# group|check|package|why
needs="
sim|has cc|gcc|links every Rust program, and compiles ring's assembly
sim|has_libc_headers|libc6-dev|the C library's headers
server|has g++|g++|compiles RocksDB, and libFuzzer for the fuzz targets
server|has ar|binutils|archives RocksDB; nm checks the server's symbols
server|has make|make|builds jemalloc, the server's allocator
server|has_libclang|libclang-dev|bindgen reads RocksDB's C header with it
server|has psql|postgresql-client|psql, to talk to a node
test|has_postgres|postgresql-15|PostgreSQL, which the benchmarks measure beside us
test|has_pgbench|postgresql-15|pgbench runs against a node in the end-to-end tests
test|has sysbench|sysbench|sysbench runs against a node in the end-to-end tests
test|has strace|strace|counts fdatasync calls of a commit
test|has ip|iproute2|network namespaces for partitions of real processes
test|has unshare|util-linux|mounts of a test's own, full and failing ones
test|has pgrep|procps|looks at the processes a test started
test|has python3|python3|drivers of the end-to-end scripts
"

missing=()
while IFS='|' read -r group check package why; do
    [[ -n $group && $groups == *" $group "* ]] || continue
    $check && continue
    [[ ${#missing[@]} -gt 0 ]] || say "missing on this machine:"
    printf '    %-20s %s\n' "$package" "$why" >&2
    [[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
done <<<"$needs"

if [[ ${#missing[@]} -gt 0 ]]; then
    has apt-get || die "no apt-get here: install these by your system's means and run this again"
    as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        has sudo || die "not root and no sudo: install the above as root and run this again"
        as_root=(sudo)
    fi
    if [[ $yes == no ]]; then
        read -r -p "setup: install ${missing[*]} with apt-get? [Y/n] " answer
        [[ ${answer:-y} =~ ^[Yy] ]] || die "nothing installed"
    fi
    install() {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "$@" >&2 ||
            die "apt-get could not install $*"
    }
    "${as_root[@]}" apt-get update -q >&2 || say "apt-get update failed: using the lists at hand"
    if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
        # A release of Debian has one PostgreSQL: the figures name the version they were taken with.
        if ! apt-cache show postgresql-15 >/dev/null 2>&1; then
            say "no postgresql-15 in this release of Debian: taking its own version"
            missing=("${missing[@]/#postgresql-15/postgresql}")
        fi
        # The package would start a server on port 5432, which is also a node's default. Nobody here
        # uses that server (tests start their own): a machine without PostgreSQL gets none running.
        if ! dpkg-query -W postgresql-common >/dev/null 2>&1; then
            install postgresql-common
            "${as_root[@]}" sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
                /etc/postgresql-common/createcluster.conf
            say "createcluster.conf now says create_main_cluster = false: port 5432 stays free"
        fi
    fi
    install "${missing[@]}"
    hash -r
fi

# Rust comes from rustup or from the distribution: not ours to choose, only that it is new enough.
has cargo || die "no cargo: install Rust from 1.95 on (https://rustup.rs)"
version=$(rustc --version | cut -d' ' -f2)
[[ $(printf '1.95.0\n%s\n' "${version%%-*}" | sort -V | head -n 1) == 1.95.0 ]] ||
    die "Rust $version is too old: 1.95 or newer is needed (rustup update stable)"
