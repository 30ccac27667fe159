//! One gateway for several profiles: which ones the gateway of a root home serves.
//!
//! With `gateway.multiplex_profiles` the gateway of the root home serves the other profiles too, and writes their names
//! into its state. It does not take them out again: a later gateway that serves only its own home keeps the old list in
//! its file. So the list is believed unless everything that could have switched multiplexing on says otherwise.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use super::watch::Sight;
use crate::exporter::collect::hermes_config;
use crate::exporter::snapshot::{Label, Reading};
use crate::system::files::{self, ParseFault, Watched};
use crate::system::processes::Process;

use super::process::Liveness;

const SWITCH: &str = "GATEWAY_MULTIPLEX_PROFILES";

/// How long after its start a gateway has certainly not read its configuration yet, in seconds; a Python takes longer
/// to begin.
const BEFORE_IT_READS: f64 = 0.1;

/// Whether the gateway of a root home serves several profiles.
#[derive(Debug)]
pub(super) struct Multiplexing {
    config: Watched<Option<bool>>,
    environment: Watched<Option<bool>>,
}

impl Multiplexing {
    pub(super) fn new(root_home: &Path) -> Self {
        Multiplexing {
            config: Watched::new(root_home.join("config.yaml")),
            environment: Watched::new(root_home.join(".env")),
        }
    }

    /// The profiles that the gateway serves, its own among them; absent where it serves only its own, or does not live.
    pub(super) fn served_profiles<'a>(&mut self, gateway: &Sight<'a>) -> Reading<&'a [String]> {
        let process = match &gateway.liveness {
            Liveness::Dead => return Reading::Absent,
            Liveness::Alive(process) => Some(process),
            Liveness::Elsewhere | Liveness::Unknown(_) => None,
        };
        let named = match &gateway.state {
            Reading::Known(state) if state.served_profiles.is_empty() => return Reading::Absent,
            Reading::Known(state) => Reading::Known(state.served_profiles.as_slice()),
            Reading::Absent => return Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(*reason),
        };
        if !self.may_be_on(process) {
            return Reading::Absent;
        }
        match gateway.liveness {
            Liveness::Unknown(reason) => Reading::Unknown(reason),
            _ => named,
        }
    }

    /// Hermes asks its environment first, which `.env` may add to, and then the configuration; both as they were when
    /// it was started.
    fn may_be_on(&mut self, process: Option<&Process>) -> bool {
        let environment = process.and_then(Process::environment);
        let switch = environment.as_ref().and_then(|variables| variables.get(OsStr::new(SWITCH)));
        if let Some(is_on) = switch.and_then(|value| switched(&value.to_string_lossy())) {
            return is_on;
        }
        let dotenv = self.environment.get(|content| Ok(in_dotenv(content)));
        let config = self.config.get(in_config);
        let (Ok(dotenv), Ok(config)) = (dotenv, config) else {
            return true;
        };
        if dotenv.copied().flatten().or(config.copied().flatten()) == Some(true) {
            return true;
        }
        let Some(started) = process.and_then(|process| process.usage().start_time) else {
            return true;
        };
        let is_older = |path: &Path| match files::stamp(path) {
            Ok(stamp) => {
                let modified = stamp.and_then(|stamp| stamp.modified());
                modified.is_none_or(|modified| modified.seconds_since(started) < BEFORE_IT_READS)
            }
            Err(_) => false,
        };
        environment.is_none() || !is_older(self.config.path()) || !is_older(self.environment.path())
    }
}

/// Hermes' words for on and off; any other is as if it was not set.
fn switched(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn in_config(content: &[u8]) -> Result<Option<bool>, ParseFault> {
    let config = hermes_config::parse(content)?;
    let settings = [config.get("multiplex_profiles"), config.pointer("/gateway/multiplex_profiles")];
    let settings = settings.into_iter().flatten().filter_map(|setting| match setting {
        Value::Bool(is_on) => Some(*is_on),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        Value::String(word) => switched(word),
        _ => None,
    });
    Ok(settings.reduce(|one, other| one || other))
}

fn in_dotenv(content: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(content);
    let mut values = text.lines().filter_map(|line| {
        let line = line.trim();
        let (key, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        (key.trim() == SWITCH).then(|| value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']))
    });
    values.next_back().and_then(switched)
}

/// The name of a platform as the gateway of several profiles writes it: `PROFILE:PLATFORM`, in newer versions of Hermes.
/// Version 0.19 writes the platforms of all profiles under their bare names, so that nothing tells whose they are.
pub(super) fn platform_of(profile: &str, key: &str) -> Option<Label> {
    key.strip_prefix(profile)?.strip_prefix(':').map(Label::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_found_where_hermes_looks_for_it() {
        for (config, is_on) in [
            ("gateway: {multiplex_profiles: true}", Some(true)),
            ("multiplex_profiles: 'on'", Some(true)),
            ("multiplex_profiles: false\ngateway: {multiplex_profiles: yes}", Some(true)),
            ("gateway: {multiplex_profiles: false}", Some(false)),
            ("gateway: {multiplex_profiles: [x]}", None),
            ("gateway: 7", None),
            ("", None),
        ] {
            assert_eq!(in_config(config.as_bytes()).unwrap(), is_on, "{config}");
        }
        for (dotenv, is_on) in [
            ("GATEWAY_MULTIPLEX_PROFILES=1", Some(true)),
            ("export GATEWAY_MULTIPLEX_PROFILES = \"On\" # all", Some(true)),
            ("GATEWAY_MULTIPLEX_PROFILES=true\nGATEWAY_MULTIPLEX_PROFILES=off\n", Some(false)),
            ("GATEWAY_MULTIPLEX_PROFILES=\n", None),
            ("#GATEWAY_MULTIPLEX_PROFILES=1\nOTHER=1", None),
        ] {
            assert_eq!(in_dotenv(dotenv.as_bytes()), is_on, "{dotenv}");
        }
    }

    #[test]
    fn a_platform_belongs_to_the_profile_before_the_colon() {
        assert_eq!(platform_of("coder", "coder:telegram"), Some(Label::new("telegram")));
        for key in ["telegram", "default:telegram", "coder2:telegram", "coder", ""] {
            assert_eq!(platform_of("coder", key), None, "{key}");
        }
    }
}
