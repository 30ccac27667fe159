//! Serving until something says otherwise, and then finishing what is under way.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long requests that are under way get to finish.
const GRACE: Duration = Duration::from_secs(5);

/// Serves `router` on all listeners until `stop` completes, then lets requests under way finish.
pub async fn serve(listeners: Vec<TcpListener>, router: Router, stop: impl Future<Output = ()>) -> std::io::Result<()> {
    let (stopping, _) = watch::channel(false);
    let mut servers = JoinSet::new();
    for listener in listeners {
        let mut stopped = stopping.subscribe();
        let router = router.clone();
        servers.spawn(async move {
            let stopped = async move {
                // An error means that the sender has gone, which is the end as well.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            axum::serve(listener, router).with_graceful_shutdown(stopped).await
        });
    }
    stop.await;
    let _ = stopping.send(true);
    let finish = async {
        while let Some(ended) = servers.join_next().await {
            ended.map_err(std::io::Error::other)??;
        }
        Ok(())
    };
    tokio::time::timeout(GRACE, finish).await.unwrap_or(Ok(()))
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
