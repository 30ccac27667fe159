//! From the JSON of a report to a Snapshot, whatever version has written it.
//!
//! Without its format, its time and the name of its instance it is no report. Everything else is read part by part: what
//! can not be understood is unknown, and the rest stands.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::limits::Distinct;
use super::profile;
use crate::exporter::collect::{COLLECTORS, Scope};
use crate::exporter::snapshot::{CollectorRun, Identity, Label, Problem, Reading, Reason, Snapshot, Source};
use crate::system::time::Timestamp;

/// What a report says.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) profile: String,
    pub(super) taken_at: Timestamp,
    /// Its parts and runs; who and when it is, and the limits, are those of whoever reads.
    content: Snapshot,
}

/// What every report has, and this one has not.
#[derive(Debug)]
pub(super) struct Lacks(pub(super) &'static str);

impl Told {
    /// What it says, of the instance that `blank` is.
    pub(super) fn snapshot(&self, blank: Snapshot) -> Snapshot {
        Snapshot {
            identity: blank.identity,
            thresholds: blank.thresholds,
            ignored_findings: blank.ignored_findings,
            ..self.content.clone()
        }
    }
}

/// Reads a report.
pub(super) fn read(report: Value) -> Result<Told, Lacks> {
    let Value::Object(mut fields) = report else {
        return Err(Lacks("fields"));
    };
    // A later one may say more, and says what is known here as it is known here.
    fields.get("format").and_then(Value::as_u64).filter(|format| *format > 0).ok_or(Lacks("format"))?;
    let taken_at = fields.get("taken_at").and_then(Value::as_f64).and_then(Timestamp::from_seconds);
    let taken_at = taken_at.ok_or(Lacks("taken_at"))?;
    let identity = fields.remove("identity").unwrap_or_default();
    let name = identity.get("name").and_then(Value::as_str).ok_or(Lacks("identity.name"))?.to_owned();
    let profile = profile(identity.get("profile").and_then(Value::as_str).unwrap_or_default());

    // Whose it is and what it is judged by is replaced by whoever reads.
    let nobody = Identity { name: String::new(), user: String::new(), profile: String::new(), source: Source::Report };
    let mut content = Snapshot { collectors: runs(fields.remove("collectors")), ..Snapshot::at(taken_at, nobody) };
    let mut part = Parts { fields: &mut fields, misunderstood: Vec::new() };
    content.gateway = part.distinct("gateway", "gateway");
    content.sessions = part.distinct("sessions", "sessions");
    content.activity = part.read("activity", "activity");
    content.cron = part.read("cron", "cron");
    content.credentials = part.read("credentials", "credentials");
    content.inventory = part.read("inventory", "inventory");
    content.home = part.read("home", "home");
    content.units = part.distinct("units", "units");
    content.endpoints = part.read("endpoints", "endpoints");
    content.exposure = part.distinct("exposure", "exposure");
    content.guardrails = part.read("guardrails", "guardrails");
    content.backups = part.read("backups", "backup");
    content.logs = part.read("logs", "logs");
    for collector in part.misunderstood {
        note_misunderstood(&mut content.collectors, collector);
    }
    content.collectors.sort_by_key(|run| COLLECTORS.iter().position(|entry| entry.name == run.collector));
    Ok(Told { name, profile, taken_at, content })
}

/// The parts of a report.
struct Parts<'a> {
    fields: &'a mut Map<String, Value>,
    /// The collectors of parts of which not everything is understood.
    misunderstood: Vec<&'static str>,
}

impl Parts<'_> {
    /// One part; absent where the report does not have it, as of a version that had no such collector.
    fn read<T: DeserializeOwned + serde::Serialize>(
        &mut self,
        field: &str,
        collector: &'static str,
    ) -> Reading<Arc<T>> {
        let Some(value) = self.fields.remove(field) else {
            return Reading::Absent;
        };
        let part = serde_json::from_value(value).unwrap_or(Reading::Unknown(Reason::Unsupported));
        if has_unsupported(&part) {
            self.misunderstood.push(collector);
        }
        part
    }

    /// The same of a part with lists, whose entries are told apart by names.
    fn distinct<T: DeserializeOwned + serde::Serialize + Clone + Distinct>(
        &mut self,
        field: &str,
        collector: &'static str,
    ) -> Reading<Arc<T>> {
        self.read(field, collector).map(|mut part| {
            Arc::<T>::make_mut(&mut part).keep_distinct();
            part
        })
    }
}

/// Whether there is something in a part that is not supported. In JSON no text can look like that, because its quotes are
/// escaped.
fn has_unsupported(part: &impl serde::Serialize) -> bool {
    const UNSUPPORTED: &str = r#""unknown": "unsupported""#;
    let json = serde_json::to_string_pretty(part).unwrap_or_default();
    json.contains(UNSUPPORTED)
}

/// How the collectors of an instance fared, in the order of the table.
fn runs(told: Option<Value>) -> Vec<CollectorRun> {
    let Some(Value::Array(told)) = told else {
        return Vec::new();
    };
    let of_instances =
        COLLECTORS.iter().filter(|entry| matches!(entry.scope, Scope::Instance { .. } | Scope::Network { .. }));
    let run = |name: &'static str| {
        let told = told.iter().find(|run| run.get("collector").and_then(Value::as_str) == Some(name))?;
        let problems = told.get("problems").and_then(Value::as_array);
        Some(CollectorRun {
            collector: name.to_owned(),
            duration_seconds: told.get("duration_seconds").and_then(Value::as_f64).unwrap_or_default(),
            problems: problems.into_iter().flatten().map(problem).collect(),
            failing_since: told.get("failing_since").and_then(Value::as_f64).and_then(Timestamp::from_seconds),
        })
    };
    of_instances.filter_map(|entry| run(entry.name)).collect()
}

fn problem(told: &Value) -> Problem {
    let reason = told.get("reason").cloned().and_then(|reason| serde_json::from_value(reason).ok());
    let subject = told.get("subject").and_then(Value::as_str).unwrap_or_default();
    Problem { reason: reason.unwrap_or(Reason::Unsupported), subject: Label::new(subject).as_str().to_owned() }
}

/// Notes that a part of a report is not understood here, where its collector has not said the like itself. One that is not
/// among those that were run could not tell it either: else the instance would seem to be well.
fn note_misunderstood(runs: &mut Vec<CollectorRun>, collector: &str) {
    let problem = || Problem { reason: Reason::Unsupported, subject: CollectorRun::REPORT.to_owned() };
    match runs.iter_mut().find(|run| run.collector == collector) {
        Some(run) if run.problems.iter().any(|problem| problem.reason == Reason::Unsupported) => {}
        Some(run) => run.problems.push(problem()),
        None => runs.push(CollectorRun {
            collector: collector.to_owned(),
            duration_seconds: 0.0,
            problems: vec![problem()],
            failing_since: None,
        }),
    }
}
