//! Colours and symbols of what people read in a terminal, and doing without them.

use anstyle::{AnsiColor, Style};

use crate::exporter::findings::{Health, Severity};

/// What may be used to make things easy to see. Nothing is said by a colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// Whether there are colours.
    pub has_colors: bool,
    /// Whether there is more than ASCII.
    pub has_unicode: bool,
    /// How many letters a line has room for; `None` where lines are not broken, because programs read them.
    pub width: Option<usize>,
}

impl Looks {
    /// A text in a style, where there are colours.
    pub(super) fn painted(self, text: &str, style: Style) -> String {
        if self.has_colors && !style.is_plain() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A text from outside without what moves the cursor, colours, or turns the direction of writing: a home may belong to
    /// somebody else than the terminal.
    pub(super) fn harmless(self, text: &str) -> String {
        let instead = if self.has_unicode { char::REPLACEMENT_CHARACTER } else { '?' };
        let is_harmful = |letter: char| {
            letter.is_control()
                || matches!(letter, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        text.chars().map(|letter| if is_harmful(letter) { instead } else { letter }).collect()
    }

    pub(super) fn of_health(self, health: Health) -> Style {
        match health {
            Health::Healthy => AnsiColor::Green.on_default(),
            Health::Unknown => self.of_unknown(),
            Health::Warning => self.of_severity(Severity::Warning),
            Health::Critical => self.of_severity(Severity::Critical),
        }
    }

    pub(super) fn of_severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Info => AnsiColor::Cyan.on_default(),
            Severity::Warning => AnsiColor::Yellow.on_default(),
            Severity::Critical => AnsiColor::Red.on_default().bold(),
        }
    }

    pub(super) fn of_unknown(self) -> Style {
        AnsiColor::Magenta.on_default()
    }

    pub(super) fn of_titles(self) -> Style {
        Style::new().bold()
    }

    pub(super) fn of_asides(self) -> Style {
        Style::new().dimmed()
    }

    pub(super) fn symbol(self, severity: Severity) -> &'static str {
        match (severity, self.has_unicode) {
            (Severity::Critical, true) => "✖",
            (Severity::Warning, true) => "▲",
            (Severity::Info, true) => "•",
            (Severity::Critical, false) => "X",
            (Severity::Warning, false) => "!",
            (Severity::Info, false) => "-",
        }
    }

    pub(super) fn unknown(self) -> &'static str {
        "?"
    }

    /// What stands where there is nothing.
    pub(super) fn absent(self) -> &'static str {
        if self.has_unicode { "–" } else { "-" }
    }

    pub(super) fn ellipsis(self) -> &'static str {
        if self.has_unicode { "…" } else { ".." }
    }
}
