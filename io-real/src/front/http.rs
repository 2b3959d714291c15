//! HTTP for operators' tools: `/metrics`, `/healthz` (the process runs) and `/readyz` (SQL is
//! served).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::metrics;
use crate::ports;

#[derive(Clone)]
struct Shown {
    registry: Arc<Registry>,
    serving: watch::Receiver<bool>,
}

/// A listener of ours as axum wants it.
struct Incoming<L>(L);

impl<L: ports::Listener> axum::serve::Listener for Incoming<L> {
    type Io = L::Stream;
    type Addr = String;

    async fn accept(&mut self) -> (L::Stream, String) {
        loop {
            match self.0.accept().await {
                Ok(stream) => {
                    let name = ports::ByteStream::peer_name(&stream);
                    return (stream, name);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the HTTP port");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<String> {
        self.0.local_addr()
    }
}

/// Serves until `stop`.
pub async fn serve<L: ports::Listener>(
    listener: L,
    registry: Registry,
    serving: watch::Receiver<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let shown = Shown { registry: Arc::new(registry), serving };
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(shown);
    let served = axum::serve(Incoming(listener), router).with_graceful_shutdown(stop).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP port failed");
    }
}

async fn show_metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics::text(&shown.registry))
}

async fn show_readiness(State(shown): State<Shown>) -> impl IntoResponse {
    if *shown.serving.borrow() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not serving SQL\n")
    }
}
