//! The middleware: who may ask what, and what every answer carries.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::passwords::Verdict;
use super::rules::Rules;
use super::{Client, Guard};
use crate::web::credentials;

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
        let verdict = match credentials::name_and_password(headers) {
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use tower::ServiceExt;

    use super::super::trial::{Folder, soon};
    use super::*;

    fn protected(guard: Guard) -> Router {
        protected_by(&Arc::new(guard), true)
    }

    fn protected_by(guard: &Arc<Guard>, sees_to_it: bool) -> Router {
        let router = Router::new()
            .route("/metrics", get(async || "metrics"))
            .route("/-/healthy", get(async || "healthy"))
            .route("/own", get(async || "own"));
        guard.protect(router, &["/-/healthy"], &["/own"], move || sees_to_it)
    }

    struct Asked {
        status: u16,
        body: String,
        headers: HeaderMap,
    }

    async fn ask(router: &Router, path: &str, authorization: &str, client: Option<Client>) -> Asked {
        let mut request = Request::builder().uri(path).header(header::AUTHORIZATION, authorization);
        if let Some(client) = client {
            request = request.extension(client);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Asked { status, body: String::from_utf8(body.to_vec()).unwrap(), headers }
    }

    fn basic(given: &str) -> String {
        format!("Basic {}", STANDARD.encode(given))
    }

    fn users(users: &[(&str, &str)]) -> String {
        let lines = users.iter().map(|(name, word)| format!("  {name}: {}\n", bcrypt::hash(word, 4).unwrap()));
        format!("basic_auth_users:\n{}", lines.collect::<String>())
    }

    const WITH_CERTIFICATES: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: authority.crt, client_auth_type: RequireAndVerifyClientCert}\n";

    #[tokio::test]
    async fn without_a_file_everybody_may_ask() {
        let router = protected(Guard::default());
        assert_eq!(ask(&router, "/metrics", "", None).await.body, "metrics");
        assert!(!Guard::default().has_authentication() && Guard::default().facts().is_none());
    }

    #[tokio::test]
    async fn a_name_and_its_password_are_asked_for_except_where_it_is_open() {
        let folder = Folder::new();
        let guard = Arc::new(folder.guard(&users(&[("prometheus", "pass:word")])));
        assert!(guard.has_authentication() && guard.tls().is_none());
        let router = protected_by(&guard, true);
        for (authorization, status) in [
            (basic("prometheus:pass:word"), 200),
            (basic("prometheus:pass:word").replace("Basic", "BASIC  "), 200),
            (basic("prometheus:pass"), 401),
            (basic("prometheus"), 401),
            (basic("Prometheus:pass:word"), 401),
            (basic(":"), 401),
            (String::new(), 401),
            ("Basic".to_owned(), 401),
            ("Basic !!!".to_owned(), 401),
            ("Basic /w==".to_owned(), 401),
            ("Bearer pass:word".to_owned(), 401),
            (basic("prometheus:pass:word").replace("Basic", "Bearer"), 401),
        ] {
            let asked = ask(&router, "/metrics", &authorization, None).await;
            assert_eq!(asked.status, status, "{authorization}");
            let challenge = asked.headers.get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap());
            assert_eq!(challenge.is_some_and(|challenge| challenge.starts_with("Basic realm=")), status == 401);
        }
        for (path, status) in [
            ("/-/healthy", 200),
            ("/-/healthy?any=1", 200),
            ("/-/healthy/", 401),
            ("//-/healthy", 401),
            ("/-/healthy/../../metrics", 401),
            ("/%2D/healthy", 401),
            ("/-/healthyy", 401),
            ("/nowhere", 401),
            ("/", 401),
            ("/own", 200),
            ("/own/", 401),
        ] {
            assert_eq!(ask(&router, path, "", None).await.status, status, "{path}");
        }
        // Who sees to it themselves may stop doing so.
        assert_eq!(ask(&protected_by(&guard, false), "/own", "", None).await.status, 401);
    }

    #[tokio::test]
    async fn a_client_certificate_is_asked_for_also_where_a_token_is() {
        let folder = Folder::new();
        let guard = Arc::new(folder.guard(WITH_CERTIFICATES));
        assert!(guard.has_authentication());
        let router = protected_by(&guard, true);
        for path in ["/metrics", "/own", "/nowhere"] {
            for client in [None, Some(Client::Anonymous)] {
                let asked = ask(&router, path, "", client).await;
                assert_eq!(
                    (asked.status, &*asked.body),
                    (403, "this needs a client certificate, and none was shown\n")
                );
            }
        }
        assert_eq!(ask(&router, "/-/healthy", "", None).await.status, 200);
        assert_eq!(ask(&router, "/metrics", "", Some(Client::Certified)).await.status, 200);

        let both = format!("{WITH_CERTIFICATES}{}", users(&[("prometheus", "word")]));
        let router = protected(folder.guard(&both));
        for (authorization, client, status) in [
            ("", Client::Certified, 401),
            (&*basic("prometheus:word"), Client::Anonymous, 403),
            (&*basic("prometheus:word"), Client::Certified, 200),
        ] {
            assert_eq!(ask(&router, "/metrics", authorization, Some(client)).await.status, status);
        }
    }

    #[tokio::test]
    async fn requests_are_limited_and_health_is_not() {
        let folder = Folder::new();
        let router = protected(folder.guard("rate_limit: {interval: 1h, burst: 2}\n"));
        let mut statuses = Vec::new();
        for path in ["/metrics", "/-/healthy", "/-/healthy", "/own", "/metrics", "/-/healthy"] {
            statuses.push(ask(&router, path, "", None).await.status);
        }
        assert_eq!(statuses, [200, 200, 200, 200, 429, 200]);
    }

    #[tokio::test]
    async fn every_answer_carries_the_headers() {
        let folder = Folder::new();
        let headers = "http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=60}}\n";
        let router = protected(folder.guard(&format!("{headers}{}", users(&[("uma", "word")]))));
        for (path, status) in [("/metrics", 401), ("/-/healthy", 200)] {
            let asked = ask(&router, path, "", None).await;
            assert_eq!((asked.status, &asked.headers["x-frame-options"]), (status, &HeaderValue::from_static("deny")));
            assert_eq!(asked.headers["strict-transport-security"], "max-age=60");
        }
    }

    #[tokio::test]
    async fn another_password_is_in_force_once_it_was_read() {
        let folder = Folder::new();
        let guard = Arc::new(folder.guard(&users(&[("uma", "old"), ("prometheus", "word")])));
        let router = protected_by(&guard, true);
        let (old, new) = (basic("uma:old"), basic("uma:new"));
        assert_eq!(ask(&router, "/metrics", &old, None).await.status, 200);
        folder.write("web.yml", &users(&[("uma", "new")]));
        guard.look(soon());
        assert_eq!(ask(&router, "/metrics", &old, None).await.status, 401);
        assert_eq!(ask(&router, "/metrics", &new, None).await.status, 200);
        assert_eq!(ask(&router, "/metrics", &basic("prometheus:word"), None).await.status, 401);
        // A file without any is not what was meant.
        folder.write("web.yml", "rate_limit: {interval: 1s, burst: 1}\n");
        guard.look(soon());
        assert_eq!(ask(&router, "/metrics", "", None).await.status, 401);
        assert_eq!(ask(&router, "/metrics", &new, None).await.status, 200);
    }
}
