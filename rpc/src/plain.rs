//! Plain requests over HTTP/1.1, read and answered without an HTTP library.
//!
//! What a program sends to a node is nearly always the same: a POST of a known length, on a connection that stays open. A general
//! HTTP server spends as long on it as the pool does on the transaction inside. So such requests are served here, and at the first
//! one that is anything else (a browser's, a WebSocket's, one in chunks, HTTP/2, a mistake) the connection goes to hyper for good,
//! with everything that was not answered yet. Answers are the same either way; `tests/it/plain.rs` compares them.

mod date;

use std::{io, mem::MaybeUninit};

use bytes::{Buf, BytesMut};
use httparse::Status;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    answer::Answerer,
    config::Config,
    server::{extensions, is_json, is_preconfirmed},
    socket::Socket,
};

/// How much of a connection's input is read at once, and kept room for while it is silent.
const READ_BYTES: usize = 8 << 10;

/// How much room a large body may demand before it has come.
const GROWTH_BYTES_MAX: usize = 256 << 10;

/// Longer heads are unusual.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// More headers are, too.
const HEADERS_MAX: usize = 32;

/// What plain requests are answered with.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    pub(crate) answerer: &'a Answerer,
    pub(crate) config: &'a Config,
    pub(crate) stop: &'a CancellationToken,
}

/// The head of a plain request.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    head_bytes: usize,
    body_bytes: usize,
    /// The client wants no more than this.
    is_last: bool,
    is_preconfirmed: bool,
}

/// What has come of a request.
#[derive(Debug, PartialEq, Eq)]
enum Begun {
    /// Not all of its head.
    Partly,
    /// Something for hyper.
    Unusual,
    Plain(Head),
}

impl Plain<'_> {
    /// Answers requests until the connection ends, or is no longer plain: then it is given back, as if nothing had been read
    /// of what is left.
    pub(crate) async fn serve(&self, mut socket: Socket) -> io::Result<Option<Socket>> {
        let mut stopped = std::pin::pin!(self.stop.cancelled());
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut output = Vec::new();
        // When the rest of a head comes too late.
        let mut head_due = None;
        loop {
            let head = match begun(&input, self.config.body_bytes_max) {
                Begun::Plain(head) => head,
                Begun::Unusual => return Ok(Some(socket.put_back(input.freeze()))),
                Begun::Partly => {
                    input.reserve(READ_BYTES / 2);
                    if !input.is_empty() && head_due.is_none() {
                        head_due = Some(Instant::now() + self.config.request_timeout);
                    }
                    let is_over = tokio::select! {
                        biased;
                        read = socket.read_buf(&mut input) => read? == 0,
                        () = &mut stopped => true,
                        () = until(head_due) => return Ok(None),
                    };
                    match is_over {
                        true if input.is_empty() => return Ok(None),
                        // Half a request, and no time for the other one: hyper knows what to say to that.
                        true => return Ok(Some(socket.put_back(input.freeze()))),
                        false => continue,
                    }
                }
            };
            head_due = None;
            let deadline = Instant::now() + self.config.request_timeout;
            let end = head.head_bytes + head.body_bytes;
            if input.len() < end {
                let read = timeout_at(deadline, read_to(&mut socket, &mut input, end));
                let failure = match read.await {
                    Ok(Ok(true)) => None,
                    Ok(Ok(false)) => Some(&NO_BODY),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => Some(&LATE_BODY),
                };
                if let Some(response) = failure {
                    response.write(&mut output);
                    socket.write_all(&output).await?;
                    return socket.shutdown().await.map(|()| None);
                }
            }
            let extensions = extensions(head.is_preconfirmed);
            let body = &input[head.head_bytes..end];
            let answer = tokio::select! {
                biased;
                answer = self.answerer.answer(body, &extensions, deadline) => answer.unwrap_or_default(),
                // Nobody waits for it any more.
                () = socket.gone() => return Ok(None),
            };
            input.advance(end);
            if input.is_empty() && input.capacity() > READ_BYTES {
                // One large request is no reason to hold so much for ever.
                input = BytesMut::with_capacity(READ_BYTES);
            }
            let is_last = head.is_last || self.stop.is_cancelled();
            answered(&mut output, answer.len(), is_last);
            socket.write_all_buf(&mut Buf::chain(&*output, answer.as_bytes())).await?;
            if is_last {
                return socket.shutdown().await.map(|()| None);
            }
        }
    }
}

/// Waits until then; for ever, if there is no such moment.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Reads until there is so much input. `false`: the client has ended first.
async fn read_to(socket: &mut Socket, input: &mut BytesMut, end: usize) -> io::Result<bool> {
    while input.len() < end {
        // A length that was only announced reserves no memory.
        input.reserve((end - input.len()).min(GROWTH_BYTES_MAX));
        if socket.read_buf(input).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks at the beginning of what has come.
fn begun(input: &[u8], body_bytes_max: usize) -> Begun {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(input, &mut headers) {
        Ok(Status::Complete(head_bytes)) => {
            plain_head(&request, head_bytes, body_bytes_max).map_or(Begun::Unusual, Begun::Plain)
        }
        Ok(Status::Partial) if input.len() < HEAD_BYTES_MAX => Begun::Partly,
        Ok(Status::Partial) | Err(_) => Begun::Unusual,
    }
}

/// Nothing, if anything about the request is not as usual. Headers that change neither where a request ends nor what is answered
/// are not looked at.
fn plain_head(
    request: &httparse::Request<'_, '_>,
    head_bytes: usize,
    body_bytes_max: usize,
) -> Option<Head> {
    let is_plain_path = |path: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~?=&".contains(&byte);
        path.starts_with('/') && path.bytes().all(is_plain)
    };
    let target = request.path.filter(|path| is_plain_path(path))?;
    if request.method != Some("POST") || request.version != Some(1) {
        return None;
    }
    let is_preconfirmed = is_preconfirmed(target.split('?').next()?);
    let (mut body_bytes, mut has_type, mut is_last) = (None, false, false);
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value;
        if is("content-length") {
            if body_bytes.replace(length(value)?).is_some() {
                return None;
            }
        } else if is("content-type") {
            let known = value.is_ascii() && is_json(std::str::from_utf8(value).ok()?);
            if !known || std::mem::replace(&mut has_type, true) {
                return None;
            }
        } else if is("connection") {
            is_last |= value.eq_ignore_ascii_case(b"close");
            if !is_last && !value.eq_ignore_ascii_case(b"keep-alive") {
                return None;
            }
        } else if UNUSUAL.iter().any(|name| is(name)) {
            return None;
        }
    }
    let body_bytes = body_bytes.filter(|bytes| has_type && *bytes <= body_bytes_max)?;
    Some(Head { head_bytes, body_bytes, is_last, is_preconfirmed })
}

/// Headers that change where a request ends, or what is answered. Only browsers name an origin, and only to browsers does it matter
/// which origins may ask: without one the headers that say so are left out.
const UNUSUAL: [&str; 4] = ["transfer-encoding", "expect", "upgrade", "origin"];

/// A length in digits and nothing else, small enough to be added to another.
fn length(value: &[u8]) -> Option<usize> {
    let is_number = !value.is_empty() && value.len() < 10 && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

/// Writes the head of a response that holds so many bytes of JSON.
fn answered(output: &mut Vec<u8>, body_bytes: usize, is_last: bool) {
    output.clear();
    output.extend_from_slice(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ",
    );
    end_head(output, body_bytes, is_last);
}

fn end_head(output: &mut Vec<u8>, body_bytes: usize, is_last: bool) {
    output.extend_from_slice(itoa::Buffer::new().format(body_bytes).as_bytes());
    if is_last {
        output.extend_from_slice(b"\r\nconnection: close");
    }
    output.extend_from_slice(b"\r\ndate: ");
    output.extend_from_slice(&date::now());
    output.extend_from_slice(b"\r\n\r\n");
}

/// Why a request is not answered, and the connection ends.
struct Failure {
    status: &'static str,
    reason: &'static str,
}

const NO_BODY: Failure = Failure { status: "400 Bad Request", reason: "could not read the body\n" };

const LATE_BODY: Failure =
    Failure { status: "408 Request Timeout", reason: "the body took too long\n" };

impl Failure {
    fn write(&self, output: &mut Vec<u8>) {
        output.clear();
        for part in [
            "HTTP/1.1 ",
            self.status,
            "\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ",
        ] {
            output.extend_from_slice(part.as_bytes());
        }
        end_head(output, self.reason.len(), true);
        output.extend_from_slice(self.reason.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n";

    fn read(line: &str, headers: &str) -> Begun {
        begun(format!("{line}\r\n{headers}\r\n{{").as_bytes(), 100)
    }

    #[test]
    fn programs_send_plain_requests() {
        let post = "POST / HTTP/1.1";
        let plain = |headers: &str| match read(post, headers) {
            Begun::Plain(Head { head_bytes, body_bytes, is_last, is_preconfirmed: false }) => {
                assert_eq!(head_bytes, post.len() + 4 + headers.len(), "{headers}");
                (body_bytes, is_last)
            }
            other => panic!("{other:?}: {headers}"),
        };
        assert_eq!(plain(HEADERS), (7, false));
        assert_eq!(
            plain(&format!("{HEADERS}connection: Keep-Alive\r\naccept: */*\r\n")),
            (7, false)
        );
        assert_eq!(plain(&format!("{HEADERS}Connection: close\r\n")), (7, true));
        assert_eq!(
            plain("content-type: application/json;charset=utf-8\r\ncontent-length: 100\r\n"),
            (100, false)
        );
        for (path, promises) in [
            ("/v1?key=a-b_c", false),
            ("/preconf", true),
            ("/preconf?key=1", true),
            ("/preconf/", false),
        ] {
            let Begun::Plain(head) = read(&format!("POST {path} HTTP/1.1"), HEADERS) else {
                panic!("{path} is plain");
            };
            assert_eq!(head.is_preconfirmed, promises, "{path}");
        }
    }

    #[test]
    fn everything_else_is_for_hyper() {
        for line in [
            "GET / HTTP/1.1",
            "post / HTTP/1.1",
            "POST / HTTP/1.0",
            "POST * HTTP/1.1",
            "POST http://x/ HTTP/1.1",
            "POST /\" HTTP/1.1",
            "PRI * HTTP/2.0",
            "nonsense",
        ] {
            assert_eq!(read(line, HEADERS), Begun::Unusual, "{line}");
        }
        for headers in [
            "content-type: application/json\r\n",
            "content-length: 7\r\n",
            "content-type: text/plain\r\ncontent-length: 7\r\n",
            "content-type: application/json\r\ncontent-length: 101\r\n",
            "content-type: application/json\r\ncontent-length: +7\r\n",
            "content-type: application/json\r\ncontent-length: \r\n",
            "content-type: application/json\r\ncontent-length: 7, 7\r\n",
            "content-type: application/json\r\ncontent-length: 99999999999999999999\r\n",
            &format!("{HEADERS}content-length: 7\r\n"),
            &format!("{HEADERS}content-type: text/plain\r\n"),
            &format!("{HEADERS}connection: upgrade\r\n"),
            &format!("{HEADERS}connection: keep-alive, upgrade\r\n"),
            &format!("{HEADERS}Transfer-Encoding: chunked\r\n"),
            &format!("{HEADERS}expect: 100-continue\r\n"),
            &format!("{HEADERS}upgrade: h2c\r\n"),
            &format!("{HEADERS}origin: https://example.org\r\n"),
            &format!("{HEADERS}{}", "x: y\r\n".repeat(HEADERS_MAX)),
            &format!("{HEADERS}bad header: y\r\n"),
        ] {
            assert_eq!(read("POST / HTTP/1.1", headers), Begun::Unusual, "{headers}");
        }
    }

    #[test]
    fn a_head_comes_in_pieces_but_not_for_ever() {
        let head = format!("POST / HTTP/1.1\r\n{HEADERS}\r\n");
        for end in 0..head.len() {
            assert_eq!(begun(&head.as_bytes()[..end], 100), Begun::Partly, "{end}");
        }
        assert!(matches!(begun(head.as_bytes(), 100), Begun::Plain(_)));
        let endless = format!("POST / HTTP/1.1\r\nx: {}", "y".repeat(HEAD_BYTES_MAX));
        assert_eq!(begun(endless.as_bytes(), 100), Begun::Unusual);
    }
}
