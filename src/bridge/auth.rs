//! Who may post to the bridge: those who know the token, or the name and the password.

use http::HeaderMap;
use http::header::ORIGIN;
use subtle::{Choice, ConstantTimeEq};

use super::config::Auth;
use super::secret::SecretError;
use crate::error_chain::display_chain;
use crate::web::credentials;

/// Whether a request with these headers is allowed. The secret is read anew, so that one that was changed counts at once;
/// an error says that it could not be, which is nobody's fault who asks.
///
/// A web page never is: any page that somebody looks at can have the browser post to addresses of that machine, and a
/// browser says so. How long this takes does not tell how much of a wrong secret was right.
pub fn is_allowed(auth: &Auth, headers: &HeaderMap) -> Result<bool, SecretError> {
    if headers.contains_key(ORIGIN) {
        return Ok(false);
    }
    match auth {
        Auth::Open => Ok(true),
        Auth::Bearer(token) => {
            let token = token.read()?;
            Ok(credentials::given(headers, "Bearer").is_some_and(|given| is_same(given, token.reveal()).into()))
        }
        Auth::Basic { username, password } => {
            let password = password.read()?;
            Ok(credentials::name_and_password(headers)
                .is_some_and(|(name, word)| (is_same(&name, username) & is_same(&word, password.reveal())).into()))
        }
    }
}

/// Why nobody can be let in; nothing where whoever knows the secret can.
pub fn problem(auth: &Auth) -> Option<String> {
    let secret = match auth {
        Auth::Open => return None,
        Auth::Bearer(token) => token,
        Auth::Basic { password, .. } => password,
    };
    let error = secret.read().err()?;
    Some(format!("nobody can be let in, and no alerts are accepted: {}", display_chain(&error)))
}

/// What to answer with in `WWW-Authenticate` when it is not.
pub fn challenge(auth: &Auth) -> &'static str {
    match auth {
        Auth::Basic { .. } => "Basic realm=\"hermes-alert-bridge\"",
        Auth::Open | Auth::Bearer(_) => "Bearer",
    }
}

fn is_same(given: &str, right: &str) -> Choice {
    given.as_bytes().ct_eq(right.as_bytes())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::bridge::secret::SecretFile;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn who_knows_the_token_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "correct horse\n").unwrap();
        let auth = Auth::Bearer(SecretFile::at(&file));
        for (value, allowed) in [
            ("Bearer correct horse", true),
            ("bearer  correct horse", true),
            ("Bearer correct hors", false),
            ("Bearer correct horse ", true),
            ("Bearer correct horsf", false),
            ("Bearer", false),
            ("Bearer ", false),
            ("Basic Y29ycmVjdCBob3JzZQ==", false),
            ("Basic correct horse", false),
            ("correct horse", false),
        ] {
            assert_eq!(is_allowed(&auth, &headers(value)).unwrap(), allowed, "{value}");
        }
        assert!(!is_allowed(&auth, &HeaderMap::new()).unwrap());
        assert!(is_allowed(&Auth::Open, &HeaderMap::new()).unwrap());
        let mut from_a_page = headers("Bearer correct horse");
        from_a_page.insert(ORIGIN, "https://example.org".parse().unwrap());
        assert!(!is_allowed(&auth, &from_a_page).unwrap() && !is_allowed(&Auth::Open, &from_a_page).unwrap());
        // A new token counts at once, and an old one no more.
        std::fs::write(&file, "battery staple").unwrap();
        assert!(!is_allowed(&auth, &headers("Bearer correct horse")).unwrap());
        assert!(is_allowed(&auth, &headers("Bearer battery staple")).unwrap());
        // Without it nobody can be told apart: neither allowed nor refused.
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(is_allowed(&auth, &headers("Bearer battery staple")), Err(SecretError::Missing { .. })));
    }

    #[test]
    fn who_knows_name_and_password_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "pass:word").unwrap();
        let auth = Auth::Basic { username: "alertmanager".to_owned(), password: SecretFile::at(&file) };
        for (given, allowed) in [
            ("alertmanager:pass:word", true),
            ("alertmanager:pass", false),
            ("alertmanage:pass:word", false),
            (":", false),
            ("alertmanager", false),
        ] {
            let value = format!("Basic {}", STANDARD.encode(given));
            assert_eq!(is_allowed(&auth, &headers(&value)).unwrap(), allowed, "{given}");
        }
        assert!(!is_allowed(&auth, &headers("Basic !!!")).unwrap());
        assert!(!is_allowed(&auth, &headers("Bearer pass:word")).unwrap());
    }
}
