//! An HTTP server of a test, which can stop listening and begin again at the same address.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
};

/// Serves JSON-RPC to whatever is under test. Dropping it ends all connections.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    router: Router,
    /// Bound and never listening: while connections are refused nobody else gets the port.
    _reserved: TcpSocket,
    /// What runs while it listens, connections included.
    running: Option<Runtime>,
}

impl Server {
    /// Starts it on a free port.
    pub(crate) fn start(router: Router) -> Self {
        let reserved = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserved.local_addr().expect("an address");
        let mut server = Self { address, router, _reserved: reserved, running: None };
        server.listen();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes connections, if it doesn't.
    pub(crate) fn listen(&mut self) {
        if self.running.is_some() {
            return;
        }
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener: TcpListener =
            runtime.block_on(async { socket(self.address).listen(128).expect("listen") });
        let router = self.router.clone();
        runtime.spawn(async move { axum::serve(listener, router).await });
        self.running = Some(runtime);
    }

    /// Ends all connections and refuses new ones.
    pub(crate) fn refuse(&mut self) {
        if let Some(runtime) = self.running.take() {
            // Whatever is under way upstream need not be waited for.
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.refuse();
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option of every system");
    socket.bind(address).expect("bind");
    socket
}
