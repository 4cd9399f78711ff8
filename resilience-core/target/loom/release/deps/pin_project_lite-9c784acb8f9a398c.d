/work/main/resilience-core/target/loom/release/deps/pin_project_lite-9c784acb8f9a398c.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libpin_project_lite-9c784acb8f9a398c.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs

/work/main/resilience-core/target/loom/release/deps/libpin_project_lite-9c784acb8f9a398c.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs:
