//! What a program was granted: an access token that expires, and perhaps one that fetches the next.

use serde::Deserialize;

use super::field::{self, Field, Milliseconds, Secret};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::files::ParseFault;
use crate::system::time::Timestamp;

/// What a file says of one grant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Grant {
    /// Whether there is a token that opens something.
    pub(super) has_access: bool,
    /// Whether there is a token that fetches the next.
    pub(super) has_refresh: bool,
    /// When the access token expires, where that is known.
    pub(super) expiry: Option<Timestamp>,
    /// Whether the grant was withdrawn, so that a person has to log in again.
    pub(super) is_withdrawn: bool,
}

impl Grant {
    /// The grant as it is at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Token {
        if !self.has_access && !self.has_refresh {
            return Token { valid: self.is_withdrawn.then_some(false).into(), ..Token::MISSING };
        }
        // The note of a withdrawal stays in the file when somebody logs in anew; then there are tokens again.
        let is_fresh = self.has_access && self.expiry.is_none_or(|expiry| now < expiry);
        Token {
            is_expected: false,
            present: Reading::Known(true),
            valid: Reading::Known(self.has_refresh || is_fresh),
            refreshable: Reading::Known(self.has_refresh),
            expiry: self.expiry.into(),
            scopes: Reading::Absent,
        }
    }
}

/// A token whose file does not say what it should, or may not be read. In a home that may not be entered it is
/// not even known whether there is one.
pub(super) fn unreadable(is_there: bool, reason: Reason) -> Token {
    Token {
        is_expected: false,
        present: if is_there { Reading::Known(true) } else { Reading::Unknown(reason) },
        valid: Reading::Unknown(reason),
        refreshable: Reading::Unknown(reason),
        expiry: Reading::Unknown(reason),
        scopes: Reading::Unknown(reason),
    }
}

/// Reads `.anthropic_oauth.json`. Hermes takes a file without an access token for none.
pub(super) fn parse_anthropic(content: &[u8]) -> Result<Grant, ParseFault> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct File {
        access_token: Field<Secret>,
        refresh_token: Field<Secret>,
        expires_at: Field<Milliseconds>,
    }

    let file: File = field::document(content)?;
    let has_access = file.access_token.0.is_present;
    Ok(Grant {
        has_access,
        has_refresh: has_access && file.refresh_token.0.is_present,
        expiry: file.expires_at.0.0,
        is_withdrawn: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    fn grant(has_access: bool, has_refresh: bool, expiry: Option<f64>) -> Grant {
        Grant { has_access, has_refresh, expiry: expiry.map(at), is_withdrawn: false }
    }

    #[test]
    fn an_expired_access_that_can_be_refreshed_is_valid() {
        let token = grant(true, true, Some(100.0)).at(at(200.0));
        assert_eq!((token.valid, token.refreshable), (Reading::Known(true), Reading::Known(true)));
        assert_eq!(token.expiry, Reading::Known(at(100.0)));
    }

    #[test]
    fn access_alone_is_valid_until_it_expires() {
        let valid = |expiry, now| grant(true, false, expiry).at(at(now)).valid;
        assert_eq!(valid(Some(100.0), 99.0), Reading::Known(true));
        assert_eq!(valid(Some(100.0), 100.0), Reading::Known(false));
        assert_eq!(valid(None, 1e9), Reading::Known(true));
        assert_eq!(grant(true, false, None).at(at(1.0)).refreshable, Reading::Known(false));
    }

    #[test]
    fn without_tokens_there_is_none_and_only_a_withdrawal_makes_it_invalid() {
        let nothing = grant(false, false, Some(100.0));
        assert_eq!(nothing.at(at(1.0)), Token::MISSING);
        let withdrawn = Grant { is_withdrawn: true, ..nothing }.at(at(1.0));
        assert_eq!((withdrawn.present, withdrawn.valid), (Reading::Known(false), Reading::Known(false)));
        let logged_in_again = Grant { is_withdrawn: true, ..grant(true, true, None) }.at(at(1.0));
        assert_eq!(logged_in_again.valid, Reading::Known(true));
    }

    #[test]
    fn the_anthropic_file_counts_in_milliseconds_and_only_with_an_access_token() {
        let parse = |content: &str| parse_anthropic(content.as_bytes()).unwrap();
        let whole = parse(r#"{"accessToken": "a", "refreshToken": "r", "expiresAt": 1795165255500}"#);
        assert_eq!(whole, grant(true, true, Some(1_795_165_255.5)));
        assert_eq!(parse(r#"{"accessToken": "a", "expiresAt": 0}"#), grant(true, false, None));
        assert_eq!(parse(r#"{"refreshToken": "r"}"#).at(at(1.0)), Token::MISSING);
        assert!(parse_anthropic(b"[]").is_err());
    }
}
