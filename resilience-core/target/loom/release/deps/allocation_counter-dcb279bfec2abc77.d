/work/main/resilience-core/target/loom/release/deps/allocation_counter-dcb279bfec2abc77.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/allocator.rs

/work/main/resilience-core/target/loom/release/deps/liballocation_counter-dcb279bfec2abc77.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/allocator.rs

/work/main/resilience-core/target/loom/release/deps/liballocation_counter-dcb279bfec2abc77.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/allocator.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/allocation-counter-0.8.1/src/allocator.rs:
