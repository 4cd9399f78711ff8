/work/main/resilience-core/target/loom/release/deps/tokio_test-d225c25862b75859.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/io.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/stream_mock.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/task.rs

/work/main/resilience-core/target/loom/release/deps/libtokio_test-d225c25862b75859.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/io.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/stream_mock.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/task.rs

/work/main/resilience-core/target/loom/release/deps/libtokio_test-d225c25862b75859.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/io.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/stream_mock.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/task.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/io.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/stream_mock.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/macros.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-test-0.4.6/src/task.rs:
