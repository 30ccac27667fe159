//! How something is, at a glance: a colour, a shape and a word, so that no one of them is needed to tell.

use maud::{Markup, html};

use crate::exporter::findings::{Health, Severity};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Healthy,
    Info,
    Unknown,
    Warning,
    Critical,
}

impl Mark {
    pub(super) const ALL: [Mark; 5] = [Mark::Critical, Mark::Warning, Mark::Unknown, Mark::Info, Mark::Healthy];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Mark::Healthy => "healthy",
            Mark::Info => "info",
            Mark::Unknown => "unknown",
            Mark::Warning => "warning",
            Mark::Critical => "critical",
        }
    }

    /// The shape alone, for where the word stands beside it.
    pub(super) fn shape(self) -> Markup {
        html! { svg class={ "shape " (self.as_str()) } viewBox="0 0 16 16" aria-hidden="true" { use href={ "#" (self.as_str()) } {} } }
    }

    /// The shape and, for who does not see it, the word.
    pub(super) fn shape_and_word(self) -> Markup {
        html! { (self.shape()) span class="hidden" { (self.as_str()) ": " } }
    }

    /// Shape and word as a badge.
    pub(super) fn badge(self) -> Markup {
        html! { span class={ "badge " (self.as_str()) } { (self.shape()) (self.as_str()) } }
    }
}

impl From<Severity> for Mark {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Mark::Info,
            Severity::Warning => Mark::Warning,
            Severity::Critical => Mark::Critical,
        }
    }
}

impl From<Health> for Mark {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Mark::Healthy,
            Health::Unknown => Mark::Unknown,
            Health::Warning => Mark::Warning,
            Health::Critical => Mark::Critical,
        }
    }
}

/// The drawings that [`Mark::shape`] shows, once in a page: an octagon, a triangle, a broken circle, a square, a circle.
pub(super) fn drawings() -> Markup {
    let drawing = |mark: Mark| match mark {
        Mark::Critical => html! {
            path class="body" d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" {}
            path class="sign" d="M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6" {}
        },
        Mark::Warning => html! {
            path class="body" d="M8 1.2 15.4 14.6H.6z" {}
            path class="sign" d="M8 6v4m0 2.2v.3" {}
        },
        Mark::Unknown => html! {
            circle class="ring" cx="8" cy="8" r="6.6" {}
            path class="line" d="M6 6.3a2 2 0 1 1 2.7 1.9q-.7.3-.7 1.1m0 2v.3" {}
        },
        Mark::Info => html! {
            rect class="body" x="1.2" y="1.2" width="13.6" height="13.6" rx="3" {}
            path class="sign" d="M8 7.4v4m0-6.8v.3" {}
        },
        Mark::Healthy => html! {
            circle class="body" cx="8" cy="8" r="7" {}
            path class="sign" d="M4.8 8.3l2.2 2.2 4.2-4.6" {}
        },
    };
    html! {
        svg class="hidden" aria-hidden="true" {
            @for mark in Mark::ALL { symbol id=(mark.as_str()) viewBox="0 0 16 16" { (drawing(mark)) } }
        }
    }
}
