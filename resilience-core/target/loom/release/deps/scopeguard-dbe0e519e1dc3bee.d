/work/main/resilience-core/target/loom/release/deps/scopeguard-dbe0e519e1dc3bee.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scopeguard-1.2.0/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libscopeguard-dbe0e519e1dc3bee.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scopeguard-1.2.0/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libscopeguard-dbe0e519e1dc3bee.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scopeguard-1.2.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scopeguard-1.2.0/src/lib.rs:
