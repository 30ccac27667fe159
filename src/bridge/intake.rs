//! Where Alertmanager posts to: from the request to the answer.
//!
//! 200 means that everything in the request is on the disk, and nothing else does. 503 means "again", and is answered only
//! while the store does not do its part; Alertmanager never sends again what it got a 4xx for, so that is for what can
//! not be read at all, and somebody is told of it. What becomes of the alerts afterwards changes no answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use super::alert::{Notification, Severity};
use super::auth;
use super::body::{Bodies, Body, BodyError};
use super::card::Message;
use super::config::ChatName;
use super::metrics::Metrics;
use super::metrics::table::{Count, Duration as Measured};
use super::reload::InForce;
use super::service::Service;
use super::store::StoreError;
use super::store::intake::{Accepted, Arrival, accept};
use super::store::notices;
use super::webhook::{self, Refusal};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// The largest body in bytes: thousands of alerts with long descriptions.
pub const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// Larger bodies are read where that keeps nobody else waiting, in bytes.
const LARGE_BODY: usize = 128 * 1024;

/// How long the store may take. A cluster of Alertmanagers waits 15 s before the next one posts as well.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long who gets a 503 is asked to wait, in seconds.
const RETRY_SECONDS: &str = "5";

/// For how long a refusal that needs no secret to be caused is not written down again.
const QUIET: Duration = Duration::from_secs(60);

/// When refusals were last written down, by their reason.
type Quiet = Arc<Mutex<HashMap<&'static str, Instant>>>;

#[derive(Clone)]
struct Intake {
    service: Service,
    /// How long the store may take.
    patience: Duration,
    bodies: Bodies,
    quiet: Quiet,
}

/// Where Alertmanager posts to.
pub fn router(service: Service) -> Router {
    router_with(service, PATIENCE)
}

fn router_with(service: Service, patience: Duration) -> Router {
    // Prometheus appends these to whatever it is given as the address of an Alertmanager.
    let mistaken = ["/api/v1/alerts", "/api/v2/alerts", "/alertmanager/api/v1/alerts", "/alertmanager/api/v2/alerts"];
    let mut router = Router::new().route("/alertmanager", post(answer));
    for path in mistaken {
        router = router.route(path, post(answer));
    }
    router.layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(Intake {
        service,
        patience,
        bodies: Bodies::default(),
        quiet: Quiet::default(),
    })
}

async fn answer(State(intake): State<Intake>, request: Request) -> Response {
    let outcome = take(&intake, request).await;
    let metrics = &intake.service.metrics;
    match outcome {
        Ok(accepted) => {
            metrics.count(Count::Webhooks, &["accepted"]);
            count(metrics, &accepted);
            let alerts = accepted.firing + accepted.resolved;
            (StatusCode::OK, format!("accepted, {alerts} {}\n", if alerts == 1 { "alert" } else { "alerts" }))
                .into_response()
        }
        Err(problem) => {
            metrics.count(Count::Webhooks, &[problem.outcome()]);
            let text = display_chain(&problem);
            tracing::warn!(outcome = problem.outcome(), "a request with alerts was not accepted: {text}");
            problem.answer(text)
        }
    }
}

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the bridge does not know the token or password that is given, or none is given")]
    Unauthorized { challenge: &'static str },
    #[error("whether this is allowed can not be told now")]
    Secret(#[source] super::secret::SecretError),
    #[error("the body has more than {} MiB; let max_alerts in Alertmanager's webhook_configs, or group_by, make it smaller", LARGEST_BODY / 1024 / 1024)]
    TooLarge,
    #[error("the body was not read")]
    Body(#[source] BodyError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the alerts could not be stored; they are to be sent again")]
    Store(#[source] StoreError),
    #[error("the alerts could not be stored within {} s; they are to be sent again", after.as_secs())]
    Slow { after: Duration },
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Problem::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::Refused(_) => StatusCode::BAD_REQUEST,
            Problem::Secret(_) | Problem::Body(_) | Problem::Store(_) | Problem::Slow { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Problem::Unauthorized { .. } => "unauthorized",
            Problem::TooLarge => "too_large",
            Problem::Refused(_) => "refused",
            Problem::Secret(_) | Problem::Body(_) | Problem::Store(_) | Problem::Slow { .. } => "failed",
        }
    }

    fn answer(&self, text: String) -> Response {
        let mut response = (self.status(), text + "\n").into_response();
        let mut head =
            |name, value: &'static str| response.headers_mut().insert(name, http::HeaderValue::from_static(value));
        match self {
            Problem::Unauthorized { challenge } => head(WWW_AUTHENTICATE, challenge),
            problem if problem.status() == StatusCode::SERVICE_UNAVAILABLE => head(RETRY_AFTER, RETRY_SECONDS),
            _ => None,
        };
        response
    }
}

async fn take(intake: &Intake, request: Request) -> Result<Accepted, Problem> {
    let service = &intake.service;
    let in_force = service.in_force();
    let operations_chat = &in_force.config.operations_chat;
    if !auth::is_allowed(&in_force.config.auth, request.headers()).map_err(Problem::Secret)? {
        if intake.is_news("unauthorized") {
            note_refusal(service, operations_chat, "unauthorized", unauthorized(), None).await;
        }
        return Err(Problem::Unauthorized { challenge: auth::challenge(&in_force.config.auth) });
    }
    let sender = text_of(request.headers(), &USER_AGENT);
    let Body { bytes: body, room } = match intake.bodies.read(request, LARGEST_BODY).await {
        Err(BodyError::TooLarge { .. }) => {
            note_refusal(service, operations_chat, "too_large", refused("too large", &Problem::TooLarge), None).await;
            return Err(Problem::TooLarge);
        }
        body => body.map_err(Problem::Body)?,
    };
    let began = Instant::now();
    let now = Timestamp::now();
    let arrival = match read(body.clone(), sender, in_force.clone(), now).await {
        Ok(arrival) => arrival,
        Err(refusal) => {
            let message = refused("not what Alertmanager sends", &refusal);
            note_refusal(service, operations_chat, refusal.reason(), message, Some(body)).await;
            return Err(refusal.into());
        }
    };
    // Many may wait for the store, and none of them needs the text any more.
    drop(body);
    service.store.check_place().map_err(Problem::Store)?;
    let stored = service.store.write(move |connection| {
        let accepted = accept(connection, &arrival, now);
        // Until here there is as much in memory as the body had room for, and more.
        drop((arrival, room));
        accepted
    });
    let slow = |_| Problem::Slow { after: intake.patience };
    let accepted = tokio::time::timeout(intake.patience, stored).await.map_err(slow)?.map_err(Problem::Store)?;
    service.metrics.observe(Measured::Intake, began.elapsed());
    Ok(accepted)
}

async fn read(body: Bytes, sender: String, in_force: Arc<InForce>, now: Timestamp) -> Result<Arrival, Refusal> {
    let is_large = body.len() > LARGE_BODY;
    let read = move || {
        let notification: Notification = webhook::read(&body, &sender, now)?;
        tracing::debug!(
            receiver = notification.receiver,
            group = notification.group_key,
            reason = notification.reason,
            alerts = notification.alerts.len(),
            "a notification has come"
        );
        Ok(Arrival::of(&in_force.config, notification))
    };
    // It has panicked; another time would not be better.
    let unread = |error: tokio::task::JoinError| Err(Refusal::Field { problem: error.to_string() });
    if is_large { tokio::task::spawn_blocking(read).await.unwrap_or_else(unread) } else { read() }
}

fn text_of(headers: &HeaderMap, name: &http::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

impl Intake {
    /// Whether this was not said for a while, as far as this program remembers: what anybody can cause must not keep the
    /// disk busy.
    fn is_news(&self, reason: &'static str) -> bool {
        let mut last = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_news = last.get(reason).is_none_or(|last| now.duration_since(*last) >= QUIET);
        if is_news {
            last.insert(reason, now);
        }
        is_news
    }
}

/// Keeps the head of a refused request, and tells those who look after the bridge, who alone can mend it. The answer to it
/// is the same whether that succeeds or not.
async fn note_refusal(
    service: &Service,
    operations_chat: &ChatName,
    reason: &'static str,
    message: Message,
    body: Option<Bytes>,
) {
    let chat = operations_chat.clone();
    let body = body.map(|body| body.slice(..body.len().min(notices::LONGEST_HEAD)));
    let noted = service.store.write(move |connection| {
        let now = Timestamp::now();
        notices::keep_refusal(connection, reason, body.as_deref().unwrap_or_default(), now)?;
        notices::tell_once(connection, &chat, reason, message, now)
    });
    match tokio::time::timeout(PATIENCE, noted).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!("a refused request could not be written down: {}", display_chain(&error)),
        Err(_) => tracing::warn!("a refused request could not be written down: the store takes too long"),
    }
}

fn unauthorized() -> Message {
    Message {
        title: "Alerts were refused: wrong token or password".to_owned(),
        text: "Somebody posts alerts to the bridge without the right token or password. If that is your Alertmanager, \
               nothing of what it posts is accepted; compare its http_config with the bridge's auth."
            .to_owned(),
        severity: Severity::Warning,
        instance: None,
        is_silent: false,
    }
}

fn refused(what: &str, why: &dyn std::error::Error) -> Message {
    Message {
        title: format!("Alerts were refused: {what}"),
        text: format!("{}. Alertmanager does not send again what is refused.", display_chain(why)),
        severity: Severity::Warning,
        instance: None,
        is_silent: false,
    }
}

/// Counts what a notification has meant, once it is on the disk.
fn count(metrics: &Metrics, accepted: &Accepted) {
    for (status, alerts) in [("firing", accepted.firing), ("resolved", accepted.resolved)] {
        metrics.count_many(Count::Alerts, &[status], alerts);
    }
    for (change, alerts) in &accepted.changes {
        metrics.count_many(Count::Changes, &[change.as_str()], *alerts);
    }
    for (chat, alerts) in &accepted.muted {
        metrics.count_many(Count::Muted, &[chat.as_str()], *alerts);
    }
    metrics.count_many(Count::Unrouted, &[], accepted.unrouted);
    metrics.count_many(Count::Truncated, &[], accepted.truncated);
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
