//! Guardrails: the safety settings in force, and whether other accounts can get at the home and its secrets.
//!
//! * `settings`: from files, variables and arguments to what Hermes makes of them.
//! * `modes`: from file modes to who can read what.
//!
//! Two settings are frozen when a gateway starts: that approvals are off altogether, and that secrets are masked. Of
//! these both count: how a gateway was seen to be set when its process was new here, and how it would be set if it
//! started now. So a setting that was mended and not yet restarted into stays broken, as far as that was seen; and one
//! that was broken shows before it takes effect.
//!
//! Whether ports are private is told by [`super::exposure`].

mod modes;
mod settings;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hermes_config::CONFIG;
use super::memory;
use super::problems::{Because, Problems};
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::guardrails::Guardrails;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::access::Modes;
use crate::system::dotenv::DOTENV;
use crate::system::files::{FileError, Watched};
use crate::system::processes::{Process, ProcessError};
use settings::{ConfigSettings, REDACT_SECRETS, VariableSettings, YOLO, all, first};

/// Where an administrator puts files that stand before the user's own, unless `HERMES_MANAGED_DIR` says otherwise.
const MANAGED: &str = "/etc/hermes";

/// Looks at the guardrails of one instance.
#[derive(Debug)]
pub struct GuardrailsCollector {
    own: Files,
    managed: Files,
    /// How each living gateway was set when it was first seen: by process id and start time.
    started: HashMap<(u32, u64), Frozen>,
}

/// The two files that settings come from.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    config: Watched<ConfigSettings>,
    dotenv: Watched<VariableSettings>,
}

impl Files {
    fn new(folder: PathBuf) -> Files {
        Files { config: Watched::new(folder.join(CONFIG)), dotenv: Watched::new(folder.join(DOTENV)), folder }
    }

    fn config(&mut self) -> Result<Option<ConfigSettings>, FileError> {
        Ok(self.config.get(ConfigSettings::parse)?.cloned())
    }

    fn dotenv(&mut self) -> Result<Option<VariableSettings>, FileError> {
        Ok(self.dotenv.get(|content| Ok(VariableSettings::parse(content)))?.copied())
    }
}

/// What a gateway takes from its surroundings when it starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Frozen {
    is_yolo: Reading<bool>,
    redacts_secrets: Reading<bool>,
}

/// What is told by a gateway's process: its arguments and environment.
#[derive(Debug, Clone)]
struct Surroundings {
    has_yolo_flag: bool,
    variables: VariableSettings,
    /// Where it looks for an administrator's files.
    managed: Option<PathBuf>,
}

impl Surroundings {
    /// Those of no gateway.
    const NONE: Surroundings =
        Surroundings { has_yolo_flag: false, variables: VariableSettings::SILENT, managed: None };

    fn of(process: &Process) -> Result<Surroundings, ProcessError> {
        let [yolo, redact_secrets, managed] = process
            .environment_variables([YOLO, REDACT_SECRETS, "HERMES_MANAGED_DIR"])?
            .map(|value| value.map(|value| value.to_string_lossy().into_owned()));
        Ok(Surroundings {
            has_yolo_flag: process.command_line.iter().any(|argument| argument == "--yolo"),
            variables: VariableSettings::of(yolo.as_deref(), redact_secrets.as_deref()),
            managed: managed.filter(|folder| !folder.trim().is_empty()).map(PathBuf::from),
        })
    }
}

impl GuardrailsCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        GuardrailsCollector {
            own: Files::new(instance.home.clone()),
            managed: Files::new(PathBuf::from(MANAGED)),
            started: HashMap::new(),
        }
    }

    fn guardrails(&mut self, look: &Look<'_>, problems: &mut Problems) -> Guardrails {
        let gateways = look.gateways.of_home(&look.instance.home, look.instance.user.as_deref());
        let surroundings = surroundings_of(&gateways, problems);
        let managed = surroundings.iter().find_map(|(_, surroundings)| surroundings.managed.as_deref());
        let (managed_config, managed_variables) = self.managed_settings(managed, problems);
        let config = match self.own.config() {
            Ok(settings) => settings.unwrap_or(ConfigSettings::SILENT),
            Err(error) => ConfigSettings::unknown(note(problems, CONFIG, &error)),
        };
        let variables = match self.own.dotenv() {
            Ok(settings) => settings.unwrap_or(VariableSettings::SILENT),
            Err(error) => VariableSettings::unknown(note(problems, DOTENV, &error)),
        };
        let config = config.under(&managed_config);
        let variables = variables.under(managed_variables);

        let mut former = std::mem::take(&mut self.started);
        let mut approvals = vec![config.asks_for_approval, config.asks_in_cron];
        let mut redacts_secrets = Vec::new();
        for (life, surroundings) in surroundings {
            let variables = surroundings.variables.under(variables);
            let now = Frozen {
                is_yolo: if surroundings.has_yolo_flag {
                    Reading::Known(true)
                } else {
                    first([variables.is_yolo, config.is_yolo])
                },
                redacts_secrets: first([variables.redacts_secrets, config.redacts_secrets, Reading::Known(true)]),
            };
            let mut settings = vec![now];
            if let Some(life) = life {
                let started = former.remove(&life).unwrap_or(now);
                settings.push(started);
                self.started.insert(life, started);
            }
            approvals.extend(settings.iter().map(|frozen| frozen.is_yolo.map(|is_yolo| !is_yolo)));
            redacts_secrets.extend(settings.iter().map(|frozen| frozen.redacts_secrets));
        }

        let mut modes = Modes::default();
        let home = &look.instance.home;
        Guardrails {
            approvals_enforced: all(approvals),
            secrets_redacted: all(redacts_secrets),
            pii_redacted: first([config.redacts_pii, Reading::Known(false)]),
            home_private: problems.reading("mode of the home", modes::is_home_private(&mut modes, home)),
            secrets_private: problems
                .reading("modes of secrets", modes::are_secrets_private(&mut modes, home).map(Some)),
        }
    }

    /// What an administrator's files say. Hermes passes over one that is damaged.
    fn managed_settings(
        &mut self,
        folder: Option<&Path>,
        problems: &mut Problems,
    ) -> (ConfigSettings, VariableSettings) {
        let folder = folder.unwrap_or(Path::new(MANAGED));
        if self.managed.folder != folder {
            self.managed = Files::new(folder.to_owned());
        }
        let config = match self.managed.config() {
            Ok(settings) => settings.unwrap_or(ConfigSettings::SILENT),
            Err(FileError::Parse { .. }) => ConfigSettings::SILENT,
            Err(error) => ConfigSettings::unknown(note(problems, "managed config.yaml", &error)),
        };
        let variables = match self.managed.dotenv() {
            Ok(settings) => settings.unwrap_or(VariableSettings::SILENT),
            Err(error) => VariableSettings::unknown(note(problems, "managed .env", &error)),
        };
        (config, variables)
    }
}

impl Collector for GuardrailsCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Guardrails(Reading::Known(Arc::new(self.guardrails(look, problems))))
    }

    fn recall(&mut self, memory: Option<Value>) -> Result<(), serde_json::Error> {
        if let Some(memory) = memory {
            let (boot, started): (String, Vec<_>) = memory::believe(memory)?;
            if boot == memory::boot() {
                self.started = started.into_iter().collect();
            }
        }
        Ok(())
    }

    fn remember(&self) -> Option<Value> {
        memory::keep(&(memory::boot(), self.started.iter().collect::<Vec<_>>()))
    }
}

/// The surroundings of each living gateway, with its process id and start time; those of none where there is none.
fn surroundings_of(
    gateways: &Result<Vec<Process>, Reason>,
    problems: &mut Problems,
) -> Vec<(Option<(u32, u64)>, Surroundings)> {
    let unknown = |reason| Surroundings { variables: VariableSettings::unknown(reason), ..Surroundings::NONE };
    match gateways {
        Ok(gateways) if gateways.is_empty() => vec![(None, Surroundings::NONE)],
        Ok(gateways) => gateways
            .iter()
            .map(|process| {
                let life = Some((process.id, process.start_ticks));
                match Surroundings::of(process) {
                    Ok(surroundings) => (life, surroundings),
                    Err(error) => (None, unknown(note(problems, "environment of the gateway", &error))),
                }
            })
            .collect(),
        Err(reason) => {
            problems.note("processes", *reason);
            vec![(None, unknown(*reason))]
        }
    }
}

fn note(problems: &mut Problems, subject: &str, error: &impl Because) -> Reason {
    problems.unknown::<()>(subject, error);
    error.reason()
}

#[cfg(test)]
mod tests {
    use super::super::exposure::Sockets;
    use super::super::gateway::GatewayProcesses;
    use super::super::programs::{HermesPrograms, ProgramSearch};
    use super::*;
    use crate::exporter::collect::background::Background;
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::Problem;
    use crate::system::time::Timestamp;
    use Reading::{Known, Unknown};
    use std::process::{Child, Command, Stdio};
    use std::sync::Mutex;
    use tempfile::TempDir;

    struct Eyes {
        home: TempDir,
        collector: GuardrailsCollector,
        search: Arc<Mutex<ProgramSearch>>,
        managed: TempDir,
    }

    impl Eyes {
        fn on_a_home_with(files: &[(&str, &str)]) -> Eyes {
            use std::os::unix::fs::PermissionsExt;
            let home = tempfile::tempdir().unwrap();
            std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
            let mut collector = GuardrailsCollector::new(&instance_at(home.path()));
            let managed = tempfile::tempdir().unwrap();
            collector.managed = Files::new(managed.path().to_owned());
            let eyes = Eyes { home, collector, search: Arc::default(), managed };
            files.iter().for_each(|(name, content)| eyes.write(name, content));
            eyes
        }

        fn write(&self, name: &str, content: &str) {
            std::fs::write(self.home.path().join(name), content).unwrap();
        }

        fn look(&mut self) -> (Guardrails, Vec<Problem>) {
            let instance = instance_at(self.home.path());
            let programs = Arc::new(HermesPrograms::new(Arc::clone(&self.search)));
            let look = Look {
                now: Timestamp::now(),
                instance: &instance,
                gateways: &GatewayProcesses::new(Arc::clone(&programs)),
                programs: &programs,
                sockets: &Sockets::default(),
                background: &Background::inline(),
            };
            let mut problems = Problems::default();
            let guardrails = self.collector.guardrails(&look, &mut problems);
            (guardrails, problems.into_sorted())
        }

        fn guardrails(&mut self) -> Guardrails {
            let (guardrails, problems) = self.look();
            assert_eq!(problems, []);
            guardrails
        }

        /// A gateway of this home, once it is seen.
        fn start(&mut self, arguments: &[&str], variables: &[(&str, &str)]) -> Gateway {
            use std::os::unix::process::CommandExt;
            let mut command = Command::new("sh");
            command.arg0("hermes").args(["-s", "gateway"]).args(arguments).stdin(Stdio::piped());
            command.env_clear().env("HERMES_HOME", self.home.path()).env("HERMES_MANAGED_DIR", self.managed.path());
            let gateway = Gateway(command.envs(variables.iter().copied()).spawn().unwrap());
            loop {
                let programs = HermesPrograms::new(Arc::clone(&self.search));
                if !programs.gateways_of(self.home.path(), None).unwrap().is_empty() {
                    return gateway;
                }
                std::thread::yield_now();
            }
        }
    }

    struct Gateway(Child);

    impl Drop for Gateway {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_bare_home_has_hermes_defaults() {
        let mut eyes = Eyes::on_a_home_with(&[]);
        let expected = Guardrails {
            approvals_enforced: Known(true),
            secrets_redacted: Known(true),
            pii_redacted: Known(false),
            home_private: Known(true),
            secrets_private: Known(true),
        };
        assert_eq!(eyes.guardrails(), expected);
    }

    #[test]
    fn each_setting_follows_its_file() {
        let config = "approvals: {mode: off}\nsecurity: {redact_secrets: false}\nprivacy: {redact_pii: true}\n";
        let mut eyes = Eyes::on_a_home_with(&[("config.yaml", config)]);
        let guardrails = eyes.guardrails();
        assert_eq!(guardrails.approvals_enforced, Known(false));
        assert_eq!(guardrails.secrets_redacted, Known(false));
        assert_eq!(guardrails.pii_redacted, Known(true));
        // A variable stands before the configuration; an administrator before both.
        eyes.write(".env", "HERMES_REDACT_SECRETS=true\n");
        assert_eq!(eyes.guardrails().secrets_redacted, Known(true));
        std::fs::write(eyes.managed.path().join(".env"), "HERMES_REDACT_SECRETS=no\n").unwrap();
        std::fs::write(eyes.managed.path().join("config.yaml"), "approvals: {mode: manual}\n").unwrap();
        eyes.collector.managed = Files::new(eyes.managed.path().to_owned());
        let _gateway = eyes.start(&[], &[]);
        let guardrails = eyes.guardrails();
        assert_eq!((guardrails.approvals_enforced, guardrails.secrets_redacted), (Known(true), Known(false)));
    }

    #[test]
    fn cron_with_a_free_hand_is_no_approval() {
        let mut eyes = Eyes::on_a_home_with(&[("config.yaml", "approvals: {mode: manual, cron_mode: approve}\n")]);
        assert_eq!(eyes.guardrails().approvals_enforced, Known(false));
    }

    #[test]
    fn a_damaged_configuration_hides_what_it_decides_and_nothing_else() {
        let mut eyes = Eyes::on_a_home_with(&[("config.yaml", "approvals: [\n")]);
        let (guardrails, problems) = eyes.look();
        let problem = |subject: &str| Problem { reason: Reason::Parse, subject: subject.to_owned() };
        assert_eq!(problems, [problem("config.yaml")]);
        let unknown = Unknown(Reason::Parse);
        assert_eq!(guardrails.approvals_enforced, unknown);
        assert_eq!(guardrails.secrets_redacted, unknown);
        assert_eq!(guardrails.pii_redacted, unknown);
        assert_eq!((guardrails.home_private, guardrails.secrets_private), (Known(true), Known(true)));
        eyes.write(".env", "HERMES_REDACT_SECRETS=1\nHERMES_YOLO_MODE=1\n");
        let (guardrails, _) = eyes.look();
        assert_eq!((guardrails.approvals_enforced, guardrails.secrets_redacted), (Known(false), Known(true)));
    }

    #[test]
    fn a_gateway_brings_its_arguments_and_environment_along() {
        let mut eyes = Eyes::on_a_home_with(&[]);
        let gateway = eyes.start(&["run", "--yolo"], &[("HERMES_REDACT_SECRETS", "off")]);
        let guardrails = eyes.guardrails();
        assert_eq!((guardrails.approvals_enforced, guardrails.secrets_redacted), (Known(false), Known(false)));
        drop(gateway);
        assert_eq!(eyes.guardrails().approvals_enforced, Known(true));
        let _gateway = eyes.start(&[], &[("HERMES_YOLO_MODE", "1")]);
        assert_eq!(eyes.guardrails().approvals_enforced, Known(false));
        // Hermes lets its .env override the environment.
        let mut eyes = Eyes::on_a_home_with(&[(".env", "HERMES_YOLO_MODE=0\n")]);
        let _other = eyes.start(&[], &[("HERMES_YOLO_MODE", "1")]);
        assert_eq!(eyes.guardrails().approvals_enforced, Known(true));
    }

    #[test]
    fn what_was_mended_counts_after_a_restart() {
        let mut eyes = Eyes::on_a_home_with(&[(".env", "HERMES_YOLO_MODE=1\nHERMES_REDACT_SECRETS=0\n")]);
        let gateway = eyes.start(&[], &[]);
        let read = |eyes: &mut Eyes| {
            let guardrails = eyes.guardrails();
            (guardrails.approvals_enforced, guardrails.secrets_redacted)
        };
        assert_eq!(read(&mut eyes), (Known(false), Known(false)));
        eyes.write(".env", "");
        assert_eq!(read(&mut eyes), (Known(false), Known(false)), "the gateway runs on as it was started");
        let kept = eyes.collector.remember().unwrap().to_string();
        let in_another_process = |eyes: &mut Eyes, kept: &str| {
            eyes.collector.started.clear();
            eyes.collector.recall(Some(serde_json::from_str(kept).unwrap())).unwrap();
            read(eyes)
        };
        assert_eq!(in_another_process(&mut eyes, &kept), (Known(false), Known(false)));
        let of_another_boot = kept.replacen(memory::boot().trim(), "another", 1);
        assert_eq!(in_another_process(&mut eyes, &of_another_boot), (Known(true), Known(true)));
        drop(gateway);
        let _restarted = eyes.start(&[], &[]);
        assert_eq!(read(&mut eyes), (Known(true), Known(true)));
        eyes.write(".env", "HERMES_YOLO_MODE=1\n");
        assert_eq!(read(&mut eyes), (Known(false), Known(true)), "broken before it takes effect");
    }
}
