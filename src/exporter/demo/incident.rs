//! What is played: the gateway of bheem dies, uma is told, the gateway comes back, uma is told.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::bridge::Bridge;
use super::loopback::{get, wait_for};
use super::messages::Message;
use super::monitoring::Monitoring;
use super::notification::notification;
use super::processes::Process;
use super::rules::Alert;
use super::{DemoError, introduction, say, stand_in};
use crate::exporter::findings::Code;

/// Whose gateway dies.
const INSTANCE: &str = "bheem";

/// The chat where that is told.
const CHAT: &str = "uma";

/// What is wrong then.
const FINDING: Code = Code::GatewayCrashed;

/// How long the gateway is dead at least, so that there is something to see where everything goes faster.
const OUTAGE: Duration = Duration::from_secs(3);

/// The stage and the actors.
#[derive(Debug)]
pub(super) struct Incident<'a> {
    pub(super) exporter: SocketAddr,
    pub(super) folder: &'a Path,
    pub(super) gateway: &'a mut Process,
    pub(super) bridge: &'a mut Bridge,
    pub(super) monitoring: Option<&'a mut Monitoring>,
}

/// How it goes on, from when the gateway dies.
#[derive(Debug)]
struct Course {
    /// What the shipped rules tell of it.
    alert: Alert,
    began: Timestamp,
    clock: Instant,
    /// How many messages were about something else.
    others: usize,
}

impl Course {
    fn tell(&self, what: &str) {
        say(&introduction::step(self.clock.elapsed(), what));
    }
}

impl Incident<'_> {
    /// Plays it, and tells what happens.
    pub(super) async fn play(mut self) -> Result<(), DemoError> {
        let alert = Alert::about(FINDING, INSTANCE, self.exporter)?;
        say(&introduction::prologue(self.monitoring.is_some()));
        let others = self.until_all_is_seen_well().await?;
        let mut course = Course { alert, began: Timestamp::now(), clock: Instant::now(), others };
        self.gateway_dies(&mut course).await?;
        tokio::time::sleep(OUTAGE.saturating_sub(course.clock.elapsed())).await;
        self.gateway_comes_back(&mut course).await?;
        say(&introduction::epilogue(course.others));
        Ok(())
    }

    /// From the death of the gateway to the message about it.
    async fn gateway_dies(&mut self, course: &mut Course) -> Result<(), DemoError> {
        let died = self.gateway.id();
        self.gateway.kill();
        course.tell(&format!("The gateway of {INSTANCE} dies (process {died}: kill -KILL)."));
        self.until_found().await?;
        let finding = FINDING.as_str();
        course.tell(&format!("The exporter finds {finding}: hermes_gateway_up{{instance=\"{INSTANCE}\"}} 0"));
        if self.monitoring.is_some() {
            self.until_fires(&course.alert).await?;
            course.tell(&format!("Prometheus fires {}, and tells Alertmanager.", course.alert.name));
        } else {
            self.post(course, None).await?;
            course.tell("What Alertmanager would post about it is posted to the bridge.");
        }
        let message = self.message(course, |message| message.answers.is_none()).await?;
        course.tell("The bridge tells uma, whose agent it is, and nobody else.");
        say(&message.shown());
        Ok(())
    }

    /// From the new start of the gateway to the message that it is over.
    async fn gateway_comes_back(&mut self, course: &mut Course) -> Result<(), DemoError> {
        *self.gateway = stand_in::start(self.folder, INSTANCE)?;
        let started = self.gateway.id();
        course.tell(&format!("The gateway of {INSTANCE} is started again (process {started})."));
        self.until_up().await?;
        course.tell(&format!("The exporter finds it well: hermes_gateway_up{{instance=\"{INSTANCE}\"}} 1"));
        if self.monitoring.is_none() {
            self.post(course, Some(Timestamp::now())).await?;
            course.tell("What Alertmanager would post about that is posted to the bridge.");
        }
        let message = self.message(course, |message| message.answers.is_some()).await?;
        course.tell("The bridge tells that it is over.");
        say(&message.shown());
        Ok(())
    }

    /// Posts to the bridge what Alertmanager would.
    async fn post(&self, course: &Course, ended: Option<Timestamp>) -> Result<(), DemoError> {
        let notification = notification(&course.alert, FINDING, INSTANCE, course.began, ended, self.exporter);
        self.bridge.take(&notification).await
    }

    /// Waits until everybody knows that the gateway is up. Gives how many messages came meanwhile.
    async fn until_all_is_seen_well(&mut self) -> Result<usize, DemoError> {
        self.until_up().await?;
        if let Some(monitoring) = &mut self.monitoring {
            let is_up = format!("hermes_gateway_up%7Binstance=%22{INSTANCE}%22%7D==1");
            wait_for("Prometheus to have scraped the exporter", async || monitoring.has(&is_up).await).await?;
        }
        Ok(self.bridge.messages().more()?.len())
    }

    /// Waits until the exporter finds that the gateway has crashed.
    async fn until_found(&self) -> Result<(), DemoError> {
        let path = format!("/api/v1/findings?instance={INSTANCE}");
        wait_for("the exporter to find that the gateway has crashed", async || {
            let answer = get(self.exporter, &path).await.ok().and_then(|answer| answer.json());
            let is_found = answer.is_some_and(|answer| {
                let found = answer["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
                found.iter().any(|finding| finding["finding"] == FINDING.as_str())
            });
            Ok(is_found.then_some(()))
        })
        .await
    }

    /// Waits until the exporter sees that the gateway is up. Nothing else is looked at, so that this is quick.
    async fn until_up(&self) -> Result<(), DemoError> {
        let path = format!("/metrics?collect[]=gateway&instance={INSTANCE}");
        let up = format!("hermes_gateway_up{{instance=\"{INSTANCE}\"}} 1\n");
        wait_for("the exporter to see that the gateway is up", async || {
            let answer = get(self.exporter, &path).await.ok();
            Ok(answer.filter(|answer| String::from_utf8_lossy(&answer.body).contains(&up)).map(drop))
        })
        .await
    }

    async fn until_fires(&mut self, alert: &Alert) -> Result<(), DemoError> {
        let Some(monitoring) = &mut self.monitoring else { return Ok(()) };
        let fires =
            format!("ALERTS%7Balertname=%22{}%22,instance=%22{INSTANCE}%22,alertstate=%22firing%22%7D", alert.name);
        wait_for("Prometheus to fire the alert", async || monitoring.has(&fires).await).await
    }

    /// The first message about the incident that is as it should be. Others are counted, except that what is over changes
    /// its message, too.
    async fn message(&mut self, course: &mut Course, is_it: impl Fn(&Message) -> bool) -> Result<Message, DemoError> {
        wait_for("the message of the bridge", async || {
            self.bridge.process().still_runs()?;
            if let Some(monitoring) = &mut self.monitoring {
                monitoring.still_run()?;
            }
            let mut found = None;
            for message in self.bridge.messages().more()? {
                let is_about_it = message.chat == CHAT && message.text.contains(&course.alert.name);
                if is_about_it && message.changes.is_none() && found.is_none() && is_it(&message) {
                    found = Some(message);
                } else if message.changes.is_none() {
                    course.others += 1;
                }
            }
            Ok(found)
        })
        .await
    }
}
