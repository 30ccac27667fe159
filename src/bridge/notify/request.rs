//! What was posted to `/notify` becomes what is wanted, or an error that names the field and says what would be right.
//!
//! JSON has everything in the body. Otherwise the query has it, and the body is the text (or, for a progress, the detail of
//! its step), so that a line of shell is enough.

use serde::{Deserialize, Deserializer, de};

use crate::bridge::alert::Severity;
use crate::bridge::card::StepState;

/// As many steps are read on a phone.
pub(super) const MOST_STEPS: usize = 50;
const LONGEST_TITLE: usize = 200;
const LONGEST_TEXT: usize = 32 * 1024;
const LONGEST_NAME: usize = 100;
const LONGEST_DETAIL: usize = 500;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the body is not JSON of a note: {0}")]
    Json(String),
    #[error("the query is not that of a note: {0}")]
    Query(String),
    #[error("the body is not text in UTF-8")]
    Encoding,
    #[error("{field}: {problem}")]
    Field { field: &'static str, problem: String },
}

impl Refusal {
    pub(super) fn field(field: &'static str, problem: impl Into<String>) -> Refusal {
        Refusal::Field { field, problem: problem.into() }
    }
}

/// Everything that can be said, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawNote {
    chat: Option<String>,
    instance: Option<String>,
    title: Option<String>,
    text: Option<String>,
    severity: Option<String>,
    key: Option<String>,
    #[serde(deserialize_with = "boolean")]
    silent: bool,
    progress: Option<String>,
    #[serde(deserialize_with = "boolean")]
    start: bool,
    step: Option<String>,
    steps: Option<Vec<RawStep>>,
    state: Option<StepState>,
    detail: Option<String>,
    outcome: Option<StepState>,
}

/// `true` in JSON, and for example `start`, `start=1` or `start=true` in a query.
fn boolean<'a, D: Deserializer<'a>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Typed {
        Bool(bool),
        Text(String),
    }
    match Typed::deserialize(deserializer)? {
        Typed::Bool(is_so) => Ok(is_so),
        Typed::Text(text) if ["", "1", "true"].contains(&text.as_str()) => Ok(true),
        Typed::Text(text) if ["0", "false"].contains(&text.as_str()) => Ok(false),
        Typed::Text(text) => Err(de::Error::custom(format!("{text:?} is neither true nor false"))),
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawStep {
    Name(String),
    Step { name: String, state: Option<StepState>, detail: Option<String> },
}

/// Whom a note is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum For {
    Chat(String),
    Instance(String),
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub(super) to: For,
    /// The installation that it is about.
    pub(super) instance: Option<String>,
    pub(super) severity: Severity,
    pub(super) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Message { title: String, text: String, key: Option<String>, is_silent: bool },
    Progress(Update),
}

/// How a progress goes on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Update {
    /// What it is known by to who posts.
    pub(super) id: String,
    pub(super) title: Option<String>,
    /// Whether it begins, even where the last one has not ended.
    pub(super) is_start: bool,
    /// The steps that are told of, and whether these are all there are.
    pub(super) steps: Vec<Step>,
    pub(super) are_all: bool,
    pub(super) outcome: Option<StepState>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) state: StepState,
    /// None where it stays as it was.
    pub(super) detail: Option<String>,
}

/// Reads a request. `query` is what stands behind the `?`.
pub(super) fn read(is_json: bool, query: Option<&str>, body: &[u8]) -> Result<Note, Refusal> {
    let query = query.filter(|query| !query.is_empty());
    let text = str::from_utf8(body).map_err(|_| Refusal::Encoding)?.trim();
    let raw = match query {
        // `curl -d '{...}'` says of JSON that it is a form.
        None if is_json || text.starts_with('{') => {
            serde_json::from_str(text).map_err(|error| Refusal::Json(error.to_string()))?
        }
        Some(_) if is_json => {
            return Err(Refusal::Query(
                "the body is JSON; write everything into it, and nothing into the query".to_owned(),
            ));
        }
        query => with_body(query.unwrap_or_default(), text)?,
    };
    valid(raw)
}

fn with_body(query: &str, text: &str) -> Result<RawNote, Refusal> {
    let url = format!("http://localhost/?{query}");
    let uri: http::Uri = url.parse().map_err(|_| Refusal::Query("it is not written as queries are".to_owned()))?;
    let query = axum::extract::Query::<RawNote>::try_from_uri(&uri);
    let mut raw = query.map_err(|error| Refusal::Query(error.body_text()))?.0;
    if !text.is_empty() {
        let place = if raw.progress.is_some() { &mut raw.detail } else { &mut raw.text };
        if place.replace(text.to_owned()).is_some() {
            return Err(Refusal::field("text", "it is in the query and in the body; write it into one of them"));
        }
    }
    Ok(raw)
}

fn valid(raw: RawNote) -> Result<Note, Refusal> {
    let chat = name("chat", raw.chat)?;
    let instance = name("instance", raw.instance)?;
    let to = match (chat, &instance) {
        (Some(chat), _) => For::Chat(chat),
        (None, Some(instance)) => For::Instance(instance.clone()),
        (None, None) => {
            return Err(Refusal::field(
                "chat",
                "it is missing; write the name of a chat, or instance, which is routed as alerts are",
            ));
        }
    };
    let severity = match raw.severity.as_deref() {
        None => Severity::Info,
        Some("info") => Severity::Info,
        Some("warning") => Severity::Warning,
        Some("critical") => Severity::Critical,
        Some(other) => {
            return Err(Refusal::field("severity", format!("{other:?} is none of info, warning, critical")));
        }
    };
    let title = bounded("title", raw.title, LONGEST_TITLE, false)?;
    let body = match name("progress", raw.progress)? {
        None => {
            let odd = [
                ("step", raw.step.is_some()),
                ("steps", raw.steps.is_some()),
                ("state", raw.state.is_some()),
                ("detail", raw.detail.is_some()),
                ("outcome", raw.outcome.is_some()),
                ("start", raw.start),
            ];
            if let Some((field, _)) = odd.into_iter().find(|(_, is_there)| *is_there) {
                return Err(Refusal::field(field, "only a progress has it; write progress: \"backup\" as well"));
            }
            let text = bounded("text", raw.text, LONGEST_TEXT, true)?.unwrap_or_default();
            let title = title.unwrap_or_default();
            if title.is_empty() && text.is_empty() {
                return Err(Refusal::field("text", "there is nothing to tell; write text or title"));
            }
            Body::Message { title, text, key: name("key", raw.key)?, is_silent: raw.silent }
        }
        Some(id) => {
            if raw.text.is_some() || raw.key.is_some() {
                let field = if raw.text.is_some() { "text" } else { "key" };
                return Err(Refusal::field(field, "a progress has none; its steps have a detail"));
            }
            if raw.silent {
                let problem = "only a message has it; a progress makes no sound as long as nothing fails";
                return Err(Refusal::field("silent", problem));
            }
            let are_all = raw.steps.is_some();
            let steps = steps(raw.step, raw.steps, raw.state, raw.detail)?;
            let outcome = match raw.outcome {
                None => None,
                Some(outcome @ (StepState::Done | StepState::Failed)) => Some(outcome),
                Some(_) => return Err(Refusal::field("outcome", "it is neither done nor failed")),
            };
            if steps.is_empty() && outcome.is_none() && title.is_none() && !raw.start {
                return Err(Refusal::field("step", "nothing is told; write step, steps, title or outcome"));
            }
            Body::Progress(Update { id, title, is_start: raw.start, steps, are_all, outcome })
        }
    };
    Ok(Note { to, instance, severity, body })
}

fn steps(
    one: Option<String>,
    all: Option<Vec<RawStep>>,
    state: Option<StepState>,
    detail: Option<String>,
) -> Result<Vec<Step>, Refusal> {
    let step = |name_typed, state, detail| {
        let name = name("step", Some(name_typed))?.unwrap_or_default();
        Ok(Step { name, state, detail: bounded("detail", detail, LONGEST_DETAIL, false)? })
    };
    match (one, all) {
        (Some(_), Some(_)) => Err(Refusal::field("step", "there is `steps` as well; write one of them")),
        (Some(name), None) => Ok(vec![step(name, state.unwrap_or(StepState::Running), detail)?]),
        (None, _) if state.is_some() || detail.is_some() => {
            let field = if state.is_some() { "state" } else { "detail" };
            Err(Refusal::field(field, "it is not said of which step; write step: \"Push\" as well"))
        }
        (None, Some(all)) if all.len() > MOST_STEPS => {
            Err(Refusal::field("steps", format!("there are {}, and {MOST_STEPS} are the most", all.len())))
        }
        (None, all) => all
            .unwrap_or_default()
            .into_iter()
            .map(|raw| match raw {
                RawStep::Name(name) => step(name, StepState::Waiting, None),
                RawStep::Step { name, state, detail } => step(name, state.unwrap_or(StepState::Waiting), detail),
            })
            .collect(),
    }
}

/// A short text on one line that must not be empty where it is there.
fn name(field: &'static str, typed: Option<String>) -> Result<Option<String>, Refusal> {
    let name = bounded(field, typed, LONGEST_NAME, false)?;
    if name.as_deref() == Some("") {
        return Err(Refusal::field(field, "it is empty"));
    }
    Ok(name)
}

fn bounded(
    field: &'static str,
    typed: Option<String>,
    most: usize,
    may_have_lines: bool,
) -> Result<Option<String>, Refusal> {
    let Some(text) = typed.map(|typed| typed.trim().to_owned()) else {
        return Ok(None);
    };
    let length = text.chars().count();
    if length > most {
        return Err(Refusal::field(field, format!("it has {length} characters, and {most} are the most")));
    }
    if !may_have_lines && text.contains(char::is_control) {
        return Err(Refusal::field(field, "there are line breaks or other control characters in it"));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Note, String> {
        read(true, None, text.as_bytes()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_line_of_shell_is_enough() {
        let note = read(false, Some("instance=vijay"), b"backup done\n").unwrap();
        assert_eq!(note.to, For::Instance("vijay".to_owned()));
        let body = Body::Message { title: String::new(), text: "backup done".to_owned(), key: None, is_silent: false };
        assert_eq!((note.severity, note.body), (Severity::Info, body));
        for (query, silent) in [("silent", true), ("silent=true", true), ("silent=0", false)] {
            let note = read(false, Some(&format!("chat=root&{query}")), b"a").unwrap();
            assert!(matches!(note.body, Body::Message { is_silent, .. } if is_silent == silent), "{query}");
        }
        assert!(matches!(
            json(r#"{"chat": "root", "text": "a", "silent": true}"#).unwrap().body,
            Body::Message { is_silent: true, .. }
        ));
        let query = "chat=root&progress=backup&step=Push%20it&state=done&start";
        let Body::Progress(update) = read(false, Some(query), b"12 GB").unwrap().body else { unreachable!() };
        let step = Step { name: "Push it".to_owned(), state: StepState::Done, detail: Some("12 GB".to_owned()) };
        assert_eq!((update.steps, update.is_start, update.are_all), (vec![step], true, false));
        // curl says of JSON that it is a form.
        assert!(read(false, None, br#"{"chat": "root", "text": "a"}"#).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("{", "the body is not JSON of a note: EOF"),
            (r#"{"chatt": "root"}"#, "unknown field `chatt`"),
            (r#"{"text": "a"}"#, "chat: it is missing"),
            (r#"{"chat": "", "text": "a"}"#, "chat: it is empty"),
            (r#"{"chat": "root"}"#, "text: there is nothing to tell"),
            (r#"{"chat": "root", "text": "a", "severity": "bad"}"#, "severity: \"bad\" is none of info"),
            (r#"{"chat": "root", "text": "a", "step": "Push"}"#, "step: only a progress has it"),
            (r#"{"chat": "root", "title": "a\nb"}"#, "title: there are line breaks"),
            (r#"{"chat": "root", "progress": "b"}"#, "step: nothing is told"),
            (r#"{"chat": "root", "progress": "b", "state": "done"}"#, "state: it is not said of which step"),
            (r#"{"chat": "root", "progress": "b", "step": "P", "state": "odd"}"#, "unknown variant `odd`"),
            (r#"{"chat": "root", "progress": "b", "outcome": "running"}"#, "outcome: it is neither done nor failed"),
            (r#"{"chat": "root", "progress": "b", "step": "a", "steps": []}"#, "step: there is `steps` as well"),
            (r#"{"chat": "root", "progress": "b", "text": "a"}"#, "text: a progress has none"),
            (r#"{"chat": "root", "progress": "b", "start": true, "silent": true}"#, "silent: only a message has it"),
            (r#"{"chat": "root", "text": "a", "silent": "maybe"}"#, "\"maybe\" is neither true nor false"),
        ] {
            let refusal = json(text).unwrap_err();
            assert!(refusal.contains(problem), "{text}: {refusal}");
        }
        let long = format!(r#"{{"chat": "root", "text": "{}"}}"#, "a".repeat(40_000));
        assert_eq!(json(&long).unwrap_err(), "text: it has 40000 characters, and 32768 are the most");
        let many = serde_json::json!({"chat": "root", "progress": "b", "steps": vec!["a"; 51]}).to_string();
        assert_eq!(json(&many).unwrap_err(), "steps: there are 51, and 50 are the most");
        for (query, problem) in
            [("chat=root&odd=1", "unknown field `odd`"), ("chat=root&text=a", "text: it is in the query")]
        {
            let refusal = read(false, Some(query), b"b").unwrap_err().to_string();
            assert!(refusal.contains(problem), "{query}: {refusal}");
        }
        assert_eq!(read(false, Some("chat=root"), b"\xFF"), Err(Refusal::Encoding));
    }
}
