//! Faults that are scripted: what is answered instead of, or besides, what was asked for.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A fault, for the calls that it fits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// For calls about this chat alone.
    #[serde(default)]
    pub(crate) chat_id: Option<i64>,
    /// For this method alone, in any case of letters.
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// For calls about messages in this topic alone.
    #[serde(default)]
    pub(crate) thread: Option<i64>,
    /// For so many calls.
    #[serde(default)]
    pub(crate) times: Option<u32>,
    /// For so long.
    #[serde(default)]
    pub(crate) seconds: Option<f64>,
    /// What happens.
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Kind {
    /// 429.
    Rate { retry_after: u64 },
    /// 500, as the Bot API itself says it.
    Internal,
    /// 502, as the web server before it says it.
    BadGateway,
    /// No answer, and nothing is done.
    Hang,
    /// No answer, and it is done.
    HangAfter,
    /// The connection is closed, and nothing is done.
    Drop,
    /// The connection is closed, and it is done.
    DropAfter,
    /// The group has become a supergroup.
    Migrate { to: i64 },
    /// 403.
    Blocked,
    /// 403.
    Kicked,
    /// 403.
    CannotInitiate,
    /// 400.
    ChatNotFound,
    /// 400.
    ThreadGone,
    /// 400.
    TopicClosed,
    /// 400.
    NoRights,
    /// 401.
    Unauthorized,
    /// 409, as who asks for updates beside another one is told.
    Conflict,
    /// It is done, and the answer has a value in it that no client knows.
    OddEnum,
    /// It is done, and the answer ends before its end, after the number of the message.
    Truncated,
    /// Any other refusal.
    Error { code: u16, description: String },
    /// It is done, but only after a while.
    Slow { milliseconds: u64 },
}

/// When a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is done.
    Instead,
    /// It is done all the same.
    After,
}

impl Kind {
    /// Whether what was asked for is done all the same.
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Kind::HangAfter | Kind::DropAfter | Kind::OddEnum | Kind::Truncated | Kind::Slow { .. } => Stage::After,
            _ => Stage::Instead,
        }
    }

    /// As it stands in the record of calls.
    pub(crate) fn name(&self) -> String {
        json!(self)["kind"].as_str().unwrap_or_default().to_owned()
    }

    /// The refusal, where the fault is one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let of = |code, description: &str| Some(Refusal::of(code, description));
        match self {
            Kind::Rate { retry_after } => Some(Refusal {
                code: 429,
                description: format!("Too Many Requests: retry after {retry_after}"),
                parameters: Some(json!({"retry_after": retry_after})),
            }),
            Kind::Internal => of(500, "Internal Server Error"),
            Kind::Migrate { to } => Some(Refusal {
                code: 400,
                description: "Bad Request: group chat was upgraded to a supergroup chat".to_owned(),
                parameters: Some(json!({"migrate_to_chat_id": to})),
            }),
            Kind::Blocked => of(403, "Forbidden: bot was blocked by the user"),
            Kind::Kicked => of(403, "Forbidden: bot was kicked from the supergroup chat"),
            Kind::CannotInitiate => of(403, "Forbidden: bot can't initiate conversation with a user"),
            Kind::ChatNotFound => of(400, "Bad Request: chat not found"),
            Kind::ThreadGone => of(400, "Bad Request: message thread not found"),
            Kind::TopicClosed => of(400, "Bad Request: TOPIC_CLOSED"),
            Kind::NoRights => of(400, "Bad Request: not enough rights to send text messages to the chat"),
            Kind::Unauthorized => of(401, "Unauthorized"),
            Kind::Conflict => of(409, super::updates::CONFLICT),
            Kind::Error { code, description } => of(*code, description),
            _ => None,
        }
    }
}

/// How the Bot API says no.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The status of HTTP, and `error_code`.
    pub(crate) code: u16,
    /// In Telegram's words.
    pub(crate) description: String,
    /// What a program is to make of it.
    pub(crate) parameters: Option<Value>,
}

impl Refusal {
    /// One without parameters.
    pub(crate) fn of(code: u16, description: &str) -> Refusal {
        Refusal { code, description: description.to_owned(), parameters: None }
    }

    /// A 400.
    pub(crate) fn bad(description: &str) -> Refusal {
        Refusal::of(400, description)
    }

    /// The body.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"ok": false, "error_code": self.code, "description": self.description});
        if let Some(parameters) = &self.parameters {
            body["parameters"] = parameters.clone();
        }
        body
    }
}

/// The faults that are scripted; the first one that fits acts.
#[derive(Debug, Default)]
pub(crate) struct Script {
    faults: Vec<(Fault, Instant)>,
}

impl Script {
    /// One more.
    pub(crate) fn add(&mut self, fault: Fault) {
        self.faults.push((fault, Instant::now()));
    }

    /// None any more.
    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// The fault that acts on a call, which uses it up by one.
    pub(crate) fn take(&mut self, method: &str, chat_id: Option<i64>, thread: Option<i64>) -> Option<Kind> {
        self.faults.retain(|(fault, since)| {
            fault.times != Some(0)
                && fault.seconds.is_none_or(|seconds| since.elapsed() < Duration::from_secs_f64(seconds))
        });
        let (fault, _) = self.faults.iter_mut().find(|(fault, _)| {
            fault.chat_id.is_none_or(|id| Some(id) == chat_id)
                && fault.thread.is_none_or(|id| Some(id) == thread)
                && fault.method.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(method))
        })?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.kind.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_for_the_calls_that_it_fits_and_no_more_than_it_says() {
        let mut script = Script::default();
        let text = r#"{"kind": "rate", "retry_after": 30, "chat_id": 5, "method": "sendMessage", "times": 2}"#;
        script.add(serde_json::from_str(text).unwrap());
        assert_eq!(script.take("sendmessage", Some(6), None), None);
        assert_eq!(script.take("editmessagetext", Some(5), None), None);
        for _ in 0..2 {
            assert_eq!(script.take("sendmessage", Some(5), None), Some(Kind::Rate { retry_after: 30 }));
        }
        assert_eq!(script.take("sendmessage", Some(5), None), None);
        script.add(serde_json::from_str(r#"{"kind": "hang", "seconds": 0}"#).unwrap());
        assert_eq!(script.take("sendmessage", Some(5), None), None);
    }
}
