//! Servers that end a connection at each point of a request, on HTTP/1 and HTTP/2, and the number
//! of executions of each request, counted at the server. A `POST` is executed at most once,
//! whatever the ending. A `GET` is repeated until it succeeds or its attempts are used up. An
//! ending that proves that the request was not executed permits a repetition of a `POST` as well.

#![cfg(all(feature = "client", feature = "reqwest"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod clients;
mod http1;
mod http2;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use tokio::net::{TcpListener, TcpStream};

use clients::{Clients, Protocol};

const ATTEMPTS: usize = 3;
/// Long enough for a machine that is busy with other work.
const LONG: Duration = Duration::from_secs(30);

/// The counters of a server.
#[derive(Clone, Default)]
struct Seen(Arc<Counts>);

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    executed: AtomicUsize,
}

impl Seen {
    fn execute(&self) {
        self.0.executed.fetch_add(1, Ordering::SeqCst);
    }

    fn executed(&self) -> usize {
        self.0.executed.load(Ordering::SeqCst)
    }

    fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }
}

/// The manner in which a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Closes,
    Resets,
}

impl Manner {
    fn end(self, stream: TcpStream) -> io::Result<()> {
        if self == Manner::Resets {
            stream.set_zero_linger()?;
        }
        drop(stream);
        Ok(())
    }
}

/// An ending, and its expected effects.
#[derive(Debug, Clone, Copy)]
struct Ending<P> {
    point: P,
    manner: Manner,
    /// `true` if the request was executed before the ending.
    executes: bool,
    /// The knowledge that the ending gives to the client.
    proves: Proves,
    /// `true` if the head of a response arrived before the ending: the call is then not repeated.
    responds: bool,
}

/// The knowledge of a client about the execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proves {
    Nothing,
    /// The request was not executed.
    NotExecuted,
    /// The request was not executed, if the client sees the ending before it sends the request.
    PerhapsNotExecuted,
}

/// The number of bad connections: one, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Badness {
    Once,
    Always,
}

/// Starts a server whose connections are served by `serve`, the bad ones with an ending.
async fn server<P, F>(
    ending: Ending<P>,
    badness: Badness,
    serve: fn(TcpStream, Seen, Option<Ending<P>>) -> F,
) -> (SocketAddr, Seen)
where
    P: Copy + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let counted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let before = counted.0.connections.fetch_add(1, Ordering::SeqCst);
            let is_bad = badness == Badness::Always || before == 0;
            tokio::spawn(serve(stream, counted.clone(), is_bad.then_some(ending)));
        }
    });
    (address, seen)
}

/// Calls with every client and both methods, and compares the executions.
async fn check<P, F>(
    protocol: Protocol,
    ending: Ending<P>,
    serve: fn(TcpStream, Seen, Option<Ending<P>>) -> F,
) where
    P: Copy + Send + std::fmt::Debug + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let clients = Clients::new(protocol);
    for badness in [Badness::Once, Badness::Always] {
        for method in [Method::GET, Method::POST] {
            for client in Clients::ALL {
                let (address, seen) = server(ending, badness, serve).await;
                let calling = clients.call(client, method.clone(), address);
                let called = tokio::time::timeout(LONG, calling).await.unwrap();
                let what = format!("{client:?} {method} {badness:?} {ending:?}: {called:?}");
                check_counts(&what, ending, badness, &method, called.is_ok(), &seen);
            }
        }
    }
}

/// Makes two calls, of which the first has its whole response before the ending. The second finds a
/// connection that is about to end, which a client cannot always know: it succeeds or is not
/// executed.
async fn check_idle<P, F>(
    protocol: Protocol,
    ending: Ending<P>,
    serve: fn(TcpStream, Seen, Option<Ending<P>>) -> F,
) where
    P: Copy + Send + std::fmt::Debug + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let clients = Clients::new(protocol);
    for method in [Method::GET, Method::POST] {
        for client in Clients::ALL {
            let (address, seen) = server(ending, Badness::Once, serve).await;
            let mut succeeded = 0;
            for call in 0..2 {
                let calling = clients.call(client, method.clone(), address);
                let called = tokio::time::timeout(LONG, calling).await.unwrap();
                let what = format!("{client:?} {method} {ending:?} call {call}: {called:?}");
                succeeded += usize::from(called.is_ok());
                assert!(called.is_ok() || (call == 1 && method == Method::POST), "{what}");
                assert_eq!(seen.executed(), succeeded, "executed {what}");
            }
        }
    }
}

fn check_counts<P>(
    what: &str,
    ending: Ending<P>,
    badness: Badness,
    method: &Method,
    succeeded: bool,
    seen: &Seen,
) {
    let repeats = match ending.proves {
        _ if ending.responds => false,
        _ if method == Method::GET => true,
        Proves::Nothing => false,
        Proves::NotExecuted => true,
        // The number of connections shows it.
        Proves::PerhapsNotExecuted => seen.connections() > 1,
    };
    let bad = match (badness, ending.proves) {
        // Each attempt is repeated or not.
        (Badness::Always, Proves::PerhapsNotExecuted) if method == Method::POST => {
            seen.connections().min(ATTEMPTS)
        }
        (Badness::Always, _) if repeats => ATTEMPTS,
        _ => 1,
    };
    let good = usize::from(badness == Badness::Once && repeats);
    let expected = bad * usize::from(ending.executes) + good;
    assert_eq!(seen.executed(), expected, "executed {what}");
    // hyper-util's pool may hand out a connection that is about to end, and then opens another for
    // the same attempt.
    let most = bad + good + usize::from(repeats && what.starts_with("Hyper"));
    assert!((bad + good..=most).contains(&seen.connections()), "connections {what}");
    assert_eq!(succeeded, good == 1, "success {what}");
}
