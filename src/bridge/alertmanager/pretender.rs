//! A stand-in for Alertmanager: as much of API v2 as the bridge asks for, over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use serde_json::{Value, json};

use crate::bridge::config::{Alertmanager, Auth};

/// What it has, and how it behaves.
#[derive(Debug, Default)]
pub(in crate::bridge) struct Pretended {
    pub(in crate::bridge) silences: BTreeMap<String, Value>,
    /// The alerts that fire, each with the ids of the silences that it has.
    pub(in crate::bridge) alerts: BTreeMap<String, Vec<String>>,
    /// Which of them others inhibit, each with the fingerprint of the other one.
    pub(in crate::bridge) inhibited: BTreeMap<String, String>,
    /// Since when it runs.
    pub(in crate::bridge) started: String,
    /// What it answers instead of doing anything, after this many requests.
    pub(in crate::bridge) refusal: Option<(usize, u16, String)>,
    pub(in crate::bridge) authorization: Vec<String>,
    made: usize,
    requests: usize,
}

#[derive(Debug, Clone)]
pub(in crate::bridge) struct Pretender {
    state: Arc<Mutex<Pretended>>,
    url: String,
}

impl Pretender {
    pub(in crate::bridge) async fn start() -> Pretender {
        let state = Arc::new(Mutex::new(Pretended::default()));
        let router = Router::new()
            .route("/am/api/v2/silences", get(list).post(make))
            .route("/am/api/v2/silence/{id}", delete(expire))
            .route("/am/api/v2/alerts", get(alerts))
            .route("/am/api/v2/status", get(status))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/am/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Pretender { state, url }
    }

    pub(in crate::bridge) fn state(&self) -> MutexGuard<'_, Pretended> {
        self.state.lock().unwrap()
    }

    pub(in crate::bridge) fn settings(&self, auth: Auth) -> Alertmanager {
        Alertmanager { url: self.url.parse().unwrap(), auth }
    }
}

type Shared = State<Arc<Mutex<Pretended>>>;

impl Pretended {
    fn asked(&mut self, headers: &HeaderMap) -> Option<Response> {
        self.requests += 1;
        let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.authorization.extend(authorization);
        match &self.refusal {
            Some((after, status, said)) if self.requests > *after => {
                Some((StatusCode::from_u16(*status).unwrap(), said.clone()).into_response())
            }
            _ => None,
        }
    }
}

async fn status(State(state): Shared) -> Response {
    let started = state.lock().unwrap().started.clone();
    axum::Json(json!({"versionInfo": {"version": "0.25.0"}, "uptime": started})).into_response()
}

async fn alerts(State(state): Shared, headers: HeaderMap) -> Response {
    let mut state = state.lock().unwrap();
    if let Some(refusal) = state.asked(&headers) {
        return refusal;
    }
    let alert = |(fingerprint, silences): (&String, &Vec<String>)| {
        let inhibited_by: Vec<_> = state.inhibited.get(fingerprint).into_iter().collect();
        let is_told = silences.is_empty() && inhibited_by.is_empty();
        let state = if is_told { "active" } else { "suppressed" };
        json!({"fingerprint": fingerprint, "labels": {},
            "status": {"state": state, "silencedBy": silences, "inhibitedBy": inhibited_by, "mutedBy": []}})
    };
    axum::Json(state.alerts.iter().map(alert).collect::<Vec<_>>()).into_response()
}

async fn list(State(state): Shared, headers: HeaderMap) -> Response {
    let mut state = state.lock().unwrap();
    if let Some(refusal) = state.asked(&headers) {
        return refusal;
    }
    axum::Json(state.silences.values().cloned().collect::<Vec<_>>()).into_response()
}

async fn make(State(state): Shared, headers: HeaderMap, axum::Json(mut silence): axum::Json<Value>) -> Response {
    let mut state = state.lock().unwrap();
    if let Some(refusal) = state.asked(&headers) {
        return refusal;
    }
    if silence["matchers"].as_array().is_none_or(Vec::is_empty) {
        return (StatusCode::BAD_REQUEST, axum::Json(json!("invalid silence: at least one matcher required")))
            .into_response();
    }
    state.made += 1;
    let id = format!("silence-{}", state.made);
    silence["id"] = json!(id);
    silence["status"] = json!({"state": "active"});
    state.silences.insert(id.clone(), silence);
    axum::Json(json!({"silenceID": id})).into_response()
}

async fn expire(State(state): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let mut state = state.lock().unwrap();
    if let Some(refusal) = state.asked(&headers) {
        return refusal;
    }
    match state.silences.get_mut(&id) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(silence) if silence["status"]["state"] == "expired" => {
            (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(json!(format!("silence {id} already expired"))))
                .into_response()
        }
        Some(silence) => {
            silence["status"] = json!({"state": "expired"});
            StatusCode::OK.into_response()
        }
    }
}
