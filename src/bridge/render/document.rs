//! A card as a file: everything that messages have no room for.

use super::clean;
use super::view::{State, View};
use crate::bridge::alert::Labels;
use crate::bridge::card::{Card, Content};
use crate::bridge::telegram::Document;

/// The most bytes of a file; Telegram takes 50 MB.
const LARGEST: usize = 20 << 20;

/// Everything on a card, as plain text.
pub(super) fn of(card: &Card, view: &View) -> Document {
    let (kind, mut text) = match &card.content {
        Content::Incidents(members) => {
            let mut text = head(view);
            for alert in &view.alerts {
                let state = match alert.state {
                    State::Firing => "firing",
                    State::Acknowledged => "firing, acknowledged",
                    State::Silenced => "firing, silenced",
                    State::Resolved => "resolved",
                };
                let instance = alert.instance.as_deref().unwrap_or("-");
                text.push_str(&format!("\n[{}] {} · {instance} · {state}\n", alert.severity, alert.name));
                text.push_str(&format!("  since: {}\n", alert.since.full));
                if let (Some(until), Some(lasted)) = (&alert.until, &alert.lasted) {
                    text.push_str(&format!("  until: {} (after {lasted})\n", until.full));
                }
                if let Some(taken) = &alert.acknowledged {
                    text.push_str(&format!("  acknowledged: {} by {}\n", taken.at.full, taken.by));
                }
                if let Some(silenced) = &alert.silenced {
                    text.push_str(&format!("  silenced: until {} by {}\n", silenced.until.full, silenced.by));
                }
                // As they came: what is cut in messages is whole here.
                let incident = members.get(alert.position).map(|member| &member.incident);
                match incident {
                    Some(incident) => {
                        pairs(&mut text, "annotation", &incident.alert.annotations);
                        pairs(&mut text, "label", &incident.alert.labels);
                    }
                    None => {
                        pairs(&mut text, "annotation", &alert.annotations);
                        pairs(&mut text, "label", &alert.labels);
                    }
                }
                for url in [&alert.links.graph, &alert.links.dashboard].into_iter().flatten() {
                    text.push_str(&format!("  {url}\n"));
                }
            }
            ("alerts", text)
        }
        Content::Message(message) => {
            ("message", format!("{}\n\n{}\n", clean::line(&message.title), clean::lines(&message.text)))
        }
        Content::Progress(progress) => {
            let mut text = format!("{}\n\n", clean::line(&progress.title));
            for (index, step) in progress.steps.iter().enumerate() {
                let state = serde_json::to_string(&step.state).unwrap_or_default();
                let detail = clean::line(&step.detail);
                let state = state.trim_matches('"');
                text.push_str(&format!("{}. [{state}] {} {detail}\n", index + 1, clean::line(&step.name)));
            }
            ("progress", text)
        }
    };
    if text.len() > LARGEST {
        let end = (0..=LARGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("\n… cut, because Telegram takes no larger file\n");
    }
    Document { name: format!("{kind}-{}.txt", card.id.0), content: text.into_bytes() }
}

fn head(view: &View) -> String {
    let counts = &view.counts;
    format!(
        "{} {}: {} firing ({} critical, {} warning, {} info; {} acknowledged, {} silenced), {} resolved\n",
        counts.total,
        if counts.total == 1 { "alert" } else { "alerts" },
        counts.firing,
        counts.critical,
        counts.warning,
        counts.info,
        counts.acknowledged,
        counts.silenced,
        counts.resolved
    )
}

fn pairs(text: &mut String, kind: &str, pairs: &Labels) {
    for (name, value) in pairs {
        let value = clean::lines(value).replace('\n', "\n    ");
        text.push_str(&format!("  {kind} {}: {value}\n", clean::line(name)));
    }
}
