//! Responses of the upstream, good and bad.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::hang_up::HangUp;
use crate::BoxError;
use crate::league::TeamGame;

pub(super) type Reply = Response<UnsyncBoxBody<Bytes, HangUp>>;

/// Delay before a body breaks off, so that its first part is sent.
const DELAY_BEFORE_BREAK: Duration = Duration::from_millis(20);

pub(super) fn json(value: &impl serde::Serialize) -> Result<Reply, BoxError> {
    Ok(Response::new(whole(serde_json::to_vec(value)?.into())))
}

pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(whole(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// Returns a rejection with a `Retry-After`.
pub(super) fn retry_later(status: StatusCode, after: impl Display) -> Result<Reply, BoxError> {
    let mut reply = empty(status);
    reply.headers_mut().insert(RETRY_AFTER, after.to_string().parse()?);
    Ok(reply)
}

/// Returns the first whole second that is at least `ahead` from `now`. An HTTP-date has no finer
/// resolution.
pub(super) fn next_date(now: SystemTime, ahead: Duration) -> Result<SystemTime, BoxError> {
    let since_epoch = (now + ahead).duration_since(SystemTime::UNIX_EPOCH)?;
    let seconds = since_epoch.as_secs() + u64::from(since_epoch.subsec_nanos() > 0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Returns the rows of a day as JSON lines.
pub(super) fn lines(rows: &[TeamGame]) -> Result<Bytes, BoxError> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    Ok(text.into())
}

pub(super) fn rows(rows: &[TeamGame]) -> Result<Reply, BoxError> {
    Ok(Response::new(whole(lines(rows)?)))
}

/// Declares the length of all rows, and sends three quarters of the bytes: some whole rows, and
/// never the last one.
pub(super) fn cut_rows(rows: &[TeamGame]) -> Result<Reply, BoxError> {
    let all = lines(rows)?;
    let part = all.slice(..all.len() * 3 / 4);
    let then_nothing = stream::once(async {
        tokio::time::sleep(DELAY_BEFORE_BREAK).await;
        Err(HangUp::Close)
    });
    let frames = stream::iter([Ok(Frame::data(part))]).chain(then_nothing);
    let mut reply = Response::new(StreamBody::new(frames).boxed_unsync());
    reply.headers_mut().insert(CONTENT_LENGTH, all.len().into());
    Ok(reply)
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, HangUp> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_rounded_up_to_a_second() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let date = |now| next_date(at(now), Duration::from_millis(600)).unwrap();
        assert_eq!(date(10_000), at(11_000));
        assert_eq!(date(10_400), at(11_000));
        assert_eq!(date(10_401), at(12_000));
    }
}
