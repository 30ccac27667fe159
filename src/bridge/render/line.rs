//! A card in one plain line: for when Telegram takes nothing else of it.

use super::clean;
use super::view::View;
use crate::bridge::card::StepState;

/// The most UTF-16 units of the line.
pub(super) const LONGEST_LINE: usize = 400;

/// The essentials of a card.
pub(super) fn of(view: &View) -> String {
    let line = if let Some(message) = &view.message {
        joined(&[&message.title, message.text.lines().next().unwrap_or_default()], ": ")
    } else if let Some(progress) = &view.progress {
        let outcome = match (progress.outcome, &progress.failed) {
            (Some(StepState::Failed), Some(step)) => format!("failed at {} {}", step.name, step.detail),
            (Some(StepState::Failed), None) => "failed".to_owned(),
            (Some(StepState::Done), _) => "done".to_owned(),
            (Some(_), _) => "over".to_owned(),
            (None, _) => "under way".to_owned(),
        };
        joined(&[&progress.title, &outcome], ": ")
    } else if let [alert] = view.alerts.as_slice() {
        let when = match &alert.lasted {
            Some(lasted) => format!("after {lasted}"),
            None => format!("since {}", alert.since.short),
        };
        let when = match (&alert.acknowledged, &alert.silenced) {
            (_, Some(silenced)) => format!("{when}, silenced by {} until {}", silenced.by, silenced.until.short),
            (Some(taken), None) if alert.until.is_none() => format!("{when}, {} has it", taken.by),
            _ => when,
        };
        let when = clean::line_up_to(&when, LONGEST_LINE / 3);
        // The summary may be long; what comes after it should be there all the same.
        let head = joined(&[alert.word, alert.instance.as_deref().unwrap_or_default(), &alert.name], " · ");
        let room = LONGEST_LINE.saturating_sub(clean::units_of(&head) + clean::units_of(&when) + 10);
        let summary = clean::line_up_to(&alert.summary, room.max(1));
        return finished(view, "", &format!("{} ({when})", joined(&[&head, &summary], ": ")));
    } else {
        let resolved = match view.counts.resolved {
            0 => String::new(),
            count => format!("{count} resolved"),
        };
        let names: Vec<_> = view.names.iter().take(5).map(|named| named.name.as_str()).collect();
        let names =
            if view.names.len() > names.len() { format!("{} and others", names.join(", ")) } else { names.join(", ") };
        joined(
            &[&joined(&[&view.count_words, &resolved], ", "), view.instance.as_deref().unwrap_or_default(), &names],
            " · ",
        )
    };
    let instance = if view.alerts.is_empty() { view.instance.as_deref().unwrap_or_default() } else { "" };
    finished(view, instance, &line)
}

fn finished(view: &View, instance: &str, line: &str) -> String {
    clean::line_up_to(&joined(&[view.mark, &joined(&[instance, line], " · ")], " "), LONGEST_LINE)
}

fn joined(pieces: &[&str], separator: &str) -> String {
    pieces.iter().filter(|piece| !piece.is_empty()).copied().collect::<Vec<_>>().join(separator)
}
