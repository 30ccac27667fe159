//! Serving until something says otherwise, and then finishing what is under way.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::connections::Server;
use super::guard::Guard;
use super::limits::LIMITS;
use super::listen::Listener;
use super::service_manager;

/// Serves `router` on all listeners until `stop` completes, then lets requests under way finish.
pub async fn serve(listeners: Vec<Listener>, guard: Arc<Guard>, router: Router, stop: impl Future<Output = ()>) {
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.address().to_string()).collect();
    let server = Server::new(router, guard, LIMITS);
    let mut accepting: JoinSet<()> = listeners.into_iter().map(|listener| server.clone().accept(listener)).collect();
    service_manager::ready(&addresses.join(", "));
    stop.await;
    service_manager::stopping();
    accepting.shutdown().await;
    server.finish().await;
}

/// Completes on SIGTERM or SIGINT, with the signal's name.
pub fn termination() -> std::io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Completes on SIGHUP as well, as it comes when a terminal is closed; for what has no other place to be.
pub fn termination_or_hangup() -> std::io::Result<impl Future<Output = &'static str>> {
    let terminated = termination()?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            name = terminated => name,
            _ = hangup.recv() => "SIGHUP",
        }
    })
}

/// Calls `each` on every SIGHUP, for ever.
pub fn on_hangup<F: Future<Output = ()>>(each: impl Fn() -> F) -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            each().await;
        }
    })
}
