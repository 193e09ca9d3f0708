//! What an operator's machines ask: is it alive, is it ready, how is it doing.

use std::{future::Future, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::{
    health::{Health, Report},
    metrics::Metrics,
};

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

/// The status is for machines that choose whom to send users to, and only what hinders serving decides it. The text is for
/// people: first what hinders, or "ok", then a line for everything else that is wrong.
async fn readyz(State(ops): State<Arc<Ops>>) -> impl IntoResponse {
    let Report { mut hindrances, warnings } = ops.health.report();
    let status = if hindrances.is_empty() {
        hindrances.push("ok".to_owned());
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let warnings = warnings.into_iter().map(|warning| format!("warning: {warning}"));
    let lines = hindrances.into_iter().chain(warnings);
    (status, lines.map(|line| line + "\n").collect::<String>())
}

async fn metrics_text(State(ops): State<Arc<Ops>>) -> impl IntoResponse {
    ([("content-type", prometheus::TEXT_FORMAT)], ops.metrics.text())
}
