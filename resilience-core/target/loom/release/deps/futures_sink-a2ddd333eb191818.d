/work/main/resilience-core/target/loom/release/deps/futures_sink-a2ddd333eb191818.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/futures-sink-0.3.34/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libfutures_sink-a2ddd333eb191818.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/futures-sink-0.3.34/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libfutures_sink-a2ddd333eb191818.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/futures-sink-0.3.34/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/futures-sink-0.3.34/src/lib.rs:
