# Sourced by start.sh and test.sh: where things are built, and with what.
#
# * RUSTFLAGS would replace the flags of .cargo/config.toml, and every artifact with them: unset.
# * In CI a target directory outside the clone survives it, and the next clone builds in seconds.

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname -- "$here")
cache=${SHARDFORGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shardforge}

if [[ -n ${RUSTFLAGS+set} ]]; then
    echo "${0##*/}: ignoring RUSTFLAGS, which would replace the flags of .cargo/config.toml" >&2
    unset RUSTFLAGS
fi
unset CARGO_ENCODED_RUSTFLAGS

if [[ -n ${CI:-} && ${CI:-} != false && -z ${CARGO_TARGET_DIR:-} ]]; then
    CARGO_TARGET_DIR=$cache/target
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}

# Makes cargo link this machine's RocksDB archive; builds it first if it is not there yet. Without
# it cargo compiles RocksDB itself, in each profile: slower, not different.
use_rocksdb_archive() {
    [[ -z ${ROCKSDB_LIB_DIR:-} ]] || return 0
    local exports
    if exports=$("$here/rocksdb-archive.sh"); then
        eval "$exports"
    else
        printf '%s: going on without the RocksDB archive\n' "${0##*/}" >&2
    fi
}
