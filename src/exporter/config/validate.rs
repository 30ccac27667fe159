//! From what was typed to what is valid: everything that types alone do not check.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_saphyr::Spanned;

use super::raw::{RawCollector, RawConfig, RawInstance, RawUnit};
use super::{CollectorSettings, Config, MachineSettings, default_collectors};
use crate::config_file::{Check, ConfigError, LONGEST_NAME};
use crate::exporter::collect::{COLLECTORS, entry};
use crate::exporter::instance::{Instance, S6_SCAN_DIRECTORY, UnitName, UnitSpec, generated_units};
use crate::exporter::reported::Reported;
use crate::exporter::snapshot::units::ManagerKind;
use crate::exporter::snapshot::{OTHER, Thresholds};
use crate::system::host_names::is_ssh_host;
use crate::system::processes::is_supervised_by_s6;
use crate::system::systemd;

/// The shortest time after which a collector is given up on.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// A report, as an example.
const REPORT: &str = "/var/lib/hermes-exporter/reports/bheem.json";

pub(super) fn validate(path: &Path, raw: RawConfig) -> Result<Config, ConfigError> {
    let check = Check::of(path);
    let thresholds = check.thresholds(&raw.thresholds, Thresholds::default())?;
    let ignored_findings = check.ignored_findings(&raw.ignored_findings)?;
    let env_keys = check.env_keys(raw.env_keys.as_deref())?;
    let expected_tokens = check.expected_tokens(raw.expected_tokens.as_deref())?;
    let collectors = check.collectors(&raw.collectors.0)?;
    let endpoints_limit = collectors.get("endpoints").map_or(Duration::ZERO, |settings| settings.timeout);
    let mut instances: Vec<Instance> = Vec::with_capacity(raw.instances.len());
    let mut reported: Vec<Reported> = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    let is_s6 = is_supervised_by_s6();
    for typed in &raw.instances {
        let name = check.name(&typed.name, "an instance")?;
        let user = typed.user.as_ref().map(|user| check.user(user)).transpose()?;
        let thresholds = check.thresholds(&typed.thresholds, thresholds)?;
        let ignored_findings = match &typed.ignored_findings {
            Some(ignored) => check.ignored_findings(ignored)?,
            None => ignored_findings.clone(),
        };
        check.is_new_name(&name, typed, &lines)?;
        lines.insert(name.clone(), typed.name.referenced.line());
        let home = match check.reached_by(typed)? {
            ReachedBy::Home(home) => home,
            ReachedBy::Report(typed) => {
                let report = check.report(typed, &reported)?;
                reported.push(Reported { name, report, user, thresholds, ignored_findings, after: instances.len() });
                continue;
            }
        };
        let instance = Instance {
            name,
            home: check.home(home)?,
            user,
            env_keys: check.env_keys(typed.env_keys.as_deref())?.or_else(|| env_keys.clone()),
            expected_tokens: check
                .expected_tokens(typed.expected_tokens.as_deref())?
                .or_else(|| expected_tokens.clone()),
            cron_job_label: typed.cron_job_label.unwrap_or(raw.cron_job_label),
            thresholds,
            ignored_findings,
            units: match &typed.units {
                Some(units) => check.units(units)?,
                None => generated_units(&check.home(home)?, is_s6),
            },
            s6_scan_directory: match &typed.s6_scan_directory {
                Some(path) => check.absolute_path(path, "s6_scan_directory", S6_SCAN_DIRECTORY)?,
                None => S6_SCAN_DIRECTORY.into(),
            },
            endpoints: check.endpoints(typed.endpoints.as_deref().unwrap_or_default(), endpoints_limit)?,
            backups: check.backups(typed.backups.as_deref().unwrap_or_default())?,
            restore_drills: check.artifacts(typed.restore_drills.as_ref(), "/var/lib/hermes-restore/drill-*.json")?,
            emergency_bundles: check.artifacts(typed.emergency_bundles.as_ref(), "/var/backups/hermes/*.tar.gpg")?,
        };
        check.is_new_home(&instance.home, home, &instances)?;
        instances.push(instance);
    }
    let socket = raw.tailscale.socket.as_ref();
    let machine = MachineSettings {
        thresholds,
        ignored_findings,
        tailscale_socket: socket
            .map(|socket| check.absolute_path(socket, "socket", "/run/tailscale/tailscaled.sock"))
            .transpose()?,
    };
    let ssh_host = raw.ssh_host.as_ref().map(|host| check.ssh_host(host)).transpose()?;
    Ok(Config { instances, reported, collectors, machine, ssh_host })
}

/// How an instance is reached, as typed.
enum ReachedBy<'t> {
    Home(&'t Spanned<String>),
    Report(&'t Spanned<String>),
}

impl Check<'_> {
    fn home(&self, home: &Spanned<String>) -> Result<PathBuf, ConfigError> {
        self.absolute_path(home, "home", "/root/.hermes")
    }

    fn user(&self, user: &Spanned<String>) -> Result<String, ConfigError> {
        if user.value.is_empty() || user.value.chars().any(|character| character.is_control() || character == ':') {
            return Err(self.invalid(&user.referenced, "user", format!("{:?} is not a user name", user.value)));
        }
        Ok(user.value.clone())
    }

    fn ssh_host(&self, host: &Spanned<String>) -> Result<String, ConfigError> {
        if !is_ssh_host(&host.value) {
            let problem = format!(
                "{:?} is not a host that ssh can go to; write its name or address, without a user, as in vm.example",
                host.value
            );
            return Err(self.invalid(&host.referenced, "ssh_host", problem));
        }
        Ok(host.value.clone())
    }

    fn env_keys(&self, keys: Option<&[Spanned<String>]>) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(keys) = keys else {
            return Ok(None);
        };
        let mut valid = Vec::new();
        for key in keys {
            let fits = |character: char| character.is_ascii_alphanumeric() || character == '_';
            if key.value.is_empty() || !key.value.chars().all(fits) {
                let problem =
                    format!("{:?} is not the name of an environment variable, as in TELEGRAM_BOT_TOKEN", key.value);
                return Err(self.invalid(&key.referenced, "env_keys", problem));
            }
            if !valid.contains(&key.value) {
                valid.push(key.value.clone());
            }
        }
        Ok(Some(valid))
    }

    fn expected_tokens(&self, names: Option<&[Spanned<String>]>) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(names) = names else {
            return Ok(None);
        };
        let mut valid = Vec::new();
        for name in names {
            let fits = |character: char| character.is_ascii_alphanumeric() || "_.:@-".contains(character);
            if name.value.is_empty() || name.value.len() > LONGEST_NAME || !name.value.chars().all(fits) {
                let problem = format!(
                    "{:?} is not the name of a token; write google, anthropic, the id of a provider as in openai-codex, or mcp: and the name of a server",
                    name.value
                );
                return Err(self.invalid(&name.referenced, "expected_tokens", problem));
            }
            if !valid.contains(&name.value) {
                valid.push(name.value.clone());
            }
        }
        Ok(Some(valid))
    }

    /// How an instance is reached: there is one way, and what only goes with the other is not there.
    fn reached_by<'t>(&self, typed: &'t RawInstance) -> Result<ReachedBy<'t>, ConfigError> {
        let name = &typed.name;
        match (&typed.home, &typed.report) {
            (Some(home), None) => Ok(ReachedBy::Home(home)),
            (None, Some(report)) => match typed.key_of_home() {
                None => Ok(ReachedBy::Report(report)),
                Some(key) => {
                    let problem = format!(
                        "{key} is not for an instance with a report: write it where the report is made; beside a report there may be user, thresholds and ignored_findings"
                    );
                    Err(self.invalid(&report.referenced, "report", problem))
                }
            },
            (Some(_), Some(report)) => {
                let problem = format!(
                    "{:?} has a home and a report; write home where this exporter is to look itself, report where it is to read what another has seen",
                    name.value
                );
                Err(self.invalid(&report.referenced, "report", problem))
            }
            (None, None) => {
                let problem = format!(
                    "{:?} has neither a home nor a report; write its Hermes home, as in home: /root/.hermes, or the report that its own exporter writes, as in report: {REPORT}",
                    name.value
                );
                Err(self.invalid(&name.referenced, "name", problem))
            }
        }
    }

    fn report(&self, typed: &Spanned<String>, others: &[Reported]) -> Result<PathBuf, ConfigError> {
        let report = self.absolute_path(typed, "report", REPORT)?;
        if let Some(other) = others.iter().find(|other| other.report == report) {
            let problem = format!("{report:?} is already the report of {:?}", other.name);
            return Err(self.invalid(&typed.referenced, "report", problem));
        }
        Ok(report)
    }

    fn is_new_name(&self, name: &str, typed: &RawInstance, lines: &HashMap<String, u64>) -> Result<(), ConfigError> {
        if let Some(line) = lines.get(name) {
            let problem = format!("there is already an instance called {name:?} in line {line}; names are unique");
            return Err(self.invalid(&typed.name.referenced, "name", problem));
        }
        Ok(())
    }

    fn is_new_home(&self, home: &Path, typed: &Spanned<String>, others: &[Instance]) -> Result<(), ConfigError> {
        if let Some(other) = others.iter().find(|other| other.home == home) {
            let problem = format!("{home:?} is already the home of {:?}", other.name);
            return Err(self.invalid(&typed.referenced, "home", problem));
        }
        Ok(())
    }

    fn units(&self, typed: &[RawUnit]) -> Result<Vec<UnitSpec>, ConfigError> {
        let mut units: Vec<UnitSpec> = Vec::with_capacity(typed.len());
        for raw in typed {
            let unit = UnitSpec {
                role: raw.role.as_ref().map_or(Ok(OTHER.to_owned()), |role| self.role(role))?,
                unit: self.unit_name(&raw.unit, raw.manager)?,
                manager: raw.manager,
                is_expected: true,
            };
            if units.iter().any(|other| other.unit == unit.unit && other.role == unit.role) {
                let problem = format!("{:?} is already there with the role {:?}", raw.unit.value, unit.role);
                return Err(self.invalid(&raw.unit.referenced, "unit", problem));
            }
            units.push(unit);
        }
        Ok(units)
    }

    fn role(&self, role: &Spanned<String>) -> Result<String, ConfigError> {
        let fits = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        if role.value.is_empty() || role.value.len() > LONGEST_NAME || !role.value.chars().all(fits) {
            let problem = format!(
                "{:?} can not be a role; use a word such as gateway, dashboard, backup, watchdog or emergency",
                role.value
            );
            return Err(self.invalid(&role.referenced, "role", problem));
        }
        Ok(role.value.clone())
    }

    fn unit_name(&self, unit: &Spanned<String>, manager: Option<ManagerKind>) -> Result<UnitName, ConfigError> {
        let name = unit.value.as_str();
        let invalid = |problem: String| Err(self.invalid(&unit.referenced, "unit", problem));
        if name.is_empty() || name.len() > 255 {
            return invalid("a unit's name has 1 to 255 characters".to_owned());
        }
        if manager == Some(ManagerKind::S6) {
            if name.contains(['/', '\0', '*', '?', '[']) || name.starts_with('.') {
                return invalid(format!(
                    "{name:?} is not the name of a service of s6; name its folder, as in gateway-default"
                ));
            }
            return Ok(UnitName::Named(name.to_owned()));
        }
        let is_pattern = name.contains(['*', '?', '[']);
        let fits = |character: char| character.is_ascii_alphanumeric() || ":_.-@\\".contains(character);
        if !name.chars().all(|character| fits(character) || (is_pattern && "*?[]!^".contains(character))) {
            return invalid(format!("{name:?} has a character that no unit's name has"));
        }
        if is_pattern {
            return Ok(UnitName::Pattern(name.to_owned()));
        }
        let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        if !systemd::TYPES.contains(&kind) || stem.is_empty() {
            return invalid(format!(
                "{name:?} does not end in a type of unit, such as .service or .timer; write it in full, as in hermes-gateway.service"
            ));
        }
        if stem.ends_with('@') {
            return invalid(format!(
                "{name:?} is a template and never runs itself; name an instance, as in {stem}uma.{kind}, or all of them, as in {stem}*.{kind}"
            ));
        }
        if !systemd::is_name(name) {
            return invalid(format!("{name:?} is not the name of a unit"));
        }
        Ok(UnitName::Named(name.to_owned()))
    }

    fn collectors(
        &self,
        typed: &[(Spanned<String>, RawCollector)],
    ) -> Result<HashMap<&'static str, CollectorSettings>, ConfigError> {
        let mut collectors = default_collectors();
        for (name, raw) in typed {
            let Some(entry) = entry(&name.value) else {
                return Err(self.unknown_key(name, COLLECTORS.iter().map(|entry| entry.name)));
            };
            let Some(settings) = collectors.get_mut(entry.name) else {
                continue;
            };
            settings.enabled = raw.enabled.unwrap_or(settings.enabled);
            if let Some(timeout) = &raw.timeout {
                settings.timeout = self.duration(timeout, "timeout", SHORTEST_TIMEOUT)?;
            }
            if let Some(time_to_live) = &raw.time_to_live {
                if entry.time_to_live.is_none() {
                    let problem =
                        format!("the {} collector keeps nothing: each of its readings is made anew", entry.name);
                    return Err(self.invalid(&time_to_live.referenced, "time_to_live", problem));
                }
                settings.time_to_live = self.duration(time_to_live, "time_to_live", Duration::from_secs(1))?;
            }
        }
        Ok(collectors)
    }
}
