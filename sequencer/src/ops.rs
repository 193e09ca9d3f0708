//! What an operator's machines ask: is it alive, is it ready, how is it doing.

use std::{future::Future, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::{health::Health, metrics::Metrics};

struct Ops {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until shutdown.
pub(crate) async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Arc::new(Ops { health, metrics }));
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn readyz(State(ops): State<Arc<Ops>>) -> impl IntoResponse {
    match ops.health.problem() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

async fn metrics_text(State(ops): State<Arc<Ops>>) -> impl IntoResponse {
    ([("content-type", prometheus::TEXT_FORMAT)], ops.metrics.text())
}
