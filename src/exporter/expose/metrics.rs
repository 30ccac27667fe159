//! The exposition: every family's samples out of a fleet's Snapshots, encoded by prometheus-client.
//!
//! Nothing is registered ahead and refilled: a family that has no sample is not there, a label set that has
//! gone is gone, and the Snapshot is not copied.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::families;
use super::family::{ExporterFacts, Family, Kind, Number, Sink};
use super::findings;
use crate::exporter::findings::FleetFindings;
use crate::exporter::snapshot::Fleet;
use crate::exporter::snapshot::activity::{TURN_BUCKETS, TurnDurations};
use crate::system::time::Timestamp;
use crate::web::metrics_text::{self, Format};

/// Of what everything was looked at, so that it can be said what is wrong with it. Where a part was asked for, a part of
/// what is wrong would be found, and things that only follow from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The instances and the machine.
    Everything,
    /// The instances that are shown.
    Instances,
    /// The machine.
    Machine,
    /// Neither.
    Nothing,
}

/// What is exposed in one response.
#[derive(Debug, Clone)]
pub struct Exposition {
    fleet: Arc<Fleet>,
    judged: Judged,
    exporter: Option<ExporterFacts>,
}

impl Exposition {
    /// The exposition of what was seen, and of what the exporter knows of itself; `None` where only instances were asked
    /// for.
    pub fn new(fleet: Arc<Fleet>, exporter: Option<ExporterFacts>) -> Exposition {
        Exposition { fleet, judged: Judged::Everything, exporter }
    }

    /// The same, with what is wrong with these alone.
    pub fn judging(self, judged: Judged) -> Exposition {
        Exposition { judged, ..self }
    }

    /// Whether it is said what is wrong with an instance, or with the machine.
    fn judges(&self, instance: Option<&str>) -> bool {
        match self.judged {
            Judged::Everything => true,
            Judged::Instances => instance.is_some(),
            Judged::Machine => instance.is_none(),
            Judged::Nothing => false,
        }
    }

    /// How many instances are in it.
    pub fn instances(&self) -> usize {
        self.fleet.instances.len()
    }

    /// The exposition in a format. What is wrong is judged here, because that takes its time in a large fleet, too.
    pub fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        let findings = (self.judged != Judged::Nothing).then(|| FleetFindings::of(&self.fleet));
        registry.register_collector(Box::new(JudgedExposition { exposition: self.clone(), findings }));
        // About 160 series of 100 bytes per home.
        let size = self.fleet.instances.len() * 18 * 1024 + 8 * 1024;
        metrics_text::encode(&registry, format, size)
    }
}

/// What is exposed, with what is wrong with it.
#[derive(Debug)]
struct JudgedExposition {
    exposition: Exposition,
    /// `None` where nothing is judged.
    findings: Option<FleetFindings>,
}

impl JudgedExposition {
    fn visit<'s>(&'s self, family: &Family, sink: &mut impl InstanceSink<'s>) {
        let Exposition { fleet, exporter, .. } = &self.exposition;
        if let Some(samples) = family.of_instance {
            for snapshot in &fleet.instances {
                sink.of_instance(Some(&snapshot.identity.name));
                samples(snapshot, sink);
                if sink.has_enough() {
                    return;
                }
            }
        }
        if let (Some(samples), Some(found)) = (family.of_findings, &self.findings) {
            for (name, findings) in findings::of_each(fleet, found).filter(|(name, _)| self.exposition.judges(*name)) {
                sink.of_instance(name);
                samples(findings, sink);
                if sink.has_enough() {
                    return;
                }
            }
        }
        sink.of_instance(None);
        if let Some(samples) = family.of_host {
            samples(fleet, sink);
        }
        if let (Some(samples), Some(facts)) = (family.of_exporter, exporter) {
            samples(facts, sink);
        }
    }
}

impl Collector for JudgedExposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.exposition.fleet.taken_at;
        for family in families::all() {
            let mut probe = Probe { has_sample: false, now };
            self.visit(family, &mut probe);
            if !probe.has_sample {
                continue;
            }
            let unit = family.unit();
            let metric_type = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let as_unit = unit.map(|unit| Unit::Other(unit.to_owned()));
            let name = name_without_suffixes(family, unit);
            let metric = encoder.encode_descriptor(name, family.help, as_unit.as_ref(), metric_type)?;
            let mut encode = Encode { metric, family, instance: None, now, outcome: Ok(()) };
            self.visit(family, &mut encode);
            encode.outcome?;
        }
        Ok(())
    }
}

/// prometheus-client puts unit, `_total` and `_info` behind the name itself.
fn name_without_suffixes<'a>(family: &Family, unit: Option<&str>) -> &'a str
where
    'static: 'a,
{
    let name = family.name;
    let name = name.strip_suffix("_total").or_else(|| name.strip_suffix("_info")).unwrap_or(name);
    match unit {
        Some(unit) => name.strip_suffix(unit).and_then(|name| name.strip_suffix('_')).unwrap_or(name),
        None => name,
    }
}

/// A sink that is told whose samples come next.
trait InstanceSink<'s>: Sink {
    fn of_instance(&mut self, name: Option<&'s str>);
    fn has_enough(&self) -> bool;
}

/// Finds out whether a family has a sample at all: OpenMetrics wants no family without one.
struct Probe {
    has_sample: bool,
    now: Timestamp,
}

impl Sink for Probe {
    fn sample(&mut self, _: &[&str], _: Number) {
        self.has_sample = true;
    }

    fn histogram(&mut self, _: &TurnDurations) {
        self.has_sample = true;
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}

impl<'s> InstanceSink<'s> for Probe {
    fn of_instance(&mut self, _: Option<&'s str>) {}

    fn has_enough(&self) -> bool {
        self.has_sample
    }
}

struct Encode<'a, 's> {
    metric: MetricEncoder<'a>,
    family: &'a Family,
    instance: Option<&'s str>,
    now: Timestamp,
    outcome: fmt::Result,
}

impl Encode<'_, '_> {
    fn encode(&mut self, labels: &[&str], encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result) {
        if self.outcome.is_err() {
            return;
        }
        let labels = Labels { instance: self.instance, names: self.family.labels, values: labels };
        self.outcome = if labels.is_empty() {
            encode(&mut self.metric)
        } else {
            self.metric.encode_family(&labels).and_then(|mut metric| encode(&mut metric))
        };
    }

    fn encode_info(&mut self, labels: &[&str]) {
        if self.outcome.is_ok() {
            let labels = Labels { instance: self.instance, names: self.family.labels, values: labels };
            self.outcome = self.metric.encode_info(&labels);
        }
    }
}

impl Sink for Encode<'_, '_> {
    fn sample(&mut self, labels: &[&str], value: Number) {
        match (self.family.kind, value) {
            (Kind::Info, _) => self.encode_info(labels),
            (Kind::Counter, Number::Whole(value)) => {
                self.encode(labels, |metric| metric.encode_counter::<NoLabelSet, _, u64>(&value, None));
            }
            (Kind::Counter, Number::Real(value)) => {
                self.encode(labels, |metric| metric.encode_counter::<NoLabelSet, _, u64>(&value, None));
            }
            (_, Number::Whole(value)) => self.encode(labels, |metric| metric.encode_gauge(&value)),
            (_, Number::Real(value)) => self.encode(labels, |metric| metric.encode_gauge(&value)),
        }
    }

    fn histogram(&mut self, turns: &TurnDurations) {
        let bounds = TURN_BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(turns.buckets).collect();
        self.encode(&[], |metric| {
            metric.encode_histogram::<NoLabelSet>(turns.sum_seconds, turns.count(), &buckets, None)
        });
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}

impl<'s> InstanceSink<'s> for Encode<'_, 's> {
    fn of_instance(&mut self, name: Option<&'s str>) {
        self.instance = name;
    }

    fn has_enough(&self) -> bool {
        false
    }
}

struct Labels<'a> {
    instance: Option<&'a str>,
    names: &'static [&'static str],
    values: &'a [&'a str],
}

impl Labels<'_> {
    fn is_empty(&self) -> bool {
        self.instance.is_none() && self.values.is_empty()
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        if let Some(instance) = self.instance {
            ("instance", instance).encode(encoder.encode_label())?;
        }
        for (name, value) in self.names.iter().zip(self.values) {
            (*name, *value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
