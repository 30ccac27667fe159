//! What is known of the addresses that an instance answers at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading};
use crate::system::time::Timestamp;

/// The endpoints of one instance, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Endpoints(pub BTreeMap<Label, Endpoint>);

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// What is expected to answer there.
    pub kind: EndpointKind,
    /// What came of asking; unknown only where it could not even be asked.
    pub probe: Reading<Probe>,
}

/// What is expected to answer at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndpointKind {
    /// The dashboard of Hermes.
    HermesDashboard,
    /// The API server of a Hermes gateway.
    HermesApiServer,
    /// The webhook platform of a Hermes gateway.
    HermesWebhook,
    /// Any web server; only its status is looked at.
    Http,
}

impl EndpointKind {
    /// The word used in labels, JSON and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            EndpointKind::HermesDashboard => "hermes-dashboard",
            EndpointKind::HermesApiServer => "hermes-api-server",
            EndpointKind::HermesWebhook => "hermes-webhook",
            EndpointKind::Http => "http",
        }
    }
}

/// What came of asking an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Probe {
    /// Whether what is expected there answers.
    pub verdict: Verdict,
    /// How long it took to find out, in seconds.
    pub duration_seconds: f64,
    /// The status of the answer; absent where there was none.
    pub status_code: Reading<u16>,
    /// Until when the certificate that was shown is valid, trusted or not; absent where none was shown.
    pub certificate_expiry: Reading<Timestamp>,
    /// How a dashboard lets people in; absent for everything else, and while it is down.
    pub access: Reading<Access>,
}

/// Whether what is expected at an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It answers as it should.
    Up,
    /// It does not.
    Down(Failure),
}

/// How an endpoint fails to answer as it should: the closed set behind the `reason` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// The machine is not there, or there is no way to it.
    Unreachable,
    /// Its name can not be looked up.
    Dns,
    /// No whole answer came in time.
    Timeout,
    /// The connection was closed before the answer was whole.
    Reset,
    /// TLS failed; most often the certificate has expired, is for another name, or is not signed by anybody trusted.
    Tls,
    /// The answer is not HTTP.
    Protocol,
    /// The answer is longer than is read.
    TooLarge,
    /// The status is not the one it should be.
    Status,
    /// The answer is not one that the expected program gives: something else answers there.
    Content,
}

impl Failure {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::Unreachable => "unreachable",
            Failure::Dns => "dns",
            Failure::Timeout => "timeout",
            Failure::Reset => "reset",
            Failure::Tls => "tls",
            Failure::Protocol => "protocol",
            Failure::TooLarge => "too_large",
            Failure::Status => "status",
            Failure::Content => "content",
        }
    }
}

/// How a dashboard lets people in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Whoever can reach it: it is bound to loopback, and gives its session token to everybody who loads its page.
    Open,
    /// Whoever logs in.
    Login,
}
