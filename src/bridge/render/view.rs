//! What a template is given: everything that can be said of a card, neutralised, in the words and times of its chat.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::clean;
use super::links::{self, AlertLinks};
use super::moments::{Clock, Moment, lasted};
use crate::bridge::alert::{INSTANCE, Labels, Severity, Status};
use crate::bridge::card::{Card, Incident, Message, Progress, ProgressStep, StepState};
use crate::bridge::config::Links;
use crate::system::time::Timestamp;

/// The most UTF-16 units of a label's value, of a name, or of a line about one.
const LONGEST_LABEL: usize = 200;

/// The most UTF-16 units of an annotation in messages; all of it is in the document.
const LONGEST_ANNOTATION: usize = 40_000;

/// The most labels that are shown below an alert.
const MOST_DETAILS: usize = 4;

/// The most UTF-16 units of such a label.
const LONGEST_DETAIL: usize = 48;

/// Labels that say nothing below an alert: what is in its first line already, and how it was measured.
const TOLD_ELSEWHERE: &[&str] = &[
    "alertname",
    "finding",
    INSTANCE,
    "severity",
    "job",
    "prometheus",
    "prometheus_replica",
    "replica",
    "receiver",
    "monitor",
];

/// What a template is given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct View {
    /// The chat's name.
    pub(super) chat: String,
    /// Where it should have been told, and why it is told here.
    pub(super) diverted: Option<DivertedView>,
    /// Whether the same may have arrived before.
    pub(super) is_uncertain: bool,
    /// Whether there are buttons that do what the link to Alertmanager does.
    pub(super) has_buttons: bool,
    /// The mark of the worst of it.
    pub(super) mark: &'static str,
    /// The alerts, the worst first.
    pub(super) alerts: Vec<AlertView>,
    /// How many there are of what.
    pub(super) counts: Counts,
    /// How many fire, in words: `2 critical, 1 warning`.
    pub(super) count_words: String,
    /// The instance of all alerts, up to three of them, or how many there are.
    pub(super) instance: Option<String>,
    /// Whether all alerts are of one instance.
    pub(super) is_one_instance: bool,
    /// What all alerts are called.
    pub(super) name: Option<String>,
    /// The alerts' names, the most frequent first.
    pub(super) names: Vec<Named>,
    /// The labels that all alerts have alike.
    pub(super) common_labels: Labels,
    /// What else several alerts have alike, and what is therefore said once.
    pub(super) common: Common,
    /// How many of the alerts are not listed, because they are in the document.
    pub(super) more: usize,
    /// In announcements: how many of the card's other alerts fire, in words; and the mark of the worst.
    pub(super) still_firing: String,
    pub(super) still_firing_mark: &'static str,
    /// Whether there is a document that has everything in full.
    pub(super) has_document: bool,
    /// Whether Telegram takes no file here, so that what would be in it follows in messages.
    pub(super) is_file_refused: bool,
    /// The message.
    pub(super) message: Option<MessageView>,
    /// The progress.
    pub(super) progress: Option<ProgressView>,
}

/// Where a card should have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DivertedView {
    from: String,
    because: String,
}

/// How many alerts there are of what.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) firing: usize,
    pub(super) critical: usize,
    pub(super) warning: usize,
    pub(super) info: usize,
    pub(super) acknowledged: usize,
    pub(super) silenced: usize,
    pub(super) resolved: usize,
}

/// What all of several alerts have alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Common {
    pub(super) summary: Option<String>,
    pub(super) description: Option<String>,
    pub(super) runbook: Option<String>,
}

/// How many alerts have a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) count: usize,
}

/// How an alert stands, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Firing,
    Acknowledged,
    Silenced,
    Resolved,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct AlertView {
    pub(super) mark: &'static str,
    pub(super) state: State,
    pub(super) status: Status,
    pub(super) severity: Severity,
    /// `Critical`, `Warning`, `Info`; `Resolved` for what is over.
    pub(super) word: &'static str,
    pub(super) name: String,
    pub(super) instance: Option<String>,
    /// What tells it from the others on its card.
    pub(super) title: String,
    pub(super) summary: String,
    /// Empty where it says the same as the summary.
    pub(super) description: String,
    /// Whether the description is so long that it is better folded up.
    pub(super) is_long: bool,
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
    /// The few labels that say something more.
    pub(super) details: Vec<String>,
    pub(super) since: Moment,
    pub(super) until: Option<Moment>,
    pub(super) lasted: Option<String>,
    pub(super) acknowledged: Option<TakenView>,
    pub(super) silenced: Option<SilencedView>,
    pub(super) links: AlertLinks,
    pub(super) receiver: String,
    pub(super) fingerprint: String,
    /// Its place among the incidents that the view is of.
    #[serde(skip)]
    pub(super) position: usize,
}

/// Who has taken an alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TakenView {
    pub(super) by: String,
    pub(super) at: Moment,
}

/// Who has silenced an alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SilencedView {
    pub(super) by: String,
    pub(super) until: Moment,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct MessageView {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) severity: Severity,
}

/// A progress.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ProgressView {
    pub(super) title: String,
    pub(super) steps: Vec<StepView>,
    /// How many steps are done or were not needed, and how many there are.
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) outcome: Option<StepState>,
    /// The step that has failed.
    pub(super) failed: Option<StepView>,
    pub(super) began: Moment,
    pub(super) ended: Option<Moment>,
    pub(super) lasted: Option<String>,
    /// How many steps at the beginning are not listed.
    pub(super) earlier: usize,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct StepView {
    /// `1️⃣`, …, `🔟`, `11.`
    pub(super) number: String,
    pub(super) mark: &'static str,
    pub(super) name: String,
    pub(super) state: StepState,
    pub(super) detail: String,
}

/// What is the same for everything on a card.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) clock: Clock,
    pub(super) links: &'a Links,
    pub(super) has_buttons: bool,
    pub(super) now: Timestamp,
}

/// The mark of something of this severity that needs somebody.
pub(super) fn mark_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "🔴",
        Severity::Warning => "🟡",
        Severity::Info => "🔵",
    }
}

fn step_mark(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "▫️",
        StepState::Running => "⏳",
        StepState::Done => "✅",
        StepState::Skipped => "⏭",
        StepState::Failed => "❌",
    }
}

impl View {
    fn empty(card: &Card, setting: &Setting<'_>, mark: &'static str) -> View {
        let diverted = card.diverted.as_ref().map(|diverted| DivertedView {
            from: clean::line_up_to(diverted.from.as_str(), LONGEST_LABEL),
            because: clean::line_up_to(&diverted.because, LONGEST_LABEL),
        });
        View {
            chat: card.chat.to_string(),
            diverted,
            is_uncertain: card.uncertain > 0,
            has_buttons: setting.has_buttons,
            mark,
            alerts: Vec::new(),
            counts: Counts::default(),
            count_words: String::new(),
            instance: None,
            is_one_instance: false,
            name: None,
            names: Vec::new(),
            common_labels: Labels::new(),
            common: Common::default(),
            more: 0,
            still_firing: String::new(),
            still_firing_mark: "",
            has_document: false,
            is_file_refused: card.is_file_refused(),
            message: None,
            progress: None,
        }
    }

    /// Of alerts.
    pub(super) fn of_incidents<'a>(
        card: &Card,
        incidents: impl IntoIterator<Item = &'a Incident>,
        setting: &Setting<'_>,
    ) -> View {
        let mut alerts: Vec<_> = incidents
            .into_iter()
            .enumerate()
            .map(|(position, incident)| AlertView { position, ..AlertView::of(incident, setting) })
            .collect();
        alerts.sort_by_key(|alert| (alert.state, std::cmp::Reverse(alert.severity)));
        let common_labels = common_labels(&alerts);
        if alerts.len() > 1 {
            for alert in &mut alerts {
                alert.details = alert.details(|name| common_labels.contains_key(name));
            }
        }
        let counts = Counts::of(&alerts);
        let mut instances: Vec<String> = alerts.iter().filter_map(|alert| alert.instance.clone()).collect();
        let is_everywhere = instances.len() == alerts.len();
        // In the order of the alerts, which is that of their urgency.
        let mut seen = BTreeSet::new();
        instances.retain(|instance| seen.insert(instance.clone()));
        let is_one_instance = instances.len() == 1 && is_everywhere;
        let instance = match instances.as_slice() {
            [] => None,
            [_] | [_, _] | [_, _, _] => Some(clean::cut(&instances.join(", "), LONGEST_LABEL)),
            many => Some(format!("{} instances", many.len())),
        };
        let names = names(&alerts);
        let common = match alerts.as_slice() {
            [first, others @ ..] if !others.is_empty() => {
                let if_same = |of: fn(&AlertView) -> Option<&str>| {
                    let text = of(first).filter(|text| others.iter().all(|other| of(other) == Some(text)));
                    text.filter(|text| !text.is_empty()).map(str::to_owned)
                };
                Common {
                    summary: if_same(|alert| Some(&alert.summary)),
                    description: if_same(|alert| Some(&alert.description)),
                    runbook: if_same(|alert| alert.links.runbook.as_deref()),
                }
            }
            _ => Common::default(),
        };
        let is_several = alerts.len() > 1;
        for alert in &mut alerts {
            let instance = alert.instance.clone().filter(|_| !is_one_instance);
            let name = (names.len() > 1).then(|| alert.name.clone());
            alert.title = [instance, name].into_iter().flatten().collect::<Vec<_>>().join(" · ");
            if alert.title.is_empty() && is_several {
                alert.title = std::mem::take(&mut alert.details).join(" · ");
            }
            if alert.title.is_empty() {
                alert.title.clone_from(&alert.name);
            }
        }
        View {
            mark: alerts.first().map_or("✅", |alert| alert.mark),
            count_words: counts.words(),
            counts,
            is_one_instance,
            instance,
            name: match names.as_slice() {
                [only] => Some(only.name.clone()),
                _ => None,
            },
            names,
            common_labels,
            common,
            alerts,
            ..View::empty(card, setting, "")
        }
    }

    /// Of a message.
    pub(super) fn of_message(card: &Card, message: &Message, setting: &Setting<'_>) -> View {
        let mut title = clean::line_up_to(&message.title, 2 * LONGEST_LABEL);
        let mut text = clean::lines(&message.text);
        if title.is_empty() {
            // The first line is what a notification shows.
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            if clean::units_of(first) <= LONGEST_LABEL {
                (title, text) = (clean::line(first), rest.trim_start_matches('\n').to_owned());
            }
        }
        View {
            instance: instance_of(message.instance.as_deref()),
            message: Some(MessageView { title, text, severity: message.severity }),
            ..View::empty(card, setting, mark_of(message.severity))
        }
    }

    /// Of a progress.
    pub(super) fn of_progress(card: &Card, progress: &Progress, setting: &Setting<'_>) -> View {
        let steps: Vec<_> =
            progress.steps.iter().enumerate().map(|(index, step)| StepView::of(index + 1, step)).collect();
        View {
            instance: instance_of(progress.instance.as_deref()),
            progress: Some(ProgressView {
                title: clean::line_up_to(&progress.title, LONGEST_LABEL),
                failed: steps.iter().find(|step| step.state == StepState::Failed).cloned(),
                done: steps.iter().filter(|step| matches!(step.state, StepState::Done | StepState::Skipped)).count(),
                total: steps.len(),
                steps,
                outcome: progress.outcome,
                began: setting.clock.moment(progress.began),
                ended: progress.ended.map(|ended| setting.clock.moment(ended)),
                lasted: progress.ended.map(|ended| lasted(progress.began, ended)),
                earlier: 0,
            }),
            ..View::empty(card, setting, step_mark(progress.outcome.unwrap_or(StepState::Running)))
        }
    }

    /// Leaves only so many alerts or steps, each with short texts.
    pub(super) fn shorten(&mut self, alerts: usize, units: usize) {
        self.alerts.truncate(alerts);
        self.more = self.counts.total.saturating_sub(self.alerts.len());
        for alert in &mut self.alerts {
            alert.summary = clean::cut(&alert.summary, units);
            alert.description = clean::cut(&alert.description, units);
        }
        self.common = Common::default();
        if let Some(message) = &mut self.message {
            message.text = clean::cut(&message.text, units);
        }
        if let Some(progress) = &mut self.progress {
            progress.steps.drain(..progress.steps.len().saturating_sub(alerts));
            progress.earlier = progress.total - progress.steps.len();
            for step in &mut progress.steps {
                step.detail = clean::cut(&step.detail, LONGEST_DETAIL);
            }
        }
    }
}

fn instance_of(instance: Option<&str>) -> Option<String> {
    instance.map(|instance| clean::line_up_to(instance, LONGEST_LABEL)).filter(|instance| !instance.is_empty())
}

impl Counts {
    fn of(alerts: &[AlertView]) -> Counts {
        let mut counts = Counts { total: alerts.len(), ..Counts::default() };
        for alert in alerts {
            match alert.state {
                State::Resolved => {
                    counts.resolved += 1;
                    continue;
                }
                State::Acknowledged => counts.acknowledged += 1,
                State::Silenced => counts.silenced += 1,
                State::Firing => {}
            }
            counts.firing += 1;
            match alert.severity {
                Severity::Critical => counts.critical += 1,
                Severity::Warning => counts.warning += 1,
                Severity::Info => counts.info += 1,
            }
        }
        counts
    }

    /// How many fire, in words.
    pub(super) fn words(&self) -> String {
        let warnings = if self.warning == 1 { "warning" } else { "warnings" };
        let words = [(self.critical, "critical"), (self.warning, warnings), (self.info, "info")];
        let words = words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

fn names(alerts: &[AlertView]) -> Vec<Named> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in alerts {
        *counts.entry(&alert.name).or_default() += 1;
    }
    let mut names: Vec<_> = counts.into_iter().map(|(name, count)| Named { name: name.to_owned(), count }).collect();
    names.sort_by_key(|named| std::cmp::Reverse(named.count));
    names
}

fn common_labels(alerts: &[AlertView]) -> Labels {
    let Some((first, others)) = alerts.split_first() else { return Labels::new() };
    let is_common = |name: &String, value: &String| others.iter().all(|other| other.labels.get(name) == Some(value));
    first.labels.iter().filter(|(name, value)| is_common(name, value)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

impl AlertView {
    fn of(incident: &Incident, setting: &Setting<'_>) -> AlertView {
        let alert = &incident.alert;
        let moment = |moment| setting.clock.moment(moment);
        let person = |name: &str| clean::line_up_to(name, LONGEST_LABEL);
        let acknowledged = incident.acknowledgement.as_ref();
        let acknowledged = acknowledged.map(|taken| TakenView { by: person(&taken.by), at: moment(taken.at) });
        let silenced = incident.silence.as_ref().filter(|silence| silence.until > setting.now);
        let silenced = silenced.map(|silence| SilencedView { by: person(&silence.by), until: moment(silence.until) });
        let severity = alert.severity();
        let state = match alert.status {
            Status::Resolved => State::Resolved,
            Status::Firing if silenced.is_some() => State::Silenced,
            Status::Firing if acknowledged.is_some() => State::Acknowledged,
            Status::Firing => State::Firing,
        };
        let ended = if state == State::Resolved { alert.ends_at } else { None };
        let labels: Labels = alert
            .labels
            .iter()
            .map(|(name, value)| (clean::line_up_to(name, LONGEST_LABEL), clean::line_up_to(value, LONGEST_LABEL)))
            .collect();
        let annotations: Labels = alert
            .annotations
            .iter()
            .map(|(name, value)| {
                (clean::line_up_to(name, LONGEST_LABEL), clean::cut(&clean::lines(value), LONGEST_ANNOTATION))
            })
            .collect();
        let annotation = |name: &str| annotations.get(name).map(String::as_str).unwrap_or_default();
        let mut description = annotation("description").to_owned();
        let mut summary = [annotation("summary"), annotation("message")].into_iter().find(|text| !text.is_empty());
        if summary.is_none_or(|summary| summary.trim() == description.trim()) {
            summary = None;
        }
        let summary = match summary {
            Some(summary) => summary.to_owned(),
            None => std::mem::take(&mut description),
        };
        let name = labels.get("alertname").filter(|name| !name.is_empty());
        let mut view = AlertView {
            mark: match state {
                State::Firing => mark_of(severity),
                State::Acknowledged => "👀",
                State::Silenced => "🔕",
                State::Resolved => "✅",
            },
            state,
            status: alert.status,
            severity,
            word: match (state, severity) {
                (State::Resolved, _) => "Resolved",
                (_, Severity::Critical) => "Critical",
                (_, Severity::Warning) => "Warning",
                (_, Severity::Info) => "Info",
            },
            name: name.cloned().unwrap_or_else(|| "Alert without a name".to_owned()),
            instance: instance_of(alert.instance().as_deref()),
            title: String::new(),
            is_long: clean::units_of(&description) > 400,
            summary,
            description,
            since: moment(alert.starts_at),
            until: ended.map(moment),
            lasted: ended.map(|ended| lasted(alert.starts_at, ended)),
            acknowledged,
            silenced,
            links: links::of(alert, &incident.external_url, setting.links),
            receiver: clean::line_up_to(&incident.receiver, LONGEST_LABEL),
            fingerprint: clean::line_up_to(&alert.fingerprint, LONGEST_LABEL),
            position: 0,
            details: Vec::new(),
            labels,
            annotations,
        };
        view.details = view.details(|_| false);
        view
    }

    /// The few labels that say something that is not said already.
    fn details(&self, is_said: impl Fn(&str) -> bool) -> Vec<String> {
        let is_told = |value: &str| {
            self.summary.contains(value) || self.description.contains(value) || self.instance.as_deref() == Some(value)
        };
        self.labels
            .iter()
            .filter(|(name, value)| {
                !TOLD_ELSEWHERE.contains(&name.as_str())
                    && !name.starts_with("__")
                    && !value.is_empty()
                    && !is_told(value)
                    && !is_said(name)
            })
            .map(|(name, value)| format!("{}: {}", clean::cut(name, LONGEST_DETAIL), clean::cut(value, LONGEST_DETAIL)))
            .take(MOST_DETAILS)
            .collect()
    }
}

impl StepView {
    fn of(number: usize, step: &ProgressStep) -> StepView {
        StepView {
            number: match number {
                1..10 => format!("{number}\u{fe0f}\u{20e3}"),
                10 => "🔟".to_owned(),
                _ => format!("{number}."),
            },
            mark: step_mark(step.state),
            name: clean::line_up_to(&step.name, LONGEST_LABEL),
            state: step.state,
            detail: clean::line_up_to(&step.detail, 2 * LONGEST_LABEL),
        }
    }
}
