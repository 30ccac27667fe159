//! From what a card is about to texts that Telegram takes.
//!
//! ```text
//! card -> view -> template -> markup -> parts, each with and without markup      and beside them: line, document
//! ```
//!
//! * `view`: what a template is given; `moments`, `links` and `clean` are what it is made with.
//! * `templates`: the shipped ones and those of the configuration, none of which can do harm.
//! * `html`: Telegram's markup, read strictly and written anew; `split`: cutting it into messages.
//! * `line` and `document`: a card as one line, and as a file.
//! * [`sample`]: cards of a notification without a store.
//!
//! Rendering never fails: a template that does is replaced by the shipped one, and of each text there is a form without
//! markup and one line, for when Telegram refuses more.

mod clean;
mod document;
mod html;
mod line;
mod links;
mod moments;
#[cfg(test)]
mod properties;
pub mod sample;
mod split;
mod templates;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::html::Markup;
use self::moments::Clock;
use self::templates::{Shipped, Templates};
use self::view::{Setting, View};
use super::alert::Status;
use super::card::{Card, Content, Incident, IncidentId};
use super::config::{ChatName, Config, Links};
use super::telegram::Document;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// The most UTF-16 units that a message may have once its markup is taken away.
pub const LONGEST_TEXT: usize = 4096;

/// The most messages that a card may be. What needs more is shortened, and goes in full into a file.
const MOST_PARTS: usize = 3;

/// The most alerts that are told in full, however short they are: nobody reads more.
const MOST_ALERTS: usize = 50;

/// What stands in a chat for a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The messages, in order; at least one. Only the first one has buttons.
    pub parts: Vec<Form>,
    /// Everything in one line without markup, for when Telegram takes nothing else.
    pub line: String,
    /// What is too long for messages.
    pub document: Option<Document>,
    /// The same in further messages, where Telegram takes no file for this card: as many as it takes.
    pub instead: Vec<Form>,
    /// Why the configured template was not used.
    pub template_problem: Option<String>,
}

/// One message in two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// With Telegram's HTML.
    pub html: String,
    /// The same without.
    pub plain: String,
}

/// Makes texts, by a configuration's templates and links.
#[derive(Debug)]
pub struct Renderer {
    shipped: Templates,
    /// The configured templates by their files, or what is wrong with them.
    configured: BTreeMap<PathBuf, Result<Templates, String>>,
    chats: BTreeMap<ChatName, Manner>,
    /// For chats that are no more.
    elsewhere: Manner,
    links: Links,
}

/// How cards are written in a chat.
#[derive(Debug, Clone)]
struct Manner {
    template: Option<PathBuf>,
    zone: jiff::tz::TimeZone,
    has_buttons: bool,
}

impl Renderer {
    /// By this configuration. A template that can not be used is logged, and the shipped one is used in its place.
    pub fn new(config: &Config) -> Renderer {
        let manner = |name: &ChatName| {
            let chat = config.chat(name);
            Manner {
                template: chat.and_then(|chat| chat.template.clone()).or_else(|| config.template.clone()),
                zone: chat.and_then(|chat| chat.timezone.clone()).unwrap_or_else(jiff::tz::TimeZone::system),
                has_buttons: config.buttons.is_some() && chat.is_some_and(|chat| chat.buttons),
            }
        };
        let chats: BTreeMap<_, _> = config.chats.keys().map(|name| (name.clone(), manner(name))).collect();
        let files = chats.values().filter_map(|manner| manner.template.clone());
        let configured = files.map(|path| (path.clone(), configured(&path))).collect();
        Renderer {
            shipped: Templates::shipped(),
            configured,
            chats,
            elsewhere: manner(&config.default_chat),
            links: config.links.clone(),
        }
    }

    /// What is wrong with the configured templates, by their files; nothing where all can be used.
    pub fn template_problems(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.configured.iter().filter_map(|(path, template)| Some((path.as_path(), template.as_ref().err()?.as_str())))
    }

    /// What stands in the chat for a card.
    pub fn card(&self, card: &Card, now: Timestamp) -> Rendered {
        let manner = self.manner(card);
        let setting = self.setting(manner, card, now);
        match &card.content {
            Content::Incidents(members) => {
                let view = View::of_incidents(card, members.iter().map(|member| &member.incident), &setting);
                self.alerts(manner, card, &view)
            }
            Content::Message(message) => self.other(Shipped::Message, card, &View::of_message(card, message, &setting)),
            Content::Progress(progress) => {
                self.other(Shipped::Progress, card, &View::of_progress(card, progress, &setting))
            }
        }
    }

    /// What is told when some of a card's incidents are over (or its progress has failed), as an answer to it.
    pub fn announcement(&self, card: &Card, over: &[IncidentId], now: Timestamp) -> Rendered {
        let setting = self.setting(self.manner(card), card, now);
        let members = match &card.content {
            Content::Incidents(members) => members,
            Content::Message(_) => return self.card(card, now),
            Content::Progress(progress) => {
                return self.in_one(Shipped::Failure, View::of_progress(card, progress, &setting));
            }
        };
        let incidents = || members.iter().map(|member| &member.incident);
        let is_meant = |incident: &&Incident| over.contains(&incident.id);
        let mut view = View::of_incidents(card, incidents().filter(is_meant), &setting);
        if view.alerts.is_empty() {
            let is_over = |incident: &&Incident| incident.alert.status == Status::Resolved;
            view = View::of_incidents(card, incidents().filter(is_over), &setting);
        }
        let others = incidents().filter(|incident| incident.alert.status == Status::Firing && !is_meant(incident));
        let others = View::of_incidents(card, others, &setting);
        view.still_firing = others.counts.words();
        view.still_firing_mark = others.mark;
        self.in_one(Shipped::Announcement, view)
    }

    fn manner(&self, card: &Card) -> &Manner {
        self.chats.get(&card.chat).unwrap_or(&self.elsewhere)
    }

    fn setting(&self, manner: &Manner, card: &Card, now: Timestamp) -> Setting<'_> {
        Setting {
            clock: Clock::new(manner.zone.clone(), card.created, now),
            links: &self.links,
            has_buttons: manner.has_buttons,
            now,
        }
    }

    /// A card of alerts: by the configured template, or the shipped ones, or as a summary.
    fn alerts(&self, manner: &Manner, card: &Card, view: &View) -> Rendered {
        let mut template_problem = None;
        if view.alerts.len() > MOST_ALERTS {
            return self.summary(card, view, None);
        }
        let configured = manner.template.as_ref().and_then(|path| Some((path, self.configured.get(path)?)));
        if let Some((path, template)) = configured {
            let made = template
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|template| template.render(Shipped::Alerts, view).map_err(|error| display_chain(&error)));
            match made {
                Ok(markup) => match in_parts(&markup) {
                    Some(parts) => return rendered(parts, view, None, None),
                    None => return self.summary(card, view, None),
                },
                Err(problem) => template_problem = Some(format!("{}: {problem}", path.display())),
            }
        }
        let which = if view.alerts.len() == 1 { Shipped::Alert } else { Shipped::Alerts };
        match in_parts(&self.made(which, view)) {
            Some(parts) => rendered(parts, view, None, template_problem),
            None => self.summary(card, view, template_problem),
        }
    }

    /// A card of more than can be told in messages: one message, and a file.
    fn summary(&self, card: &Card, view: &View, template_problem: Option<String>) -> Rendered {
        let document = Some(document::of(card, view));
        let (which, sizes): (_, &[_]) = match view.alerts.as_slice() {
            [_] => (Shipped::Alert, &[(1, 700), (1, 200), (1, 40)]),
            _ => (Shipped::Summary, &[(20, 90), (15, 80), (10, 60), (5, 40), (0, 0)]),
        };
        let parts = self.shortened(which, View { has_document: true, ..view.clone() }, sizes, 1);
        rendered(parts, view, document, template_problem)
    }

    /// A card of something else than alerts.
    fn other(&self, which: Shipped, card: &Card, view: &View) -> Rendered {
        if let Some(parts) = in_parts(&self.made(which, view)) {
            return rendered(parts, view, None, None);
        }
        let document = Some(document::of(card, view));
        let short = View { has_document: true, ..view.clone() };
        rendered(self.shortened(which, short, &[(40, 3000), (10, 1000)], MOST_PARTS), view, document, None)
    }

    /// A message that is never more than one.
    fn in_one(&self, which: Shipped, view: View) -> Rendered {
        let parts = self.shortened(which, view.clone(), &[(20, 200), (8, 200), (1, 200)], 1);
        rendered(parts, &view, None, None)
    }

    /// With as many alerts or steps, and as long texts, as there is room for; the sizes that are tried become smaller.
    fn shortened(&self, which: Shipped, mut view: View, sizes: &[(usize, usize)], most_parts: usize) -> Vec<Markup> {
        for (alerts, units) in sizes {
            view.shorten(*alerts, *units);
            let parts = split::split(&self.made(which, &view));
            if (1..=most_parts).contains(&parts.len()) {
                return parts;
            }
        }
        vec![Markup { text: line::of(&view), spans: Vec::new() }]
    }

    /// By a shipped template. They are tested to work; should one not, there is still the line.
    fn made(&self, which: Shipped, view: &View) -> Markup {
        self.shipped.render(which, view).unwrap_or_else(|error| {
            tracing::error!(template = ?which, error = display_chain(&error), "a shipped template failed");
            Markup { text: line::of(view), spans: Vec::new() }
        })
    }
}

fn configured(path: &Path) -> Result<Templates, String> {
    Templates::from_file(path).map_err(|error| {
        let error = display_chain(&error);
        tracing::warn!(template = %path.display(), error, "a template can not be used; the shipped one is");
        error
    })
}

/// What Telegram would take of a text, unless that were too many messages.
fn in_parts(markup: &Markup) -> Option<Vec<Markup>> {
    // Not even cut if it is far too long.
    let parts = (markup.units() <= (MOST_PARTS + 1) * LONGEST_TEXT).then(|| split::split(markup))?;
    (1..=MOST_PARTS).contains(&parts.len()).then_some(parts)
}

fn rendered(parts: Vec<Markup>, view: &View, document: Option<Document>, template_problem: Option<String>) -> Rendered {
    let (instead, document) = match document {
        Some(document) if view.is_file_refused => (in_messages(&document), None),
        document => (Vec::new(), document),
    };
    Rendered { parts: parts.iter().map(form).collect(), line: line::of(view), document, instead, template_problem }
}

fn form(markup: &Markup) -> Form {
    let plain = markup.plain();
    let is_short = clean::units_of(&plain) <= LONGEST_TEXT;
    Form { html: markup.html(), plain: if is_short { plain } else { markup.text.clone() } }
}

/// What is in a file, as messages.
fn in_messages(document: &Document) -> Vec<Form> {
    let text = String::from_utf8_lossy(&document.content).into_owned();
    split::split(&Markup { text, spans: Vec::new() }).iter().map(form).collect()
}
