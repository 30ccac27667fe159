//! The exposition: what was counted, and what is so right now, in either text format.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::table::State;
use super::{LabelValues, Metrics};
use crate::bridge::card::Urgency;
use crate::bridge::config::{ChatName, Config};
use crate::bridge::reload::ReloadFacts;
use crate::bridge::service::{ButtonState, Health};
use crate::bridge::store::overview::{ChatOverview, Heartbeat, Overview};
use crate::system::processes::Usage;
use crate::system::time::Timestamp;
use crate::web::guard::GuardFacts;
use crate::web::metrics_text::{self, Format};

/// About how many bytes the exposition of a bridge with a few chats has.
const TYPICAL_SIZE: usize = 16 * 1024;

/// What an exposition is made from, besides what was counted.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// How things stand in the store; none where it can not be read.
    pub overview: Option<&'a Overview>,
    /// How the bridge itself is.
    pub health: &'a Health,
    /// How loading the configuration went.
    pub reload: &'a ReloadFacts,
    /// How many of its parts are not well.
    pub tasks_down: usize,
    /// How things stand with the web configuration; none where there is no such file.
    pub web: Option<GuardFacts>,
    /// Whether it is ready.
    pub is_ready: bool,
    /// What this process uses.
    pub process: Option<Usage>,
    /// The moment that it is made for.
    pub now: Timestamp,
}

/// What is exposed in one response.
#[derive(Debug)]
pub struct Exposition {
    counted: Arc<Metrics>,
    states: BTreeMap<usize, Vec<(LabelValues, f64)>>,
}

impl Exposition {
    /// What was counted, and what is so.
    pub fn new(counted: Arc<Metrics>, facts: &Facts<'_>) -> Exposition {
        let mut exposition = Exposition { counted, states: BTreeMap::new() };
        exposition.put_own(facts);
        exposition.put_chats(facts);
        exposition.put_process(facts.process.as_ref());
        exposition
    }

    /// The exposition in a format.
    pub fn encode(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        metrics_text::encode(&registry, format, TYPICAL_SIZE)
    }

    fn put(&mut self, state: State, labels: &[&str], value: f64) {
        let names = state.row().labels.iter().copied();
        let labels = names.zip(labels.iter().map(|value| (*value).to_owned())).collect();
        self.states.entry(state as usize).or_default().push((labels, value));
    }

    fn put_own(&mut self, facts: &Facts<'_>) {
        let truth = |is_so: bool| if is_so { 1.0 } else { 0.0 };
        self.put(State::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1.0);
        self.put(State::Ready, &[], truth(facts.is_ready));
        match &**facts.health.buttons.load() {
            ButtonState::Unknown | ButtonState::Off => {}
            ButtonState::On => self.put(State::ButtonsEnabled, &[], 1.0),
            ButtonState::Disabled(_) => self.put(State::ButtonsEnabled, &[], 0.0),
        }
        self.put(State::TokenAccepted, &[], truth(facts.health.token_refused.load().is_none()));
        self.put(State::TasksDown, &[], facts.tasks_down as f64);
        self.put(State::ConfigProblems, &[], facts.reload.problems.len() as f64);
        self.put(State::ConfigReloaded, &[], truth(facts.reload.is_loaded));
        self.put(State::ConfigReloadedAt, &[], facts.reload.loaded_at.seconds());
        if let Some(web) = facts.web {
            self.put(State::WebConfigReloaded, &[], truth(web.is_loaded));
            if let Some(expiry) = web.certificate_expiry {
                self.put(State::WebCertificateExpiry, &[], expiry.seconds());
            }
        }
        if let Some(bytes) = size(&facts.config.store) {
            self.put(State::StoreBytes, &[], bytes as f64);
        }
        for Heartbeat { fingerprint, labels, last, is_missing } in facts.overview.iter().flat_map(|all| &all.heartbeats)
        {
            let of = [labels.get("alertname").map_or("", String::as_str), fingerprint.as_str()];
            self.put(State::HeartbeatLast, &of, last.seconds());
            self.put(State::HeartbeatMissing, &of, truth(*is_missing));
        }
    }

    fn put_chats(&mut self, facts: &Facts<'_>) {
        let Some(overview) = facts.overview else { return };
        // Also those of which there is nothing to tell, so that a rule finds them; and those that are no more, as long as
        // something waits for them.
        let nothing = ChatOverview::default();
        let waited_for = overview.chats.iter().filter(|(_, chat)| chat.all_pending() > 0).map(|(name, _)| name);
        let mut names: Vec<&ChatName> = facts.config.chats.keys().chain(waited_for).collect();
        names.sort();
        names.dedup();
        for name in names {
            let chat = overview.chats.get(name).unwrap_or(&nothing);
            let name = name.as_str();
            for (urgency, count) in Urgency::ALL.into_iter().zip(chat.pending) {
                self.put(State::Pending, &[name, urgency.as_str()], count as f64);
            }
            if let Some(oldest) = chat.oldest_pending {
                self.put(State::OldestPending, &[name], oldest.seconds());
            }
            let known = chat.known.as_ref();
            let is_unreachable = known.is_some_and(|known| known.unreachable.is_some());
            self.put(State::ChatReachable, &[name], if is_unreachable { 0.0 } else { 1.0 });
            let is_topic_gone = known.is_some_and(|known| known.thread_gone.is_some());
            self.put(State::TopicGone, &[name], if is_topic_gone { 1.0 } else { 0.0 });
            if let Some(until) = known.map(|known| known.not_before).filter(|until| *until > facts.now) {
                self.put(State::NotBefore, &[name], until.seconds());
            }
        }
    }

    fn put_process(&mut self, process: Option<&Usage>) {
        let Some(process) = process else { return };
        self.put(State::ProcessCpu, &[], process.cpu_seconds);
        self.put(State::ProcessMemory, &[], process.memory_bytes as f64);
        if let Some(open) = process.open_fds {
            self.put(State::ProcessDescriptors, &[], open as f64);
        }
        self.put(State::ProcessThreads, &[], process.threads as f64);
        if let Some(start) = process.start_time {
            self.put(State::ProcessStart, &[], start.seconds());
        }
    }
}

/// The bytes of the store, with its log.
fn size(store: &Path) -> Option<u64> {
    let mut log = store.as_os_str().to_owned();
    log.push("-wal");
    let main = std::fs::metadata(store).ok()?.len();
    Some(main + std::fs::metadata(log).map_or(0, |log| log.len()))
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for state in State::ALL {
            let Some(samples) = self.states.get(&(*state as usize)) else { continue };
            let row = state.row();
            let (name, kind) = match (row.name.strip_suffix("_info"), row.name.strip_suffix("_total")) {
                (Some(name), _) => (name, MetricType::Info),
                (None, Some(name)) => (name, MetricType::Counter),
                (None, None) => (row.name, MetricType::Gauge),
            };
            let mut metric = encoder.encode_descriptor(name, row.help, None, kind)?;
            for (labels, value) in samples {
                match kind {
                    MetricType::Info => metric.encode_info(labels)?,
                    MetricType::Counter => metric.encode_counter::<LabelValues, _, u64>(value, None)?,
                    _ if labels.is_empty() => metric.encode_gauge(value)?,
                    _ => metric.encode_family(labels)?.encode_gauge(value)?,
                }
            }
        }
        self.counted.encode(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::metrics::table::Count;
    use crate::bridge::reload::Reloader;
    use crate::bridge::store::overview::KnownChat;
    use crate::bridge::trial;

    fn exposition(format: Format, buttons: ButtonState) -> String {
        let folder = tempfile::tempdir().unwrap();
        let reloader = Reloader::start(trial::configuration(folder.path(), "")).unwrap();
        let at = |seconds: f64| Timestamp::from_seconds(seconds).unwrap();
        let root = ChatOverview {
            pending: [1, 0, 2, 0],
            oldest_pending: Some(at(1500.0)),
            known: Some(KnownChat {
                chat_id: 7,
                thread: None,
                not_before: at(3000.5),
                thread_gone: None,
                unreachable: Some((at(5.0), "blocked".to_owned())),
                try_again: None,
            }),
            ..ChatOverview::default()
        };
        let known = |not_before: f64, thread_gone: Option<&str>| KnownChat {
            chat_id: 8,
            thread: None,
            not_before: at(not_before),
            thread_gone: thread_gone.map(str::to_owned),
            unreachable: None,
            try_again: None,
        };
        let uma = ChatOverview { known: Some(known(1999.0, Some("closed"))), ..ChatOverview::default() };
        // Neither is configured any more.
        let gone = ChatOverview { pending: [0, 1, 0, 0], ..ChatOverview::default() };
        let forgotten = ChatOverview { known: Some(known(0.001, None)), ..ChatOverview::default() };
        let overview = Overview {
            chats: [("root", root), ("uma", uma), ("gone", gone), ("forgotten", forgotten)]
                .map(|(name, chat)| (ChatName::from(name), chat))
                .into(),
            oldest_critical: None,
            heartbeats: vec![Heartbeat {
                fingerprint: "f".to_owned(),
                labels: [("alertname".to_owned(), "Watchdog".to_owned())].into(),
                last: at(1990.0),
                is_missing: false,
            }],
        };
        let counted = Arc::new(Metrics::default());
        counted.count(Count::Webhooks, &["accepted"]);
        let health = Health::default();
        health.buttons.store(Arc::new(buttons));
        let facts = Facts {
            config: &reloader.current().load().config,
            overview: Some(&overview),
            health: &health,
            reload: &ReloadFacts { is_loaded: true, loaded_at: at(1000.0), problems: Vec::new() },
            tasks_down: 0,
            web: Some(GuardFacts { is_loaded: false, certificate_expiry: Some(at(4000.0)) }),
            is_ready: true,
            process: Some(Usage { memory_bytes: 5, cpu_seconds: 0.5, open_fds: Some(3), threads: 2, start_time: None }),
            now: at(2000.0),
        };
        Exposition::new(counted, &facts).encode(format).unwrap()
    }

    #[test]
    fn what_an_operator_alerts_on_is_there() {
        let text = exposition(Format::Text, ButtonState::Off);
        for line in [
            "hermes_alert_bridge_pending{chat=\"gone\",urgency=\"new\"} 1",
            "hermes_alert_bridge_chat_topic_gone{chat=\"root\"} 0",
            "hermes_alert_bridge_chat_topic_gone{chat=\"uma\"} 1",
            "hermes_alert_bridge_heartbeat_missing{alertname=\"Watchdog\",fingerprint=\"f\"} 0",
            "hermes_alert_bridge_ready 1",
            "hermes_alert_bridge_pending{chat=\"root\",urgency=\"critical\"} 1",
            "hermes_alert_bridge_pending{chat=\"uma\",urgency=\"resolved\"} 0",
            "hermes_alert_bridge_oldest_pending_timestamp_seconds{chat=\"root\"} 1500",
            "hermes_alert_bridge_chat_reachable{chat=\"root\"} 0",
            "hermes_alert_bridge_chat_reachable{chat=\"uma\"} 1",
            "hermes_alert_bridge_chat_not_before_timestamp_seconds{chat=\"root\"} 3000.5",
            "hermes_alert_bridge_heartbeat_last_timestamp_seconds{alertname=\"Watchdog\",fingerprint=\"f\"} 1990",
            "hermes_alert_bridge_web_config_last_reload_successful 0",
            "hermes_alert_bridge_web_certificate_expiry_timestamp_seconds 4000",
            "hermes_alert_bridge_token_accepted 1",
            "hermes_alert_bridge_unrouted_total 0",
            "hermes_alert_bridge_webhooks_total{outcome=\"accepted\"} 1",
            "process_cpu_seconds_total 0.5",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            let is_there = |found: &str| found == line || found.strip_suffix(".0") == Some(line);
            assert!(text.lines().any(is_there), "{line}\n{text}");
        }
        assert!(text.contains("hermes_alert_bridge_build_info{version="));
        assert!(!text.contains("_buttons_enabled"), "none are configured");
        for (state, value) in [(ButtonState::On, 1), (ButtonState::Disabled("somebody else asks".to_owned()), 0)] {
            let line = format!("hermes_alert_bridge_buttons_enabled {value}");
            let text = exposition(Format::Text, state);
            assert!(text.lines().any(|found| found.strip_suffix(".0").unwrap_or(found) == line), "{line}\n{text}");
        }
        assert!(!text.contains("chat_not_before_timestamp_seconds{chat=\"uma\"}"), "it is in the past");
        assert!(!text.contains("forgotten"), "nothing waits for it");
        assert!(!text.contains("{}"), "{text}");
    }

    #[test]
    fn every_family_has_a_sample_and_its_end_in_openmetrics() {
        let text = exposition(Format::OpenMetrics, ButtonState::On);
        assert!(text.ends_with("# EOF\n"));
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} has no sample:\n{text}");
        }
    }
}
