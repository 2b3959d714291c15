#!/usr/bin/env bash
# Everything that must hold before a change is on main: sets up what is missing and runs all tests.
#
#     scripts/test.sh [--yes] [--keep-going] [STAGE...]       (--list names the stages)
#
# Stops at the first stage that fails, and ends with a table of stages and seconds. A tool that a
# test needs is installed by the set-up; nothing is skipped because it is missing.
#
# Two profiles: `release` for the server and its tests, which is what start.sh builds, and `dev` for all
# else. A third would compile several hundred crates once more.

set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd -- "$root"

# `docs` exists too, and is to join these once it has been seen to pass.
stages=(setup fmt archive clippy house tests server symbols e2e fuzz)
known=("${stages[@]}" docs)
not_server=(--workspace --exclude shardforge-io-real)
server=(--release -p shardforge-io-real)
server_binary=$CARGO_TARGET_DIR/release/shardforge
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

usage() { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

about() {
    case $1 in
        setup) echo "the system packages that the tests need" ;;
        fmt) echo "cargo fmt --check" ;;
        clippy) echo "clippy of every crate, warnings denied" ;;
        house) echo "house rules and purity of the core" ;;
        tests) echo "all tests but the server's: the core, the simulator, the other crates" ;;
        archive) echo "RocksDB, once per machine" ;;
        server) echo "build of the server" ;;
        symbols) echo "no simulated clock and no planted bug in the server" ;;
        e2e) echo "the server's tests: real processes, psql, pgbench" ;;
        fuzz) echo "fuzz corpora, then 20 s of discovery a target" ;;
        docs) echo "cargo doc, warnings denied" ;;
    esac
}

stage_setup() { "$here/setup.sh" --for test "${setup[@]}"; }

stage_fmt() {
    cargo fmt --all --check
    [[ ! -f fuzz/Cargo.toml ]] || cargo fmt --manifest-path fuzz/Cargo.toml --all --check
}

# In the server's profile: what build scripts compile for it, an allocator for one, is compiled once.
stage_clippy() { cargo clippy --locked --release --workspace --all-targets -- -D warnings; }

# One selection of packages for all of these: another one, such as `-p shardforge-core`, asks for other
# features of common crates, and cargo compiles them, and the core, once more.
stage_house() { cargo test --locked "${not_server[@]}" --test house --test purity; }

stage_tests() { cargo test --locked "${not_server[@]}"; }

stage_archive() { "$here/rocksdb-archive.sh" >/dev/null; }

stage_server() { cargo build --locked "${server[@]}" --bin shardforge; }

# madsim and the shim for turmoil define these symbols, and the planted bugs carry a marker: none of
# them may ever be linked into a server.
stage_symbols() {
    local defined symbol failed=0
    defined=$(nm --defined-only --format=posix "$server_binary")
    # The check itself must see symbols at all.
    grep -q '^main T' <<<"$defined" || { echo "nm shows no main in $server_binary" >&2; failed=1; }
    for symbol in clock_gettime getrandom; do
        if grep -q "^$symbol [^U]" <<<"$defined"; then
            echo "the server defines $symbol: a simulator was linked into it" >&2
            failed=1
        fi
    done
    if grep -qa 'shardforge-planted-bug' "$server_binary"; then
        echo "the server holds planted bugs: the feature planted is on" >&2
        failed=1
    fi
    return "$failed"
}

stage_e2e() {
    cargo test --locked "${server[@]}"
    local script any=no
    for script in scripts/e2e/*.sh; do
        [[ -f $script ]] || continue
        any=yes
        printf '\n-- %s\n' "$script"
        SHARDFORGE_BIN=$server_binary bash "$script"
    done
    [[ $any == yes ]] || echo "scripts/e2e holds no scripts yet"
}

stage_fuzz() { "$here/fuzz.sh"; }

stage_docs() {
    local flags="-D warnings --cfg madsim --cfg tokio_unstable"
    RUSTDOCFLAGS=$flags cargo doc --locked --no-deps "${not_server[@]}"
    RUSTDOCFLAGS=$flags cargo doc --locked --no-deps "${server[@]}" --lib
}

setup=()
keep_going=no
chosen=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --yes | -y) setup+=(--yes) ;;
        --keep-going) keep_going=yes ;;
        --list)
            for stage in "${known[@]}"; do printf '%-14s %s\n' "$stage" "$(about "$stage")"; done
            exit 0
            ;;
        --help | -h) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *)
            [[ " ${known[*]} " == *" $1 "* ]] || { echo "no stage $1: see --list" >&2; exit 2; }
            chosen+=("$1")
            ;;
    esac
    shift
done
[[ ${#chosen[@]} -gt 0 ]] && stages=("${chosen[@]}")

results=()
failed=0
began=$SECONDS
table() {
    printf '\n%-14s %7s  %s\n' stage seconds result
    local row
    for row in "${results[@]}"; do printf '%-14s %7s  %s\n' $row; done
    printf '%-14s %7s  %s\n' total $((SECONDS - began)) "$(verdict "$failed")"
}
verdict() { [[ $1 == 0 ]] && echo ok || echo FAILED; }

for stage in "${stages[@]}"; do
    printf '\n== %s: %s\n' "$stage" "$(about "$stage")"
    stage_began=$SECONDS
    case $stage in clippy | server | e2e | docs) use_rocksdb_archive ;; esac
    set +e
    (set -e; "stage_$stage")
    code=$?
    set -e
    results+=("$stage $((SECONDS - stage_began)) $(verdict "$code")")
    if [[ $code -ne 0 ]]; then
        failed=1
        [[ $keep_going == yes ]] || break
    fi
done
table
exit "$failed"
