//! What a metric family is: its name, kind, labels and help, and how its samples follow from what was seen.
//!
//! The families themselves are in [`super::families`].

use crate::exporter::findings::Findings;
use crate::exporter::snapshot::activity::TurnDurations;
use crate::exporter::snapshot::{Fleet, Snapshot};
use crate::system::processes::Usage;
use crate::system::time::Timestamp;
use crate::web::guard::GuardFacts;

/// What a family measures, in Prometheus' terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows.
    Counter,
    /// A distribution.
    Histogram,
    /// Facts in labels; the value is 1.
    Info,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A measurement.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Number::Whole(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Number::Whole(u64::from(value))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Number::Real(value)
    }
}

impl From<Timestamp> for Number {
    fn from(value: Timestamp) -> Self {
        Number::Real(value.seconds())
    }
}

/// Takes the samples of one family. Label values stand in the order of the family's label names.
pub trait Sink {
    /// One sample.
    fn sample(&mut self, labels: &[&str], value: Number);
    /// One histogram.
    fn histogram(&mut self, turns: &TurnDurations);
    /// The moment that ages are counted from.
    fn now(&self) -> Timestamp;
}

/// What the exporter knows of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExporterFacts {
    /// The last attempt to load the configuration; `None` in a one-shot run.
    pub service: Option<ServiceFacts>,
}

/// What a serving exporter knows of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceFacts {
    /// Whether the last attempt to load the configuration succeeded.
    pub is_config_loaded: bool,
    /// When the configuration in force was loaded.
    pub config_loaded_at: Timestamp,
    /// How things stand with the file that says who may ask; `None` where there is none.
    pub web: Option<GuardFacts>,
    /// What its process uses.
    pub process: Option<Usage>,
}

type OfInstance = fn(&Snapshot, &mut dyn Sink);
type OfFindings = fn(&Findings, &mut dyn Sink);
type OfHost = fn(&Fleet, &mut dyn Sink);
type OfExporter = fn(&ExporterFacts, &mut dyn Sink);

/// One metric family.
#[derive(Debug)]
pub struct Family {
    /// The name of its samples, as it is queried.
    pub name: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// The names of its labels besides `instance`.
    pub labels: &'static [&'static str],
    /// One line on what it means.
    pub help: &'static str,
    pub(super) of_instance: Option<OfInstance>,
    pub(super) of_findings: Option<OfFindings>,
    pub(super) of_host: Option<OfHost>,
    pub(super) of_exporter: Option<OfExporter>,
}

impl Family {
    /// The unit that its name ends in, where it is a base unit.
    pub fn unit(&self) -> Option<&'static str> {
        let family = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes", "ratio"].into_iter().find(|unit| family.ends_with(&format!("_{unit}")))
    }

    /// Whether its samples say which instance they are of.
    pub fn is_of_instances(&self) -> bool {
        self.of_instance.is_some() || self.of_findings.is_some()
    }

    pub(super) const fn instance(self, samples: OfInstance) -> Family {
        Family { of_instance: Some(samples), ..self }
    }

    pub(super) const fn findings(self, samples: OfFindings) -> Family {
        Family { of_findings: Some(samples), ..self }
    }

    pub(super) const fn host(self, samples: OfHost) -> Family {
        Family { of_host: Some(samples), ..self }
    }

    pub(super) const fn exporter(self, samples: OfExporter) -> Family {
        Family { of_exporter: Some(samples), ..self }
    }
}

pub(super) const fn family(
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, kind, labels, help, of_instance: None, of_findings: None, of_host: None, of_exporter: None }
}

pub(super) const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    family(Kind::Gauge, name, labels, help)
}

pub(super) const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    family(Kind::Counter, name, labels, help)
}

pub(super) const fn info(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    family(Kind::Info, name, labels, help)
}
