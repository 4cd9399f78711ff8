/work/main/resilience-core/target/loom/release/deps/target_tuple-c54398dcc6f61e79.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/target-tuple-1.0.2/src/lib.rs /work/main/resilience-core/target/loom/release/build/target-tuple-73a7eb7e5f9e651d/out/macros.rs

/work/main/resilience-core/target/loom/release/deps/libtarget_tuple-c54398dcc6f61e79.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/target-tuple-1.0.2/src/lib.rs /work/main/resilience-core/target/loom/release/build/target-tuple-73a7eb7e5f9e651d/out/macros.rs

/work/main/resilience-core/target/loom/release/deps/libtarget_tuple-c54398dcc6f61e79.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/target-tuple-1.0.2/src/lib.rs /work/main/resilience-core/target/loom/release/build/target-tuple-73a7eb7e5f9e651d/out/macros.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/target-tuple-1.0.2/src/lib.rs:
/work/main/resilience-core/target/loom/release/build/target-tuple-73a7eb7e5f9e651d/out/macros.rs:

# env-dep:OUT_DIR=/work/main/resilience-core/target/loom/release/build/target-tuple-73a7eb7e5f9e651d/out
