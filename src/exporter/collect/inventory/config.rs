//! What `config.yaml` says, as far as the inventory needs it. The file may hold secrets; only numbers, switches
//! and the names of disabled skills are taken from it.

use std::collections::HashSet;

use serde_json::Value;

use crate::exporter::collect::hermes_config;
use crate::exporter::snapshot::Tally;
use crate::system::files::ParseFault;

/// The facts taken from a configuration.
#[derive(Debug, Clone)]
pub(super) struct ConfigFacts {
    pub(super) version: Option<u64>,
    /// The most characters of MEMORY.md and of USER.md.
    pub(super) memory_limits: [u64; 2],
    pub(super) disabled_skills: HashSet<String>,
    pub(super) mcp_servers: Tally,
}

impl Default for ConfigFacts {
    fn default() -> Self {
        ConfigFacts {
            version: None,
            // Hermes' own defaults (tools/memory_tool.py).
            memory_limits: [2200, 1375],
            disabled_skills: HashSet::new(),
            mcp_servers: Tally::of_known(&["enabled", "disabled"]),
        }
    }
}

pub(super) fn parse(content: &[u8]) -> Result<ConfigFacts, ParseFault> {
    let config = hermes_config::parse(content)?;
    let version = config.get("_config_version").and_then(Value::as_u64);
    let mut facts = ConfigFacts { version, ..ConfigFacts::default() };
    let memory = config.get("memory");
    for (limit, key) in facts.memory_limits.iter_mut().zip(["memory_char_limit", "user_char_limit"]) {
        if let Some(configured) = memory.and_then(|memory| memory.get(key)).and_then(Value::as_u64) {
            *limit = configured;
        }
    }
    let disabled = config.pointer("/skills/disabled").and_then(Value::as_array);
    facts.disabled_skills.extend(disabled.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    for server in config.get("mcp_servers").and_then(Value::as_object).into_iter().flat_map(|servers| servers.values())
    {
        let is_enabled = server.get("enabled").and_then(Value::as_bool).unwrap_or(true);
        facts.mcp_servers.add(if is_enabled { "enabled" } else { "disabled" }, 1);
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_taken_and_what_is_not_has_hermes_defaults() {
        let facts = parse(
            b"_config_version: 33\nmemory: {user_char_limit: 99}\nskills: {disabled: [a, b, 3]}\nmcp_servers:\n  x: {url: y}\n  z: {enabled: false}\n1: number as key\n",
        )
        .unwrap();
        assert_eq!(facts.version, Some(33));
        assert_eq!(facts.memory_limits, [2200, 99]);
        assert_eq!(facts.disabled_skills.len(), 2);
        assert_eq!((facts.mcp_servers.get("enabled"), facts.mcp_servers.get("disabled")), (1, 1));
    }

    #[test]
    fn sections_of_another_shape_are_as_if_missing() {
        let facts = parse(b"memory: 7\nskills: [x]\nmcp_servers: none\n_config_version: new\n").unwrap();
        assert_eq!((facts.version, facts.memory_limits), (None, [2200, 1375]));
        assert_eq!(facts.mcp_servers.total(), 0);
        assert!(parse(b"").is_ok());
    }
}
