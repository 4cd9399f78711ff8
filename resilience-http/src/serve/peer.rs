//! Clients' addresses: carried by requests, and counted.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use parking_lot::Mutex;
use tower_service::Service;

/// Address of the client at the other end of the connection, in the extensions of every request.
///
/// Behind a proxy this is the proxy's address.
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use resilience_http::serve::Peer;
///
/// /// Key of a limit for each client: `rate_per_key(quota, keys, client)`.
/// fn client<B>(request: &http::Request<B>) -> IpAddr {
///     let peer = request.extensions().get::<Peer>();
///     peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(address)| address.ip())
/// }
/// # assert!(client(&http::Request::new(())).is_unspecified());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "an address, and nothing else")]
pub struct Peer<A = SocketAddr>(pub A);

/// Service that puts the address of its connection's client into each request.
#[derive(Debug, Clone)]
pub(super) struct WithPeer<S, A> {
    pub(super) service: S,
    pub(super) peer: A,
}

impl<S, A, B> Service<Request<B>> for WithPeer<S, A>
where
    S: Service<Request<B>>,
    A: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(Peer(self.peer.clone()));
        self.service.call(request)
    }
}

/// Make-service that returns a clone of one service for every connection.
#[derive(Debug, Clone)]
pub(super) struct Same<S>(pub(super) S);

impl<S: Clone, A> Service<A> for Same<S> {
    type Response = S;
    type Error = Infallible;
    type Future = Ready<Result<S, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: A) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

/// Open connections by IP address. Holds as many entries as there are connections, at most.
#[derive(Debug)]
pub(super) struct PerIp {
    most: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// WritePermit of one connection among those of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct IpPlace {
    of: Arc<PerIp>,
    ip: IpAddr,
}

impl PerIp {
    pub(super) fn new(most: u32) -> PerIp {
        PerIp { most, open: Mutex::default() }
    }

    /// Returns a place, or `None` if the address has as many as it may.
    pub(super) fn enter(self: &Arc<PerIp>, ip: IpAddr) -> Option<IpPlace> {
        let ip = client_of(ip);
        let mut open = self.open.lock();
        let count = open.entry(ip).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(IpPlace { of: self.clone(), ip })
    }
}

impl Drop for IpPlace {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

/// Returns what one client has: an IPv4 address, also where it is mapped into IPv6, or the first 64 bits of an
/// IPv6 address, since one site usually has all of them (RFC 6177).
fn client_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_leave_nothing() {
        let per_ip = Arc::new(PerIp::new(2));
        let enter = |ip: &str| per_ip.enter(ip.parse().unwrap());
        let first = enter("192.0.2.1");
        let mapped = enter("::ffff:192.0.2.1");
        assert!(first.is_some() && mapped.is_some());
        assert!(enter("192.0.2.1").is_none());
        let other = enter("192.0.2.2");
        let subnet = (enter("2001:db8::1"), enter("2001:db8::2:3:4:5"));
        assert!(other.is_some() && subnet.0.is_some() && subnet.1.is_some());
        assert!(enter("2001:db8::6").is_none());
        assert!(enter("2001:db8:0:1::6").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop((mapped, other, subnet));
        assert!(per_ip.open.lock().is_empty());
    }
}
