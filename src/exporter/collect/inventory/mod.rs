//! The furniture of a home: memory, skills, MCP servers, webhooks, pairings, tasks, deliveries, update.
//!
//! Each item comes from a file or database of its own, and one that is damaged hides only itself. Counts are
//! all that is taken: no names of people, no texts, no secrets of a webhook.

mod config;
mod databases;
mod pairing;
mod skills;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::hermes_config::CONFIG;
use super::kept::{Freshness, Kept};
use super::problems::Problems;
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::inventory::{Inventory, MemoryFile, Update};
use crate::exporter::snapshot::{Label, Reading, Reason, Tally};
use crate::system::files::{ParseFault, Watched};
use crate::system::time::Timestamp;
use config::ConfigFacts;
use databases::{Boards, StoreTables};
use pairing::Pairings;

const WEBHOOKS: &str = "webhook_subscriptions.json";
const DEAD_TARGETS: &str = "gateway/dead_targets.json";
const UPDATE: &str = ".update_check";

/// Takes stock of one instance.
#[derive(Debug)]
pub struct InventoryCollector {
    config: Watched<ConfigFacts>,
    memory: [(&'static str, Watched<u64>); 2],
    skills: Kept<Result<Option<Vec<String>>, Reason>>,
    time_to_live: Duration,
    webhooks: Watched<Tally>,
    dead_targets: Watched<Tally>,
    update: Watched<UpdateRecord>,
    pairings: Pairings,
    boards: Boards,
    store: StoreTables,
}

#[derive(Debug, Clone)]
struct UpdateRecord {
    update: Update,
    version: Option<Label>,
}

impl InventoryCollector {
    /// A collector for this instance; its skills are looked through again after `time_to_live`.
    pub fn new(instance: &Instance, time_to_live: Duration) -> Self {
        InventoryCollector {
            config: Watched::new(instance.path(CONFIG)),
            memory: ["MEMORY.md", "USER.md"].map(|name| (name, Watched::new(instance.path("memories").join(name)))),
            skills: Kept::new(),
            time_to_live,
            webhooks: Watched::new(instance.path(WEBHOOKS)),
            dead_targets: Watched::new(instance.path(DEAD_TARGETS)),
            update: Watched::new(instance.path(UPDATE)),
            pairings: Pairings::new(instance),
            boards: Boards::new(instance),
            store: StoreTables::new(instance),
        }
    }

    fn memory(
        &mut self,
        config: &Reading<&ConfigFacts>,
        problems: &mut Problems,
    ) -> BTreeMap<Label, Reading<MemoryFile>> {
        let limits = match config {
            Reading::Known(config) => Reading::Known(config.memory_limits),
            // Without a configuration Hermes uses its defaults.
            Reading::Absent => Reading::Known(ConfigFacts::default().memory_limits),
            Reading::Unknown(reason) => Reading::Unknown(*reason),
        };
        let mut files = BTreeMap::new();
        for (index, (name, file)) in self.memory.iter_mut().enumerate() {
            let chars = problems.reading(&format!("memories/{name}"), file.get(count_chars)).map(|chars| *chars);
            let reading = chars.and_then(|chars| limits.map(|limits| MemoryFile { chars, limit_chars: limits[index] }));
            files.insert(Label::new(name), reading);
        }
        files
    }

    fn skills(&mut self, look: &Look<'_>, config: &Reading<&ConfigFacts>, problems: &mut Problems) -> Reading<Tally> {
        let folder = look.instance.path("skills");
        let time_to_live = self.time_to_live;
        let judge = |_: &_, age| Freshness::by_age(age, time_to_live);
        let kept = self.skills.get(judge, look.background, move || skills::names(&folder));
        let names = match kept.unwrap_or(Err(Reason::Timeout)) {
            Ok(None) => return Reading::Absent,
            Ok(Some(names)) => names,
            Err(reason) => {
                problems.note("skills", reason);
                return Reading::Unknown(reason);
            }
        };
        let is_disabled = |name: &String| match config {
            Reading::Known(config) => config.disabled_skills.contains(name),
            Reading::Absent | Reading::Unknown(_) => false,
        };
        if let Reading::Unknown(reason) = config {
            return Reading::Unknown(*reason);
        }
        let mut tally = Tally::of_known(&["enabled", "disabled"]);
        for name in &names {
            tally.add(if is_disabled(name) { "disabled" } else { "enabled" }, 1);
        }
        Reading::Known(tally)
    }
}

impl Collector for InventoryCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        let config = match problems.reading(CONFIG, self.config.get(config::parse)) {
            Reading::Known(config) => Reading::Known(config.clone()),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(reason),
        };
        let config = match &config {
            Reading::Known(config) => Reading::Known(config),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(*reason),
        };
        let update = problems.reading(UPDATE, self.update.get(parse_update)).map(UpdateRecord::clone);
        let version = match &update {
            Reading::Known(record) => record.version.clone().into(),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(*reason),
        };
        Part::Inventory(Reading::Known(Arc::new(Inventory {
            version,
            config_version: config.and_then(|config| config.version.into()),
            memory: self.memory(&config, problems),
            skills: self.skills(look, &config, problems),
            mcp_servers: config.map(|config| config.mcp_servers.clone()),
            webhooks: problems.reading(WEBHOOKS, self.webhooks.get(parse_webhooks)).map(Tally::clone),
            paired_users: self.pairings.read(look.now, problems),
            kanban_tasks: self.boards.read(problems),
            delivery_obligations: self.store.obligations(problems),
            delegations: self.store.delegations(problems),
            dead_targets: problems.reading(DEAD_TARGETS, self.dead_targets.get(parse_dead_targets)).map(Tally::clone),
            update: update.map(|record| record.update),
        })))
    }
}

/// Hermes limits memory in characters, not in bytes.
fn count_chars(content: &[u8]) -> Result<u64, ParseFault> {
    let text = std::str::from_utf8(content).map_err(|_| ParseFault::SOMEWHERE)?;
    Ok(text.chars().count() as u64)
}

fn parse_webhooks(content: &[u8]) -> Result<Tally, ParseFault> {
    let value: Value = serde_json::from_slice(content)?;
    let subscriptions = value.as_object().ok_or(ParseFault::SOMEWHERE)?;
    let mut tally = Tally::of_known(&["enabled", "disabled"]);
    for subscription in subscriptions.values() {
        let is_enabled = subscription.get("enabled").and_then(Value::as_bool).unwrap_or(true);
        tally.add(if is_enabled { "enabled" } else { "disabled" }, 1);
    }
    Ok(tally)
}

fn parse_dead_targets(content: &[u8]) -> Result<Tally, ParseFault> {
    let value: Value = serde_json::from_slice(content)?;
    let targets = value.as_object().ok_or(ParseFault::SOMEWHERE)?;
    let mut by_platform: BTreeMap<Label, u64> = BTreeMap::new();
    for target in targets.values() {
        let platform = target.get("platform").and_then(Value::as_str).unwrap_or("unknown");
        *by_platform.entry(Label::word(platform)).or_default() += 1;
    }
    Ok(Tally::capped(by_platform))
}

/// `behind` is a count, nothing where the check failed, or -1 for an unknown number.
fn parse_update(content: &[u8]) -> Result<UpdateRecord, ParseFault> {
    let value: Value = serde_json::from_slice(content)?;
    if !value.is_object() {
        return Err(ParseFault::SOMEWHERE);
    }
    let behind = value.get("behind").and_then(Value::as_i64);
    Ok(UpdateRecord {
        update: Update {
            checked: value.get("ts").and_then(Timestamp::from_json).into(),
            available: behind.map(|behind| behind != 0).into(),
            behind_commits: behind.and_then(|behind| u64::try_from(behind).ok()).into(),
        },
        version: value.get("ver").and_then(Value::as_str).map(Label::word),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_in_characters() {
        assert_eq!(count_chars("naïve café §".as_bytes()).unwrap(), 12);
        assert!(count_chars(b"\xff\xfe").is_err());
    }

    #[test]
    fn a_webhook_is_enabled_unless_it_says_otherwise() {
        let tally = parse_webhooks(br#"{"a":{"secret":"x"},"b":{"enabled":false},"c":7}"#).unwrap();
        assert_eq!((tally.get("enabled"), tally.get("disabled")), (2, 1));
        assert!(parse_webhooks(b"[]").is_err());
    }

    #[test]
    fn an_update_may_be_none_counted_or_merely_there() {
        let update = |behind: &str| {
            let text = format!(r#"{{"ts": 1795158055.2, "behind": {behind}, "ver": "0.19.0"}}"#);
            parse_update(text.as_bytes()).unwrap().update
        };
        assert_eq!((update("0").available, update("0").behind_commits), (Reading::Known(false), Reading::Known(0)));
        assert_eq!((update("12").available, update("12").behind_commits), (Reading::Known(true), Reading::Known(12)));
        assert_eq!((update("-1").available, update("-1").behind_commits), (Reading::Known(true), Reading::Absent));
        assert_eq!((update("null").available, update("null").behind_commits), (Reading::Absent, Reading::Absent));
        assert!(parse_update(b"\"0.19\"").is_err());
    }

    #[test]
    fn dead_targets_are_counted_by_platform_and_their_chats_forgotten() {
        let tally = parse_dead_targets(
            br#"{"telegram:-1":{"platform":"telegram"},"x":{},"telegram:-2":{"platform":"telegram"}}"#,
        )
        .unwrap();
        assert_eq!((tally.get("telegram"), tally.get("unknown")), (2, 1));
    }
}
