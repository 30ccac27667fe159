//! Asking for a URL now and then, so that somebody else notices when that stops: when the bridge is gone, when its store
//! can not be written to, and when the heartbeat that it watches is not there.
//!
//! Such a URL is secret at most services of this kind: it is read from its file each time, and never shown.

use std::time::Duration;

use rusqlite::Connection;

use super::config::{Config, Ping};
use super::metrics::table::Count;
use super::secret::SecretError;
use super::service::{Service, Stop};
use super::store::{StoreError, facts, milliseconds};
use super::watchdog;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is seen whether there is a URL, where there was none.
const LOOK: Duration = Duration::from_secs(5);

/// What the environment says of proxies is not for services, here as for Telegram. Redirects are not followed: a page to
/// log in, or one that says that there is no such check, would be as good an answer as any.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

/// Why the URL was not asked for, or in vain.
#[derive(Debug, thiserror::Error)]
enum PingError {
    #[error("the URL to be asked for is not there")]
    Secret(#[source] SecretError),
    #[error("what is in the file of ping.url_file is not a URL")]
    Url,
    #[error("the URL could not be asked for")]
    Request(#[source] reqwest::Error),
    #[error("the URL is answered with {0}")]
    Status(u16),
}

/// Asks until the program is to end.
pub async fn run(service: Service, mut stop: Stop) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = %display_chain(&error), "the ping URL can not be asked for");
            return;
        }
    };
    let mut was_good = true;
    loop {
        let config = &service.in_force().config;
        let pause = match &config.ping {
            None => LOOK,
            Some(ping) => {
                was_good = once(&service, config, ping, &client, was_good).await;
                ping.interval
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // An error means that the sender has gone, which is the end as well.
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Asks once, if all is well; whether it was. What is wrong is told when it begins.
async fn once(service: &Service, config: &Config, ping: &Ping, client: &reqwest::Client, was_good: bool) -> bool {
    let (outcome, problem) = match withheld(service, config).await {
        Some(problem) => ("withheld", Some(problem)),
        None => match ask(client, ping).await {
            Ok(()) => ("done", None),
            Err(error) => ("failed", Some(display_chain(&error))),
        },
    };
    service.metrics.count(Count::Pings, &[outcome]);
    if let (true, Some(problem)) = (was_good, &problem) {
        tracing::warn!(outcome, problem, "the ping URL was not reached");
    }
    problem.is_none()
}

/// Why somebody should notice.
async fn withheld(service: &Service, config: &Config) -> Option<String> {
    let watchdog = config.watchdog.clone();
    let now = Timestamp::now();
    let is_beating = service.store.write(move |connection| {
        note(connection, now)?;
        watchdog.map_or(Ok(true), |watchdog| watchdog::is_beating(connection, &watchdog, now))
    });
    match is_beating.await {
        Ok(true) => None,
        Ok(false) => Some("the heartbeat that is watched is not there".to_owned()),
        Err(error) => Some(display_chain(&error)),
    }
}

/// A write, which shows that the store can be written to.
fn note(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    facts::keep(connection, "last ping", milliseconds(now))
}

async fn ask(client: &reqwest::Client, ping: &Ping) -> Result<(), PingError> {
    let url = ping.url.read().map_err(PingError::Secret)?;
    let url = reqwest::Url::parse(url.reveal()).map_err(|_| PingError::Url)?;
    let answer = client.get(url).send().await.map_err(|error| PingError::Request(error.without_url()))?;
    if answer.status().is_success() { Ok(()) } else { Err(PingError::Status(answer.status().as_u16())) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bridge::buttons::scripted::{self, alert};
    use crate::bridge::secret::SecretFile;

    #[tokio::test]
    async fn the_url_is_asked_for_while_all_is_well() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = format!("http://{}/ping/secret", listener.local_addr().unwrap());
        let moved = async || axum::response::Redirect::temporary("/ping/secret");
        let router = axum::Router::new()
            .route("/ping/secret", axum::routing::get(async || "OK"))
            .route("/ping/moved", axum::routing::get(moved));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let config = scripted::config(folder.path());
        let service = scripted::service(folder.path(), config.clone(), Arc::default());
        let ping = Ping { url: SecretFile::at(&file), interval: Duration::from_secs(1) };
        let client = client().unwrap();
        let pinged = |outcome: &str| service.metrics.counted(Count::Pings, &[outcome]);
        std::fs::write(&file, &good).unwrap();
        // There is no heartbeat yet.
        assert!(!once(&service, &config, &ping, &client, true).await);
        assert_eq!((pinged("withheld"), pinged("done")), (1, 0));
        let beat = alert(&[("alertname", "Watchdog")], Timestamp::now());
        service.store.write(move |connection| watchdog::beat(connection, &beat, Timestamp::now())).await.unwrap();
        assert!(once(&service, &config, &ping, &client, true).await);
        assert_eq!((pinged("withheld"), pinged("done")), (1, 1));
        for wrong in [good.replace("secret", "wrong"), "http://127.0.0.1:1/secret".to_owned(), "secret".to_owned()] {
            std::fs::write(&file, wrong).unwrap();
            let error = ask(&client, &ping).await.unwrap_err();
            let told = format!("{} {error:?}", display_chain(&error));
            assert!(!told.contains("secret") && !told.contains("wrong"), "{told}");
            assert!(!once(&service, &config, &ping, &client, false).await);
        }
        assert_eq!(pinged("failed"), 3);
        // A page to log in is no ping, however good its answer is.
        std::fs::write(&file, good.replace("secret", "moved")).unwrap();
        assert!(matches!(ask(&client, &ping).await, Err(PingError::Status(307))));
    }
}
