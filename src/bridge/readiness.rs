//! Whether the bridge does what it is for: takes alerts, and brings them to people.
//!
//! It is ready while all of these hold:
//!
//! * the store commits, which is tried: something is written, and waited for;
//! * Telegram has not refused the token, and what the configuration names can be used;
//! * what it lets people in by can be read;
//! * every part of it runs;
//! * nothing critical that nobody knows of has waited for longer than [`CRITICAL_PATIENCE`]: then somebody has to be told
//!   in another way.
//!
//! Not to be ready keeps it from nothing: alerts are accepted as long as the store commits, so nobody should take its
//! address away from Alertmanager for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::auth;
use super::reload::{Problem, Reloader};
use super::service::Service;
use super::store::overview::{self, Overview};
use super::store::{StoreError, facts, milliseconds};
use super::tasks::TasksDown;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// How long something critical may wait. Longer than Telegram asks to wait as a rule, and than a restart takes.
pub const CRITICAL_PATIENCE: Duration = Duration::from_secs(600);

/// How long the store may take to commit.
const COMMIT_PATIENCE: Duration = Duration::from_secs(3);

/// For how long an outcome is told again, so that nobody can keep the disk busy by asking.
const FRESH: Duration = Duration::from_secs(1);

/// When the store was tried, and what was wrong with it.
type Tried = (Instant, Option<String>);

/// Finds out whether the bridge is ready; clones are the same one.
#[derive(Debug, Clone)]
pub struct Readiness {
    service: Service,
    reloader: Arc<Reloader>,
    tasks: TasksDown,
    /// How the store was last tried.
    commit: Arc<Mutex<Option<Tried>>>,
}

impl Readiness {
    /// Of this bridge.
    pub fn of(service: Service, reloader: Arc<Reloader>, tasks: TasksDown) -> Readiness {
        Readiness { service, reloader, tasks, commit: Arc::default() }
    }

    /// Which parts of the bridge are not well.
    pub fn tasks_down(&self) -> Vec<(&'static str, String)> {
        self.tasks.list()
    }

    /// How loading the configuration went.
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Why it is not ready; nothing where it is.
    pub async fn problems(&self) -> Vec<String> {
        let overview = self.service.store.read(|transaction| overview::read(transaction)).await;
        self.problems_with(&overview, Timestamp::now()).await
    }

    /// The same, of what was read already.
    pub async fn problems_with(&self, overview: &Result<Overview, StoreError>, now: Timestamp) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.commit_problem().await);
        if let Some(said) = &*self.service.health.token_refused.load() {
            problems.push(format!("Telegram refuses the bot's token: {said}"));
        }
        problems.extend(auth::problem(&self.service.in_force().config.auth));
        problems.extend(self.reloader.facts().problems.into_iter().map(|Problem(problem)| problem));
        problems.extend(self.tasks.list().into_iter().map(|(name, why)| format!("{name} does not run: {why}")));
        match overview {
            Ok(overview) => {
                let waited = overview.oldest_critical.map(|oldest| oldest.age_at(now));
                if let Some(waited) = waited.filter(|waited| *waited > CRITICAL_PATIENCE) {
                    let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
                    problems.push(format!(
                        "something critical has waited for {waited}, and nobody knows of it; `hermes-alert-bridge queue list` shows why"
                    ));
                }
            }
            Err(error) => problems.push(format!("the store can not be read: {}", display_chain(error))),
        }
        problems
    }

    async fn commit_problem(&self) -> Option<String> {
        let mut last = self.commit.lock().await;
        if let Some((_, problem)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return problem.clone();
        }
        if let Err(error) = self.service.store.check_place() {
            return Some(display_chain(&error));
        }
        let now = milliseconds(Timestamp::now());
        let write = self.service.store.write(move |connection| facts::keep(connection, "last_commit_tried", now));
        let problem = match tokio::time::timeout(COMMIT_PATIENCE, write).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(display_chain(&error)),
            Err(_) => Some(format!("the store did not commit within {} s", COMMIT_PATIENCE.as_secs())),
        };
        *last = Some((Instant::now(), problem.clone()));
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::alert::Severity;
    use crate::bridge::card::{Content, Message};
    use crate::bridge::config::ChatName;
    use crate::bridge::store::cards;
    use crate::bridge::trial;

    fn readiness(folder: &std::path::Path) -> Readiness {
        let reloader = Arc::new(Reloader::start(trial::configuration(folder, "")).unwrap());
        Readiness::of(trial::service(folder), reloader, TasksDown::default())
    }

    #[tokio::test]
    async fn it_is_ready_until_something_critical_waits_for_too_long_or_the_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = readiness(folder.path());
        assert_eq!(readiness.problems().await, Vec::<String>::new());

        let store = |age: f64, severity: Severity| {
            let content = Content::Message(Message {
                title: "a".to_owned(),
                text: String::new(),
                severity,
                instance: None,
                is_silent: false,
            });
            let made = Timestamp::from_seconds(Timestamp::now().seconds() - age).unwrap();
            readiness.service.store.write(move |connection| {
                cards::create_with(connection, &ChatName::from("root"), &content, None, made).map(|_| ())
            })
        };
        store(9000.0, Severity::Warning).await.unwrap();
        store(590.0, Severity::Critical).await.unwrap();
        assert_eq!(readiness.problems().await, Vec::<String>::new());
        store(640.0, Severity::Critical).await.unwrap();
        let problems = readiness.problems().await;
        assert!(problems.len() == 1 && problems[0].contains("critical has waited for 10m 4"), "{problems:?}");

        readiness.service.health.token_refused.store(Some(Arc::new("Unauthorized".to_owned())));
        assert_eq!(readiness.problems().await[0], "Telegram refuses the bot's token: Unauthorized");
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_is_told_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("webhook.token");
        let more = format!("auth: {{bearer_token_file: {}}}\n", token.display());
        let reloader = Arc::new(Reloader::start(trial::configuration(folder.path(), &more)).unwrap());
        let service = Service { current: reloader.current(), ..trial::service(folder.path()) };
        let readiness = Readiness::of(service, reloader, TasksDown::default());
        let problems = readiness.problems().await;
        assert!(problems.len() == 1 && problems[0].contains("webhook.token is not there"), "{problems:?}");
        std::fs::write(&token, "secret\n").unwrap();
        assert_eq!(readiness.problems().await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_part_that_does_not_run_and_what_can_not_be_used_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = readiness(folder.path());
        readiness.tasks.is_down("deliver", "it has panicked".to_owned());
        assert_eq!(readiness.problems().await, ["deliver does not run: it has panicked"]);

        let file = trial::configuration(folder.path(), "");
        let missing = folder.path().join("missing.html");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}template: {}\n", missing.display())).unwrap();
        let reloader = Arc::new(Reloader::start(file).unwrap());
        let readiness = Readiness::of(readiness.service, reloader, TasksDown::default());
        let problems = readiness.problems().await;
        assert!(problems.len() == 2 && problems[0].starts_with("the template of the chat \"root\""), "{problems:?}");
    }

    #[tokio::test]
    async fn who_asks_again_and_again_does_not_keep_the_disk_busy() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = readiness(folder.path());
        readiness.problems().await;
        let told = Some("as it was".to_owned());
        *readiness.commit.lock().await = Some((Instant::now() + COMMIT_PATIENCE, told));
        assert_eq!(readiness.problems().await, ["as it was"]);
    }

    #[tokio::test]
    async fn a_store_that_does_not_commit_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = readiness(folder.path());
        readiness.service.store.write(|connection| Ok(connection.execute_batch("DROP TABLE fact")?)).await.unwrap();
        let problems = readiness.problems().await;
        assert!(problems[0].starts_with("the store refuses: "), "{problems:?}");
    }
}
