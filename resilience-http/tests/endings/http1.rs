//! HTTP/1 by hand.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clients::Protocol;
use crate::{Ending, Manner, Proves, Seen, check, check_idle};

/// The point at which a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// Before the request is read.
    Accepted,
    /// In the head of the request.
    SomeHead,
    /// In the body of the request.
    SomeBody,
    /// When the request is executed.
    Request,
    /// In the status line, in the head, and at its end.
    Response(&'static str),
}

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";

async fn serve(mut stream: TcpStream, seen: Seen, ending: Option<Ending<Point>>) -> io::Result<()> {
    let manner = ending.map_or(Manner::Closes, |ending| ending.manner);
    let point = ending.map(|ending| ending.point);
    if point == Some(Point::Accepted) {
        return manner.end(stream);
    }
    let mut text = String::new();
    loop {
        let byte = stream.read_u8().await?;
        text.push(char::from(byte));
        if point == Some(Point::SomeHead) && text.ends_with("\r\n") {
            return manner.end(stream);
        }
        let body = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        if point == Some(Point::SomeBody) && body == 3 {
            return manner.end(stream);
        }
        // Every request has a body of ten bytes.
        if body == 10 {
            text.clear();
            seen.execute();
            match point {
                None => stream.write_all(WHOLE.as_bytes()).await?,
                Some(Point::Response(some)) => {
                    stream.write_all(some.as_bytes()).await?;
                    return manner.end(stream);
                }
                Some(_) => return manner.end(stream),
            }
        }
    }
}

#[tokio::test]
async fn requests_are_executed_as_often_as_allowed() {
    for (point, executes, responds) in [
        (Point::Accepted, false, false),
        (Point::SomeHead, false, false),
        (Point::SomeBody, false, false),
        (Point::Request, true, false),
        (Point::Response("HTTP/1"), true, false),
        (Point::Response("HTTP/1.1 200 OK\r\ncontent-le"), true, false),
        (Point::Response("HTTP/1.1 100 Continue\r\n\r\n"), true, false),
        (Point::Response("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"), true, true),
        (Point::Response("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngo"), true, true),
        (
            Point::Response("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngo"),
            true,
            true,
        ),
    ] {
        // A reset discards a head that the client has not read yet, so both results are right.
        let manners =
            if responds { &[Manner::Closes][..] } else { &[Manner::Closes, Manner::Resets] };
        for &manner in manners {
            let proves = match point {
                Point::Accepted => Proves::PerhapsNotExecuted,
                _ => Proves::Nothing,
            };
            let ending = Ending { point, manner, executes, proves, responds };
            check(Protocol::Http1, ending, serve).await;
        }
    }
}

/// The end is not announced with `connection: close`. (A reset would take the response with it.)
#[tokio::test]
async fn the_end_of_an_idle_connection_causes_no_execution() {
    let point = Point::Response(WHOLE);
    let proves = Proves::Nothing;
    let ending = Ending { point, manner: Manner::Closes, executes: true, proves, responds: true };
    check_idle(Protocol::Http1, ending, serve).await;
}
