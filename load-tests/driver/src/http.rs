//! HTTP/1.1 over a keep-alive connection: as much of it as JSON-RPC needs, for as little CPU as possible, since the
//! driver shares its machine with the server that it measures.
//!
//! Requests are rendered ahead, head and body in one piece, and written as they are. One is under way at a time.

use std::{io, ops::Range, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{config::Endpoint, limits};

const HEADERS_MAX: usize = 64;
const READ_BYTES: usize = 16 << 10;

/// A connection. After an error it is of no more use.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The server said that it closes after its last answer.
    closing: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer within {} s", limits::RESPONSE_SECS_MAX)]
    Timeout,
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("the answer is no HTTP/1.1")]
    Malformed,
    #[error("the answer is larger than {} bytes", limits::RESPONSE_BYTES_MAX)]
    TooLarge,
}

/// How the end of a body is found.
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// A request with this body, ready to be written.
pub(crate) fn render(endpoint: &Endpoint, body: &[u8]) -> Vec<u8> {
    let Endpoint { host, path, .. } = endpoint;
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.reserve_exact(body.len());
    request.extend_from_slice(body);
    request
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, HttpError> {
        let limit = Duration::from_secs(limits::RESPONSE_SECS_MAX);
        let connect = TcpStream::connect(endpoint.address);
        let stream = timeout(limit, connect).await.map_err(|_| HttpError::Timeout)??;
        // A request is one write: waiting for more of it would only cost time.
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), closing: false })
    }

    /// Whether another request may be written.
    pub(crate) fn is_open(&self) -> bool {
        !self.closing
    }

    /// Writes a rendered request and returns the body of its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8], HttpError> {
        let limit = Duration::from_secs(limits::RESPONSE_SECS_MAX);
        let body = timeout(limit, async {
            self.stream.write_all(request).await?;
            self.read().await
        });
        let body = body.await.map_err(|_| HttpError::Timeout)??;
        Ok(&self.buffer[body])
    }

    async fn read(&mut self) -> Result<Range<usize>, HttpError> {
        self.buffer.clear();
        let (start, framing) = loop {
            self.fill().await?;
            if let Some(head) = self.head()? {
                break head;
            }
        };
        match framing {
            Framing::Length(length) => {
                let end = start.checked_add(length).ok_or(HttpError::TooLarge)?;
                while self.buffer.len() < end {
                    self.fill().await?;
                }
                Ok(start..end)
            }
            Framing::Chunked => self.chunks(start).await,
            Framing::UntilClosed => loop {
                match self.fill().await {
                    Ok(()) => {}
                    Err(HttpError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Ok(start..self.buffer.len());
                    }
                    Err(error) => return Err(error),
                }
            },
        }
    }

    /// Reads what there is, at least one byte.
    async fn fill(&mut self) -> Result<(), HttpError> {
        if self.buffer.len() > limits::RESPONSE_BYTES_MAX {
            return Err(HttpError::TooLarge);
        }
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// Where the body starts and how it ends, once the head is complete.
    fn head(&mut self) -> Result<Option<(usize, Framing)>, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let start = match response.parse(&self.buffer).map_err(|_| HttpError::Malformed)? {
            httparse::Status::Complete(start) => start,
            httparse::Status::Partial => return Ok(None),
        };
        match response.code {
            Some(200) => {}
            Some(code) => return Err(HttpError::Status(code)),
            None => return Err(HttpError::Malformed),
        }
        let mut framing = Framing::UntilClosed;
        for header in response.headers {
            let value = std::str::from_utf8(header.value).map_err(|_| HttpError::Malformed)?.trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                framing = Framing::Length(value.parse().map_err(|_| HttpError::Malformed)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.closing |= value.eq_ignore_ascii_case("close");
            }
        }
        self.closing |= matches!(framing, Framing::UntilClosed);
        Ok(Some((start, framing)))
    }

    /// Moves the contents of chunks together, over their frames.
    async fn chunks(&mut self, start: usize) -> Result<Range<usize>, HttpError> {
        let (mut end, mut next) = (start, start);
        loop {
            let parsed = httparse::parse_chunk_size(&self.buffer[next..]);
            let (frame, length) = match parsed.map_err(|_| HttpError::Malformed)? {
                httparse::Status::Complete((frame, length)) => (frame, length as usize),
                httparse::Status::Partial => {
                    self.fill().await?;
                    continue;
                }
            };
            if length > limits::RESPONSE_BYTES_MAX {
                return Err(HttpError::TooLarge);
            }
            let content = next + frame;
            // Behind the content, and behind the last chunk, which has none, stands an empty line: nobody sends trailers.
            next = content + length + 2;
            while self.buffer.len() < next {
                self.fill().await?;
            }
            if &self.buffer[next - 2..next] != b"\r\n" {
                return Err(HttpError::Malformed);
            }
            if length == 0 {
                return Ok(start..end);
            }
            self.buffer.copy_within(content..content + length, end);
            end += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers every request by these bytes, in pieces of `step`, and closes.
    async fn answered(answer: &'static str, step: usize) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Endpoint { address, host: address.to_string(), path: "/".to_owned() };
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = vec![0; 1_024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].ends_with(b"content-length: 2\r\n\r\n{}"));
            for piece in answer.as_bytes().chunks(step) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(&endpoint).await.unwrap();
        let body = connection.exchange(&render(&endpoint, b"{}")).await;
        let body = body.map(|body| String::from_utf8(body.to_vec()).unwrap());
        server.await.unwrap();
        body.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn bodies_are_found_whatever_frames_them() {
        for step in [1, 3, 1_000] {
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
                "HTTP/1.1 200 OK\r\n\r\nhello",
            ] {
                assert_eq!(answered(answer, step).await.as_deref(), Ok("hello"), "{answer}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said() {
        for (answer, error) in [
            ("HTTP/1.1 429 Too Many Requests\r\n\r\n", "HTTP status 429"),
            ("SSH-2.0-x\r\n\r\n", "the answer is no HTTP/1.1"),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "the answer is no HTTP/1.1"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", "unexpected end of file"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n",
                "the answer is no HTTP/1.1",
            ),
        ] {
            assert_eq!(answered(answer, 1_000).await.unwrap_err(), error, "{answer}");
        }
    }
}
