//! Records of the logs.

use super::put;
use crate::exporter::expose::family::{Family, counter};
use crate::exporter::snapshot::logs::Logs;
use crate::exporter::snapshot::{Reading, Snapshot};

pub(super) static FAMILIES: &[Family] = &[
    counter(
        "hermes_log_lines_total",
        &["log", "level"],
        "Records that Hermes has written to its log (agent, errors or gateway) since the exporter first looked, by level; a record with its traceback is one; one record may stand in several logs",
    )
    .instance(|snapshot, sink| {
        of_logs(snapshot, |logs| {
            for (log, lines) in &logs.lines {
                for (level, count) in lines.known().into_iter().flat_map(|lines| lines.by_level()) {
                    sink.sample(&[log.as_str(), level], count.into());
                }
            }
        });
    }),
    counter(
        "hermes_rate_limited_total",
        &[],
        "Warnings and errors that tell of a rate limit (HTTP 429) of a provider or a platform, since the exporter first looked, each once",
    )
    .instance(|snapshot, sink| of_logs(snapshot, |logs| put(sink, &[], &logs.rate_limited))),
];

fn of_logs(snapshot: &Snapshot, put: impl FnOnce(&Logs)) {
    if let Reading::Known(logs) = &snapshot.logs {
        put(logs);
    }
}
