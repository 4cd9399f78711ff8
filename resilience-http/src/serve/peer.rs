//! Addresses of clients, in requests and for the limit of each address.

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

/// A make-service that returns a clone of one service for every connection.
#[derive(Debug, Clone)]
pub(super) struct CloneService<S>(pub(super) S);

impl<S: Clone, A> Service<A> for CloneService<S> {
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

/// A limit on the open connections of each IP address. Has at most one entry for each open
/// connection.
#[derive(Debug)]
pub(super) struct PerIpLimit {
    most: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// A permit of one connection among those of its address. Dropping it releases the permit.
#[derive(Debug)]
pub(super) struct IpPermit {
    of: Arc<PerIpLimit>,
    ip: IpAddr,
}

impl PerIpLimit {
    pub(super) fn new(most: u32) -> PerIpLimit {
        PerIpLimit { most, open: Mutex::default() }
    }

    /// Returns a permit, or `None` if the address has as many connections as it may.
    pub(super) fn acquire(self: &Arc<PerIpLimit>, ip: IpAddr) -> Option<IpPermit> {
        let ip = client_of(ip);
        let mut open = self.open.lock();
        let count = open.entry(ip).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(IpPermit { of: self.clone(), ip })
    }
}

impl Drop for IpPermit {
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

/// Returns the address that stands for one client: an IPv4 address, also if it is mapped into IPv6,
/// or the /64 network of an IPv6 address, because one site usually has all addresses of a /64 (RFC
/// 6177).
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
    fn a_released_permit_is_free_again_and_leaves_no_entry() {
        let per_ip = Arc::new(PerIpLimit::new(2));
        let acquire = |ip: &str| per_ip.acquire(ip.parse().unwrap());
        let first = acquire("192.0.2.1");
        let mapped = acquire("::ffff:192.0.2.1");
        assert!(first.is_some() && mapped.is_some());
        assert!(acquire("192.0.2.1").is_none());
        let other = acquire("192.0.2.2");
        let subnet = (acquire("2001:db8::1"), acquire("2001:db8::2:3:4:5"));
        assert!(other.is_some() && subnet.0.is_some() && subnet.1.is_some());
        assert!(acquire("2001:db8::6").is_none());
        assert!(acquire("2001:db8:0:1::6").is_some());
        drop(first);
        assert!(acquire("192.0.2.1").is_some());
        drop((mapped, other, subnet));
        assert!(per_ip.open.lock().is_empty());
    }
}
