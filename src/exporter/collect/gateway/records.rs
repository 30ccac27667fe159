//! The files a gateway writes about itself, read leniently: every field may be missing, of another type or new.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exporter::collect::memory::Exact;
use crate::system::files::ParseFault;
use crate::system::time::Timestamp;

/// The process that a record claims to speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessRecord {
    pub(super) id: u32,
    /// Clock ticks since boot; old versions of Hermes wrote none.
    pub(super) start_ticks: Option<u64>,
}

/// What `gateway_state.json` says.
#[derive(Debug, Clone, Default)]
pub(super) struct StateRecord {
    pub(super) process: Option<ProcessRecord>,
    pub(super) state: RecordedState,
    /// When it was written.
    pub(super) written: Option<Timestamp>,
    /// Whether a gateway has written it. Under s6 a command that only notes what is wanted writes one too.
    pub(super) is_of_a_gateway: bool,
    pub(super) active_agents: Option<u64>,
    pub(super) restart_requested: Option<bool>,
    pub(super) platforms: BTreeMap<String, PlatformRecord>,
    /// The profiles that it has served besides its own, with its own; empty where it never has.
    pub(super) served_profiles: Vec<String>,
}

/// The gateway's own word for what it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum RecordedState {
    Starting,
    Running,
    Degraded,
    Draining,
    Stopping,
    Stopped,
    StartupFailed,
    /// None, or one that this version does not know.
    #[default]
    Other,
}

/// What it says of one platform.
#[derive(Debug, Clone, Default)]
pub(super) struct PlatformRecord {
    pub(super) state: Option<String>,
    pub(super) error_code: Option<String>,
}

/// The event loop's sign of life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Heartbeat {
    pub(super) life: Life,
    pub(super) at: Timestamp,
}

/// One life of a gateway: the process id in its own namespace, and when its event loop was started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Life {
    process: Option<u64>,
    started: Option<Exact>,
}

pub(super) fn parse_state(content: &[u8]) -> Result<StateRecord, ParseFault> {
    let record = object(content)?;
    let platform = |value: &Value| PlatformRecord {
        state: value.get("state").and_then(Value::as_str).map(str::to_owned),
        error_code: value.get("error_code").and_then(Value::as_str).map(str::to_owned),
    };
    let process = process(&record);
    Ok(StateRecord {
        process,
        is_of_a_gateway: process.is_some() || record.get("gateway_state").is_some_and(|state| !state.is_null()),
        state: match record.get("gateway_state").and_then(Value::as_str) {
            Some("starting") => RecordedState::Starting,
            Some("running") => RecordedState::Running,
            Some("degraded") => RecordedState::Degraded,
            Some("draining") => RecordedState::Draining,
            Some("stopping") => RecordedState::Stopping,
            Some("stopped") => RecordedState::Stopped,
            Some("startup_failed") => RecordedState::StartupFailed,
            _ => RecordedState::Other,
        },
        written: record.get("updated_at").and_then(Timestamp::from_json),
        active_agents: record.get("active_agents").and_then(Value::as_u64),
        restart_requested: record.get("restart_requested").and_then(Value::as_bool),
        platforms: record
            .get("platforms")
            .and_then(Value::as_object)
            .map(|platforms| platforms.iter().map(|(name, value)| (name.clone(), platform(value))).collect())
            .unwrap_or_default(),
        served_profiles: record
            .get("served_profiles")
            .and_then(Value::as_array)
            .map(|profiles| profiles.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default(),
    })
}

/// Reads a process record, or the bare number that old versions of Hermes wrote.
pub(super) fn parse_process(content: &[u8]) -> Result<ProcessRecord, ParseFault> {
    let value: Value = serde_json::from_slice(without_byte_order_mark(content))?;
    if let Some(id) = value.as_u64() {
        return Ok(ProcessRecord { id: u32::try_from(id).map_err(|_| ParseFault::SOMEWHERE)?, start_ticks: None });
    }
    process(&value).ok_or(ParseFault::SOMEWHERE)
}

pub(super) fn parse_heartbeat(content: &[u8]) -> Result<Heartbeat, ParseFault> {
    let record = object(content)?;
    Ok(Heartbeat {
        life: Life {
            process: record.get("pid").and_then(Value::as_u64),
            started: record.get("start_time").and_then(Timestamp::from_json).map(Exact::from),
        },
        at: record.get("updated_at").and_then(Timestamp::from_json).ok_or(ParseFault::SOMEWHERE)?,
    })
}

/// Reads one time per line. A line that is none is passed over, and so is a last one that has no end yet.
pub(super) fn parse_starts(content: &[u8]) -> Result<Vec<Timestamp>, ParseFault> {
    let text = String::from_utf8_lossy(content);
    let whole_lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    Ok(whole_lines.lines().filter_map(Timestamp::from_text).collect())
}

fn object(content: &[u8]) -> Result<Value, ParseFault> {
    let value: Value = serde_json::from_slice(without_byte_order_mark(content))?;
    if value.is_object() { Ok(value) } else { Err(ParseFault::SOMEWHERE) }
}

fn process(record: &Value) -> Option<ProcessRecord> {
    let id = u32::try_from(record.get("pid")?.as_u64()?).ok().filter(|id| *id > 0)?;
    Some(ProcessRecord { id, start_ticks: record.get("start_time").and_then(Value::as_u64) })
}

fn without_byte_order_mark(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_state_is_read() {
        let state = parse_state(include_bytes!(
            "../../../../tests/fixtures/hermes-0.19.0/gateway_states/after_sigkill.gateway_state.json"
        ))
        .unwrap();
        assert_eq!(state.state, RecordedState::Running);
        assert!(state.process.unwrap().start_ticks.is_some());
        assert_eq!(state.written, Timestamp::from_text("2026-11-20T08:51:26.122063+00:00"));
        assert_eq!(state.platforms["webhook"].state.as_deref(), Some("connected"));
    }

    #[test]
    fn fields_of_another_shape_are_as_if_missing() {
        let state = parse_state(
            br#"{"pid":"x","gateway_state":7,"active_agents":-1,"restart_requested":"no","platforms":{"a":3,"b":{"state":[]}}}"#,
        )
        .unwrap();
        assert_eq!(state.process, None);
        assert_eq!(state.state, RecordedState::Other);
        assert_eq!((state.active_agents, state.restart_requested), (None, None));
        assert_eq!(state.platforms.len(), 2);
        assert!(state.platforms["b"].state.is_none());
    }

    #[test]
    fn a_mere_wish_is_no_word_of_a_gateway() {
        let is_of_a_gateway = |content: &str| parse_state(content.as_bytes()).unwrap().is_of_a_gateway;
        assert!(!is_of_a_gateway(r#"{"desired_state":"stopped","updated_at":1795164687}"#));
        assert!(is_of_a_gateway(r#"{"gateway_state":"stopped"}"#));
        assert!(is_of_a_gateway(r#"{"pid":7}"#));
    }

    #[test]
    fn half_a_file_and_another_kind_of_file_do_not_parse() {
        for content in ["", "{\"pid\": 1", "[]", "null", "7"] {
            assert!(parse_state(content.as_bytes()).is_err(), "{content}");
            assert!(parse_heartbeat(content.as_bytes()).is_err(), "{content}");
        }
    }

    #[test]
    fn process_records_old_and_new() {
        let new = parse_process(b"\xef\xbb\xbf{\"pid\": 3041, \"start_time\": 252535}").unwrap();
        assert_eq!(new, ProcessRecord { id: 3041, start_ticks: Some(252_535) });
        assert_eq!(parse_process(b"3041\n").unwrap(), ProcessRecord { id: 3041, start_ticks: None });
        assert!(parse_process(b"{\"pid\": 0}").is_err());
        assert!(parse_process(b"99999999999999").is_err());
    }

    #[test]
    fn the_time_of_a_heartbeat_may_be_text_or_a_number() {
        for content in [r#"{"pid":1,"updated_at":"2026-11-20T09:00:43+00:00"}"#, r#"{"updated_at":1795165243}"#] {
            assert_eq!(parse_heartbeat(content.as_bytes()).unwrap().at.seconds(), 1_795_165_243.0);
        }
        assert!(parse_heartbeat(br#"{"pid":1,"updated_at":0}"#).is_err());
    }

    #[test]
    fn damaged_lines_of_the_starts_are_passed_over() {
        assert_eq!(parse_starts(b"1795147255.2\nrubbish\n17951\xff\n1795150000\n179").unwrap().len(), 2);
        assert_eq!(parse_starts(b"1795147255.2").unwrap(), []);
    }
}
