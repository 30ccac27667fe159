//! Templates: the shipped ones, and those of the configuration.
//!
//! A template gets what [`super::view`] has, and gives a text in Telegram's HTML. It can not read files, include others,
//! run without end, or write without end.

use std::io::{self, Read, Write};
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::html::{self, Markup, MarkupError};
use super::view::View;
use crate::error_chain::display_chain;

/// How many steps a template may take: a hundred times what the shipped ones need.
const FUEL: u64 = 2_000_000;

/// The most bytes that a template may write.
const MOST_OUTPUT: usize = 512 * 1024;

/// The most bytes that a template may have.
const LARGEST_TEMPLATE: u64 = 256 * 1024;

/// The shipped templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shipped {
    /// A card of one alert.
    Alert,
    /// A card of several.
    Alerts,
    /// A card of more than can be told in full.
    Summary,
    /// That alerts are over.
    Announcement,
    /// That a progress has failed.
    Failure,
    /// A message.
    Message,
    /// A progress.
    Progress,
}

impl Shipped {
    const ALL: [Shipped; 7] = [
        Shipped::Alert,
        Shipped::Alerts,
        Shipped::Summary,
        Shipped::Announcement,
        Shipped::Failure,
        Shipped::Message,
        Shipped::Progress,
    ];

    fn name(self) -> &'static str {
        match self {
            Shipped::Alert => "alert",
            Shipped::Alerts => "alerts",
            Shipped::Summary => "summary",
            Shipped::Announcement => "announcement",
            Shipped::Failure => "failure",
            Shipped::Message => "message",
            Shipped::Progress => "progress",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Shipped::Alert => include_str!("templates/alert.html"),
            Shipped::Alerts => include_str!("templates/alerts.html"),
            Shipped::Summary => include_str!("templates/summary.html"),
            Shipped::Announcement => include_str!("templates/announcement.html"),
            Shipped::Failure => include_str!("templates/failure.html"),
            Shipped::Message => include_str!("templates/message.html"),
            Shipped::Progress => include_str!("templates/progress.html"),
        }
    }
}

/// Why a template gives no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum TemplateError {
    /// There is no such file, or none that can be read.
    #[error("it can not be read")]
    Read(#[source] io::Error),
    /// It is too large.
    #[error("it has more than {LARGEST_TEMPLATE} bytes")]
    Large,
    /// It is not written as templates are, or fails where it is used.
    #[error("{}", display_chain(.0))]
    Template(minijinja::Error),
    /// What it gives is not Telegram's HTML.
    #[error("Telegram would not take what it gives: {0}")]
    Markup(MarkupError),
    /// It gives nothing that could be seen.
    #[error("it gives an empty text")]
    Empty,
}

/// Something that makes texts.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// The shipped ones.
    pub(super) fn shipped() -> Templates {
        let mut templates = Templates { environment: environment() };
        for shipped in Shipped::ALL {
            if let Err(error) = templates.environment.add_template(shipped.name(), shipped.source()) {
                tracing::error!(
                    template = shipped.name(),
                    error = display_chain(&error),
                    "a shipped template is broken"
                );
            }
        }
        templates
    }

    /// One from a file.
    pub(super) fn from_file(path: &Path) -> Result<Templates, TemplateError> {
        let mut source = String::new();
        let file = std::fs::File::open(path).map_err(TemplateError::Read)?;
        file.take(LARGEST_TEMPLATE + 1).read_to_string(&mut source).map_err(TemplateError::Read)?;
        if source.len() as u64 > LARGEST_TEMPLATE {
            return Err(TemplateError::Large);
        }
        let mut environment = environment();
        environment.add_template_owned(Shipped::Alerts.name(), source).map_err(TemplateError::Template)?;
        Ok(Templates { environment })
    }

    /// The text that the template makes of a view; one from a file is used for whatever there is.
    pub(super) fn render(&self, which: Shipped, view: &View) -> Result<Markup, TemplateError> {
        let template = self.environment.get_template(which.name()).map_err(TemplateError::Template)?;
        let mut output = Bounded::default();
        template.render_captured_to(Serde(view), &mut output).map_err(TemplateError::Template)?;
        let markup = Markup::parse(&tidy(&String::from_utf8_lossy(&output.written))).map_err(TemplateError::Markup)?;
        if markup.is_blank() { Err(TemplateError::Empty) } else { Ok(markup) }
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    // What is not there is nothing, not the word `none`; and no more is escaped than Telegram needs.
    environment.set_formatter(|output, _, value| {
        if value.is_undefined() || value.is_none() {
            return Ok(());
        }
        let text = value.to_string();
        if value.is_safe() {
            output.write_str(&text)?;
        } else {
            let mut escaped = String::with_capacity(text.len());
            html::escape(&text, &mut escaped);
            output.write_str(&escaped)?;
        }
        Ok(())
    });
    environment
}

/// Without white space at the ends of lines, and with not more than one empty line between two others.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !tidy.is_empty() {
            tidy.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        tidy.push_str(line);
        empty = 0;
    }
    tidy
}

/// Takes so much and no more.
#[derive(Debug, Default)]
struct Bounded {
    written: Vec<u8>,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.len() + bytes.len() > MOST_OUTPUT {
            return Err(io::Error::other(format!("it writes more than {MOST_OUTPUT} bytes")));
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
