//! What every page here has around its content: the head, the bar above, the links below.

use maud::{DOCTYPE, Markup, html};

use super::assets::{SCRIPT, STYLE, icon};
use super::mark::{Mark, drawings};
use super::times;
use crate::system::time::Timestamp;

/// What a page may load and do: the exporter's own style, script and pictures, and asking the exporter again.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Seconds between two looks of an open page.
const REFRESH_SECONDS: u64 = 30;

/// What a page is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// The status page, which refreshes itself.
    Status {
        /// When the fleet was looked at.
        looked_at: Timestamp,
    },
    /// A runbook, or the list of them.
    Runbook,
}

/// A page without its content.
pub(crate) struct Document<'a> {
    pub(super) kind: Kind,
    pub(super) title: &'a str,
    pub(super) mark: Mark,
    pub(super) telemetry_path: &'a str,
}

impl<'a> Document<'a> {
    /// The page of a runbook, or of all of them.
    pub(crate) fn of_runbook(title: &'a str, telemetry_path: &'a str) -> Document<'a> {
        Document { kind: Kind::Runbook, title, mark: Mark::Info, telemetry_path }
    }

    /// The page around `content`.
    pub(crate) fn around(&self, content: &Markup) -> Markup {
        let is_status = matches!(self.kind, Kind::Status { .. });
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    link rel="icon" type="image/svg+xml" href=(icon(self.mark).address());
                    link rel="stylesheet" href=(STYLE.address());
                    script src=(SCRIPT.address()) defer {}
                    @if is_status { noscript { meta http-equiv="refresh" content=(REFRESH_SECONDS); } }
                }
                body data-refresh-seconds=[is_status.then_some(REFRESH_SECONDS)] {
                    (drawings())
                    a class="skip" href="#content" { "Skip to the content" }
                    header class="top" {
                        @match self.kind {
                            Kind::Status { .. } => a class="brand" href="/" { "Hermes fleet" },
                            Kind::Runbook => nav aria-label="Breadcrumb" {
                                a class="brand" href="/" { "Hermes fleet" } " / " a href="/runbooks/" { "Runbooks" }
                            },
                        }
                        @if let Kind::Status { looked_at } = self.kind {
                            p id="looked" { "Looked at " (times::clock(looked_at)) " " span id="age" {} }
                        }
                    }
                    @if is_status { p id="refresh-failure" { span role="status" {} " " span class="age" {} } }
                    main id="content" tabindex="-1" { (content) }
                    footer { (self.links()) }
                }
            }
        }
    }

    fn links(&self) -> Markup {
        html! {
            nav aria-label="More" {
                a href="/runbooks/" { "Runbooks" } " "
                a href=(self.telemetry_path) { "Metrics" } " "
                a href="/api/v1/findings" { "Findings" } " "
                a href="/api/v1/instances" { "Snapshots" } " "
                a href="/sd" { "Targets for Prometheus" } " "
                a href="/-/healthy" { "Health" }
            }
            p { "hermes-exporter " (env!("CARGO_PKG_VERSION")) }
        }
    }
}
