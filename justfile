# What CI runs, by the piece. `just` alone lists it.

_:
    @just --list

# Format, lint, test: before each commit.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo test --workspace

# The before/after table of the reference pipeline.
demo *ARGS:
    cargo run --release -p reference-pipeline -- demo {{ARGS}}

# Model-check the lock-free parts.
loom:
    RUSTFLAGS="--cfg resilience_loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=target/loom \
        cargo test -p resilience-core --lib --release loom_

# The public API of each crate beside its committed public-api.txt.
api:
    cargo run --quiet --manifest-path .ci/surface/Cargo.toml

# Rewrite public-api.txt: the diff is what a reviewer reads.
api-bless:
    cargo run --quiet --manifest-path .ci/surface/Cargo.toml -- bless

# Fuzz one target for a while (nightly): a name in fuzz/fuzz_targets.
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{TARGET}} -- -max_total_time={{SECONDS}}

# The contention experiment, or any other of the benches' commands.
bench *ARGS:
    cargo run --release -p resilience-benches -- {{ARGS}}

# The book, served while it is edited.
book:
    mdbook serve docs

# Everything that CI does.
ci:
    .ci/run
