//! A TCP connection that does not wait for ever: a peer that says nothing for too long, or does not take what we send,
//! is disconnected, whatever protocol is spoken on top.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// A TCP connection with a limit on silence and on stalling.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// Read already, by somebody who gave it back.
    unread: Bytes,
    idle: Patience,
    stall: Patience,
}

/// A limit on how long something is awaited.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    /// May go off early, but never late: it is set again when it does, and not each time that something is awaited.
    timer: Pin<Box<Sleep>>,
    since: Option<Instant>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: Box::pin(sleep(limit)), since: None }
    }

    /// Passes a result on, unless it has been pending for too long.
    fn watch<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.since = None;
            return result;
        }
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= end {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(end);
        }
    }
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, idle_timeout: Duration, stall_timeout: Duration) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            idle: Patience::new(idle_timeout),
            stall: Patience::new(stall_timeout),
        }
    }

    /// The same connection, of which these bytes are to be read once more, before everything else.
    pub(crate) fn put_back(self, unread: Bytes) -> Self {
        debug_assert!(self.unread.is_empty(), "what was put back was read again first");
        Self { unread, ..self }
    }

    /// Completes if the peer has ended the connection. Not if it has sent something, which stays to be read.
    pub(crate) async fn gone(&self) {
        poll_fn(|cx| {
            let mut byte = [0];
            match self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
                Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.unread.is_empty() {
            let count = this.unread.len().min(buf.remaining());
            buf.put_slice(&this.unread[..count]);
            this.unread.advance(count);
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.idle.watch(result, cx)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.stall.watch(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.stall.watch(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        this.stall.watch(result, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
