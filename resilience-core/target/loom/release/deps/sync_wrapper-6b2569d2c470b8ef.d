/work/main/resilience-core/target/loom/release/deps/sync_wrapper-6b2569d2c470b8ef.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sync_wrapper-1.0.2/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libsync_wrapper-6b2569d2c470b8ef.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sync_wrapper-1.0.2/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libsync_wrapper-6b2569d2c470b8ef.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sync_wrapper-1.0.2/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sync_wrapper-1.0.2/src/lib.rs:
