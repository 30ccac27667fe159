//! From what a card is about to texts that Telegram takes.
//!
//! Rendering never fails: a template that does is replaced by the shipped one, and of each text there is a form without
//! markup and one line, for when Telegram refuses more.

use super::card::{Card, IncidentId};
use super::config::Config;
use super::telegram::Document;
use crate::system::time::Timestamp;

/// The most UTF-16 units that a message may have once its markup is taken away.
pub const LONGEST_TEXT: usize = 4096;

/// What stands in a chat for a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The messages, in order; at least one. Only the first one has buttons.
    pub parts: Vec<Form>,
    /// Everything in one line without markup, for when Telegram takes nothing else.
    pub line: String,
    /// What is too long for messages.
    pub document: Option<Document>,
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
pub struct Renderer {}

impl Renderer {
    /// By this configuration. A template that can not be used is logged, and the shipped one is used in its place.
    pub fn new(_config: &Config) -> Renderer {
        Renderer {}
    }

    /// What stands in the chat for a card.
    pub fn card(&self, _card: &Card, _now: Timestamp) -> Rendered {
        Rendered { parts: Vec::new(), line: String::new(), document: None, template_problem: None }
    }

    /// What is told when some of a card's incidents are over (or its progress has failed), as an answer to it.
    pub fn announcement(&self, _card: &Card, _over: &[IncidentId], _now: Timestamp) -> Rendered {
        Rendered { parts: Vec::new(), line: String::new(), document: None, template_problem: None }
    }
}
