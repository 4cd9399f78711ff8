/work/main/resilience-core/target/loom/release/deps/cfg_if-c8ed2ba8a9ff873e.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libcfg_if-c8ed2ba8a9ff873e.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libcfg_if-c8ed2ba8a9ff873e.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs:
