//! Alertmanager's API v2, as far as silences and alerts go, with what it refuses.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response};
use serde_json::{Value, json};

type Silences = Arc<Mutex<Vec<Value>>>;

/// A server on the runtime of the test.
pub(crate) struct Alertmanager {
    pub(crate) url: String,
    silences: Silences,
}

impl Alertmanager {
    /// Starts it.
    pub(crate) async fn start() -> Alertmanager {
        let silences = Silences::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(silences.clone());
        tokio::spawn(std::future::IntoFuture::into_future(axum::serve(listener, router)));
        Alertmanager { url, silences }
    }

    /// The silences that were ever made, each with `status.state`.
    pub(crate) fn silences(&self) -> Vec<Value> {
        self.silences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(silences): State<Silences>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap_or_default();
    let path = head.uri.path().strip_prefix("/api/v2/").unwrap_or_default();
    let mut silences = silences.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, answer) = match (head.method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["status"]) => (200, json!({"cluster": {"status": "ready"}, "versionInfo": {"version": "0.25.0"}})),
        ("GET", ["alerts"]) => (200, json!([])),
        ("GET", ["silences"]) => (200, json!(*silences)),
        ("POST", ["silences"]) => match problem(&body) {
            Some(problem) => (400, json!(problem)),
            None => {
                let id = format!("00000000-0000-4000-8000-{:012}", silences.len() + 1);
                let mut silence = body;
                silence["id"] = json!(id);
                silence["status"] = json!({"state": "active"});
                silence["updatedAt"] = silence["startsAt"].clone();
                silences.push(silence);
                (200, json!({"silenceID": id}))
            }
        },
        (method, ["silence", id]) => match silences.iter_mut().find(|silence| silence["id"] == *id) {
            Some(silence) if method == "GET" => (200, silence.clone()),
            Some(silence) if method == "DELETE" => {
                silence["status"]["state"] = json!("expired");
                (200, Value::Null)
            }
            _ => (404, json!("silence not found")),
        },
        _ => (404, json!({"code": 404, "message": "path was not found"})),
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(answer.to_string())).unwrap()
}

/// Why Alertmanager does not take a silence.
fn problem(silence: &Value) -> Option<&'static str> {
    let moment = |name: &str| silence[name].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let matchers = silence["matchers"].as_array().cloned().unwrap_or_default();
    if matchers.is_empty() {
        return Some("silence invalid: at least one matcher required");
    }
    if matchers.iter().all(|matcher| matcher["value"] == "" && matcher["isRegex"] != true) {
        return Some("silence invalid: at least one matcher must not match the empty string");
    }
    if matchers.iter().any(|matcher| !matcher["name"].is_string() || !matcher["isRegex"].is_boolean()) {
        return Some("invalid matcher");
    }
    if silence["createdBy"].as_str().is_none_or(str::is_empty) || silence["comment"].as_str().is_none_or(str::is_empty)
    {
        return Some("silence invalid: creator information and comment missing");
    }
    match moment("startsAt").zip(moment("endsAt")) {
        Some((begin, end)) if begin < end => None,
        _ => Some("silence invalid: end time must not be before start time"),
    }
}
