#!/usr/bin/env bash
# Replays every fuzz corpus, then lets each target discover for a while.
#
#     scripts/fuzz.sh [--seconds 20] [--seed 1] [TARGET...]
#
# A target is a file in fuzz/fuzz_targets, its corpus a folder of its name in fuzz/corpus.
# Discoveries go to a folder of the seed below the target directory, so that a run never changes the
# repository; a crash is left in fuzz/artifacts/<target>/ and belongs into the corpus once it is
# mended. Words that a target should know are in fuzz/dictionaries/<target>.dict.
#
# Seed 1 begins anew each time, so that the test of a change does not depend on what ran before it;
# any other seed goes on from what it has found: give a new one to look for something new.

set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd -- "$root"

seconds=20
seed=1
targets=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --seconds) seconds=${2:?--seconds needs a number}; shift ;;
        --seed) seed=${2:?--seed needs a number}; shift ;;
        -*) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
        *) targets+=("$1") ;;
    esac
    shift
done
if [[ ${#targets[@]} -eq 0 ]]; then
    for file in fuzz/fuzz_targets/*.rs; do
        [[ -f $file ]] && targets+=("$(basename -- "$file" .rs)")
    done
fi
if [[ ${#targets[@]} -eq 0 ]]; then
    echo "fuzz/fuzz_targets holds no targets yet"
    exit 0
fi

# The flags of fuzz/.cargo/config.toml hold for a cargo that is started below it.
triple=x86_64-unknown-linux-gnu
(cd fuzz && cargo build --locked --release --target "$triple" --bins)

run() {
    local target=$1 binary corpus found artifacts words count inputs=() options
    binary=$CARGO_TARGET_DIR/$triple/release/$target
    corpus=fuzz/corpus/$target
    found=$CARGO_TARGET_DIR/fuzz-found/$target-$seed
    [[ $seed != 1 ]] || rm -rf -- "$found"
    artifacts=fuzz/artifacts/$target
    mkdir -p "$found" "$artifacts"
    [[ -d $corpus ]] && inputs=("$corpus")
    options=(-artifact_prefix="$artifacts/" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)
    words=fuzz/dictionaries/$target.dict
    [[ -f $words ]] && options+=(-dict="$words")
    count=$(find ${inputs[@]:-/dev/null} -type f | wc -l)
    printf '\n-- %s: replay of %s inputs\n' "$target" "$count"
    "$binary" "${options[@]}" -runs=0 ${inputs[@]+"${inputs[@]}"} || return 1
    printf '\n-- %s: %s s of discovery\n' "$target" "$seconds"
    # In place of this subshell: who ends that ends the target.
    exec "$binary" "${options[@]}" -seed="$seed" -max_total_time="$seconds" \
        "$found" ${inputs[@]+"${inputs[@]}"}
}

# As many at a time as there are processors, each with a log of its own.
logs=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf -- "$logs"' EXIT
trap 'exit 130' INT TERM
together=$(nproc)
failed=0
for ((first = 0; first < ${#targets[@]}; first += together)); do
    some=("${targets[@]:first:together}")
    pids=()
    for target in "${some[@]}"; do
        run "$target" >"$logs/$target" 2>&1 &
        pids+=($!)
    done
    for at in "${!some[@]}"; do
        wait "${pids[at]}" || failed=1
        cat -- "$logs/${some[at]}"
    done
    pids=()
    [[ $failed == 0 ]] || exit 1
done
