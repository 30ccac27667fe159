//! The runbooks of `docs/runbooks`: as pages, so that one opens wherever the status page opens, offline too, and as text.
//!
//! They are part of the program: it does not build without one for each finding.

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

/// The runbook of a finding, in Markdown.
pub fn text(code: Code) -> &'static str {
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

/// The runbook of a finding, by its word, or something that runbooks refer to; `None` where there is neither.
pub fn page(name: &str, telemetry_path: &str) -> Option<Markup> {
    if let Some((_, title, text)) = BESIDE.iter().find(|(beside, ..)| *beside == name) {
        return Some(around(title, text, telemetry_path));
    }
    let code = Code::named(name)?;
    Some(around(code.title(), text(code), telemetry_path))
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
    use super::*;

    #[test]
    fn every_finding_has_a_runbook_of_its_own() {
        for code in Code::ALL {
            let text = text(code);
            assert!(text.starts_with(&format!("# {}\n", code.title())), "{}", code.as_str());
            assert!(text.contains(&format!("`{}`", code.as_str())), "{} is not the runbook of it", code.as_str());
            assert!(INDEX.contains(&format!("]({}.md)", code.as_str())), "{} is not in the index", code.as_str());
            assert!(page(code.as_str(), "/metrics").is_some());
        }
        assert!(page("index", "/metrics").is_none() && page("../index", "/metrics").is_none());
    }

    #[test]
    fn every_link_leads_to_a_page_that_is_there() {
        for markdown in Code::ALL.into_iter().map(text).chain([INDEX]).chain(BESIDE.map(|(.., text)| text)) {
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
