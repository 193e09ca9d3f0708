//! Every method that the edge answers, by what it is about.
//!
//! A handler is an async function of the shared [`Edge`] and the request's [`Args`]. A new method is one function and
//! one line in its file's `register`.

mod blocks;
mod calls;
mod fees;
mod logs;
mod node;
mod state;
mod subscriptions;
mod transactions;

use std::{future::Future, sync::Arc};

use jsonrpsee::{Methods, RpcModule};
use serde::Serialize;

use crate::{args::Args, backend::Backend, config::Config, edge::Edge, error::RpcError};

/// Collects handlers by name.
struct Registry<B> {
    module: RpcModule<Edge<B>>,
}

impl<B: Backend> Registry<B> {
    /// Adds a handler.
    ///
    /// # Panics
    ///
    /// If the name is taken, which the first test to start a server would show.
    fn add<R, F, Fut>(&mut self, name: &'static str, handler: F)
    where
        R: Serialize + Clone + 'static,
        F: Fn(Arc<Edge<B>>, Args) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        self.module
            .register_async_method(name, move |params, edge, extensions| {
                handler(edge, Args::new(params, extensions))
            })
            .unwrap_or_else(|error| panic!("register {name}: {error}"));
    }
}

/// All methods on top of a backend.
pub(crate) fn all<B: Backend>(backend: Arc<B>, config: Config) -> Methods {
    let mut methods = Registry { module: RpcModule::new(Edge::new(backend, config)) };
    node::register(&mut methods);
    blocks::register(&mut methods);
    transactions::register(&mut methods);
    state::register(&mut methods);
    calls::register(&mut methods);
    fees::register(&mut methods);
    logs::register(&mut methods);
    subscriptions::register(&mut methods);
    methods.module.into()
}
