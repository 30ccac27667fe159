//! `google_token.json`: the token of the Google Workspace skill.
//!
//! Its access lives for an hour and is renewed only when it is used, so that it mostly lies there expired.
//! That a refresh token was revoked can not be seen in the file.

use serde::Deserialize;

use super::field::{self, Field, Moment, Secret, WordCount};
use crate::exporter::snapshot::Reading;
use crate::exporter::snapshot::credentials::Token;
use crate::system::files::ParseFault;
use crate::system::time::Timestamp;

/// Google's library takes an access as expired this many seconds before it is.
const CLOCK_SKEW: f64 = 225.0;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GoogleToken {
    has_access: bool,
    has_refresh: bool,
    has_client: bool,
    expiry: Option<Timestamp>,
    scopes: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    token: Field<Secret>,
    refresh_token: Field<Secret>,
    client_id: Field<Secret>,
    client_secret: Field<Secret>,
    expiry: Field<Moment>,
    scopes: Field<WordCount>,
}

/// Reads the file.
pub(super) fn parse(content: &[u8]) -> Result<GoogleToken, ParseFault> {
    let file: File = field::document(content)?;
    Ok(GoogleToken {
        has_access: file.token.0.is_present,
        has_refresh: file.refresh_token.0.is_present,
        has_client: file.client_id.0.is_present && file.client_secret.0.is_present,
        expiry: file.expiry.0.0,
        scopes: file.scopes.0.0,
    })
}

impl GoogleToken {
    /// The token as it is at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Token {
        let is_fresh = self.has_access && self.expiry.is_some_and(|expiry| expiry.seconds_since(now) > CLOCK_SKEW);
        Token {
            is_expected: false,
            present: Reading::Known(true),
            valid: Reading::Known(is_fresh || self.has_refresh && self.has_client),
            refreshable: Reading::Known(self.has_refresh),
            expiry: self.expiry.into(),
            scopes: self.scopes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T09:00:55Z
    const NOW: f64 = 1_795_165_255.0;

    fn token(content: &str) -> Token {
        parse(content.as_bytes()).unwrap().at(Timestamp::from_seconds(NOW).unwrap())
    }

    fn valid(content: &str) -> bool {
        *token(content).valid.known().unwrap()
    }

    #[test]
    fn a_refresh_token_with_its_client_outlives_the_access() {
        let expired = r#""token": "t", "expiry": "2026-11-20T08:00:00Z""#;
        assert!(valid(&format!(r#"{{{expired}, "refresh_token": "r", "client_id": "i", "client_secret": "s"}}"#)));
        assert!(!valid(&format!("{{{expired}}}")));
        let without_client = token(&format!(r#"{{{expired}, "refresh_token": "r", "client_id": "i"}}"#));
        assert_eq!((without_client.valid, without_client.refreshable), (Reading::Known(false), Reading::Known(true)));
        assert!(!valid(&format!(r#"{{{expired}, "refresh_token": " ", "client_id": "i", "client_secret": "s"}}"#)));
    }

    #[test]
    fn an_access_is_fresh_until_shortly_before_its_expiry() {
        let with_expiry = |expiry: &str| valid(&format!(r#"{{"token": "t", "expiry": {expiry}}}"#));
        // 225 s after NOW is 09:04:40.
        assert!(with_expiry("\"2026-11-20T09:04:41.000000Z\""));
        assert!(!with_expiry("\"2026-11-20T09:04:40Z\""));
        assert!(with_expiry("\"2026-11-20T09:04:41+00:00\""));
        assert!(with_expiry("\"2026-11-20T09:04:41\""), "without an offset it is UTC");
        for missing in ["null", "\"\"", "\"tomorrow\"", "{}", "0"] {
            assert!(!with_expiry(missing), "{missing}");
        }
        assert!(!valid(r#"{"expiry": "2030-01-01T00:00:00Z"}"#), "an expiry of no token");
    }

    #[test]
    fn a_file_that_holds_nothing_is_a_token_that_does_not_work() {
        let empty = token("{}");
        assert_eq!(
            (empty.present, empty.valid, empty.refreshable),
            (Reading::Known(true), Reading::Known(false), Reading::Known(false))
        );
        assert_eq!((empty.expiry, empty.scopes), (Reading::Absent, Reading::Absent));
    }

    #[test]
    fn scopes_are_counted_in_both_forms() {
        assert_eq!(token(r#"{"scopes": ["a", "b", "c"]}"#).scopes, Reading::Known(3));
        assert_eq!(token(r#"{"scopes": "a b"}"#).scopes, Reading::Known(2));
        assert_eq!(token(r#"{"scopes": []}"#).scopes, Reading::Known(0));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for content in ["", "[]", "null", "{\"token\": \"t", "\u{feff}{}", "{\"token\": \"a\nb\"}"] {
            assert!(parse(content.as_bytes()).is_err(), "{content}");
        }
    }
}
