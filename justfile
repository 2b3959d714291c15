# Shortcuts for daily work. Everything here is one line of cargo or one script; nothing needs `just`.

# The list.
default:
    @just --list

# Sets up what is missing, builds and starts a single node.
start *args:
    scripts/start.sh {{args}}

# Sets up what is missing and runs everything that CI runs.
test *stages:
    scripts/test.sh {{stages}}

# The edit-test loop of the core: no C++, no async runtime.
core filter="":
    cargo test -p shardforge-core {{filter}}

# Replays one seed of the simulator with a trace.
seed number filter="":
    SIM_SEED={{number}} SIM_TRACE=target/traces cargo test -p sim-tests {{filter}}

# Many seeds of the world.
swarm seeds="2000" base="1":
    SIM_SEEDS={{seeds}} SIM_BASE={{base}} SIM_JOBS=2 cargo test --profile sim -p sim-tests --test world

# Every planted bug must be found by an oracle.
planted:
    cargo run --profile sim -p sim-tests --bin planted -- --all

# The server, against the RocksDB archive of this machine.
server:
    eval "$(scripts/rocksdb-archive.sh)" && cargo build --release -p shardforge-io-real

# Accept what the golden tests say now. Then read the diff: a golden file is a promise.
golden:
    UPDATE=1 cargo test -p shardforge-core --test golden

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --exclude shardforge-io-real --all-targets -- -D warnings
