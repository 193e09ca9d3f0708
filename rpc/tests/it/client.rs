//! The plainest clients: HTTP/1.1 by hand, and a WebSocket that sends and receives text.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use millrace_rpc::{Config, serve};
use serde_json::Value;
use soketto::handshake::{Client, ServerResponse};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt},
    sync::CancellationToken,
};

use crate::fixture::Fixture;

/// Long enough for a busy machine; a test that waits for this fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server with its backend.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) backend: Arc<Fixture>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(config: Config) -> Self {
        let backend = Arc::new(Fixture::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let shutdown = stop.clone().cancelled_owned();
        let task = tokio::spawn(serve(config, backend.clone(), listener, shutdown));
        Self { address, backend, stop, task }
    }

    /// Stops the server, which must end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// Sends bytes and reads everything until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses early may close before it has read all.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        answer
    }

    /// One HTTP exchange: status and body.
    pub(crate) async fn http(&self, method: &str, headers: &str, body: &[u8]) -> (u16, String) {
        self.exchange(method, "/", headers, body).await
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, String) {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let answer = String::from_utf8(self.raw(&request).await).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        (status, body.to_owned())
    }

    /// Posts a JSON-RPC body to a path: status and body.
    pub(crate) async fn http_at(&self, path: &str, body: &[u8]) -> (u16, String) {
        self.exchange("POST", path, "content-type: application/json\r\n", body).await
    }

    /// Posts a JSON-RPC body, which must be answered with status 200.
    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> String {
        let (status, answer) =
            self.http("POST", "content-type: application/json\r\n", body.as_ref()).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Calls a method. The whole response.
    pub(crate) async fn call(&self, method: &str, params: &str) -> Value {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        serde_json::from_str(&self.post(body).await).unwrap()
    }

    /// Calls a method that must succeed. Its result.
    pub(crate) async fn result(&self, method: &str, params: &str) -> Value {
        let mut response = self.call(method, params).await;
        assert_eq!(response.get("error"), None, "{method} {params}");
        response["result"].take()
    }

    /// Calls a method that must fail. Its code, its message, and its data.
    pub(crate) async fn error(&self, method: &str, params: &str) -> (i64, String, Value) {
        let mut response = self.call(method, params).await;
        let error = &mut response["error"];
        assert!(error.is_object(), "{method} {params} succeeded");
        (
            error["code"].as_i64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
            error["data"].take(),
        )
    }

    pub(crate) async fn websocket(&self) -> WebSocket {
        self.websocket_at("/").await
    }

    pub(crate) async fn websocket_at(&self, path: &str) -> WebSocket {
        WebSocket::connect(self.address, path).await
    }
}

type Io = Compat<TcpStream>;

/// A WebSocket client.
pub(crate) struct WebSocket {
    sender: soketto::Sender<Io>,
    receiver: soketto::Receiver<Io>,
}

impl WebSocket {
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Client::new(stream.compat(), "localhost", path);
        match client.handshake().await.unwrap() {
            ServerResponse::Accepted { .. } => {}
            refused => panic!("{refused:?}"),
        }
        let (sender, receiver) = client.into_builder().finish();
        Self { sender, receiver }
    }

    /// Sends a text message; `false` if the connection is gone.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        self.sender.send_text(text).await.is_ok() && self.sender.flush().await.is_ok()
    }

    pub(crate) async fn send(&mut self, text: &str) {
        assert!(self.try_send(text).await);
    }

    /// The next message; `None` when the server has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        let mut message = Vec::new();
        let received =
            timeout(PATIENCE, self.receiver.receive_data(&mut message)).await.expect("in time");
        received.ok()?;
        Some(String::from_utf8(message).unwrap())
    }

    pub(crate) async fn receive_json(&mut self) -> Value {
        serde_json::from_str(&self.receive().await.expect("a message")).unwrap()
    }

    /// Subscribes; the subscription's id.
    pub(crate) async fn subscribe(&mut self, params: &str) -> String {
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":{params}}}"#
        ))
        .await;
        let response = self.receive_json().await;
        response["result"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
    }
}
