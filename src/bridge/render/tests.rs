//! Whole cards: against files that `UPDATE_GOLDEN=1 cargo test` writes anew, and what must hold for some of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::html::Markup;
use super::*;
use crate::bridge::alert::{Alert, Labels, Notification, Severity, Status};
use crate::bridge::card::{Acknowledgement, Diverted, Member, Message, Progress, ProgressStep, Silence, StepState};
use crate::bridge::config::Grouping;

fn at(time: &str) -> Timestamp {
    Timestamp::from_text(&format!("2026-11-20T{time}Z")).unwrap()
}

/// Half past one in the time zone of the chat.
pub(super) fn now() -> Timestamp {
    at("13:30:00")
}

fn config(more: &str) -> Config {
    let text = format!(
        "store: /tmp/bridge.db\ndelivery: console\nchats:\n  root: {{timezone: UTC}}\n  uma: {{timezone: Asia/Kolkata}}\n\
         default_chat: root\nlinks:\n  alertmanager: https://alerts.example.org\n  \
         prometheus: https://prometheus.example.org\n  \
         dashboard: https://grafana.example.org/d/hermes-instance?var-instance={{instance}}\n{more}"
    );
    Config::from_text(Path::new("bridge.yml"), &text).unwrap()
}

pub(super) fn renderer() -> Renderer {
    Renderer::new(&config(""))
}

fn owned(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn alert(
    severity: &str,
    instance: &str,
    name: &str,
    since: &str,
    more: &[(&str, &str)],
    told: &[(&str, &str)],
) -> Alert {
    let mut labels = owned(&[("alertname", name), ("severity", severity), ("instance", instance), ("job", "hermes")]);
    labels.extend(owned(more));
    let mut annotations = owned(told);
    annotations.insert("runbook_url".to_owned(), format!("https://hermes.example.org/runbooks/{name}"));
    Alert {
        fingerprint: format!("{name}{instance}{more:?}"),
        status: Status::Firing,
        starts_at: at(since),
        ends_at: None,
        labels,
        annotations,
        generator_url: "http://box:9090/graph?g0.expr=hermes_gateway_up+%3D%3D+0&g0.tab=1".to_owned(),
    }
}

fn over(mut alert: Alert, until: &str) -> Alert {
    alert.status = Status::Resolved;
    alert.ends_at = Some(at(until));
    alert
}

// As the rules in alerts/ say them.

fn gateway_down() -> Alert {
    alert(
        "critical",
        "vijay:9119",
        "HermesGatewayDown",
        "13:05:00",
        &[("finding", "gateway_down")],
        &[
            ("summary", "The gateway of vijay is down"),
            (
                "description",
                "It was stopped, failed to start, or does not get past starting. Nobody gets an answer, and no cron job runs.",
            ),
        ],
    )
}

fn backup_stale(instance: &str, since: &str) -> Alert {
    alert(
        "warning",
        instance,
        "HermesBackupStale",
        since,
        &[("finding", "backup_stale"), ("repo", "vm")],
        &[
            ("summary", &format!("The backup \"vm\" of {instance} is more than 2d old")),
            (
                "description",
                "Nothing new has been committed and pushed for longer than its limit. If the machine is lost now, everything since then is lost.",
            ),
        ],
    )
}

fn cron_overdue(instance: &str, cron_job: &str, since: &str) -> Alert {
    alert(
        "warning",
        instance,
        "HermesCronJobOverdue",
        since,
        &[("finding", "cron_job_overdue"), ("cron_job", cron_job)],
        &[
            ("summary", &format!("The cron job \"{cron_job}\" of {instance} is overdue")),
            (
                "description",
                "Its next run should have begun, and the gateway and its ticker are well. What it should do is not done.",
            ),
        ],
    )
}

fn update_available() -> Alert {
    alert(
        "info",
        "bheem",
        "HermesUpdateAvailable",
        "12:00:00",
        &[("finding", "update_available")],
        &[
            ("summary", "There is an update of Hermes for bheem"),
            ("description", "Hermes' own last check found something newer than what is installed. Everything works."),
        ],
    )
}

pub(super) fn card_of(alerts: &[Alert]) -> Card {
    let notification = Notification {
        receiver: "telegram".to_owned(),
        group_key: "{}".to_owned(),
        route_labels: Labels::new(),
        external_url: "http://box:9093".to_owned(),
        reason: None,
        truncated_alerts: 0,
        alerts: alerts.to_vec(),
    };
    let alerts: Vec<_> = notification.alerts.iter().collect();
    sample::cards(&notification, &alerts, &ChatName::from("root"), Grouping::Together, now()).remove(0)
}

fn members(card: &mut Card) -> &mut Vec<Member> {
    match &mut card.content {
        Content::Incidents(members) => members,
        _ => unreachable!(),
    }
}

fn acknowledged(mut card: Card, index: usize) -> Card {
    members(&mut card)[index].incident.acknowledgement =
        Some(Acknowledgement { by: "Uma".to_owned(), at: at("13:12:00") });
    card
}

fn silenced(mut card: Card, index: usize) -> Card {
    let silence = Silence { id: "s".to_owned(), by: "Uma".to_owned(), until: at("17:15:00") };
    members(&mut card)[index].incident.silence = Some(silence);
    card
}

fn mixed() -> Card {
    let card = card_of(&[
        backup_stale("bheem", "09:40:00"),
        gateway_down(),
        over(cron_overdue("bheem", "daily-digest", "11:02:00"), "13:21:00"),
        cron_overdue("vijay", "inbox-triage", "12:55:00"),
    ]);
    acknowledged(card, 0)
}

fn several_of_one() -> Card {
    card_of(&[
        cron_overdue("bheem", "daily-digest", "11:02:00"),
        cron_overdue("bheem", "inbox-triage", "11:04:00"),
        cron_overdue("bheem", "weekly-review", "11:04:00"),
    ])
}

/// Two hundred alerts with 60 KB of text.
fn many() -> Card {
    let alerts: Vec<_> = (0..200)
        .map(|number| {
            let instance = format!("hermes-{number:03}");
            let mut alert = match number % 5 {
                0 => gateway_down(),
                1 => cron_overdue(&instance, "daily-digest", "12:55:00"),
                _ => backup_stale(&instance, "12:40:00"),
            };
            alert.labels.insert("instance".to_owned(), instance.clone());
            alert.fingerprint = format!("{number}");
            if number % 5 == 0 {
                alert.annotations.insert("summary".to_owned(), format!("The gateway of {instance} is down"));
            }
            alert.annotations.insert("note".to_owned(), "x".repeat(120));
            if number >= 190 { over(alert, "13:25:00") } else { alert }
        })
        .collect();
    card_of(&alerts)
}

pub(super) fn card_with(content: Content) -> Card {
    sample::card(7, &ChatName::from("root"), content, now())
}

fn message(severity: Severity, instance: Option<&str>, title: &str, text: &str) -> Card {
    card_with(Content::Message(Message {
        title: title.to_owned(),
        text: text.to_owned(),
        severity,
        instance: instance.map(str::to_owned),
        is_silent: false,
    }))
}

fn progress(steps: &[(&str, StepState, &str)], outcome: Option<StepState>) -> Card {
    card_with(Content::Progress(Progress {
        title: "Nightly backup".to_owned(),
        instance: Some("vijay".to_owned()),
        steps: steps
            .iter()
            .map(|(name, state, detail)| ProgressStep {
                name: (*name).to_owned(),
                state: *state,
                detail: (*detail).to_owned(),
            })
            .collect(),
        outcome,
        began: at("13:02:00"),
        ended: outcome.map(|_| at("13:14:00")),
        is_failure_told: false,
    }))
}

fn diverted() -> Card {
    let because = "Forbidden: bot was blocked by the user".to_owned();
    Card {
        diverted: Some(Diverted { from: ChatName::from("uma"), because }),
        ..card_of(&[backup_stale("bheem", "09:40:00")])
    }
}

/// Everything of a rendering, readable.
fn written(rendered: &Rendered) -> String {
    let mut text = String::new();
    let count = rendered.parts.len();
    for (index, form) in rendered.parts.iter().enumerate() {
        let number = index + 1;
        write!(text, "--- html {number}/{count}\n{}\n--- plain {number}/{count}\n{}\n", form.html, form.plain).unwrap();
    }
    writeln!(text, "--- line\n{}", rendered.line).unwrap();
    if let Some(document) = &rendered.document {
        let content = String::from_utf8(document.content.clone()).unwrap();
        let head: Vec<_> = content.lines().take(24).collect();
        let lines = content.lines().count();
        writeln!(text, "--- document {} of {lines} lines, which begin\n{}", document.name, head.join("\n")).unwrap();
    }
    if let Some(problem) = &rendered.template_problem {
        writeln!(text, "--- template problem\n{problem}").unwrap();
    }
    text
}

fn assert_golden(name: &str, rendered: &Rendered) {
    assert_sound(rendered);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bridge").join(format!("{name}.txt"));
    let text = written(rendered);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{} is stale: run UPDATE_GOLDEN=1 cargo test\n{text}", path.display());
}

/// What holds for whatever is rendered.
pub(super) fn assert_sound(rendered: &Rendered) {
    assert!(!rendered.parts.is_empty());
    assert!(rendered.parts.len() <= MOST_PARTS, "{} parts", rendered.parts.len());
    for form in &rendered.parts {
        let markup = Markup::parse(&form.html).unwrap();
        assert!(markup.units() <= LONGEST_TEXT && !markup.is_blank() && form.html.len() <= 32 * 1024);
        assert!(clean::units_of(&form.plain) <= LONGEST_TEXT && !form.plain.trim().is_empty());
    }
    assert!(clean::units_of(&rendered.line) <= line::LONGEST_LINE && !rendered.line.trim().is_empty());
    assert!(!rendered.line.contains('\n'));
}

#[test]
fn cards_are_as_they_were_looked_at() {
    use StepState::*;
    let mut renderer = renderer();
    let down = card_of(&[gateway_down()]);
    let running = [
        ("Stop the gateway", Done, ""),
        ("Copy the home", Done, "812 MiB"),
        ("Push", Running, "attempt 2 of 3"),
        ("Start the gateway", Waiting, ""),
    ];
    let failed = [
        ("Stop the gateway", Done, ""),
        ("Copy the home", Done, "812 MiB"),
        ("Prune old ones", Skipped, ""),
        ("Push", Failed, "remote: permission denied <uma>"),
    ];
    let long: Vec<_> =
        (1..=12).map(|number| (format!("Step {number}"), if number < 12 { Done } else { Running })).collect();
    let long: Vec<_> = long.iter().map(|(name, state)| (name.as_str(), *state, "")).collect();
    for (name, card) in [
        ("critical", down.clone()),
        ("warning", card_of(&[backup_stale("bheem", "09:40:00")])),
        ("info", card_of(&[update_available()])),
        ("resolved", card_of(&[over(gateway_down(), "13:17:00")])),
        ("acknowledged", acknowledged(down.clone(), 0)),
        ("silenced", silenced(down, 0)),
        ("mixed", mixed()),
        ("several-of-one", several_of_one()),
        (
            "all-resolved",
            card_of(&[
                over(gateway_down(), "13:17:00"),
                over(cron_overdue("vijay", "inbox-triage", "12:55:00"), "13:17:00"),
            ]),
        ),
        ("many", many()),
        ("uncertain", Card { uncertain: 1, ..card_of(&[backup_stale("bheem", "09:40:00")]) }),
        ("diverted", diverted()),
        (
            "bare",
            card_of(&[Alert {
                labels: Labels::new(),
                annotations: Labels::new(),
                generator_url: String::new(),
                ..gateway_down()
            }]),
        ),
        (
            "endless",
            card_of(&[alert(
                "critical",
                "vijay",
                "Endless",
                "13:05:00",
                &[],
                &[("summary", "A long story"), ("description", &"It went on and on. ".repeat(2000))],
            )]),
        ),
        (
            "message",
            message(
                Severity::Info,
                Some("bheem"),
                "Update to 0.20.1 is done",
                "The gateway was restarted at 13:28.\nNothing else to do.",
            ),
        ),
        (
            "operations",
            message(
                Severity::Warning,
                None,
                "The chat uma can not be written to",
                "Forbidden: bot was blocked by the user. Its messages go to root until it can.",
            ),
        ),
        ("progress", progress(&running, None)),
        ("progress-failed", progress(&failed, Some(Failed))),
        ("progress-done", progress(&running.map(|(name, _, detail)| (name, Done, detail)), Some(Done))),
        ("progress-long", progress(&long, None)),
    ] {
        // Most are as they are in a chat with buttons.
        renderer.chats.values_mut().for_each(|manner| manner.has_buttons = name != "warning");
        assert_golden(name, &renderer.card(&card, now()));
    }
    for (name, card) in [
        ("announcement", card_of(&[over(gateway_down(), "13:17:00")])),
        ("announcement-of-some", mixed()),
        (
            "announcement-of-several",
            card_of(&[over(gateway_down(), "13:17:00"), over(backup_stale("bheem", "09:40:00"), "13:20:00")]),
        ),
        ("announcement-of-many", many()),
        ("announcement-of-failure", progress(&failed, Some(Failed))),
    ] {
        assert_golden(name, &renderer.announcement(&card, &[], now()));
    }
}

#[test]
fn times_are_those_of_the_chat() {
    let card = Card { chat: ChatName::from("uma"), ..card_of(&[gateway_down()]) };
    assert!(renderer().card(&card, now()).parts[0].plain.contains("Since 18:35"));
}

#[test]
fn there_is_one_way_to_silence() {
    let mut renderer = renderer();
    let has_link =
        |renderer: &Renderer| renderer.card(&card_of(&[gateway_down()]), now()).parts[0].html.contains(">Silence</a>");
    assert!(has_link(&renderer));
    for manner in renderer.chats.values_mut() {
        manner.has_buttons = true;
    }
    assert!(!has_link(&renderer));
}

#[test]
fn nothing_on_a_card_that_fires_grows_old() {
    let card = acknowledged(card_of(&[gateway_down(), backup_stale("bheem", "09:40:00")]), 1);
    let renderer = renderer();
    assert_eq!(renderer.card(&card, now()), renderer.card(&card, at("22:59:00")));
}

#[test]
fn a6_what_looks_like_markup_is_delivered_formatted() {
    let told = "x < 10% & \"<no value>\"";
    let card =
        card_of(&[alert("critical", "vijay", "Odd", "13:05:00", &[("path", "</b><a href=x>")], &[("summary", told)])]);
    let rendered = renderer().card(&card, now());
    assert_sound(&rendered);
    let markup = Markup::parse(&rendered.parts[0].html).unwrap();
    assert!(markup.text.contains(told) && markup.text.contains("path: </b><a href=x>"), "{}", markup.text);
    assert!(rendered.parts[0].html.contains("<b>Critical · vijay · Odd</b>"));
    assert!(rendered.parts[0].plain.contains(told) && rendered.line.contains(told));
}

#[test]
fn a7_of_two_hundred_alerts_none_is_missing() {
    let card = many();
    let Content::Incidents(incidents) = &card.content else { unreachable!() };
    let bytes: usize = incidents.iter().map(|member| format!("{:?}", member.incident.alert).len()).sum();
    assert!(bytes > 60_000, "{bytes}");
    let rendered = renderer().card(&card, now());
    assert_sound(&rendered);
    assert_eq!(rendered.parts.len(), 1);
    let text = &rendered.parts[0].plain;
    assert!(text.starts_with("🔴 190 firing"), "{text}");
    let document = String::from_utf8(rendered.document.unwrap().content).unwrap();
    for Member { incident, .. } in incidents {
        assert!(document.contains(&incident.alert.annotations["summary"]));
        assert!(document.contains(&format!("label instance: {}", incident.alert.labels["instance"])));
    }
}

#[test]
fn nobody_has_to_read_more_than_fifty_alerts_however_short_they_are() {
    let short = |number: usize| Alert {
        labels: owned(&[("alertname", "A"), ("instance", &format!("h{number}"))]),
        annotations: Labels::new(),
        fingerprint: number.to_string(),
        ..backup_stale("vijay", "12:40:00")
    };
    let card = |count: usize| renderer().card(&card_of(&(0..count).map(short).collect::<Vec<_>>()), now());
    assert!(card(50).document.is_none());
    let rendered = card(51);
    assert_eq!((rendered.parts.len(), rendered.document.is_some()), (1, true));
    assert_sound(&rendered);
}

#[test]
fn a7_what_fits_into_three_messages_is_told_in_full() {
    let alerts: Vec<_> = (0..50).map(|number| backup_stale(&format!("hermes-{number}"), "12:40:00")).collect();
    let rendered = renderer().card(&card_of(&alerts), now());
    assert_sound(&rendered);
    assert!(rendered.parts.len() > 1 && rendered.document.is_none());
    let text: String = rendered.parts.iter().map(|part| part.plain.as_str()).collect();
    for number in 0..50 {
        assert!(text.contains(&format!("of hermes-{number} is more than 2d old")));
    }
    assert!(rendered.parts[0].plain.ends_with(&format!("(1/{})", rendered.parts.len())));
}

/// A renderer with this template, and the folder that it is in.
fn with_template(template: &str) -> (tempfile::TempDir, Renderer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.html");
    std::fs::write(&path, template).unwrap();
    let mut config = config("");
    config.template = Some(path);
    let renderer = Renderer::new(&config);
    (folder, renderer)
}

#[test]
fn a_template_of_ones_own_is_used() {
    let (_folder, renderer) = with_template(
        "{% for alert in alerts %}<u>{{ alert.name }}</u>: {{ alert.summary }}{{ alert.nothing.at.all }}{{ alert.until }}\n{% endfor %}",
    );
    let rendered = renderer.card(&mixed(), now());
    assert_sound(&rendered);
    assert_eq!(rendered.template_problem, None);
    assert!(
        rendered.parts[0].html.starts_with("<u>HermesGatewayDown</u>: The gateway of vijay is down\n<u>"),
        "{}",
        rendered.parts[0].html
    );
}

#[test]
fn the_template_in_the_documentation_works() {
    let text = include_str!("../../../docs/bridge-templates.md");
    let template = text.split("```jinja\n").nth(1).unwrap().split("```").next().unwrap();
    let (_folder, renderer) = with_template(template);
    let rendered = renderer.card(&mixed(), now());
    assert_eq!(rendered.template_problem, None);
    let plain = &rendered.parts[0].plain;
    assert!(plain.starts_with("🔴 1 critical, 2 warnings on vijay, bheem\n\n🔴 HermesGatewayDown: The gateway of vijay is down\nsince 13:05\n"), "{plain}");
}

#[test]
fn a8_a_broken_template_costs_nothing_but_itself() {
    let shipped = super::tests::renderer().card(&mixed(), now());
    for (template, problem) in [
        ("{{ alerts", "syntax error"),
        ("{% for alert in alerts %}", "syntax error"),
        ("{{ alerts|nonsense }}", "unknown filter"),
        ("{{ nonsense() }}", "unknown function"),
        ("{{ alerts[0].name.nonsense() }}", "unknown method"),
        ("{% for a in range(50000) %}{% for b in range(50000) %}{% endfor %}{% endfor %}", "fuel"),
        ("{% for a in range(50000) %}a text that is long enough{% endfor %}", "bytes"),
        ("<div>{{ alerts[0].name }}</div>", "does not know the tag <div>"),
        ("<b>{{ alerts[0].name }}", "<b> is not ended"),
        ("{{ alerts[0].labels.alertname|safe }} < 10", "begins no tag"),
        (" \n{{ nothing }}&#8203;", "empty"),
        ("", "empty"),
        ("{% include '/etc/passwd' %}", "syntax error"),
    ] {
        let (_folder, renderer) = with_template(template);
        let rendered = renderer.card(&mixed(), now());
        let said = rendered.template_problem.clone().unwrap_or_default();
        assert!(said.contains(problem) && said.contains("card.html"), "{template}: {said}");
        assert_eq!(Rendered { template_problem: None, ..rendered }, shipped, "{template}");
    }
}

#[test]
fn a8_a_missing_template_costs_nothing_but_itself() {
    let mut config = config("");
    config.template = Some(PathBuf::from("/nonexistent/card.html"));
    let renderer = Renderer::new(&config);
    assert_eq!(renderer.template_problems().count(), 1);
    let rendered = renderer.card(&mixed(), now());
    assert!(rendered.template_problem.clone().unwrap().contains("No such file"));
    assert_eq!(rendered.parts, super::tests::renderer().card(&mixed(), now()).parts);
}
