//! Alertmanager's API v2: the silences in it, made, ended and listed; and the alerts that it has.
//!
//! It is asked directly, without a proxy, because it is a neighbour. What comes back is bounded in size and time.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::alert::Labels;
use super::config::{Alertmanager, Auth};
use super::route::Matchers;
use super::secret::SecretError;
use crate::system::time::Timestamp;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Somebody has pressed a button and looks at it.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// More than thousands of silences take.
const LARGEST_ANSWER: usize = 8 << 20;
/// As much as is kept of what it says when it refuses.
const LONGEST_REASON: usize = 200;

/// Why something could not be done in Alertmanager.
#[derive(Debug, thiserror::Error)]
pub enum AlertmanagerError {
    /// There is no HTTP client, most often because the system's certificates can not be read.
    #[error("no connection can be made from here")]
    Client(#[source] reqwest::Error),
    /// What it is logged in with is not there.
    #[error("the password or token for Alertmanager is not there")]
    Secret(#[source] SecretError),
    /// It does not answer.
    #[error("Alertmanager does not answer at {url}; see whether it runs, and whether alertmanager.url is right")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// It wants another password or token.
    #[error("Alertmanager refuses the login ({status}); see alertmanager.auth")]
    Login {
        /// What it answered.
        status: u16,
    },
    /// There is no API v2 at that address.
    #[error("there is no API of Alertmanager at {url}; alertmanager.url is its address without /api/v2")]
    NoApi {
        /// Where it was looked for.
        url: String,
    },
    /// It does not do it.
    #[error("Alertmanager refuses ({status}): {reason}")]
    Refused {
        /// What it answered.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// What it answers is not what API v2 answers.
    #[error("Alertmanager's answer can not be understood: {0}")]
    Answer(String),
    /// The silence would be one of everything.
    #[error("an alert without labels can not be silenced; everything else would be, too")]
    NoLabels,
}

/// A silence to be made: of what has exactly these labels.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSilence {
    /// The labels, each with its value. Those with an empty one are left out.
    pub labels: Labels,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Who makes it.
    pub created_by: String,
    /// What for.
    pub comment: String,
}

/// A silence that is in force, or will be.
#[derive(Debug, Clone)]
pub struct ListedSilence {
    /// Its id.
    pub id: String,
    /// What it silences, as Alertmanager writes it: `{alertname="A", instance=~"v.*"}`.
    pub matchers: String,
    /// The same, to be compared with labels; none where it is not understood.
    pub fits: Option<Matchers>,
    /// The labels that it is for, where each of its matchers is for exactly one value.
    pub labels: Option<Labels>,
    /// When it ends.
    pub until: Option<Timestamp>,
    /// Who has made it.
    pub created_by: String,
    /// What for.
    pub comment: String,
}

impl ListedSilence {
    /// Whether it is for exactly these labels, as one is that was made of them.
    pub fn is_of(&self, labels: &Labels) -> bool {
        let given = labels.iter().filter(|(_, value)| !value.is_empty());
        self.labels.as_ref().is_some_and(|own| given.eq(own.iter()))
    }
}

/// What keeps people from being told of an alert that Alertmanager has; nothing, where they are told as its routes say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hearing {
    /// The id of a silence; empty, where Alertmanager does not say why it tells nobody.
    pub silenced_by: Option<String>,
    /// The fingerprint of an alert that inhibits it.
    pub inhibited_by: Option<String>,
}

/// The way to an Alertmanager.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    auth: Auth,
}

impl Client {
    /// To this one. Nothing is asked yet.
    pub fn new(settings: &Alertmanager) -> Result<Client, AlertmanagerError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(AlertmanagerError::Client)?;
        Ok(Client { http, url: settings.url.clone(), auth: settings.auth.clone() })
    }

    /// Makes a silence, and gives its id.
    pub async fn silence(&self, silence: &NewSilence) -> Result<String, AlertmanagerError> {
        let matchers: Vec<Value> = silence
            .labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true}))
            .collect();
        if matchers.is_empty() {
            return Err(AlertmanagerError::NoLabels);
        }
        let body = json!({
            "matchers": matchers,
            "startsAt": written(silence.from),
            "endsAt": written(silence.until),
            "createdBy": silence.created_by,
            "comment": silence.comment,
        });
        let answer = self.ask(self.request(Method::POST, &["silences"])?.json(&body)).await?;
        let made: Made = understood(&answer)?;
        Ok(made.silence_id)
    }

    /// Ends a silence. One that is over already, or gone, is no error.
    pub async fn expire(&self, id: &str) -> Result<(), AlertmanagerError> {
        let request = self.request(Method::DELETE, &["silence", id])?;
        match self.ask(request).await {
            // Where there is no API of Alertmanager at all, that is no news of the silence.
            Err(AlertmanagerError::NoApi { .. }) => self.status().await.map(drop),
            // Before 0.26 one that is gone is a failure of its own kind.
            Err(AlertmanagerError::Refused { reason, .. })
                if reason.contains("expired") || reason.contains("not found") =>
            {
                Ok(())
            }
            outcome => outcome.map(|_| ()),
        }
    }

    /// The silences that are in force or will be, those that end first first.
    pub async fn silences(&self) -> Result<Vec<ListedSilence>, AlertmanagerError> {
        let answer = self.ask(self.request(Method::GET, &["silences"])?).await?;
        let all: Vec<RawSilence> = understood(&answer)?;
        let mut listed: Vec<ListedSilence> =
            all.into_iter().filter(|silence| silence.status.state != "expired").map(RawSilence::listed).collect();
        let end = |silence: &ListedSilence| silence.until.map_or(f64::INFINITY, Timestamp::seconds);
        listed.sort_by(|one, other| end(one).total_cmp(&end(other)));
        Ok(listed)
    }

    /// The alerts that it has, by their fingerprints: all that fire, whether people are told of them or not.
    pub async fn alerts(&self) -> Result<HashMap<String, Hearing>, AlertmanagerError> {
        let all = ["active", "silenced", "inhibited", "unprocessed"].map(|kind| (kind, "true"));
        let answer = self.ask(self.request(Method::GET, &["alerts"])?.query(&all)).await?;
        let alerts: Vec<RawAlert> = understood(&answer)?;
        let heard = |alert: RawAlert| {
            let RawHearing { state, silenced_by, inhibited_by } = alert.status;
            let mut hearing = Hearing::default();
            if state == "suppressed" {
                hearing.inhibited_by = inhibited_by.into_iter().next();
                let nobody_says_why = hearing.inhibited_by.is_none().then(String::new);
                hearing.silenced_by = silenced_by.into_iter().next().or(nobody_says_why);
            }
            (alert.fingerprint, hearing)
        };
        Ok(alerts.into_iter().map(heard).collect())
    }

    /// Since when it runs.
    pub async fn started(&self) -> Result<Timestamp, AlertmanagerError> {
        let answer = self.ask(self.request(Method::GET, &["status"])?).await?;
        let status: RawUptime = understood(&answer)?;
        Timestamp::from_text(&status.uptime)
            .ok_or_else(|| AlertmanagerError::Answer(format!("its uptime is {:?}", status.uptime)))
    }

    /// Its version, which also says that it can be reached and lets us in.
    pub async fn status(&self) -> Result<String, AlertmanagerError> {
        let answer = self.ask(self.request(Method::GET, &["status"])?).await?;
        let status: RawStatus = understood(&answer)?;
        Ok(status.version_info.version)
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, AlertmanagerError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v2"]).extend(path);
        }
        let request = self.http.request(method, url);
        Ok(match &self.auth {
            Auth::Open => request,
            Auth::Bearer(token) => request.bearer_auth(token.read().map_err(AlertmanagerError::Secret)?.reveal()),
            Auth::Basic { username, password } => {
                let password = password.read().map_err(AlertmanagerError::Secret)?;
                request.basic_auth(username, Some(password.reveal()))
            }
        })
    }

    /// The body of a good answer.
    async fn ask(&self, request: RequestBuilder) -> Result<Vec<u8>, AlertmanagerError> {
        let unreachable =
            |source: reqwest::Error| AlertmanagerError::Unreachable { url: self.shown(), source: source.without_url() };
        let mut response: Response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(AlertmanagerError::Answer(format!("it has more than {} MiB", LARGEST_ANSWER >> 20)));
            }
        }
        match status {
            _ if status.is_success() => Ok(body),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(AlertmanagerError::Login { status: status.as_u16() })
            }
            StatusCode::NOT_FOUND => Err(AlertmanagerError::NoApi { url: self.shown() }),
            _ => Err(AlertmanagerError::Refused { status: status.as_u16(), reason: reason(&body) }),
        }
    }

    /// Its address, for people; a password in it is left out.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        // It fails where a URL can have no password.
        let _ = url.set_password(None);
        url.to_string()
    }
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatus {
    version_info: RawVersion,
}

#[derive(Deserialize)]
struct RawUptime {
    /// The moment of its start, whatever it is called.
    uptime: String,
}

#[derive(Deserialize)]
struct RawAlert {
    fingerprint: String,
    status: RawHearing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHearing {
    state: String,
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
}

#[derive(Deserialize)]
struct RawVersion {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSilence {
    id: String,
    status: RawState,
    matchers: Vec<RawMatcher>,
    ends_at: String,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

#[derive(Deserialize)]
struct RawState {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMatcher {
    name: String,
    value: String,
    is_regex: bool,
    /// Not there before Alertmanager 0.22, which knew no negative matchers.
    #[serde(default = "positive")]
    is_equal: bool,
}

fn positive() -> bool {
    true
}

impl RawMatcher {
    fn operator(&self) -> &'static str {
        match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        }
    }
}

impl RawSilence {
    fn listed(self) -> ListedSilence {
        let written = |matcher: &RawMatcher| format!("{}{}{:?}", matcher.name, matcher.operator(), matcher.value);
        let matchers: Vec<String> = self.matchers.iter().map(written).collect();
        let parts =
            self.matchers.iter().map(|matcher| (matcher.name.as_str(), matcher.operator(), matcher.value.as_str()));
        let is_plain = self.matchers.iter().all(|matcher| matcher.operator() == "=");
        let labels = self.matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone()));
        ListedSilence {
            id: self.id,
            matchers: format!("{{{}}}", matchers.join(", ")),
            fits: Matchers::of(parts).ok(),
            labels: is_plain.then(|| labels.collect()),
            until: Timestamp::from_text(&self.ends_at),
            created_by: self.created_by,
            comment: self.comment,
        }
    }
}

fn understood<T: for<'a> Deserialize<'a>>(answer: &[u8]) -> Result<T, AlertmanagerError> {
    serde_json::from_slice(answer).map_err(|error| AlertmanagerError::Answer(error.to_string()))
}

/// What it says of why it refuses: a text, in quotes or not, or an object with a message in it.
fn reason(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(object)) => {
            object.get("message").and_then(Value::as_str).map_or_else(|| text.to_string(), str::to_owned)
        }
        _ => text.to_string(),
    };
    said.trim().chars().take(LONGEST_REASON).collect()
}

fn written(moment: Timestamp) -> String {
    jiff::Timestamp::from_millisecond((moment.seconds() * 1000.0) as i64)
        .map(|moment| moment.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
pub(super) mod pretender;
#[cfg(test)]
mod tests;
