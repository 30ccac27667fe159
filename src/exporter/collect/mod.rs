//! Looking at instances: one collector per part of an installation, run together under a deadline.
//!
//! [`COLLECTORS`] is the table of what there is. A [`Collector`] reads one part, a [`NetworkCollector`] asks others
//! about it; each answers with one [`Part`] of a Snapshot, and knows nothing of Prometheus or of the others. A
//! [`MachineCollector`] does the same for the machine, once for the whole fleet. What a collector could not tell it notes
//! among its [`problems`]; a file that is damaged makes its own reading unknown and nothing else.
//!
//! * [`engine`]: runs the collectors of all instances at once, and gives up on those that overrun.
//! * [`background`]: work that is too long for a scrape.
//! * [`memory`]: what goes from one process to the next.
//! * [`problems`]: from an error of the outside world to a reason out of the closed set.
//! * [`programs`]: which of Hermes' programs run, for which home, and what they have started.
//! * one room per collector: [`activity`], [`backup`], [`credentials`], [`cron`], [`endpoints`], [`exposure`], [`gateway`],
//!   [`guardrails`], [`home`], [`host`], [`inventory`], [`logs`], [`report`], [`sessions`], [`tailscale`], [`units`].

pub mod activity;
pub mod background;
pub mod backup;
pub mod credentials;
pub mod cron;
pub mod endpoints;
pub mod engine;
pub mod exposure;
pub mod gateway;
pub mod guardrails;
mod hermes_config;
pub mod home;
pub mod host;
pub mod inventory;
mod kept;
pub mod logs;
pub mod memory;
pub mod problems;
pub mod programs;
pub mod report;
#[cfg(test)]
mod sample_homes;
pub mod sessions;
pub mod tailscale;
pub mod units;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use background::Background;
use problems::Problems;
use serde_json::Value;

use super::config::MachineSettings;
use super::instance::Instance;
use super::snapshot::{self, Fleet, Reading, Reason, Snapshot};
use crate::system::owner::Owner;
use crate::system::systemd::Managers;
use crate::system::time::Timestamp;

/// What a collector may use in one look.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The moment that ages are counted from.
    pub now: Timestamp,
    /// The instance that is looked at.
    pub instance: &'a Instance,
    /// The gateway processes on this machine.
    pub gateways: &'a gateway::GatewayProcesses,
    /// Hermes' programs on this machine, gateways and others, and what they have started.
    pub programs: &'a programs::HermesPrograms,
    /// The sockets that listen on this machine.
    pub sockets: &'a exposure::Sockets,
    /// Where work goes that is too long for a scrape.
    pub background: &'a Background,
}

/// Reads one part of an instance.
pub trait Collector: Send {
    /// Reads the part as it is now. What can not be told is unknown in the part and noted in `problems`.
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part;

    /// Goes on from what a collector like it has remembered in a process before this one, where anything is known of one.
    /// Called before the first look by who has the memory kept, and will ask for it again. After an error everything is as
    /// if nothing were known.
    fn recall(&mut self, _memory: Option<Value>) -> Result<(), serde_json::Error> {
        Ok(())
    }

    /// What it takes to go on in another process as if it were this one.
    fn remember(&self) -> Option<Value> {
        None
    }
}

/// What a network collector may use in one look.
#[derive(Debug, Clone, Copy)]
pub struct NetworkLook<'a> {
    /// The moment that ages are counted from.
    pub now: Timestamp,
    /// The instance that is looked at.
    pub instance: &'a Instance,
    /// Who reads what is the instance's user's, where that is not the program's own user.
    pub owner: Option<&'a Arc<Owner>>,
    /// The managers of services on this machine.
    pub managers: &'a Managers,
    /// When it must have answered.
    pub deadline: Instant,
}

/// Asks others, over a bus or a network, about one part of an instance.
pub trait NetworkCollector: Send {
    /// Asks, and answers before the deadline of the look; is dropped in the middle when it does not. What can not be
    /// told is unknown in the part and noted in `problems`.
    fn collect<'a>(&'a mut self, look: NetworkLook<'a>, problems: &'a mut Problems) -> Answering<'a>;

    /// Whether the configuration of the instance gives nothing to ask about. Such a collector is not run at all, and
    /// does not show among those that were.
    fn has_nothing_to_ask(&self) -> bool {
        false
    }

    /// As [`Collector::recall`].
    fn recall(&mut self, _memory: Option<Value>, _managers: &Managers) -> Result<(), serde_json::Error> {
        Ok(())
    }

    /// As [`Collector::remember`].
    fn remember(&self, _managers: &Managers) -> Option<Value> {
        None
    }
}

/// The answer of a network collector, to be awaited.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Part> + Send + 'a>>;

/// Looks at the machine the exporter runs on.
pub trait MachineCollector: Send {
    /// Looks, and answers before `deadline`; is dropped in the middle when it does not. What blocks goes to a thread.
    /// What can not be told is unknown in the part and noted in `problems`.
    fn collect<'a>(&'a mut self, deadline: Instant, problems: &'a mut Problems) -> MachineAnswering<'a>;
}

/// The answer of a collector of the machine, to be awaited.
pub type MachineAnswering<'a> = Pin<Box<dyn Future<Output = MachinePart> + Send + 'a>>;

/// The part of a Fleet that one collector of the machine gives.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is named after its field of the Fleet")]
pub enum MachinePart {
    Host(Reading<Arc<snapshot::host::Host>>),
    Tailscale(Reading<Arc<snapshot::tailscale::Tailscale>>),
}

impl MachinePart {
    /// Puts the part into its place.
    pub fn put_into(self, fleet: &mut Fleet) {
        match self {
            MachinePart::Host(reading) => fleet.host = reading,
            MachinePart::Tailscale(reading) => fleet.tailscale = reading,
        }
    }
}

/// The part of a Snapshot that one collector gives.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is named after its field of the Snapshot")]
pub enum Part {
    Gateway(Reading<Arc<snapshot::gateway::Gateway>>),
    Sessions(Reading<Arc<snapshot::sessions::Sessions>>),
    Activity(Reading<Arc<snapshot::activity::Activity>>),
    Cron(Reading<Arc<snapshot::cron::Cron>>),
    Credentials(Reading<Arc<snapshot::credentials::Credentials>>),
    Inventory(Reading<Arc<snapshot::inventory::Inventory>>),
    Home(Reading<Arc<snapshot::home::Home>>),
    Units(Reading<Arc<snapshot::units::Units>>),
    Endpoints(Reading<Arc<snapshot::endpoints::Endpoints>>),
    Exposure(Reading<Arc<snapshot::exposure::Exposure>>),
    Guardrails(Reading<Arc<snapshot::guardrails::Guardrails>>),
    Backups(Reading<Arc<snapshot::backups::Backups>>),
    Logs(Reading<Arc<snapshot::logs::Logs>>),
}

impl Part {
    /// Puts the part into its place.
    pub fn put_into(self, snapshot: &mut Snapshot) {
        match self {
            Part::Gateway(reading) => snapshot.gateway = reading,
            Part::Sessions(reading) => snapshot.sessions = reading,
            Part::Activity(reading) => snapshot.activity = reading,
            Part::Cron(reading) => snapshot.cron = reading,
            Part::Credentials(reading) => snapshot.credentials = reading,
            Part::Inventory(reading) => snapshot.inventory = reading,
            Part::Home(reading) => snapshot.home = reading,
            Part::Units(reading) => snapshot.units = reading,
            Part::Endpoints(reading) => snapshot.endpoints = reading,
            Part::Exposure(reading) => snapshot.exposure = reading,
            Part::Guardrails(reading) => snapshot.guardrails = reading,
            Part::Backups(reading) => snapshot.backups = reading,
            Part::Logs(reading) => snapshot.logs = reading,
        }
    }
}

/// One row of the table of collectors.
#[derive(Debug)]
pub struct Entry {
    /// Its name in labels, flags and the configuration.
    pub name: &'static str,
    /// What it reads, in a few words.
    pub reads: &'static str,
    /// How long it may take before it is given up on, unless the configuration says otherwise.
    pub timeout: Duration,
    /// How old an expensive reading may get, for a collector that keeps one.
    pub time_to_live: Option<Duration>,
    /// What it is about.
    pub scope: Scope,
}

/// What a collector is about.
#[derive(Debug, Clone, Copy)]
pub enum Scope {
    /// One instance: made for it, and asked for its part.
    Instance {
        /// Makes the collector; the duration is how old an expensive reading may get.
        build: fn(&Instance, Duration) -> Box<dyn Collector>,
        /// The part where it can not be told.
        unknown: fn(Reason) -> Part,
    },
    /// One instance, of which others are asked over a bus or a network.
    Network {
        /// Makes the collector; the duration is how old an expensive reading may get.
        build: fn(&Instance, Duration) -> Box<dyn NetworkCollector>,
        /// The part where it can not be told.
        unknown: fn(Reason) -> Part,
    },
    /// One instance that is told of by a report: all there is to look at of it.
    Report,
    /// The machine: one for the whole fleet.
    Machine {
        /// Makes the collector.
        build: fn(&MachineSettings) -> Box<dyn MachineCollector>,
        /// Whether one that was made for the first settings would be made the same way for the second.
        is_same: fn(&MachineSettings, &MachineSettings) -> bool,
        /// The part where it can not be told.
        unknown: fn(Reason) -> MachinePart,
    },
}

const PATIENT: Duration = Duration::from_secs(5);
const PROMPT: Duration = Duration::from_secs(2);

/// Every collector, in the order in which it is run, shown and documented.
pub const COLLECTORS: [Entry; 16] = [
    Entry {
        name: "gateway",
        reads: "the gateway process, its heartbeat and its platforms",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(gateway::GatewayCollector::new(instance)),
            unknown: |reason| Part::Gateway(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "units",
        reads: "services and timers, from systemd or s6",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Network {
            build: |instance, _| Box::new(units::UnitsCollector::new(instance)),
            unknown: |reason| Part::Units(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "cron",
        reads: "cron jobs, their runs, and the ticker",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(cron::CronCollector::new(instance)),
            unknown: |reason| Part::Cron(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "credentials",
        reads: "whether tokens and keys are there and would work",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(credentials::CredentialsCollector::new(instance)),
            unknown: |reason| Part::Credentials(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "backup",
        reads: "the repositories it is backed up to, restore drills and emergency bundles",
        timeout: PATIENT,
        time_to_live: Some(Duration::from_secs(600)),
        scope: Scope::Instance {
            build: |instance, time_to_live| Box::new(backup::BackupCollector::new(instance, time_to_live)),
            unknown: |reason| Part::Backups(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "inventory",
        reads: "memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update",
        timeout: PATIENT,
        time_to_live: Some(Duration::from_secs(60)),
        scope: Scope::Instance {
            build: |instance, time_to_live| Box::new(inventory::InventoryCollector::new(instance, time_to_live)),
            unknown: |reason| Part::Inventory(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "sessions",
        reads: "sessions, messages and model usage in state.db",
        timeout: PATIENT,
        time_to_live: Some(Duration::from_secs(300)),
        scope: Scope::Instance {
            build: |instance, time_to_live| Box::new(sessions::SessionsCollector::new(instance, time_to_live)),
            unknown: |reason| Part::Sessions(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "activity",
        reads: "turns and tool calls, from new messages in state.db",
        timeout: PATIENT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(activity::ActivityCollector::new(instance)),
            unknown: |reason| Part::Activity(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "home",
        reads: "the size of the home and the space on its filesystem",
        timeout: PATIENT,
        time_to_live: Some(Duration::from_secs(600)),
        scope: Scope::Instance {
            build: |instance, time_to_live| Box::new(home::HomeCollector::new(instance, time_to_live)),
            unknown: |reason| Part::Home(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "endpoints",
        reads: "whether the configured endpoints answer, and are what they should be",
        timeout: PATIENT,
        time_to_live: None,
        scope: Scope::Network {
            build: |instance, _| Box::new(endpoints::EndpointsCollector::new(instance)),
            unknown: |reason| Part::Endpoints(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "exposure",
        reads: "the ports that the instance's processes listen on",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(exposure::ExposureCollector::new(instance)),
            unknown: |reason| Part::Exposure(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "guardrails",
        reads: "safety settings and the modes of files",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(guardrails::GuardrailsCollector::new(instance)),
            unknown: |reason| Part::Guardrails(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "logs",
        reads: "records of agent.log, errors.log and gateway.log, by level",
        timeout: PATIENT,
        time_to_live: None,
        scope: Scope::Instance {
            build: |instance, _| Box::new(logs::LogsCollector::new(instance)),
            unknown: |reason| Part::Logs(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: snapshot::CollectorRun::REPORT,
        reads: "the report of an instance that is told of by one, in place of all the collectors above",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Report,
    },
    Entry {
        name: "host",
        reads: "processors, memory, load and uptime of this machine",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Machine {
            build: |_| Box::new(host::HostCollector::new()),
            is_same: |_, _| true,
            unknown: |reason| MachinePart::Host(Reading::Unknown(reason)),
        },
    },
    Entry {
        name: "tailscale",
        reads: "whether this machine is in its tailnet, and until when",
        timeout: PROMPT,
        time_to_live: None,
        scope: Scope::Machine {
            build: |settings| Box::new(tailscale::TailscaleCollector::new(settings.tailscale_socket.as_deref())),
            is_same: |former, settings| former.tailscale_socket == settings.tailscale_socket,
            unknown: |reason| MachinePart::Tailscale(Reading::Unknown(reason)),
        },
    },
];

/// The row of the collector called `name`.
pub fn entry(name: &str) -> Option<&'static Entry> {
    COLLECTORS.iter().find(|entry| entry.name == name)
}
