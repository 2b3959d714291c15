#!/usr/bin/env bash
# Builds RocksDB once per machine, so that no cargo build has to.
#
# The crate librocksdb-sys compiles 343 C++ files in every profile and every target directory: about
# 25 CPU minutes each time. This script compiles the same sources, unedited, with the same defines,
# as a few unity units (the headers are the cost) into a static archive in the user's cache, and
# prints the shell exports that make the crate link it:
#
#     eval "$(scripts/rocksdb-archive.sh)" && cargo build --release -p shardforge-io-real
#
# A plain `cargo build` without the exports works as well and compiles the C++ itself. LZ4 is not
# part of the archive: the crate lz4-sys builds its four C files whatever we export.
#
# Invariants
#   * An archive that exists is complete: it is built beside its place and renamed.
#   * Its name holds the crate's version and a hash of compiler, sources' versions and flags:
#     another compiler, another version or another recipe is another archive.
#   * Two runs at once build it once (flock).
#
# Environment: SHARDFORGE_CACHE (where), SHARDFORGE_JOBS (how many compilers; all cores), CXX.

set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname -- "$here")
units=10
jobs=${SHARDFORGE_JOBS:-$(nproc)}
cxx=${CXX:-g++}
cache=${SHARDFORGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shardforge}

say() { printf 'rocksdb-archive: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v "$cxx" >/dev/null || die "no C++ compiler '$cxx' (scripts/setup.sh installs one)"

# Where cargo keeps the sources; fetches them if they are not there yet.
wanted='"manifest_path":"[^"]*/(librocksdb-sys|lz4-sys)-[^"/]*/Cargo\.toml"'
crates=$(cargo metadata --locked --format-version 1 --manifest-path "$root/Cargo.toml" |
    grep -oE "$wanted" | cut -d'"' -f4 | sort -u) ||
    die "cargo metadata failed, or does not name librocksdb-sys"
crate_dir() { grep -E "/$1-[^/]*/Cargo\.toml$" <<<"$crates" | sed 's|/Cargo\.toml$||' | tail -n 1; }
rocks=$(crate_dir librocksdb-sys)
lz4=$(crate_dir lz4-sys)
[[ -f "$rocks/rocksdb_lib_sources.txt" ]] || die "no rocksdb_lib_sources.txt in '$rocks'"
[[ -f "$lz4/liblz4/lib/lz4.h" ]] || die "no lz4.h in '$lz4'"

# As the crate's build.rs has them for Linux with the feature lz4 and no other.
flags=(-std=c++20 -O2 -fPIC -ffunction-sections -fdata-sections -w -include cstdint
    -DLZ4=1 -DNDEBUG=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX
    -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT
    -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT
    -I"$rocks/rocksdb/include" -I"$rocks/rocksdb" -I"$rocks" -I"$lz4/liblz4/lib"
    -I"$rocks/rocksdb/third-party/gtest-1.8.1/fused-src")

version=${rocks##*/librocksdb-sys-}
recipe() {
    "$cxx" --version
    "$cxx" -dumpmachine
    printf '%s\n' "${rocks##*/}" "${lz4##*/}" "$units units" "${flags[@]##*/}"
}
hash=$(recipe | sha256sum | cut -c1-12)
dir=$cache/rocksdb-${version//+/-}-$hash

exports() {
    printf 'export ROCKSDB_LIB_DIR=%q\n' "$dir"
    printf 'export ROCKSDB_STATIC=1\n'
}

mkdir -p "$cache"
exec 9>"$dir.lock"
flock -n 9 || { say "another run is building it: waiting"; flock 9; }
if [[ -f "$dir/librocksdb.a" ]]; then
    exports
    exit 0
fi

work=$dir.building
rm -rf -- "$work"
mkdir -- "$work"
trap 'rm -rf -- "$work"' EXIT

# Neighbours share headers: cut the list, in its own order, into units of about equal bytes. The
# crate brings build_version.cc ready-made, beside the sources.
tr -d '\r' <"$rocks/rocksdb_lib_sources.txt" | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' |
    grep -vxE 'util/build_version\.cc|' >"$work/sources"
sed "s|^|$rocks/rocksdb/|" "$work/sources" | tr '\n' '\0' | xargs -0 stat -c '%s %n' |
    awk -v units="$units" -v work="$work" '
        { size[NR] = $1; name[NR] = substr($0, index($0, " ") + 1); total += $1 }
        END {
            for (i = 1; i <= NR; i++) {
                unit = int(done * units / total); done += size[i]
                printf "#include \"%s\"\n", name[i] > (work "/unit-" unit ".cc")
            }
        }'
printf '#include "%s"\n' "$rocks/build_version.cc" >"$work/unit-$units.cc"

say "compiling $(wc -l <"$work/sources") files in $units units, $jobs at once: minutes, but only now"
began=$SECONDS
# shellcheck disable=SC2016 # the inner shell expands these
compile_one='unit=$1; shift; "$@" -c "$unit" -o "${unit%.cc}.o" && echo "  ${unit##*/} done"'
find "$work" -name 'unit-*.cc' -print0 | sort -z |
    xargs -0 -P "$jobs" -I{} sh -c "$compile_one" sh {} "$cxx" "${flags[@]}" >&2 ||
    die "compiling failed; a plain cargo build still works, and takes about 15 minutes more"
ar crsD "$work/librocksdb.a" "$work"/unit-*.o
rm -f -- "$work"/unit-*.o "$work"/unit-*.cc
mv -T -- "$work" "$dir"
trap - EXIT
say "done in $((SECONDS - began)) s: $dir"
exports
