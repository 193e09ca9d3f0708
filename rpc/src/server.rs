//! The listener, connections and HTTP: one port for both transports.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use jsonrpsee::server::{HttpBody, serve_with_graceful_shutdown};
use soketto::handshake::http::is_upgrade_request;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    answer::{Answerer, error_response},
    backend::Backend,
    config::Config,
    error::RpcError,
    hot::Door,
    methods,
    plain::Plain,
    socket::Socket,
    websocket,
};

/// The path at which `eth_getTransactionReceipt` answers for promised transactions, too. A client says by it that it knows
/// of blocks that are not sealed yet.
const PRECONFIRMED_PATH: &str = "/preconf";

/// Attached to requests that came in at [`PRECONFIRMED_PATH`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preconfirmed;

/// Whether a request came in at [`PRECONFIRMED_PATH`].
pub(crate) fn is_preconfirmed(path: &str) -> bool {
    path == PRECONFIRMED_PATH
}

/// What handlers learn of the way that a request came in.
pub(crate) fn extensions(is_preconfirmed: bool) -> Extensions {
    let mut extensions = Extensions::new();
    if is_preconfirmed {
        extensions.insert(Preconfirmed);
    }
    extensions
}

/// Serves a backend on a listener until `shutdown` completes; then no more is accepted, requests under way get
/// [`Config::shutdown_timeout`] to finish, and WebSockets are closed.
pub async fn serve<B: Backend>(
    config: Config,
    backend: Arc<B>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) {
    let stop = CancellationToken::new();
    let sessions = TaskTracker::new();
    let mut connections = JoinSet::new();
    let slots = Arc::new(Semaphore::new(config.connections_max));
    let endpoint = Endpoint {
        answerer: Arc::new(Answerer::new(
            methods::all(backend.clone(), config.clone()),
            Box::new(Door(backend)),
            &config,
        )),
        cors: cors(&config.origins),
        config: Arc::new(config),
        stop: stop.clone(),
        sessions: sessions.clone(),
    };
    let endpoint = Arc::new(endpoint);
    tokio::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: wait for some to come back.
                    tracing::warn!(%error, "accept a connection");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        match slots.clone().try_acquire_owned() {
            Ok(permit) => {
                connections.spawn(endpoint.clone().connection(stream, permit));
            }
            Err(_) => refuse(stream),
        }
    }
    stop.cancel();
    sessions.close();
    let ended = async {
        while connections.join_next().await.is_some() {}
        sessions.wait().await;
    };
    if timeout(endpoint.config.shutdown_timeout, ended).await.is_err() {
        let open = connections.len() + sessions.len();
        tracing::warn!(open, "cut off connections that did not finish in time");
        connections.shutdown().await;
        sessions.wait().await;
    }
}

/// Tells a client that there is no room, without reading what it wants.
fn refuse(stream: TcpStream) {
    const RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n\
        content-length: 21\r\nconnection: close\r\n\r\ntoo many connections\n";
    // A new socket's buffer takes this at once; if not, the client does without.
    let mut stream = stream;
    tokio::spawn(async move {
        let _ = timeout(Duration::from_secs(1), async {
            stream.write_all(RESPONSE).await?;
            stream.shutdown().await
        })
        .await;
    });
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origin = match origins {
        [] => return None,
        _ if origins.iter().any(|origin| origin == "*") => AllowOrigin::any(),
        _ => AllowOrigin::list(
            origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()),
        ),
    };
    Some(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([Method::POST, Method::GET])
            .allow_headers([header::CONTENT_TYPE])
            .max_age(Duration::from_secs(600)),
    )
}

/// What all connections share.
struct Endpoint {
    answerer: Arc<Answerer>,
    config: Arc<Config>,
    cors: Option<CorsLayer>,
    stop: CancellationToken,
    /// The WebSockets.
    sessions: TaskTracker,
}

impl Endpoint {
    async fn connection(self: Arc<Self>, stream: TcpStream, permit: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "switch off Nagle's algorithm");
        }
        let socket = Socket::new(stream, self.config.idle_timeout, self.config.stall_timeout);
        let plain = Plain { answerer: &self.answerer, config: &self.config, stop: &self.stop };
        match plain.serve(socket).await {
            Ok(Some(socket)) => self.clone().any(socket, permit).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "serve a connection"),
        }
    }

    /// Serves whatever is spoken on a connection.
    async fn any(self: Arc<Self>, socket: Socket, permit: OwnedSemaphorePermit) {
        // Held by the HTTP connection, and by the WebSocket that it may turn into.
        let permit = Arc::new(permit);
        let endpoint = self.clone();
        let service = ServiceBuilder::new().option_layer(self.cors.clone()).service_fn(
            move |request: Request<Incoming>| {
                let (endpoint, permit) = (endpoint.clone(), permit.clone());
                async move { Ok::<_, Infallible>(endpoint.respond(request, permit).await) }
            },
        );
        let stopped = self.stop.clone().cancelled_owned();
        if let Err(error) = serve_with_graceful_shutdown(socket, service, stopped).await {
            tracing::debug!(%error, "serve a connection");
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Response<HttpBody> {
        if is_upgrade_request(&request) {
            return self.upgrade(request, permit);
        }
        match *request.method() {
            Method::POST => self.post(request).await,
            // Load balancers ask so whether anybody is there.
            Method::GET | Method::HEAD if request.body().is_end_stream() => {
                plain(StatusCode::OK, "")
            }
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
        }
    }

    fn upgrade(
        &self,
        mut request: Request<Incoming>,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Response<HttpBody> {
        if !self.origin_allowed(request.headers().get(header::ORIGIN)) {
            return plain(StatusCode::FORBIDDEN, "origin not allowed\n");
        }
        let extensions = extensions(is_preconfirmed(request.uri().path()));
        let upgraded = websocket::upgrade(
            &mut request,
            extensions,
            self.answerer.clone(),
            self.config.clone(),
            self.stop.child_token(),
        );
        let Some((response, session)) = upgraded else {
            return plain(StatusCode::BAD_REQUEST, "not a WebSocket handshake\n");
        };
        self.sessions.spawn(async move {
            session.await;
            drop(permit);
        });
        response
    }

    /// Browsers let any page open a WebSocket to anywhere, so it is for us to look where the page is from.
    fn origin_allowed(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let local = || {
            origin
                .parse::<http::Uri>()
                .is_ok_and(|uri| matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]")))
        };
        self.config.origins.iter().any(|allowed| allowed == "*" || allowed == origin) || local()
    }

    async fn post(&self, request: Request<Incoming>) -> Response<HttpBody> {
        let deadline = Instant::now() + self.config.request_timeout;
        let extensions = extensions(is_preconfirmed(request.uri().path()));
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.and_then(|value| value.to_str().ok()).is_some_and(is_json) {
            return plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid content type, only application/json is supported\n",
            );
        }
        let limit = self.config.body_bytes_max;
        if request.body().size_hint().lower() > limit as u64 {
            return too_large();
        }
        let body = Limited::new(request.into_body(), limit).collect();
        let body = match timeout_at(deadline, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return too_large(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "read a request's body");
                return plain(StatusCode::BAD_REQUEST, "could not read the body\n");
            }
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
        };
        let answer = self.answerer.answer(&body, &extensions, deadline).await;
        json(StatusCode::OK, answer.unwrap_or_default())
    }
}

/// Whether it is a media type under which JSON-RPC has been sent, with any parameters.
pub(crate) fn is_json(content_type: &str) -> bool {
    const ACCEPTED: [&str; 3] =
        ["application/json", "application/json-rpc", "application/jsonrequest"];
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ACCEPTED.iter().any(|accepted| media_type.eq_ignore_ascii_case(accepted))
}

fn too_large() -> Response<HttpBody> {
    json(StatusCode::PAYLOAD_TOO_LARGE, error_response(None, RpcError::request_too_large()))
}

fn json(status: StatusCode, body: String) -> Response<HttpBody> {
    respond(status, "application/json", body)
}

fn plain(status: StatusCode, body: &'static str) -> Response<HttpBody> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<HttpBody>,
) -> Response<HttpBody> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
