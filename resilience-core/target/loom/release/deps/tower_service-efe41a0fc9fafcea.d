/work/main/resilience-core/target/loom/release/deps/tower_service-efe41a0fc9fafcea.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tower-service-0.3.3/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libtower_service-efe41a0fc9fafcea.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tower-service-0.3.3/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libtower_service-efe41a0fc9fafcea.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tower-service-0.3.3/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tower-service-0.3.3/src/lib.rs:
