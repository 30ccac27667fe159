//! What each kind of endpoint is asked, and what its answer tells.
//!
//! * A dashboard serves the page of its single-page application with 200 at every path it does not know, so that 200
//!   proves nothing; and `/api/status`, which is made for probes, deletes files of a gateway that has died. It is asked
//!   for [`DASHBOARD_PATH`] without credentials, which it refuses before any handler has run: in JSON, with words that
//!   also tell whether people have to log in. (It refuses so under any name: it looks at the Host header later.) There
//!   is no handler of GET behind that path, so that nothing happens either where something on the way adds credentials.
//! * The API server and the webhook platform answer `/health` to everybody with JSON that says who they are. The
//!   answer comes from the gateway's own event loop.
//! * Of any other server only the status is looked at.

use http::StatusCode;
use serde::Deserialize;

use super::super::problems::Because;
use super::BodyUse;
use crate::error_chain::display_chain;
use crate::exporter::endpoint::Endpoint;
use crate::exporter::snapshot::endpoints::{Access, EndpointKind, Failure, Probe, Verdict};
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::http::connect::ConnectError;
use crate::system::http::{Answer, HttpError, Outcome, Stage};
use crate::system::time::Timestamp;

/// What a dashboard is asked for. Its own page asks for it with POST, to open a web socket.
const DASHBOARD_PATH: &str = "/api/auth/ws-ticket";

const HEALTH_PATH: &str = "/health";

/// The most that is read of an answer. The right ones have less than 200 bytes.
const MOST_BODY: usize = 64 * 1024;

/// What an endpoint is asked for, and whether the body of its answer matters.
pub(super) fn question(endpoint: &Endpoint) -> (String, BodyUse) {
    let health = || {
        let path = &endpoint.url.path;
        if path.ends_with(HEALTH_PATH) { path.clone() } else { endpoint.url.below(HEALTH_PATH) }
    };
    match endpoint.kind {
        EndpointKind::HermesDashboard => (endpoint.url.below(DASHBOARD_PATH), BodyUse::UpTo(MOST_BODY)),
        EndpointKind::HermesApiServer | EndpointKind::HermesWebhook => (health(), BodyUse::UpTo(MOST_BODY)),
        EndpointKind::Http => (endpoint.url.path.clone(), BodyUse::Ignored),
    }
}

/// What came of asking it. Where the time was cut short, running out of it says nothing of the endpoint.
pub(super) fn answer(endpoint: &Endpoint, outcome: Outcome, is_cut_short: bool) -> Reading<Probe> {
    let judged = match outcome.answer {
        Ok(answer) => content(endpoint, &answer),
        Err(error) => {
            let name = &endpoint.name;
            tracing::debug!(endpoint = name, error = display_chain(&error), "an endpoint did not answer");
            match failure(&error, is_cut_short) {
                Ok(failure) => Err(failure),
                Err(reason) => return Reading::Unknown(reason),
            }
        }
    };
    Reading::Known(Probe {
        verdict: judged.map_or_else(Verdict::Down, |_| Verdict::Up),
        duration_seconds: outcome.took.as_secs_f64(),
        status_code: outcome.status.map(|status| status.as_u16()).into(),
        certificate_expiry: outcome.certificate_expiry.and_then(Timestamp::from_seconds).into(),
        access: judged.ok().flatten().into(),
    })
}

/// How an endpoint fails; the error is why it could not even be asked.
fn failure(error: &HttpError, is_cut_short: bool) -> Result<Failure, Reason> {
    Ok(match error {
        HttpError::Connect(error) => match error {
            ConnectError::Refused(_) => Failure::Refused,
            ConnectError::Reset(_) => Failure::Reset,
            ConnectError::Unreachable(_) => Failure::Unreachable,
            ConnectError::Silent(_) => Failure::Timeout,
            ConnectError::Name(_) => Failure::Dns,
            ConnectError::NoSocket(_) | ConnectError::Permission(_) | ConnectError::Ourselves(_) => {
                return Err(error.reason());
            }
        },
        HttpError::Trust(_) | HttpError::NobodyTrusted => return Err(error.reason()),
        HttpError::Timeout { stage: Stage::Queue | Stage::Trust, .. } => return Err(Reason::Timeout),
        HttpError::Timeout { .. } if is_cut_short => return Err(Reason::Timeout),
        HttpError::Timeout { stage: Stage::Lookup, .. } => Failure::Dns,
        HttpError::Timeout { stage: Stage::Connect | Stage::Answer, .. } => Failure::Timeout,
        HttpError::Tls(_) => Failure::Tls,
        HttpError::Closed(_) => Failure::Reset,
        HttpError::NotHttp(_) => Failure::Protocol,
        HttpError::TooLarge => Failure::TooLarge,
    })
}

/// Whether an answer is the right one, and how a dashboard lets people in.
fn content(endpoint: &Endpoint, answer: &Answer) -> Result<Option<Access>, Failure> {
    match endpoint.kind {
        EndpointKind::HermesDashboard => dashboard(answer).map(Some),
        EndpointKind::HermesApiServer => health(answer, "hermes-agent"),
        EndpointKind::HermesWebhook => health(answer, "webhook"),
        EndpointKind::Http => {
            let status = answer.status;
            let is_right = match endpoint.expect_status.as_slice() {
                [] => status.is_success() || status.is_redirection(),
                expected => expected.contains(&status.as_u16()),
            };
            if is_right { Ok(None) } else { Err(Failure::Status) }
        }
    }
}

/// A refusal by a dashboard.
#[derive(Deserialize)]
struct Refusal {
    detail: String,
    /// These two only where people log in.
    error: Option<String>,
    login_url: Option<String>,
}

fn dashboard(answer: &Answer) -> Result<Access, Failure> {
    let refusal: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, refusal) {
        (StatusCode::UNAUTHORIZED, Some(refusal)) if refusal.detail == "Unauthorized" => {
            match (refusal.error.as_deref(), refusal.login_url) {
                (None, None) => Ok(Access::Open),
                (Some("unauthenticated" | "session_expired"), Some(_)) => Ok(Access::Login),
                _ => Err(Failure::Content),
            }
        }
        // Also the page of somebody else's single-page application.
        (StatusCode::UNAUTHORIZED, _) => Err(Failure::Content),
        (status, _) if status.is_success() => Err(Failure::Content),
        _ => Err(Failure::Status),
    }
}

#[derive(Deserialize)]
struct Health {
    status: String,
    platform: String,
}

fn health(answer: &Answer, platform: &str) -> Result<Option<Access>, Failure> {
    if answer.status != StatusCode::OK {
        return Err(Failure::Status);
    }
    match serde_json::from_slice::<Health>(&answer.body) {
        Ok(health) if health.status == "ok" && health.platform == platform => Ok(None),
        _ => Err(Failure::Content),
    }
}
