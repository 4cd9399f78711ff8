/work/main/resilience-core/target/loom/release/deps/rand_xorshift-d872ddea2d5512e5.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/rand_xorshift-0.5.0/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/librand_xorshift-d872ddea2d5512e5.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/rand_xorshift-0.5.0/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/librand_xorshift-d872ddea2d5512e5.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/rand_xorshift-0.5.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/rand_xorshift-0.5.0/src/lib.rs:
