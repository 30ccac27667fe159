//! The page as a whole: what is shown of a fleet, in which order, and that nothing gets out of its place.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::commands::{Door, GatewayUnit, InstanceLinks, Links, Way};
use super::filter::Filter;
use super::samples::{before, finding, fleet, gateway, now, snapshot};
use super::*;
use crate::exporter::findings::{Code, Severity, Unknown};
use crate::exporter::snapshot::backups::{
    Artifacts, Backups, ForbiddenFiles, Payload, RemoteBranch, Repository, RepositoryState,
};
use crate::exporter::snapshot::credentials::{Credentials, Token};
use crate::exporter::snapshot::cron::{Cron, Job, JobState};
use crate::exporter::snapshot::endpoints::{Endpoint, EndpointKind, Endpoints, Failure, Probe, Verdict};
use crate::exporter::snapshot::gateway::GatewayState;
use crate::exporter::snapshot::home::Home;
use crate::exporter::snapshot::{Label, Reading, Reason, Snapshot, Tally};

fn render(fleet: &Fleet, findings: &FleetFindings, query: &[(&str, &str)], links: &Links) -> String {
    let pairs: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let filter = Filter::of_query(&pairs);
    let page = StatusPage { fleet, findings, links, filter: &filter, outdated_config_of: None, now: now() };
    page.render().into_string()
}

fn page_of(snapshots: Vec<Snapshot>) -> String {
    let (fleet, found) = fleet(snapshots);
    render(&fleet, &found, &[], &Links::default())
}

/// Where each of `parts` begins, which must be in this order.
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let place = rest.find(part).unwrap_or_else(|| panic!("{part} is missing, or stands too early"));
        rest = &rest[place + part.len()..];
    }
}

/// A fleet of two: vijay as well as can be, and bheem on a bad day.
fn good_and_bad() -> (Fleet, FleetFindings, Links) {
    let mut bheem = snapshot("bheem");
    gateway(&mut bheem).state = Reading::Known(GatewayState::Frozen);
    gateway(&mut bheem).heartbeat = Reading::Known(before(600.0));
    let stale = Repository {
        state: Reading::Known(RepositoryState::Ready),
        max_age_seconds: Reading::Known(93_600.0),
        newest_commit: Reading::Known(before(3_600.0)),
        newest_pushed_commit: Reading::Known(before(180_000.0)),
        unpushed_commits: Reading::Known(2),
        dirty_files: Reading::Unknown(Reason::Permission),
        payload: Reading::Known(Payload { files: 1_204, bytes: 35_651_584 }),
        ..Repository::default()
    };
    let bundle = Artifacts { files: 0, newest: Reading::Absent, ..Artifacts::default() };
    bheem.backups = Reading::Known(Arc::new(Backups {
        repositories: BTreeMap::from([(Label::new("vm"), stale)]),
        restore_drills: Reading::Absent,
        emergency_bundles: Reading::Known(bundle),
    }));
    let expired = Token {
        present: Reading::Known(true),
        valid: Reading::Known(false),
        refreshable: Reading::Known(false),
        expiry: Reading::Known(before(7_200.0)),
        is_expected: true,
        scopes: Reading::Absent,
    };
    bheem.credentials = Reading::Known(Arc::new(Credentials {
        tokens: BTreeMap::from([(Label::new("google"), Token::MISSING), (Label::new("spotify"), expired)]),
        pools: Reading::Absent,
        env_keys: Reading::Absent,
    }));
    let overdue = Job {
        state: JobState::Scheduled,
        overdue: true,
        last_run: Reading::Known(before(90_000.0)),
        last_run_success: Reading::Known(false),
        last_delivery_success: Reading::Absent,
        next_run: Reading::Known(before(3_600.0)),
        last_duration_seconds: Reading::Absent,
    };
    bheem.cron = Reading::Known(Arc::new(Cron {
        jobs: Reading::Known(BTreeMap::from([(Label::new("briefing"), overdue)])),
        executions: Reading::Known(Tally::default()),
        ticker_heartbeat: Reading::Unknown(Reason::Parse),
        ticker_last_success: Reading::Absent,
    }));
    let refused = Probe {
        verdict: Verdict::Down(Failure::Refused),
        duration_seconds: 0.000_4,
        status_code: Reading::Absent,
        certificate_expiry: Reading::Absent,
        access: Reading::Absent,
    };
    let dashboard = Endpoint { kind: EndpointKind::HermesDashboard, probe: Reading::Known(refused) };
    bheem.endpoints = Reading::Known(Arc::new(Endpoints(BTreeMap::from([(Label::new("dashboard"), dashboard)]))));
    bheem.home = Reading::Known(Arc::new(Home {
        bytes: Reading::Known(4_300_000),
        filesystem_available_bytes: Reading::Known(2 << 30),
        filesystem_size_bytes: Reading::Known(80 << 30),
    }));
    bheem.sessions = Reading::Unknown(Reason::Timeout);

    let (fleet, mut found) = fleet(vec![snapshot("vijay"), bheem]);
    found.instances[1].found = vec![
        finding(
            Code::GatewayFrozen,
            Severity::Critical,
            None,
            "The gateway has not given a sign of life for 10 minutes.",
        ),
        finding(Code::EndpointDown, Severity::Critical, Some("dashboard"), "Nobody listens at dashboard."),
        finding(Code::BackupStale, Severity::Warning, Some("vm"), "The newest commit that was pushed is 50 h old."),
        finding(Code::CronJobOverdue, Severity::Warning, Some("briefing"), "briefing should have run an hour ago."),
        finding(Code::DiskLow, Severity::Info, None, "2.5 % of the disk is left."),
    ];
    found.instances[1].unknown = vec![Unknown {
        collector: "sessions".to_owned(),
        subject: "state.db".to_owned(),
        reason: Reason::Timeout,
        since: Some(before(120.0)),
    }];
    found.machine.found = vec![finding(Code::TailscaleDown, Severity::Warning, None, "Tailscale is stopped.")];
    let dashboard = Way::Tunnel { scheme: "http", host: "127.0.0.1".to_owned(), port: 9119, path: "/".to_owned() };
    let unit = GatewayUnit {
        name: "hermes-gateway.service".to_owned(),
        manager: None,
        is_expected: false,
        s6_scan_directory: "/run/service".into(),
    };
    let of_bheem =
        InstanceLinks { doors: vec![Door { name: "dashboard".to_owned(), way: dashboard }], gateway_units: vec![unit] };
    let links = Links {
        telemetry_path: "/metrics".to_owned(),
        ssh_host: "vm.example".to_owned(),
        instances: HashMap::from([("bheem".to_owned(), of_bheem)]),
    };
    (fleet, found, links)
}

/// The whole page of a small fleet against a file, which `UPDATE_GOLDEN=1 cargo test` writes anew.
#[test]
fn a_good_and_a_bad_instance() {
    let (fleet, found, links) = good_and_bad();
    let page = render(&fleet, &found, &[], &links);
    let without_versions: Vec<_> =
        page.split("?v=").enumerate().map(|(index, part)| if index == 0 { part } else { &part[8..] }).collect();
    let version = format!("hermes-exporter {}", env!("CARGO_PKG_VERSION"));
    // A line per element, so that a difference can be read.
    let page = without_versions.concat().replace(&version, "hermes-exporter VERSION").replace("><", ">\n<") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/status-page.html");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    for (number, (golden, now)) in golden.lines().zip(page.lines()).enumerate() {
        assert_eq!(now, golden, "tests/golden/status-page.html, line {}", number + 1);
    }
    assert_eq!(page.lines().count(), golden.lines().count(), "tests/golden/status-page.html has another length");
}

#[test]
fn the_worst_comes_first_and_what_is_alike_stays_in_the_order_of_the_configuration() {
    let (fleet, mut found) = fleet(["a", "b", "c", "d"].map(snapshot).to_vec());
    found.instances[1].unknown = good_and_bad().1.instances[1].unknown.clone();
    found.instances[2].found = vec![finding(Code::GatewayDown, Severity::Critical, None, "It is down.")];
    let page = render(&fleet, &found, &[], &Links::default());
    assert_in_order(&page, &["id=\"instance-c\"", "id=\"instance-b\"", "id=\"instance-a\"", "id=\"instance-d\""]);
    assert!(page.contains("<title>1 critical · Hermes fleet</title>") && page.contains("<b>2</b> of <b>4</b>"));
}

#[test]
fn a_filter_shows_what_was_asked_for_and_is_kept_by_every_link() {
    let (fleet, found, links) = good_and_bad();
    let has = |page: &str, name: &str| page.contains(&format!("id=\"instance-{name}\""));
    let critical = render(&fleet, &found, &[("severity", "critical")], &links);
    assert!(has(&critical, "bheem") && !has(&critical, "vijay"));
    assert!(critical.contains("Nobody listens at dashboard.") && !critical.contains("Tailscale is stopped."));
    assert!(critical.contains("<title>2 critical ·"), "the tab tells of the whole fleet");
    let healthy = render(&fleet, &found, &[("severity", "healthy")], &links);
    assert!(!has(&healthy, "bheem") && has(&healthy, "vijay") && !healthy.contains("id=\"findings\""));
    let unknown = render(&fleet, &found, &[("severity", "unknown")], &links);
    assert!(has(&unknown, "bheem") && !has(&unknown, "vijay"));
    let vijay = render(&fleet, &found, &[("instance", "vij"), ("severity", "")], &links);
    assert!(!has(&vijay, "bheem") && has(&vijay, "vijay") && !vijay.contains("Tailscale is stopped."));
    assert!(vijay.contains("href=\"/?severity=warning&amp;instance=vij\""));
    let nobody = render(&fleet, &found, &[("instance", "x\"><script>")], &links);
    assert!(nobody.contains("No instance is like that.") && !nobody.contains("<script>"));
    let odd = render(&fleet, &found, &[("severity", "dreadful")], &links);
    assert!(has(&odd, "bheem") && has(&odd, "vijay") && odd.contains("There is no severity “dreadful”"));
}

#[test]
fn a_strange_name_stays_a_name() {
    const STRANGE: &str = "<script>alert(1)</script>\"' onload=x";
    let mut strange = snapshot(STRANGE);
    STRANGE.clone_into(&mut strange.identity.user);
    STRANGE.clone_into(&mut strange.identity.profile);
    let platform = gateway(&mut strange).platforms.known().unwrap().values().next().unwrap().clone();
    gateway(&mut strange).platforms = Reading::Known(BTreeMap::from([(Label::new(STRANGE), platform)]));
    let (fleet, mut found) = fleet(vec![strange]);
    found.instances[0].found = vec![finding(Code::PlatformDown, Severity::Warning, Some(STRANGE), STRANGE)];
    found.instances[0].unknown =
        vec![Unknown { collector: STRANGE.to_owned(), subject: STRANGE.to_owned(), reason: Reason::Io, since: None }];
    let way = Way::Tunnel { scheme: "http", host: STRANGE.to_owned(), port: 1, path: STRANGE.to_owned() };
    let of_strange = InstanceLinks {
        doors: vec![Door { name: STRANGE.to_owned(), way }],
        gateway_units: vec![GatewayUnit {
            name: STRANGE.to_owned(),
            manager: None,
            is_expected: true,
            s6_scan_directory: STRANGE.into(),
        }],
    };
    let links = Links {
        telemetry_path: STRANGE.to_owned(),
        ssh_host: "vm".to_owned(),
        instances: HashMap::from([(STRANGE.to_owned(), of_strange)]),
    };
    let page = render(&fleet, &found, &[], &links);
    assert!(!page.contains("<script>") && !page.contains("\"' onload"), "{page}");
    assert!(page.contains("/api/v1/instances/%3Cscript%3E"));
}

/// No policy would stop these, and the policy that is sent would stop the page.
#[test]
fn nothing_is_inline_and_nothing_is_from_elsewhere() {
    let (fleet, found, links) = good_and_bad();
    let page = render(&fleet, &found, &[], &links);
    for wrong in ["style=", "<style", " onclick", "javascript:", "src=\"http", "src=\"//"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    assert!(page.matches("<script").count() == 1 && page.contains("<script src=\"/-/assets/page.js?v="));
}

#[test]
fn the_three_kinds_of_a_reading_are_told_apart() {
    let mut one = snapshot("one");
    one.sessions = Reading::Unknown(Reason::Permission);
    gateway(&mut one).heartbeat = Reading::Unknown(Reason::Parse);
    let page = page_of(vec![one]);
    assert_in_order(&page, &["<dt>Sessions</dt><dd><span class=\"unknown\"", "unknown · permission", "</dd>"]);
    assert_in_order(&page, &["<dt>Cron</dt><dd><span class=\"absent\"", "</dd>"]);
    assert!(page.contains("heartbeat unknown · parse"));
}

#[test]
fn a_large_fleet_is_folded_and_a_very_large_one_is_bounded() {
    let (few, found) = fleet((0..MOST_UNFOLDED).map(|n| snapshot(&format!("i{n}"))).collect());
    let open = |page: &str| {
        page.matches("<details id=\"card-").count()
            - page.matches("data-open=\"false\"><summary class=\"head chevron\"").count()
    };
    assert_eq!(open(&render(&few, &found, &[], &Links::default())), MOST_UNFOLDED);
    let (many, mut found) = fleet((0..1_000).map(|n| snapshot(&format!("i{n}"))).collect());
    for findings in &mut found.instances[500..] {
        findings.found = vec![finding(Code::GatewayDown, Severity::Critical, None, "It is down.")];
    }
    let page = render(&many, &found, &[], &Links::default());
    assert_eq!(open(&page), MOST_WHOLE);
    assert_eq!(page.matches("<article").count(), 1_000);
    assert!(page.contains("<a class=\"head\" href=\"/?instance=i7\">"));
    assert!(page.contains("And 400 more: filter by instance to see them."));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    let one = render(&many, &found, &[("instance", "i7")], &Links::default());
    assert_eq!((one.matches("<article").count(), open(&one)), (1, 1));
}

#[test]
fn a_gateway_that_was_started_by_hand_has_no_command_and_says_so() {
    let mut one = snapshot("one");
    one.units = Reading::Absent;
    gateway(&mut one).supervisor = Reading::Known(crate::exporter::snapshot::gateway::Supervisor::None);
    let page = page_of(vec![one]);
    assert!(page.contains("The gateway was started by hand") && !page.contains("data-copy"));
}

#[test]
fn a_configuration_that_could_not_be_loaded_is_told_of_above_everything() {
    let (fleet, found, links) = good_and_bad();
    let filter = Filter::of_query(&[]);
    let page = StatusPage {
        fleet: &fleet,
        findings: &found,
        links: &links,
        filter: &filter,
        outdated_config_of: Some(before(7_200.0)),
        now: now(),
    };
    let text = page.render().into_string();
    assert_in_order(
        &text,
        &[
            "<main",
            "role=\"alert\"",
            "the former one is in force since ",
            "2026-11-20 07:00:55 UTC",
            "2 h ago",
            "id=\"state\"",
        ],
    );
    let loaded = StatusPage { outdated_config_of: None, ..page }.render().into_string();
    assert!(!loaded.contains("role=\"alert\""));
}

#[test]
fn what_is_ignored_is_told_of_an_instance_folded_or_not_and_of_the_machine() {
    let mut one = snapshot("one");
    one.ignored_findings = vec![Code::GatewayDown.label(), Code::TokenMissing.label()];
    let (mut fleet, found) = fleet(vec![one, snapshot("two")]);
    fleet.ignored_findings = vec![Label::new("<i>")];
    let page = render(&fleet, &found, &[], &Links::default());
    let codes = "2 findings ignored: <code>gateway_down</code>, <code>token_missing</code>";
    assert_in_order(&page, &["id=\"instance-one\"", "2 ignored", "</summary>", codes, "id=\"instance-two\""]);
    assert_in_order(&page, &["id=\"machine\"", "1 finding ignored: <code>&lt;i&gt;</code>"]);
    assert_eq!((page.matches(" ignored").count(), page.matches("</i>").count()), (3, 0));
}

/// What the row of backups says, without its markup.
fn backup_row(repository: Repository) -> String {
    let mut one = snapshot("one");
    one.backups = Reading::Known(Arc::new(Backups {
        repositories: BTreeMap::from([(Label::new("vm"), repository)]),
        ..Backups::default()
    }));
    let page = page_of(vec![one]);
    let row = page.split("<dt>Backup</dt>").nth(1).unwrap().split("</dd>").next().unwrap();
    let words = row.split('<').filter_map(|part| part.split('>').nth(1)).collect::<String>();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_backup_says_each_thing_once() {
    let of_state = |state| Repository { state: Reading::Known(state), ..Repository::default() };
    assert_eq!(backup_row(of_state(RepositoryState::Missing)), "vm missing there is nothing at its path");
    assert_eq!(
        backup_row(of_state(RepositoryState::NotARepository)),
        "vm missing what is at its path is no repository"
    );
    assert_eq!(backup_row(of_state(RepositoryState::Empty)), "vm empty it has no commit");
    let local = Repository {
        newest_commit: Reading::Known(before(7_200.0)),
        max_age_seconds: Reading::Known(93_600.0),
        ..of_state(RepositoryState::Ready)
    };
    assert_eq!(backup_row(local.clone()), "vm 2 h old, limit 26 h ready no remote");
    let pushed = Repository {
        remote_branch: Reading::Known(RemoteBranch::Present),
        newest_pushed_commit: Reading::Known(before(7_200.0)),
        unpushed_commits: Reading::Known(0),
        ..local
    };
    assert_eq!(backup_row(pushed), "vm 2 h old, limit 26 h ready 0 unpushed");
}

#[test]
fn secrets_that_were_deleted_are_in_the_history_alone() {
    let secrets = |current: u64, ever: u64| {
        let of = |count| {
            let mut tally = Tally::default();
            tally.add("secret", count);
            tally
        };
        let forbidden = Reading::Known(ForbiddenFiles { current: of(current), ever: of(ever) });
        backup_row(Repository { forbidden, ..Repository::default() })
    };
    assert!(secrets(0, 0).ends_with("no secrets"));
    assert!(secrets(0, 2).ends_with("secrets in its history"));
    assert!(secrets(1, 2).ends_with("secrets committed"));
}

#[test]
fn the_jobs_that_are_counted_are_those_of_the_findings() {
    let mut jobs = BTreeMap::new();
    for state in JobState::ALL {
        for succeeded in [true, false] {
            let job = Job {
                state,
                overdue: true,
                last_run: Reading::Absent,
                last_run_success: Reading::Known(succeeded),
                last_delivery_success: Reading::Absent,
                next_run: Reading::Absent,
                last_duration_seconds: Reading::Absent,
            };
            jobs.insert(Label::new(&format!("{}-{succeeded}", state.as_str())), job);
        }
    }
    let mut one = snapshot("one");
    gateway(&mut one).start_time = Reading::Known(before(86_400.0));
    one.cron = Reading::Known(Arc::new(Cron {
        jobs: Reading::Known(jobs),
        executions: Reading::Absent,
        ticker_heartbeat: Reading::Known(now()),
        ticker_last_success: Reading::Absent,
    }));
    let (fleet, _) = fleet(vec![one]);
    let found = FleetFindings::of(&fleet);
    let of_code = |code| found.instances[0].found.iter().filter(|finding| finding.code == code).count();
    let (failing, overdue) = (of_code(Code::CronJobFailing), of_code(Code::CronJobOverdue));
    assert_eq!((failing, overdue), (5, 6));
    let page = render(&fleet, &found, &[], &Links::default());
    assert!(page.contains("<b>5</b> failing") && page.contains("<b>6</b> overdue"), "{page}");
}

#[test]
fn a_command_says_where_it_has_to_be_run() {
    let (fleet, found, links) = good_and_bad();
    let page = render(&fleet, &found, &[], &links);
    assert_in_order(&page, &["<b>on your computer</b>:", "ssh -N", "<b>on vm.example</b>:", "restart"]);
}
