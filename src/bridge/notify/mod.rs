//! Messages and progress from scripts: `POST /notify`.
//!
//! * `request`: what was posted, and what is wrong with it.
//! * `keep`: what becomes of it in the store.
//!
//! As with alerts, 200 is said after it is on the disk, and 503 only when it can not be.

mod keep;
mod request;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{StatusCode, header};
use rusqlite::Connection;
use serde_json::json;

use super::alert::{Alert, INSTANCE, Labels, Notification, Status, normal_instance};
use super::auth;
use super::body::{Bodies, BodyError};
use super::card::{CardId, Message};
use super::config::{ChatName, Config};
use super::metrics::table::Count;
use super::route;
use super::service::Service;
use crate::config_file::nearest;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;
use keep::KeepError;
use request::{Body, For, Note, Refusal};

/// More than the longest text in the most wasteful encoding.
const LARGEST_BODY: usize = 256 * 1024;
/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// `POST /notify`.
pub fn router(service: Service) -> Router {
    let state = (service, Bodies::default());
    Router::new().route("/notify", post(notify)).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(state)
}

async fn notify(State((service, bodies)): State<(Service, Bodies)>, request: Request) -> Response {
    let headers = request.headers().clone();
    let query = request.uri().query().map(str::to_owned);
    let in_force = service.in_force();
    let count = |outcome: &str| service.metrics.count(Count::Notes, &[outcome]);
    match auth::is_allowed(&in_force.config.auth, &headers) {
        Ok(true) => {}
        Ok(false) => {
            count("unauthorized");
            let challenge = [(header::WWW_AUTHENTICATE, auth::challenge(&in_force.config.auth))];
            return (StatusCode::UNAUTHORIZED, challenge, "The token or password is wrong.\n").into_response();
        }
        Err(error) => return failed(&service, &error),
    }
    let body = match bodies.read(request, LARGEST_BODY).await {
        Ok(body) => body,
        Err(error @ BodyError::NoRoom { .. }) => return failed(&service, &error),
        Err(error) => {
            count("refused");
            let status = match error {
                BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::REQUEST_TIMEOUT,
            };
            return (status, format!("{error}\n")).into_response();
        }
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json =
        content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let note = request::read(is_json, query.as_deref(), &body.bytes);
    let kept = match note.and_then(|note| Ok((chats(&in_force.config, &note)?, note))) {
        Ok((wanted, note)) => {
            for chat in &wanted.muted {
                service.metrics.count(Count::Muted, &[chat.as_str()]);
            }
            let chats = wanted.chats;
            if let Err(error) = service.store.check_place() {
                return failed(&service, &error);
            }
            let work = move |connection: &Connection| match keep_all(connection, &chats, &note, Timestamp::now()) {
                Ok(kept) => Ok(Ok(kept)),
                Err(KeepError::Store(error)) => Err(error),
                Err(KeepError::Refused(refusal)) => Ok(Err(refusal)),
            };
            match tokio::time::timeout(PATIENCE, service.store.write(work)).await {
                Ok(Ok(kept)) => kept,
                Ok(Err(error)) => return failed(&service, &error),
                Err(error) => return failed(&service, &error),
            }
        }
        Err(refusal) => Err(refusal),
    };
    match kept {
        Ok(kept) => {
            count("accepted");
            let also: Vec<_> = kept.iter().skip(1).map(|(chat, card)| json!({"chat": chat, "card": card})).collect();
            let mut answer = json!({
                "chat": kept.first().map(|(chat, _)| chat),
                "card": kept.first().map(|(_, card)| card),
            });
            if !also.is_empty() {
                answer["also"] = also.into();
            }
            axum::Json(answer).into_response()
        }
        Err(refusal) => {
            count("refused");
            (StatusCode::BAD_REQUEST, format!("{refusal}\n")).into_response()
        }
    }
}

fn failed(service: &Service, error: &dyn std::error::Error) -> Response {
    service.metrics.count(Count::Notes, &["failed"]);
    tracing::error!(error = %display_chain(error), "a note could not be kept");
    (StatusCode::SERVICE_UNAVAILABLE, "It could not be kept; see the log of the bridge, and try again.\n")
        .into_response()
}

/// Where a note goes, and where it would if it were not muted there.
struct Wanted {
    chats: Vec<ChatName>,
    muted: Vec<ChatName>,
}

fn chats(config: &Config, note: &Note) -> Result<Wanted, Refusal> {
    match &note.to {
        For::Chat(name) => {
            let chat = ChatName::from(name.as_str());
            if config.chats.contains_key(&chat) {
                return Ok(Wanted { chats: vec![chat], muted: Vec::new() });
            }
            let known = || config.chats.keys().map(ChatName::as_str);
            let instead = match nearest(name, known()) {
                Some(nearest) => format!("did you mean {nearest:?}?"),
                None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
            };
            Err(Refusal::field("chat", format!("there is no chat called {name:?}; {instead}")))
        }
        For::Instance(instance) => {
            let routed = route::route(config, &notification(), &as_alert(note, instance));
            let is_muted = |chat: &ChatName| match &note.body {
                // How a backup goes on is no matter of how bad it is.
                Body::Progress(_) => false,
                Body::Message { .. } => config.chat(chat).is_some_and(|chat| chat.muted.contains(&note.severity)),
            };
            let (muted, chats) = routed.chats.into_iter().partition(is_muted);
            Ok(Wanted { chats, muted })
        }
    }
}

fn notification() -> Notification {
    Notification {
        receiver: String::new(),
        group_key: String::new(),
        route_labels: Labels::new(),
        external_url: String::new(),
        reason: None,
        truncated_alerts: 0,
        alerts: Vec::new(),
    }
}

/// A note as rules see it.
fn as_alert(note: &Note, instance: &str) -> Alert {
    let labels = [(INSTANCE, instance), ("severity", note.severity.as_str())];
    Alert {
        fingerprint: String::new(),
        status: Status::Firing,
        starts_at: Timestamp::now(),
        ends_at: None,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        annotations: Labels::new(),
        generator_url: String::new(),
    }
}

type Kept = Vec<(ChatName, CardId)>;

fn keep_all(connection: &Connection, chats: &[ChatName], note: &Note, now: Timestamp) -> Result<Kept, KeepError> {
    let instance = note.instance.as_deref().map(normal_instance);
    let keep = |chat: &ChatName| match &note.body {
        Body::Message { title, text, key, is_silent } => {
            let message = Message {
                title: title.clone(),
                text: text.clone(),
                severity: note.severity,
                instance: instance.clone(),
                is_silent: *is_silent,
            };
            keep::message(connection, chat, message, key.as_deref(), now)
        }
        Body::Progress(update) => keep::progress(connection, chat, update, instance.as_deref(), now),
    };
    // What one chat refuses, no chat is told: a refusal is no error of the transaction, which would take the rest back.
    connection.execute_batch("SAVEPOINT note")?;
    let kept = chats.iter().map(|chat| Ok((chat.clone(), keep(chat)?))).collect();
    if matches!(kept, Err(KeepError::Refused(_))) {
        connection.execute_batch("ROLLBACK TO note")?;
    }
    connection.execute_batch("RELEASE note")?;
    kept
}

#[cfg(test)]
mod tests;
