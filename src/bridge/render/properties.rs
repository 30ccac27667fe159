//! What holds whatever a card is about.

use proptest::prelude::*;

use super::html::Markup;
use super::tests::{assert_sound, card_of, card_with, now, renderer};
use super::*;
use crate::bridge::alert::{Alert, Labels, Severity, Status};
use crate::bridge::card::{Diverted, Message, Progress, ProgressStep, StepState};

/// Texts as they come: plain ones, long ones, and what is meant to do harm.
fn any_text(longest: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,60}",
        2 => ".{0,40}",
        1 => "[<>&\"'/a-z =]{0,200}",
        1 => "(\u{202e}|\u{200d}|\u{301}|👨\u{200d}👩\u{200d}👧|\n| |ß|漢|\t){0,400}",
        1 => ("[a-z\n <&]{1,40}", 1..longest).prop_map(|(text, times)| text.repeat(times)),
        1 => "https?://[a-z]{1,10}\\.org/[a-z?=&\"<>]{0,80}",
    ]
}

fn any_labels(longest: usize) -> impl Strategy<Value = Labels> {
    let names = prop_oneof![
        Just("alertname".to_owned()),
        Just("instance".to_owned()),
        Just("severity".to_owned()),
        Just("summary".to_owned()),
        Just("description".to_owned()),
        Just("runbook_url".to_owned()),
        Just("dashboard_url".to_owned()),
        "[a-z_]{1,12}",
    ];
    proptest::collection::btree_map(names, any_text(longest), 0..8)
}

fn any_alert(longest: usize) -> impl Strategy<Value = Alert> {
    (any_labels(longest), any_labels(longest), any_text(5), any::<u32>(), proptest::option::of(any::<u32>()), 0u32..5)
        .prop_map(|(labels, annotations, generator_url, start, end, fingerprint)| {
            let moment = |seconds: u32| Timestamp::from_seconds(f64::from(seconds) + 1.0).unwrap();
            Alert {
                fingerprint: fingerprint.to_string(),
                status: if end.is_some() { Status::Resolved } else { Status::Firing },
                starts_at: moment(start),
                ends_at: end.map(moment),
                labels,
                annotations,
                generator_url,
            }
        })
}

fn any_state() -> impl Strategy<Value = StepState> {
    use StepState::*;
    prop::sample::select(vec![Waiting, Running, Done, Skipped, Failed])
}

fn any_content() -> impl Strategy<Value = Content> {
    let step =
        (any_text(9), any_state(), any_text(9)).prop_map(|(name, state, detail)| ProgressStep { name, state, detail });
    let steps = proptest::collection::vec(step, 0..60);
    prop_oneof![
        3 => proptest::collection::vec(any_alert(9), 1..60).prop_map(|alerts| card_of(&alerts).content),
        3 => any_alert(600).prop_map(|alert| card_of(&[alert]).content),
        1 => (any_text(9), any_text(600)).prop_map(|(title, text)| {
            Content::Message(Message { title, text, severity: Severity::Info, instance: Some("vijay".to_owned()), is_silent: false })
        }),
        1 => (any_text(9), steps, proptest::option::of(any_state())).prop_map(|(title, steps, outcome)| {
            Content::Progress(Progress {
                title, instance: None, steps, outcome, began: now(), ended: outcome.map(|_| now()), is_failure_told: false,
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_card_is_about_telegram_takes_it(content in any_content(), reason in any_text(20), uncertain in 0u32..2) {
        let mut card = card_with(content);
        card.uncertain = uncertain;
        card.diverted = Some(Diverted { from: ChatName::from("uma"), because: reason });
        let renderer = renderer();
        assert_sound(&renderer.card(&card, now()));
        assert_sound(&renderer.announcement(&card, &[], now()));
    }

    #[test]
    fn what_is_split_loses_nothing(texts in proptest::collection::vec((any_text(300), 0usize..6), 1..12)) {
        let mut html = String::new();
        for (text, tag) in texts {
            let (open, close) = [("", "\n"), ("<b>", "</b>"), ("<blockquote>", "</blockquote>\n"), ("<pre>", "</pre>"),
                ("<a href=\"https://a.org\">", "</a>"), ("<i><code>", "</code></i>\n\n")][tag];
            html.push_str(open);
            html::escape(&text, &mut html);
            html.push_str(close);
        }
        let markup = Markup::parse(&html).unwrap();
        let parts = split::split(&markup);
        let mut joined = String::new();
        for (index, part) in parts.iter().enumerate() {
            prop_assert!(part.units() <= LONGEST_TEXT);
            prop_assert_eq!(&Markup::parse(&part.html()).unwrap().text, &part.text);
            let mark = format!("\n({}/{})", index + 1, parts.len());
            joined.push_str(if parts.len() > 1 { part.text.strip_suffix(&mark).unwrap() } else { &part.text });
        }
        let letters = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<String>();
        // A part that nobody would see is not sent.
        let seen = |text: &str| clean::line(&letters(text));
        prop_assert_eq!(seen(&joined), seen(&markup.text));
    }
}
