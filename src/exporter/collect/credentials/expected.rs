//! Which tokens somebody counts on: those that the configuration names; where it names none, those that somebody has
//! set up, as what lies in the home shows. A token is never expected merely because it is always looked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::files;

/// What is left of setting up the Google Workspace skill, also before anybody has given their consent and after the token
/// was lost.
pub(super) const GOOGLE_CLIENT: &str = "google_client_secret.json";

/// What could not be read, so that nobody can say that a token which is not shown is missing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unread {
    pub(super) anthropic: Option<Reason>,
    pub(super) mcp: Option<Reason>,
    /// Everything that a provider granted.
    pub(super) store: Option<Reason>,
}

/// The tokens that are expected of one instance.
#[derive(Debug)]
pub(super) struct Expected {
    named: Option<Vec<Label>>,
    google_client: PathBuf,
}

impl Expected {
    /// `named` are the tokens that the configuration names; `google_client` is the path of [`GOOGLE_CLIENT`].
    pub(super) fn new(named: Option<&[String]>, google_client: PathBuf) -> Self {
        Expected { named: named.map(|names| names.iter().map(|name| Label::new(name)).collect()), google_client }
    }

    /// Says of each token whether it is expected, and adds those that are and are not there.
    pub(super) fn mark(&self, tokens: &mut BTreeMap<Label, Token>, unread: Unread) {
        let Some(named) = &self.named else {
            for (name, token) in tokens {
                token.is_expected = is_set_up(token) || name.as_str() == "google" && self.has_google_client();
            }
            return;
        };
        for name in named {
            let missing = || {
                let reason = match name.as_str() {
                    "anthropic" => unread.anthropic.or(unread.store),
                    name if name.starts_with("mcp:") => unread.mcp,
                    _ => unread.store,
                };
                reason.map_or(Token::MISSING, |reason| super::grant::unreadable(false, reason))
            };
            tokens.entry(name.clone()).or_insert_with(missing);
        }
        for (name, token) in tokens {
            token.is_expected = named.contains(name);
        }
    }

    /// In a home that may not be entered it can not be told, and neither can the token.
    fn has_google_client(&self) -> bool {
        files::exists(&self.google_client).unwrap_or_default()
    }
}

/// Whether there is one, or was one that has been withdrawn.
fn is_set_up(token: &Token) -> bool {
    token.present == Reading::Known(true) || token.valid == Reading::Known(false)
}
