//! The middleware: who may ask what, and what every answer carries.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::passwords::Verdict;
use super::rules::Rules;
use super::{Client, Guard};

/// Who is asked for what, on which paths.
#[derive(Debug, Clone)]
pub(super) struct Gate<F> {
    pub(super) guard: Arc<Guard>,
    /// For everybody.
    pub(super) open: &'static [&'static str],
    /// They ask for a secret themselves, as long as `sees_to_it` says so.
    pub(super) own: &'static [&'static str],
    pub(super) sees_to_it: F,
}

impl<F: Fn() -> bool> Gate<F> {
    /// Passes a request on, or refuses it.
    pub(super) async fn pass(self, request: Request, next: Next) -> Response {
        let rules = self.guard.rules.load_full();
        let path = request.uri().path();
        let refusal = match self.open.contains(&path) {
            true => None,
            false => {
                let client = request.extensions().get().copied().unwrap_or(Client::Anonymous);
                self.refusal(&rules, client, path, request.headers()).await
            }
        };
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => next.run(request).await,
        };
        for (name, value) in &rules.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    async fn refusal(&self, rules: &Rules, client: Client, path: &str, headers: &HeaderMap) -> Option<Response> {
        if !self.guard.takes_turn(rules, Instant::now()) {
            return Some((StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later\n").into_response());
        }
        if rules.client_auth().is_required() && client == Client::Anonymous {
            return Some(
                (StatusCode::FORBIDDEN, "this needs a client certificate, and none was shown\n").into_response(),
            );
        }
        if rules.users.is_empty() || (self.own.contains(&path) && (self.sees_to_it)()) {
            return None;
        }
        let verdict = match credentials(headers) {
            Some((name, password)) => self.guard.passwords.judge(&rules.users, &name, &password).await,
            None => Verdict::Wrong,
        };
        match verdict {
            Verdict::Right => None,
            Verdict::Wrong => {
                let mut response = (StatusCode::UNAUTHORIZED, "this needs a name and its password\n").into_response();
                let challenge = HeaderValue::from_static("Basic realm=\"hermes\", charset=\"UTF-8\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                Some(response)
            }
            Verdict::Busy => {
                let text = "too many passwords are being tried; try again later\n";
                Some((StatusCode::TOO_MANY_REQUESTS, text).into_response())
            }
        }
    }
}

/// The name and the password that a request gives.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let given = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = given.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
