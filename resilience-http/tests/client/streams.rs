//! Streaming bodies that are recorded while they are sent through the client.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use parking_lot::Mutex;
use resilience_http::body::ReplayBody;
use resilience_http::client::ResilientLayer;
use std::sync::Arc;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::profile;

const TEXT: &str = r#"
deadline = "20s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "1ms" }, budget = { ratio = "100%", reserve = 10 } }
"#;

/// Returns the body of each attempt, as read by a server that responds 503 after this number of
/// frames.
async fn bodies_read(cap: usize, frames: usize) -> (u16, Vec<Vec<u8>>) {
    let seen = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let received = seen.clone();
    let layer = ResilientLayer::new(&profile(TEXT)).unwrap();
    let service = layer.layer(service_fn(move |mut request: Request<ReplayBody<_>>| {
        let received = received.clone();
        async move {
            let mut read = Vec::new();
            for _ in 0..frames {
                let Some(frame) = request.body_mut().frame().await else { break };
                read.extend_from_slice(&frame.map_err(std::io::Error::other)?.into_data().unwrap());
            }
            received.lock().push(read);
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            Ok::<_, std::io::Error>(response)
        }
    }));
    let data = |text: &'static str| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(text)));
    let stream = futures_util::stream::iter([data("a "), data("stream")]);
    let body = ReplayBody::streaming(StreamBody::new(stream), cap);
    let request = Request::put("http://a.example/").body(body).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, std::mem::take(&mut *seen.lock()))
}

#[tokio::test(start_paused = true)]
async fn a_stream_within_the_cap_is_retried_whole() {
    assert_eq!(bodies_read(8, 3).await, (503, vec![b"a stream".to_vec(); 3]));
}

/// The response of the server is returned.
#[tokio::test(start_paused = true)]
async fn a_stream_above_the_cap_is_sent_once() {
    assert_eq!(bodies_read(7, 3).await, (503, vec![b"a stream".to_vec()]));
}

#[tokio::test(start_paused = true)]
async fn a_response_before_the_end_of_the_body_is_not_retried() {
    assert_eq!(bodies_read(8, 1).await, (503, vec![b"a ".to_vec()]));
}
