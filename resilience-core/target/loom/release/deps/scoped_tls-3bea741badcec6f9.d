/work/main/resilience-core/target/loom/release/deps/scoped_tls-3bea741badcec6f9.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scoped-tls-1.0.1/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libscoped_tls-3bea741badcec6f9.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scoped-tls-1.0.1/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libscoped_tls-3bea741badcec6f9.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scoped-tls-1.0.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/scoped-tls-1.0.1/src/lib.rs:
