//! The HTTP server: what the other parts serve, and what operators ask for.
//!
//! | route | answer |
//! |---|---|
//! | `POST /alertmanager` | takes alerts, see `intake` |
//! | `POST /notify` | takes messages and progress, see `notify` |
//! | `GET /metrics` | the exposition |
//! | `GET /-/healthy` | 200 as long as it serves |
//! | `GET /-/ready` | 200 while it does what it is for, or 503 with what is wrong, a line each |
//! | `POST /-/reload` | loads the configuration again; with the authentication of alerts |
//! | `GET /` | where all of this is |
//!
//! What only tells how things stand is open to whoever reaches it: there is no text of an alert and no number of a chat in
//! it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::auth;
use super::metrics::exposition::{Exposition, Facts};
use super::readiness::Readiness;
use super::service::Service;
use super::store::overview;
use super::{intake, notify};
use crate::error_chain::display_chain;
use crate::system::processes;
use crate::system::time::Timestamp;
use crate::web::guard::Guard;
use crate::web::metrics_text::Format;

const INDEX: &str = "\
hermes-alert-bridge

POST /alertmanager   for webhook_configs of Alertmanager
POST /notify         messages and progress, for scripts
GET  /metrics        for Prometheus
GET  /-/healthy      whether it serves
GET  /-/ready        whether it does what it is for, and else what is wrong
POST /-/reload       loads the configuration again
";

#[derive(Debug, Clone)]
struct Surface {
    service: Service,
    readiness: Readiness,
    guard: Arc<Guard>,
}

/// The routes of the bridge.
pub fn router(service: Service, readiness: Readiness, guard: Arc<Guard>) -> Router {
    let own = Router::new()
        .route("/", get(async || INDEX))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .with_state(Surface { service: service.clone(), readiness, guard });
    let all = own.merge(intake::router(service.clone())).merge(notify::router(service));
    all.fallback(async || (StatusCode::NOT_FOUND, "there is nothing here; GET / says what there is\n"))
        .method_not_allowed_fallback(async || {
            (StatusCode::METHOD_NOT_ALLOWED, "not with this method; GET / says with which\n")
        })
}

async fn ready(State(surface): State<Surface>) -> Response {
    match surface.readiness.problems().await.as_slice() {
        [] => "ready\n".into_response(),
        problems => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", problems.join("\n"))).into_response(),
    }
}

async fn metrics(State(Surface { service, readiness, guard }): State<Surface>, headers: HeaderMap) -> Response {
    let now = Timestamp::now();
    let overview = service.store.read(|transaction| overview::read(transaction)).await;
    let is_ready = readiness.problems_with(&overview, now).await.is_empty();
    let exposition = Exposition::new(
        service.metrics.clone(),
        &Facts {
            config: &service.in_force().config,
            overview: overview.as_ref().ok(),
            health: &service.health,
            reload: &readiness.reloader().facts(),
            tasks_down: readiness.tasks_down().len(),
            web: guard.facts(),
            is_ready,
            process: processes::find(std::process::id()).ok().flatten().map(|process| process.usage()),
            now,
        },
    );
    let format = Format::of_accept(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    match exposition.encode(format) {
        Ok(body) => ([(header::CONTENT_TYPE, format.content_type())], body).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be encoded\n").into_response(),
    }
}

async fn reload(State(Surface { service, readiness, .. }): State<Surface>, headers: HeaderMap) -> Response {
    // A browser says where a request comes from; whoever runs the bridge uses none for this.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "web pages may not reload the configuration\n").into_response();
    }
    match auth::is_allowed(&service.in_force().config.auth, &headers) {
        Ok(true) => {}
        Ok(false) => return (StatusCode::UNAUTHORIZED, "this needs the bridge's token or password\n").into_response(),
        Err(error) => {
            tracing::error!(error = display_chain(&error), "Nobody can be let in.");
            return (StatusCode::SERVICE_UNAVAILABLE, "the bridge can not read what it lets people in by\n")
                .into_response();
        }
    }
    match readiness.reloader().reload().await {
        Ok(()) => "the configuration was loaded\n".into_response(),
        Err(error) => {
            let text = format!(
                "the configuration was not loaded, the former one stays in force:\n{}\n",
                display_chain(&error)
            );
            (StatusCode::UNPROCESSABLE_ENTITY, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::bridge::reload::Reloader;
    use crate::bridge::tasks::TasksDown;
    use crate::bridge::trial;

    struct Served {
        router: Router,
        service: Service,
    }

    fn served(folder: &Path, more: &str) -> Served {
        let reloader = Arc::new(Reloader::start(trial::configuration(folder, more)).unwrap());
        let service = Service { current: reloader.current(), ..trial::service(folder) };
        trial::configuration(folder, more);
        let readiness = Readiness::of(service.clone(), reloader, TasksDown::default());
        Served { router: router(service.clone(), readiness, Arc::default()), service }
    }

    impl Served {
        async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
        }
    }

    #[tokio::test]
    async fn operators_find_what_they_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let served = served(folder.path(), "");
        let (status, _, body) = served.ask("GET", "/", &[]).await;
        assert!(status == 200 && body.contains("POST /alertmanager"));
        assert_eq!(served.ask("GET", "/-/healthy", &[]).await.0, 200);
        assert_eq!(
            served.ask("GET", "/-/ready", &[]).await,
            (200, "text/plain; charset=utf-8".to_owned(), "ready\n".to_owned())
        );
        let (_, kind, body) = served.ask("GET", "/metrics", &[]).await;
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert!(body.contains("hermes_alert_bridge_pending{chat=\"uma\",urgency=\"new\"} 0"), "{body}");
        assert!(body.contains("hermes_alert_bridge_ready 1") && body.contains("process_resident_memory_bytes"));
        let (_, kind, body) = served.ask("GET", "/metrics", &[("accept", "application/openmetrics-text")]).await;
        assert!(kind.starts_with("application/openmetrics-text") && body.ends_with("# EOF\n"));
        for path in ["/alertmanager", "/notify", "/-/reload"] {
            let (status, _, body) = served.ask("GET", path, &[]).await;
            assert!(status == 405 && body.contains("GET / says"), "{path}: {body}");
        }
        let (status, _, body) = served.ask("POST", "/webhook", &[]).await;
        assert!(status == 404 && body.contains("GET / says"), "{body}");
    }

    #[tokio::test]
    async fn not_being_ready_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let served = served(folder.path(), "");
        served.service.health.token_refused.store(Some(Arc::new("Unauthorized".to_owned())));
        let (status, _, body) = served.ask("GET", "/-/ready", &[]).await;
        assert_eq!((status, body.as_str()), (503, "not ready\nTelegram refuses the bot's token: Unauthorized\n"));
        let (_, _, body) = served.ask("GET", "/metrics", &[]).await;
        assert!(body.contains("hermes_alert_bridge_ready 0") && body.contains("hermes_alert_bridge_token_accepted 0"));
    }

    #[tokio::test]
    async fn a_reload_is_for_who_may_tell_alerts_and_for_no_web_page() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("webhook.token");
        std::fs::write(&token, "secret\n").unwrap();
        let served = served(folder.path(), &format!("auth: {{bearer_token_file: {}}}\n", token.display()));
        let right = ("authorization", "Bearer secret");
        assert_eq!(served.ask("POST", "/-/reload", &[]).await.0, 401);
        assert_eq!(served.ask("POST", "/-/reload", &[("authorization", "Bearer wrong")]).await.0, 401);
        assert_eq!(served.ask("POST", "/-/reload", &[right, ("origin", "http://a")]).await.0, 403);
        assert_eq!(served.ask("POST", "/-/reload", &[right]).await.0, 200);
        std::fs::write(folder.path().join("bridge.yml"), "").unwrap();
        let (status, _, body) = served.ask("POST", "/-/reload", &[right]).await;
        assert!(status == 422 && body.contains("the file is empty"), "{body}");
        std::fs::remove_file(&token).unwrap();
        assert_eq!(served.ask("POST", "/-/reload", &[right]).await.0, 503);
    }
}
