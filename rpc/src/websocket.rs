//! The WebSocket transport: reads requests, answers a bounded number of them at once, and sends what is queued.

use std::sync::Arc;

use http::{Extensions, Request, Response};
use hyper_util::rt::TokioIo;
use jsonrpsee::server::HttpBody;
use soketto::{
    Incoming, base::Error as FrameError, connection::Error as SocketError, data::ByteSlice125,
    handshake::http::Server as Handshake,
};
use tokio::{
    io::{BufReader, BufWriter},
    sync::{Semaphore, mpsc},
    time::{Instant, interval_at, timeout},
};
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt},
    sync::CancellationToken,
};

use crate::{
    answer::{Answerer, error_response},
    config::Config,
    error::RpcError,
    session::{Outgoing, Session, SessionRequest},
};

type Io = Compat<BufReader<BufWriter<TokioIo<hyper::upgrade::Upgraded>>>>;
type Sender = soketto::Sender<Io>;
type Receiver = soketto::Receiver<Io>;

/// How long saying goodbye may take.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// Accepts an upgrade: the response to send, and the session to run until `closed` is cancelled or the client leaves.
/// `None` if the handshake is not one.
pub(crate) fn upgrade<T>(
    request: &mut Request<T>,
    extensions: Extensions,
    answerer: Arc<Answerer>,
    config: Arc<Config>,
    closed: CancellationToken,
) -> Option<(Response<HttpBody>, impl Future<Output = ()> + Send + 'static + use<T>)> {
    let mut handshake = Handshake::new();
    let response = handshake.receive_request(request).ok()?;
    let upgraded = hyper::upgrade::on(request);
    let session = async move {
        let stream = match upgraded.await {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "upgrade to WebSocket"),
        };
        let stream = BufReader::new(BufWriter::new(TokioIo::new(stream)));
        let mut connection = handshake.into_builder(stream.compat());
        connection.set_max_message_size(config.body_bytes_max);
        connection.set_max_frame_size(config.body_bytes_max);
        let (sender, receiver) = connection.finish();
        let (session, queue) =
            Session::new(config.websocket_buffer_bytes, config.subscriptions_max, closed.clone());
        let write = async {
            write(sender, queue, &config, &closed).await;
            closed.cancel();
        };
        let read = async {
            read(receiver, session, extensions, answerer, &config).await;
            closed.cancel();
        };
        tokio::join!(read, write);
    };
    Some((response.map(|()| HttpBody::empty()), session))
}

/// Reads requests until the client leaves, goes quiet, or breaks the protocol.
async fn read(
    mut receiver: Receiver,
    session: Arc<Session>,
    extensions: Extensions,
    answerer: Arc<Answerer>,
    config: &Config,
) {
    let slots = Arc::new(Semaphore::new(config.websocket_requests_max));
    let quiet_max = config.ping_interval * 2;
    loop {
        let received = async {
            let slot = slots.clone().acquire_owned().await.ok()?;
            let mut message = Vec::new();
            loop {
                return match timeout(quiet_max, receiver.receive(&mut message)).await.ok()? {
                    Ok(Incoming::Data(_)) => Some(Ok((slot, message))),
                    Ok(Incoming::Pong(_)) => continue,
                    Ok(Incoming::Closed(_)) | Err(SocketError::Closed) => None,
                    Err(error) => Some(Err(error)),
                };
            }
        };
        let received = tokio::select! {
            () = session.closed().cancelled() => return,
            received = received => received,
        };
        let (slot, message) = match received {
            None => return,
            Some(Ok(received)) => received,
            Some(Err(
                SocketError::MessageTooLarge { .. }
                | SocketError::Codec(FrameError::PayloadTooLarge { .. }),
            )) => {
                // What follows on the wire is the rest of that message, so there is no going on.
                session.finish(error_response(None, RpcError::request_too_large()));
                return session.closed().cancelled().await;
            }
            Some(Err(error)) => return tracing::debug!(%error, "read from a WebSocket"),
        };
        let (session, answerer) = (session.clone(), answerer.clone());
        let mut extensions = extensions.clone();
        let deadline = Instant::now() + config.request_timeout;
        tokio::spawn(async move {
            let request = SessionRequest::new(session.clone());
            extensions.insert(request.clone());
            let respond = async {
                match answerer.answer(&message, &extensions, deadline).await {
                    Some(answer) => session.answer(answer).await,
                    None => Ok(()),
                }
            };
            tokio::select! {
                () = session.closed().cancelled() => {}
                Ok(()) = respond => request.answered(),
            }
            drop(slot);
        });
    }
}

/// Sends what is queued, and pings in between, until told to stop.
async fn write(
    mut sender: Sender,
    mut queue: mpsc::Receiver<Outgoing>,
    config: &Config,
    closed: &CancellationToken,
) {
    let mut pings = interval_at(Instant::now() + config.ping_interval, config.ping_interval);
    let send = async {
        loop {
            let sent = tokio::select! {
                _ = pings.tick() => ping(&mut sender).await,
                message = queue.recv() => match message {
                    Some(Outgoing::Text(text, _room)) => send_text(&mut sender, text).await,
                    Some(Outgoing::Close) | None => return,
                },
            };
            if let Err(error) = sent {
                return tracing::debug!(%error, "write to a WebSocket");
            }
        }
    };
    tokio::select! {
        () = closed.cancelled() => {}
        () = send => {}
    }
    // A client that is being disconnected for not reading will not read this either.
    let _ = timeout(CLOSE_TIMEOUT, sender.close()).await;
}

async fn send_text(sender: &mut Sender, text: String) -> Result<(), SocketError> {
    sender.send_text_owned(text).await?;
    sender.flush().await
}

async fn ping(sender: &mut Sender) -> Result<(), SocketError> {
    let empty: &[u8] = &[];
    if let Ok(empty) = ByteSlice125::try_from(empty) {
        sender.send_ping(empty).await?;
    }
    sender.flush().await
}
