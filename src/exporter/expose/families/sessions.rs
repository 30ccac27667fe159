//! Sessions, messages, turns, and what the models used.

use super::put;
use crate::exporter::expose::family::{Family, Kind, counter, family, gauge};
use crate::exporter::snapshot::Reading;

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_sessions",
        &["source", "archived"],
        "Stored sessions; in a large store a slow count is up to five minutes old",
    )
    .instance(|snapshot, sink| {
        let counts = snapshot.sessions.known().and_then(|sessions| sessions.counts.known());
        for (tally, archived) in
            counts.into_iter().flat_map(|counts| [(&counts.current, "false"), (&counts.archived, "true")])
        {
            for (source, count) in tally.iter() {
                sink.sample(&[source.as_str(), archived], count.into());
            }
        }
    }),
    gauge(
        "hermes_sessions_active",
        &[],
        "Sessions in progress: open, not archived, not delegated, with a message in the last five minutes",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.active);
        }
    }),
    gauge("hermes_sessions_open", &[], "Sessions that have not ended and are not archived; many are merely abandoned")
        .instance(|snapshot, sink| {
            if let Some(counts) = snapshot.sessions.known().and_then(|sessions| sessions.counts.known()) {
                sink.sample(&[], counts.open.into());
            }
        }),
    gauge("hermes_sessions_ended", &["reason"], "Stored sessions that have ended, by the reason they ended for")
        .instance(|snapshot, sink| {
            let counts = snapshot.sessions.known().and_then(|sessions| sessions.counts.known());
            for (reason, count) in counts.into_iter().flat_map(|counts| counts.ended.iter()) {
                sink.sample(&[reason.as_str()], count.into());
            }
        }),
    gauge(
        "hermes_stored_messages",
        &[],
        "Messages that are stored now; in a large store a deletion shows after up to five minutes",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.messages_stored);
        }
    }),
    counter("hermes_messages_total", &[], "Messages ever stored").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.messages_ever);
        }
    }),
    gauge("hermes_last_message_timestamp_seconds", &[], "When the newest message was stored").instance(
        |snapshot, sink| {
            if let Reading::Known(sessions) = &snapshot.sessions {
                put(sink, &[], &sessions.last_message);
            }
        },
    ),
    counter("hermes_turns_total", &[], "Turns: from a message of a person to the answer that calls no tool").instance(
        |snapshot, sink| {
            if let Reading::Known(activity) = &snapshot.activity {
                sink.sample(&[], activity.turns.count().into());
            }
        },
    ),
    family(Kind::Histogram, "hermes_turn_duration_seconds", &[], "How long turns took").instance(|snapshot, sink| {
        if let Reading::Known(activity) = &snapshot.activity {
            sink.histogram(&activity.turns);
        }
    }),
    counter("hermes_tool_calls_total", &["tool"], "Calls that the model made, by tool").instance(|snapshot, sink| {
        if let Reading::Known(activity) = &snapshot.activity {
            for (tool, count) in activity.tool_calls.iter() {
                sink.sample(&[tool.as_str()], count.into());
            }
        }
    }),
    gauge(
        "hermes_model_tokens",
        &["model", "provider", "task", "kind"],
        "Tokens of the sessions that are stored, as Hermes sums them up; the task is empty for the conversation itself",
    )
    .instance(|snapshot, sink| {
        let usage = snapshot.sessions.known().and_then(|sessions| sessions.model_usage.known());
        for usage in usage.into_iter().flatten() {
            for (kind, count) in usage.tokens.by_kind() {
                sink.sample(&[usage.model.as_str(), usage.provider.as_str(), usage.task.as_str(), kind], count.into());
            }
        }
    }),
    gauge(
        "hermes_model_cost_usd",
        &["model", "provider", "task"],
        "Cost of the sessions that are stored in US dollars: as billed where that is known, else as estimated",
    )
    .instance(|snapshot, sink| {
        let usage = snapshot.sessions.known().and_then(|sessions| sessions.model_usage.known());
        for usage in usage.into_iter().flatten() {
            if let Some(cost) = usage.cost_usd {
                sink.sample(&[usage.model.as_str(), usage.provider.as_str(), usage.task.as_str()], cost.into());
            }
        }
    }),
    gauge(
        "hermes_model_api_calls",
        &["model", "provider", "task"],
        "Calls to the model of the sessions that are stored",
    )
    .instance(|snapshot, sink| {
        let usage = snapshot.sessions.known().and_then(|sessions| sessions.model_usage.known());
        for usage in usage.into_iter().flatten() {
            sink.sample(&[usage.model.as_str(), usage.provider.as_str(), usage.task.as_str()], usage.api_calls.into());
        }
    }),
    gauge("hermes_state_db_bytes", &[], "Size of the session store's main file").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            sink.sample(&[], sessions.database_bytes.into());
        }
    }),
    gauge("hermes_state_db_wal_bytes", &[], "Size of the session store's write-ahead log; 0 without one").instance(
        |snapshot, sink| {
            if let Reading::Known(sessions) = &snapshot.sessions {
                sink.sample(&[], sessions.wal_bytes.into());
            }
        },
    ),
    gauge("hermes_state_db_schema_version", &[], "The version of the session store's schema").instance(
        |snapshot, sink| {
            if let Reading::Known(sessions) = &snapshot.sessions {
                put(sink, &[], &sessions.schema_version);
            }
        },
    ),
];
