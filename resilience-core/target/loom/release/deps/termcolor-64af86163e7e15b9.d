/work/main/resilience-core/target/loom/release/deps/termcolor-64af86163e7e15b9.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/termcolor-1.4.1/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libtermcolor-64af86163e7e15b9.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/termcolor-1.4.1/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libtermcolor-64af86163e7e15b9.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/termcolor-1.4.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/termcolor-1.4.1/src/lib.rs:
