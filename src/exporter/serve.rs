//! The HTTP server: routes, filters, deadlines.
//!
//! | route | answer |
//! |---|---|
//! | `GET /metrics` | the exposition, `?collect[]=NAME` and `?instance=NAME` (each repeatable) for a part of it |
//! | `GET /` | the status page, `?severity=` and `?instance=` for a part of it |
//! | `GET /runbooks/`, `/runbooks/{code}` | what to do about a finding |
//! | `GET /-/assets/{name}` | what pages load |
//! | `GET /api/v1/instances`, `/api/v1/instances/{name}` | the Snapshots |
//! | `GET /api/v1/findings` | what is wrong, `?severity=` and `?instance=` (each repeatable) for a part of it |
//! | `GET /sd` | targets for Prometheus' `http_sd_configs`, one per instance |
//! | `GET /-/healthy`, `/-/ready` | 200 as long as it serves |
//! | `POST /-/reload` | loads the configuration again |
//!
//! A scrape is answered before Prometheus would give up on it: see [`deadline`].

mod pages;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use super::collect::engine::Selection;
use super::collect::{COLLECTORS, entry};
use super::expose::family::ExporterFacts;
use super::expose::findings;
use super::expose::metrics::{Exposition, Judged};
use super::expose::targets::{self, machine_collectors};
use super::findings::{FleetFindings, Severity};
use super::reload::Reloader;
use super::snapshot::Fleet;
use crate::error_chain::display_chain;
use crate::web::metrics_text::Format;

/// Encoding more instances than these takes more than a few milliseconds, and must not keep others waiting.
const ENCODED_AT_ONCE: usize = 32;

/// How long a look may take for somebody who does not say.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// What is kept of a scrape's time for the way back.
const RESERVE: Duration = Duration::from_millis(500);

/// The longest that anybody may ask to wait.
const LONGEST_PATIENCE: Duration = Duration::from_secs(300);

const PATIENCE_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

#[derive(Debug, Clone)]
struct Service {
    reloader: Arc<Reloader>,
    telemetry_path: Arc<str>,
}

/// The routes of the exporter.
pub fn router(reloader: Arc<Reloader>, telemetry_path: &str) -> Router {
    Router::new()
        .route(telemetry_path, get(metrics))
        .route("/", get(pages::status))
        .route("/runbooks", get(pages::to_runbook_index))
        .route("/runbooks/", get(pages::runbook_index))
        .route("/runbooks/{name}", get(pages::runbook))
        .route("/-/assets/{name}", get(pages::asset))
        .route("/api/v1/instances", get(snapshots))
        .route("/api/v1/instances/{name}", get(snapshot))
        .route("/api/v1/findings", get(what_is_wrong))
        .route("/sd", get(targets))
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(async || "ready\n"))
        .route("/-/reload", post(reload))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(Service { reloader, telemetry_path: telemetry_path.into() })
}

async fn metrics(State(service): State<Service>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let selection = match selection(query.as_deref(), &service) {
        Ok(selection) => selection,
        Err(refusal) => return refusal,
    };
    let fleet = service.reloader.crew().look(&selection, deadline(&headers)).await;
    // Who asks for certain instances gets these alone, so that they can be targets of their own.
    let exporter = selection.instances.is_empty().then(|| ExporterFacts { service: Some(service.reloader.facts()) });
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::of_accept(accept);
    let exposition = Exposition::new(fleet, exporter).judging(judged(&selection));
    let encoded = if exposition.instances() <= ENCODED_AT_ONCE {
        Ok(exposition.encode(format))
    } else {
        tokio::task::spawn_blocking(move || exposition.encode(format)).await
    };
    match encoded {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, format.content_type())], body).into_response(),
        Ok(Err(_)) | Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be encoded\n").into_response()
        }
    }
}

/// What a look at `selection` looks at with every collector that there is for it.
fn judged(selection: &Selection) -> Judged {
    let all_of_machine = || machine_collectors().all(|name| selection.collectors.contains(name));
    match (selection.collectors.is_empty(), selection.instances.is_empty()) {
        (true, true) => Judged::Everything,
        (true, false) => Judged::Instances,
        (false, true) if all_of_machine() => Judged::Machine,
        (false, _) => Judged::Nothing,
    }
}

async fn snapshots(State(service): State<Service>, headers: HeaderMap) -> Response {
    let fleet = service.reloader.crew().look(&Selection::default(), deadline(&headers)).await;
    json(&*fleet)
}

async fn snapshot(State(service): State<Service>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let crew = service.reloader.crew();
    if !crew.instance_names().any(|other| other == name) {
        return no_such_instance(&name);
    }
    let only = Selection { instances: BTreeSet::from([name.clone()]), ..Selection::default() };
    let fleet: Arc<Fleet> = crew.look(&only, deadline(&headers)).await;
    match fleet.instances.iter().find(|snapshot| snapshot.identity.name == name) {
        Some(snapshot) => json(&**snapshot),
        None => no_such_instance(&name),
    }
}

async fn what_is_wrong(State(service): State<Service>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let severities = match severities(query.as_deref()) {
        Ok(severities) => severities,
        Err(refusal) => return refusal,
    };
    // A part of the collectors would find a part of what is wrong, and call the rest healthy.
    let selection = match selection(query.as_deref(), &service) {
        Ok(selection) => Selection { collectors: BTreeSet::new(), ..selection },
        Err(refusal) => return refusal,
    };
    let fleet = service.reloader.crew().look(&selection, deadline(&headers)).await;
    json(&findings::body(&fleet, &FleetFindings::of(&fleet), &severities))
}

/// One target per instance, and one for the exporter and the machine, all at the address that was asked.
async fn targets(State(service): State<Service>, headers: HeaderMap) -> Response {
    let Some(address) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return (StatusCode::BAD_REQUEST, "the request names no host\n").into_response();
    };
    let crew = service.reloader.crew();
    json(&targets::groups(crew.instance_names(), address, &service.telemetry_path, &[]))
}

async fn reload(State(service): State<Service>, headers: HeaderMap) -> Response {
    // A browser says where a request comes from; whoever runs the exporter uses none for this.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "web pages may not reload the configuration\n").into_response();
    }
    match service.reloader.reload().await {
        Ok(()) => "the configuration was loaded\n".into_response(),
        Err(error) => {
            let text = format!(
                "the configuration was not loaded, the former one stays in force:\n{}\n",
                display_chain(&*error)
            );
            (StatusCode::UNPROCESSABLE_ENTITY, text).into_response()
        }
    }
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be encoded\n").into_response(),
    }
}

fn no_such_instance(name: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no instance called {name:?}; /api/v1/instances lists them\n"))
        .into_response()
}

/// When an answer is due: what Prometheus says it waits, less what the way back takes.
fn deadline(headers: &HeaderMap) -> Instant {
    let named = headers.get(PATIENCE_HEADER).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    let patience = named
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|patience| !patience.is_zero())
        .unwrap_or(DEFAULT_PATIENCE)
        .min(LONGEST_PATIENCE);
    Instant::now() + patience.saturating_sub(RESERVE).max(patience / 2)
}

/// What a query asks for. `collect` is understood beside `collect[]`, which no label of Prometheus can be called; and
/// names with commas between them, because a label has one value.
#[expect(clippy::result_large_err, reason = "the error is the response, and is made at most once per request")]
fn selection(query: Option<&str>, service: &Service) -> Result<Selection, Response> {
    let mut selection = Selection::default();
    for (key, value) in pairs(query)? {
        match key.as_str() {
            "collect[]" | "collect" => {
                for name in value.split(',') {
                    if entry(name).is_none() {
                        let names: Vec<_> = COLLECTORS.iter().map(|entry| entry.name).collect();
                        let text = format!("there is no collector called {name:?}; there are: {}\n", names.join(", "));
                        return Err((StatusCode::BAD_REQUEST, text).into_response());
                    }
                    selection.collectors.insert(name.to_owned());
                }
            }
            "instance" if service.reloader.crew().instance_names().any(|name| name == value) => {
                selection.instances.insert(value);
            }
            "instance" => return Err(no_such_instance(&value)),
            // Prometheus lets people add parameters of their own.
            _ => {}
        }
    }
    Ok(selection)
}

/// The severities that a query asks for; none where it asks for all of them.
#[expect(clippy::result_large_err, reason = "the error is the response, and is made at most once per request")]
fn severities(query: Option<&str>) -> Result<BTreeSet<Severity>, Response> {
    let mut severities = BTreeSet::new();
    for (_, value) in pairs(query)?.iter().filter(|(key, _)| key == "severity") {
        for name in value.split(',') {
            let Some(severity) = Severity::ALL.into_iter().find(|severity| severity.as_str() == name) else {
                let text = format!("there is no severity called {name:?}; there are: info, warning, critical\n");
                return Err((StatusCode::BAD_REQUEST, text).into_response());
            };
            severities.insert(severity);
        }
    }
    Ok(severities)
}

#[expect(clippy::result_large_err, reason = "the error is the response, and is made at most once per request")]
fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Response> {
    match axum::extract::Query::try_from_uri(&uri_of(query.unwrap_or_default())) {
        Ok(axum::extract::Query(pairs)) => Ok(pairs),
        Err(_) => Err((StatusCode::BAD_REQUEST, "the query can not be read\n").into_response()),
    }
}

fn uri_of(query: &str) -> axum::http::Uri {
    axum::http::Uri::try_from(format!("/?{query}")).unwrap_or_default()
}
