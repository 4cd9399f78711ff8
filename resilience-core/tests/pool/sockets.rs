//! Real sockets: a server on the loopback that hangs up now and then.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool::managed::{Manager, Metrics, RecycleResult};
use resilience_core::pool::{ResilientManager, ResilientPool, Retired};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SIZE: u32 = 8;
const TASKS: usize = 100;
const CALLS: usize = 10;
/// The server hangs up on every so manieth request, in the middle of it.
const RUDE: usize = 50;

#[derive(Debug)]
struct Connect(SocketAddr);

impl Manager for Connect {
    type Type = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }

    /// Returns `true` if the other side is connected: an idle connection has nothing to read.
    async fn recycle(&self, stream: &mut TcpStream, _: &Metrics) -> RecycleResult<io::Error> {
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    accepted: AtomicUsize,
    requests: AtomicUsize,
    hung_up: AtomicUsize,
}

async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(answer(stream, seen.clone()));
    }
}

async fn answer(mut stream: TcpStream, seen: Arc<Seen>) -> io::Result<()> {
    let mut request = [0];
    while stream.read_exact(&mut request).await.is_ok() {
        if (seen.requests.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(RUDE) {
            seen.hung_up.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        stream.write_all(&request).await?;
    }
    Ok(())
}

async fn echo(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
    let mut answer = [0];
    stream.write_all(&[byte]).await?;
    stream.read_exact(&mut answer).await?;
    Ok(answer[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_sees_no_more_connections_than_the_pool_has_and_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    tokio::spawn(serve(listener, seen.clone()));

    let manager = ResilientManager::builder(Connect(address)).build();
    let pool = ResilientPool::builder(manager).max_size(SIZE).build().unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut failed = 0;
                for call in 0..CALLS {
                    let byte = u8::try_from((task * CALLS + call) % 251).unwrap();
                    loop {
                        let mut stream = pool.get().await.unwrap();
                        match echo(&mut stream, byte).await {
                            // An answer to somebody else's request would be another byte.
                            Ok(answer) => break assert_eq!(answer, byte),
                            Err(_) => {
                                stream.broken();
                                failed += 1;
                            }
                        }
                    }
                }
                failed
            })
        })
        .collect();
    let mut failed = 0;
    for task in tasks {
        failed += task.await.unwrap();
    }
    let (accepted, hung_up) =
        (seen.accepted.load(Ordering::SeqCst), seen.hung_up.load(Ordering::SeqCst));
    let now = pool.snapshot();
    assert_eq!(seen.requests.load(Ordering::SeqCst), TASKS * CALLS + hung_up);
    assert!(hung_up >= TASKS * CALLS / RUDE);
    assert_eq!(failed, hung_up, "each hang-up was one call's failure, and nobody else's");
    assert_eq!(now.retired(Retired::Broken), hung_up as u64);
    assert!(accepted <= SIZE as usize + hung_up, "{accepted} connections, {hung_up} lost");
    assert_eq!((now.in_use, now.queued, now.size), (0, 0, now.idle));
    assert!(now.size <= SIZE as usize);
}

/// A server that was restarted: all that is idle is dead, and no call notices.
#[tokio::test]
async fn after_a_restart_no_dead_connection_is_handed_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let manager = ResilientManager::builder(Connect(address)).build();
    let pool = ResilientPool::builder(manager).max_size(4).max_validations(2).build().unwrap();
    let mut accepted = Vec::new();
    {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(pool.get().await.unwrap());
            accepted.push(listener.accept().await.unwrap().0);
        }
    }
    for mut stream in accepted {
        stream.shutdown().await.unwrap();
    }
    // The end of the stream has arrived once a look at it says so.
    let mut stream = pool.get().await.unwrap();
    while stream.peek(&mut [0]).await.is_ok_and(|read| read == 0) {
        stream.broken();
        stream = pool.get().await.unwrap();
        if pool.snapshot().created > 4 {
            break;
        }
    }
    let (mut server, _) = listener.accept().await.unwrap();
    stream.write_all(&[7]).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), 7);
}
