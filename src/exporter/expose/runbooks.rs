//! The runbooks of `docs/runbooks`: as pages, so that one opens wherever the status page opens, offline too, and as text.
//!
//! They are part of the program: it does not build without one for each finding. Alerts about the watching itself have
//! theirs beside those (`watching`); all of them are found by their names.

mod watching;

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};

use super::page::document::Document;
use crate::exporter::findings::Code;

/// The text of each runbook, from the file that is called as the finding is.
macro_rules! texts {
    ($code:expr, $($variant:ident => $file:literal,)*) => {
        match $code {
            $(Code::$variant => include_str!(concat!("../../../docs/runbooks/", $file, ".md")),)*
        }
    };
}

const INDEX: &str = include_str!("../../../docs/runbooks/index.md");

/// What runbooks refer to beside each other: the name that it is served by, the title, the text.
const BESIDE: [(&str, &str, &str); 1] = [("privileges", "Privileges", include_str!("../../../docs/privileges.md"))];

/// What to do about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runbook {
    /// The word for it: that of the finding, or of what is wrong with the watching.
    pub name: &'static str,
    /// The same for people.
    pub title: &'static str,
    /// What is to be done, in Markdown.
    pub text: &'static str,
}

impl Runbook {
    fn of(code: Code) -> Runbook {
        Runbook { name: code.as_str(), title: code.title(), text: text(code) }
    }

    /// All there are: of findings, and of the watching after them.
    pub fn all() -> impl Iterator<Item = Runbook> {
        Code::ALL.into_iter().map(Runbook::of).chain(watching::WATCHING)
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Runbook> {
        Runbook::all().find(|runbook| runbook.name == name)
    }
}

/// The runbook of a finding, in Markdown.
fn text(code: Code) -> &'static str {
    texts! { code,
        GatewayDown => "gateway_down",
        GatewayCrashed => "gateway_crashed",
        GatewayFrozen => "gateway_frozen",
        GatewayCrashLooping => "gateway_crash_looping",
        GatewayDuplicated => "gateway_duplicated",
        GatewayDegraded => "gateway_degraded",
        PlatformDown => "platform_down",
        UnitFailed => "unit_failed",
        UnitDown => "unit_down",
        TimerNotFiring => "timer_not_firing",
        EndpointDown => "endpoint_down",
        CertificateExpiring => "certificate_expiring",
        BackupMissing => "backup_missing",
        BackupStale => "backup_stale",
        BackupInterrupted => "backup_interrupted",
        BackupUnpushed => "backup_unpushed",
        BackupDirty => "backup_dirty",
        BackupLeaking => "backup_leaking",
        RestoreDrillOverdue => "restore_drill_overdue",
        EmergencyBundleOverdue => "emergency_bundle_overdue",
        TokenMissing => "token_missing",
        TokenInvalid => "token_invalid",
        TokenExpiring => "token_expiring",
        CronTickerStale => "cron_ticker_stale",
        CronJobFailing => "cron_job_failing",
        CronJobOverdue => "cron_job_overdue",
        CronDeliveryFailing => "cron_delivery_failing",
        MemoryNearLimit => "memory_near_limit",
        UpdateAvailable => "update_available",
        DiskLow => "disk_low",
        PublicListener => "public_listener",
        ApprovalsBypassed => "approvals_bypassed",
        SecretsUnredacted => "secrets_unredacted",
        HomeExposed => "home_exposed",
        SecretsExposed => "secrets_exposed",
        TailscaleDown => "tailscale_down",
        TailscaleKeyExpiring => "tailscale_key_expiring",
        ReportStale => "report_stale",
        CollectorUnknown => "collector_unknown",
    }
}

/// The list of all runbooks.
pub fn index(telemetry_path: &str) -> Markup {
    around("Runbooks", INDEX, telemetry_path)
}

/// A runbook by its name, or something that runbooks refer to; `None` where there is neither.
pub fn page(name: &str, telemetry_path: &str) -> Option<Markup> {
    if let Some((_, title, text)) = BESIDE.iter().find(|(beside, ..)| *beside == name) {
        return Some(around(title, text, telemetry_path));
    }
    let runbook = Runbook::named(name)?;
    Some(around(runbook.title, runbook.text, telemetry_path))
}

fn around(title: &str, markdown: &str, telemetry_path: &str) -> Markup {
    let content = html! {
        article class={ "text" @if markdown == INDEX { " index" } } { (rendered(markdown)) }
    };
    Document::of_runbook(&format!("{title} · Runbooks · Hermes fleet"), telemetry_path).around(&content)
}

fn rendered(markdown: &str) -> Markup {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: served(dest_url), title, id })
        }
        // The texts are ours, and are to need none.
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    });
    let mut html = String::with_capacity(markdown.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut html, events);
    PreEscaped(html)
}

/// Where a link between the files leads between the pages.
fn served(address: CowStr<'_>) -> CowStr<'_> {
    let (path, fragment) = match address.split_once('#') {
        Some((path, fragment)) => (path, format!("#{fragment}")),
        None => (&*address, String::new()),
    };
    let file = path.strip_prefix("../").unwrap_or(path);
    match file.strip_suffix(".md").filter(|name| !name.contains('/')) {
        Some("index") => format!("/runbooks/{fragment}").into(),
        Some(name) => format!("/runbooks/{name}{fragment}").into(),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files_in(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn every_finding_has_a_runbook_of_its_own() {
        for code in Code::ALL {
            let text = text(code);
            assert!(text.contains(&format!("`{}`", code.as_str())), "{} is not the runbook of it", code.as_str());
        }
    }

    #[test]
    fn every_runbook_is_served_and_in_the_index() {
        for Runbook { name, title, text } in Runbook::all() {
            assert!(text.starts_with(&format!("# {title}\n")), "{name}");
            assert!(INDEX.contains(&format!("]({name}.md)")), "{name} is not in the index");
            assert!(page(name, "/metrics").is_some());
        }
        assert!(page("index", "/metrics").is_none() && page("../index", "/metrics").is_none());
        let names: BTreeSet<_> = Runbook::all().map(|runbook| runbook.name.to_owned()).collect();
        assert_eq!(names.len(), Runbook::all().count(), "two have the same name");
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let files: BTreeSet<_> =
            files_in("docs/runbooks").into_iter().map(stem).filter(|name| name != "index").collect();
        assert_eq!(files, names, "a file that nobody is shown");
    }

    #[test]
    fn every_alert_leads_to_a_runbook_that_is_about_it() {
        let mut seen = 0;
        for file in files_in("alerts/rules") {
            let rules = std::fs::read_to_string(&file).unwrap();
            for rule in rules.split("- alert: ").skip(1) {
                let alert = rule.lines().next().unwrap();
                let lines = rule.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: "));
                let urls: Vec<_> = lines.collect();
                let [url] = urls[..] else { panic!("{alert} has {} runbooks", urls.len()) };
                let name = url.strip_prefix("http://127.0.0.1:10119/runbooks/");
                let runbook = name.and_then(Runbook::named).unwrap_or_else(|| panic!("{url} of {alert} is not served"));
                let is_of_finding = rule.contains(&format!("finding: {}", runbook.name));
                assert!(
                    is_of_finding || runbook.text.contains(&format!("`{alert}`")) || alert == "Watchdog",
                    "{alert}"
                );
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} alerts");
    }

    #[test]
    fn every_link_leads_to_a_page_that_is_there() {
        for markdown in Runbook::all().map(|runbook| runbook.text).chain([INDEX]).chain(BESIDE.map(|(.., text)| text)) {
            let html = rendered(markdown).into_string();
            for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let is_served = match link.strip_prefix("/runbooks/") {
                    Some(name) => name.is_empty() || page(name.split('#').next().unwrap(), "/metrics").is_some(),
                    None => link.starts_with("https://"),
                };
                assert!(is_served, "{link}");
            }
        }
    }

    #[test]
    fn what_looks_like_html_is_text() {
        let html = rendered("a <script>x</script> [b](backup_stale.md#look) `<i>`\n\n<b>c</b>\n").into_string();
        assert!(!html.contains("<script>") && !html.contains("<b>") && !html.contains("<i>"), "{html}");
        assert!(html.contains("href=\"/runbooks/backup_stale#look\""), "{html}");
    }

    #[test]
    fn tables_and_commands_are_shown_as_such() {
        let html = rendered("| a |\n|---|\n| b |\n\n```sh\nls <x>\n```\n").into_string();
        assert!(html.contains("<th>a</th>") && html.contains("ls &lt;x&gt;"), "{html}");
    }
}
