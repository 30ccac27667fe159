//! What is wrong with the scrape jobs of the exporter.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::jobs::{Asks, Configuration, Job, Target};
use super::raw::RawRelabel;
use super::regex::matches;
use super::tree::At;
use super::{Remark, Weight};

/// What Prometheus takes where nothing is written.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Rules look at rates over five minutes, for which they need two samples.
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);

/// After this Prometheus takes a series for ended.
const LOOKBACK: Duration = Duration::from_secs(300);

/// Most of what the exporter reads has five seconds, and it keeps half a second for the way back.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(5500);

/// The name of the job that `alerts/rules/watching.yml` looks at.
const JOB_OF_RULES: &str = "hermes";

pub(super) fn judge(configuration: &Configuration, jobs: &[&Job]) -> Vec<Remark> {
    let mut remarks = Remarks(Vec::new());
    if jobs.is_empty() {
        remarks.0.push(Remark {
            path: configuration.path.clone(),
            line: 1,
            weight: Weight::Fault,
            job: None,
            text: "no job scrapes the exporter, as far as can be seen: none has a target at port 10119, asks for targets at \
                   an address that ends in /sd, or has `hermes` in its name; --job NAME says which one does"
                .to_owned(),
        });
    }
    for job in jobs {
        remarks.of_labels(job);
        if job.federates() {
            continue;
        }
        remarks.of_times(configuration, job);
        remarks.of_targets(job);
    }
    remarks.of_what_is_scraped_twice(jobs);
    remarks.0
}

struct Remarks(Vec<Remark>);

impl Remarks {
    fn add(&mut self, weight: Weight, job: &Job, at: (&Path, u64), text: impl Into<String>) {
        let (path, line) = at;
        let job = Some(job.name().to_owned());
        self.0.push(Remark { path: path.to_owned(), line: line.max(1), weight, job, text: text.into() });
    }

    /// Whether the names of instances arrive as they are.
    fn of_labels(&mut self, job: &Job) {
        let rules = || job.raw.metric_relabel_configs.iter();
        let honors = job.raw.honor_labels.as_ref();
        if !honors.is_some_and(|honors| honors.value) && !rules().any(brings_name_back) {
            let line = honors.map_or(job.raw.job_name.line, |honors| honors.line);
            let is_named = |target: &Target| matches!(target.asks, Asks::List | Asks::Instance(_) | Asks::Machine);
            let what = if honors.is_some() { "honor_labels is false" } else { "honor_labels is missing" };
            let (weight, follows) = if job.federates() {
                (
                    Weight::Fault,
                    "the instances of another Prometheus arrive as exported_instance, under the name of its address",
                )
            } else if !job.targets.is_empty() && job.targets.iter().all(is_named) {
                let text = "each target has the name of its instance, which arrives as exported_instance once more, and \
                            HermesHonorLabelsMissing complains";
                (Weight::Note, text)
            } else {
                (
                    Weight::Fault,
                    "instances arrive as exported_instance, under the name of the exporter's address, and their \
                                 alerts go to the wrong chat",
                )
            };
            self.add(weight, job, (&job.path, line), format!("{what}: {follows}; write `honor_labels: true`"));
        }
        for rule in rules() {
            if let Some((line, text)) = loses_name(rule) {
                self.add(Weight::Fault, job, (&job.path, line), text);
            }
        }
    }

    /// How often it asks, and how long it waits.
    fn of_times(&mut self, configuration: &Configuration, job: &Job) {
        let global = &configuration.main;
        let or = |typed: &Option<At<Duration>>, otherwise| typed.as_ref().map_or(otherwise, |typed| typed.value);
        let interval = or(&job.raw.scrape_interval, or(&global.scrape_interval, DEFAULT_INTERVAL));
        let usual = or(&global.scrape_timeout, DEFAULT_TIMEOUT).min(interval);
        let timeout = or(&job.raw.scrape_timeout, usual);
        let name = job.raw.job_name.line;
        let line_of = |own: Option<u64>| (job.path.as_path(), own.unwrap_or(name));
        let of_interval = line_of(job.raw.scrape_interval.as_ref().map(|typed| typed.line));
        let of_timeout = line_of(job.raw.scrape_timeout.as_ref().map(|typed| typed.line));
        let words = humantime::format_duration;
        if timeout > interval {
            let text = format!(
                "a scrape_timeout of {} is longer than the scrape_interval of {}",
                words(timeout),
                words(interval)
            );
            self.add(
                Weight::Fault,
                job,
                of_timeout,
                format!("{text}, and Prometheus refuses that; write a shorter one"),
            );
        }
        if timeout < SHORTEST_TIMEOUT {
            let text = format!(
                "with a scrape_timeout of {} what takes longer to read is unknown; 10s is enough",
                words(timeout)
            );
            self.add(Weight::Note, job, of_timeout, text);
        }
        if interval >= LOOKBACK {
            let text = format!(
                "with a scrape_interval of {} there is nothing to be seen between two scrapes, because Prometheus looks back for 5m",
                words(interval)
            );
            self.add(Weight::Fault, job, of_interval, format!("{text}; write 30s"));
        } else if interval > LONGEST_INTERVAL {
            let text =
                format!("with a scrape_interval of {} rules and dashboards may see too few samples", words(interval));
            self.add(
                Weight::Note,
                job,
                of_interval,
                format!("{text}, because they look at rates over 5m; write 2m or less"),
            );
        }
    }

    /// What it is called, and what it scrapes.
    fn of_targets(&mut self, job: &Job) {
        let name = (job.path.as_path(), job.raw.job_name.line);
        if job.name() != JOB_OF_RULES {
            let text = format!(
                "the rules of alerts/rules/watching.yml look at a job called {JOB_OF_RULES:?}, to tell whether the exporter \
                 answers; call it so, or change them"
            );
            self.add(Weight::Note, job, name, text);
        }
        for (pattern, line) in &job.without_file {
            let text = format!("no file is called as {pattern:?} yet; `hermes-exporter targets --output` writes one");
            self.add(Weight::Note, job, (&job.path, *line), text);
        }
        let gives_box = |rule: &RawRelabel| rule.target_label.as_ref().is_some_and(|label| label.value == "box");
        let exporters: HashSet<&str> = job.targets.iter().map(|target| target.address.as_str()).collect();
        let has_boxes = job.raw.relabel_configs.iter().any(gives_box);
        if exporters.len() > 1 && !has_boxes && job.targets.iter().any(|target| !target.has_box) {
            let text = format!(
                "{} exporters, and not each has a label `box`: while one is down, alerts about its instances are told as over, \
                 and what is gone on another one is not noticed",
                exporters.len()
            );
            self.add(Weight::Note, job, name, format!("{text}; write `labels: {{box: NAME}}` beside its targets"));
        }
    }

    /// What two targets ask one exporter for gives every alert twice.
    fn of_what_is_scraped_twice(&mut self, jobs: &[&Job]) {
        let asked = || {
            let jobs = jobs.iter().filter(|job| !job.federates());
            let targets = jobs.flat_map(|job| job.targets.iter().map(move |target| (*job, target)));
            targets.filter(|(_, target)| !matches!(target.asks, Asks::Machine | Asks::Part | Asks::OtherList))
        };
        // A list has all, and who asks for all has each instance.
        let mut whole: HashMap<&str, (&Job, &Target)> = HashMap::new();
        let mut instances: HashMap<(&str, &Asks), (&Job, &Target)> = HashMap::new();
        let mut told = HashSet::new();
        let is_instance = |target: &Target| matches!(target.asks, Asks::Instance(_));
        for (job, target) in asked().filter(|(_, target)| !is_instance(target)) {
            let address = target.address.as_str();
            match whole.get(address) {
                Some(first) if told.insert(address) => self.twice(*first, (job, target)),
                Some(_) => {}
                None => drop(whole.insert(address, (job, target))),
            }
        }
        for (job, target) in asked().filter(|(_, target)| is_instance(target)) {
            let address = target.address.as_str();
            let first =
                whole.get(address).copied().or_else(|| instances.insert((address, &target.asks), (job, target)));
            if let Some(first) = first.filter(|_| told.insert(address)) {
                self.twice(first, (job, target));
            }
        }
    }

    fn twice(&mut self, (other_job, other): (&Job, &Target), (job, target): (&Job, &Target)) {
        let text = format!(
            "{:?} is scraped twice, also by the job {:?} ({}:{}), so that every alert about its instances comes twice; take one out",
            target.address,
            other_job.name(),
            other.path.display(),
            other.line.max(1)
        );
        self.add(Weight::Fault, job, (&target.path, target.line), text);
    }
}

/// What a rule does; Prometheus does not care for capitals.
fn action(rule: &RawRelabel) -> String {
    rule.action.as_ref().map_or("replace".to_owned(), |action| action.value.to_ascii_lowercase())
}

/// Whether a rule for series gives instances back the names that were put aside.
fn brings_name_back(rule: &RawRelabel) -> bool {
    let regex = rule.regex.as_ref().map_or("", |regex| regex.value.as_str());
    match action(rule).as_str() {
        "replace" => is_into_instance(rule) && has_source(rule, "exported_instance"),
        "labelmap" => matches(regex, "exported_instance") == Some(true),
        _ => false,
    }
}

/// The line and the text where a rule for series takes instances their names, or takes them out.
fn loses_name(rule: &RawRelabel) -> Option<(u64, String)> {
    let regex = rule.regex.as_ref().map(|regex| regex.value.as_str());
    let fits = |name| regex.and_then(|regex| matches(regex, name));
    let is_about_names = has_source(rule, "__name__") && rule.source_labels.len() == 1;
    let is_always = matches!(regex, None | Some("" | ".*" | "(.*)" | ".+" | "(.+)"));
    let is_own = has_source(rule, "exported_instance") || has_source(rule, "instance");
    let action = action(rule);
    let lost = match action.as_str() {
        "labeldrop" => fits("instance") == Some(true),
        "labelkeep" => fits("instance") == Some(false),
        "replace" => is_into_instance(rule) && is_always && (!is_own || rule.replacement.as_deref() == Some("")),
        "drop" => is_about_names && fits("hermes_instance_info") == Some(true),
        "keep" => is_about_names && fits("hermes_instance_info") == Some(false),
        _ => false,
    };
    let places = [&rule.action, &rule.regex, &rule.target_label];
    let line = places.into_iter().flatten().map(|place| place.line).min().unwrap_or(1);
    let text = match action.as_str() {
        "drop" | "keep" => {
            "metric_relabel_configs leave out hermes_instance_info, by which rules and dashboards know an instance"
        }
        "replace" => "metric_relabel_configs write something else over `instance`, so that instances lose their names",
        _ => "metric_relabel_configs leave out the label `instance`, so that instances lose their names",
    };
    lost.then(|| (line, format!("{text}; take that out")))
}

fn is_into_instance(rule: &RawRelabel) -> bool {
    rule.target_label.as_ref().is_some_and(|label| label.value == "instance")
}

fn has_source(rule: &RawRelabel, name: &str) -> bool {
    rule.source_labels.iter().any(|label| label == name)
}
