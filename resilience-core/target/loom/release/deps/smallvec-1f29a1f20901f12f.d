/work/main/resilience-core/target/loom/release/deps/smallvec-1f29a1f20901f12f.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/smallvec-1.16.6/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libsmallvec-1f29a1f20901f12f.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/smallvec-1.16.6/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libsmallvec-1f29a1f20901f12f.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/smallvec-1.16.6/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/smallvec-1.16.6/src/lib.rs:
