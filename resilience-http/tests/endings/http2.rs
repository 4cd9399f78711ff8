//! HTTP/2 by hand: frames of RFC 9113, and of HPACK only `:status: 200`.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clients::Protocol;
use crate::{Ending, Manner, Proves, Seen, check, check_idle};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The last stream of a GOAWAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// No stream was processed.
    None,
    /// The stream of the request.
    This,
    /// The largest stream identifier, from a server that does not know the last stream yet.
    Any,
}

/// The point at which a connection, or only its stream, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// Before the request is read.
    Accepted,
    /// After the settings.
    Settings,
    /// After the head of the request was read.
    SomeRequest,
    /// After the request was read, with these frames before the ending.
    Request(Sends),
    /// After a head was sent, with these frames after it.
    Head(Sends),
    /// After the whole response was sent, with these frames after it.
    Whole(Sends),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    Nothing,
    Reset(u32),
    GoAway(Last, u32),
}

struct Connection(TcpStream);

impl Connection {
    async fn frame(&mut self) -> io::Result<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        self.0.read_exact(&mut vec![0; length]).await?;
        Ok((kind, flags, u32::from_be_bytes(stream)))
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await
    }

    async fn sends(&mut self, sends: Sends, stream: u32) -> io::Result<()> {
        match sends {
            Sends::Nothing => Ok(()),
            Sends::Reset(code) => self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await,
            Sends::GoAway(last, code) => {
                let last = match last {
                    Last::None => 0,
                    Last::This => stream,
                    Last::Any => u32::MAX >> 1,
                };
                let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
                self.send(GOAWAY, 0, 0, &payload).await
            }
        }
    }

    /// Reads until the client closes, so that the kernel does not send a reset for unread data.
    async fn drain(mut self) -> io::Result<()> {
        self.0.shutdown().await?;
        while self.0.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    }
}

async fn serve(stream: TcpStream, seen: Seen, ending: Option<Ending<Point>>) -> io::Result<()> {
    let manner = ending.map_or(Manner::Closes, |ending| ending.manner);
    let point = ending.map(|ending| ending.point);
    if point == Some(Point::Accepted) {
        return manner.end(stream);
    }
    let mut connection = Connection(stream);
    connection.0.read_exact(&mut [0; 24]).await?;
    connection.send(SETTINGS, 0, 0, &[]).await?;
    if point == Some(Point::Settings) {
        return manner.end(connection.0);
    }
    loop {
        let (kind, flags, stream) = connection.frame().await?;
        match kind {
            SETTINGS if flags & ACK == 0 => connection.send(SETTINGS, ACK, 0, &[]).await?,
            HEADERS if point == Some(Point::SomeRequest) => return manner.end(connection.0),
            PING if flags & ACK == 0 => connection.send(PING, ACK, 0, &[0; 8]).await?,
            HEADERS | DATA if flags & END_STREAM != 0 => {
                if ending.is_none_or(|ending| ending.executes) {
                    seen.execute();
                }
                let sends = match point {
                    None => {
                        connection.send(HEADERS, END_HEADERS, stream, &[0x88]).await?;
                        connection.send(DATA, END_STREAM, stream, b"good").await?;
                        continue;
                    }
                    Some(Point::Head(sends)) => {
                        connection.send(HEADERS, END_HEADERS, stream, &[0x88]).await?;
                        connection.send(DATA, 0, stream, b"go").await?;
                        sends
                    }
                    Some(Point::Whole(sends)) => {
                        connection.send(HEADERS, END_HEADERS, stream, &[0x88]).await?;
                        connection.send(DATA, END_STREAM, stream, b"good").await?;
                        sends
                    }
                    Some(Point::Request(sends)) => sends,
                    Some(Point::Accepted | Point::Settings | Point::SomeRequest) => Sends::Nothing,
                };
                connection.sends(sends, stream).await?;
                return match manner {
                    Manner::Closes => connection.drain().await,
                    Manner::Resets => manner.end(connection.0),
                };
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn requests_are_executed_as_often_as_allowed() {
    use Sends::{GoAway, Nothing, Reset};
    let request = Point::Request;
    let head = Point::Head;
    let perhaps = Proves::PerhapsNotExecuted;
    for (point, executes, proves, responds) in [
        (Point::Accepted, false, perhaps, false),
        (Point::Settings, false, perhaps, false),
        (Point::SomeRequest, false, Proves::Nothing, false),
        (request(Reset(REFUSED_STREAM)), false, Proves::NotExecuted, false),
        (request(GoAway(Last::None, NO_ERROR)), false, Proves::NotExecuted, false),
        (request(GoAway(Last::None, ENHANCE_YOUR_CALM)), false, Proves::Nothing, false),
        (request(Nothing), true, Proves::Nothing, false),
        (request(Reset(NO_ERROR)), true, Proves::Nothing, false),
        (request(Reset(INTERNAL_ERROR)), true, Proves::Nothing, false),
        (request(Reset(CANCEL)), true, Proves::Nothing, false),
        (request(Reset(ENHANCE_YOUR_CALM)), true, Proves::Nothing, false),
        // Processed, as far as this server knows.
        (request(GoAway(Last::This, NO_ERROR)), true, Proves::Nothing, false),
        (request(GoAway(Last::Any, NO_ERROR)), true, Proves::Nothing, false),
        (request(GoAway(Last::This, INTERNAL_ERROR)), true, Proves::Nothing, false),
        (request(GoAway(Last::Any, ENHANCE_YOUR_CALM)), true, Proves::Nothing, false),
        (head(Nothing), true, Proves::Nothing, true),
        (head(Reset(INTERNAL_ERROR)), true, Proves::Nothing, true),
        (head(Reset(REFUSED_STREAM)), true, Proves::Nothing, true),
        (head(GoAway(Last::This, NO_ERROR)), true, Proves::Nothing, true),
    ] {
        // A TCP reset discards frames that the client has not read yet: then the reset is the
        // ending.
        let is_last = matches!(
            point,
            Point::Accepted | Point::Settings | Point::SomeRequest | Point::Request(Nothing)
        );
        let manners =
            if is_last { &[Manner::Closes, Manner::Resets][..] } else { &[Manner::Closes] };
        for &manner in manners {
            let ending = Ending { point, manner, executes, proves, responds };
            check(Protocol::Http2, ending, serve).await;
        }
    }
}

#[tokio::test]
async fn the_end_of_an_idle_connection_causes_no_execution() {
    for sends in [
        Sends::Nothing,
        Sends::GoAway(Last::This, NO_ERROR),
        Sends::GoAway(Last::Any, NO_ERROR),
        Sends::GoAway(Last::This, ENHANCE_YOUR_CALM),
    ] {
        let point = Point::Whole(sends);
        let proves = Proves::Nothing;
        let manner = Manner::Closes;
        let ending = Ending { point, manner, executes: true, proves, responds: true };
        check_idle(Protocol::Http2, ending, serve).await;
    }
}
