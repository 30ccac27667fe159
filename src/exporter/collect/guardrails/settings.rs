//! Safety settings, decided as Hermes 0.19 decides them.
//!
//! | setting | first that says something | else |
//! |---|---|---|
//! | approvals off altogether | `--yolo`; `HERMES_YOLO_MODE` in the managed `.env`, `.env`, the environment, or at the top of `config.yaml` | no |
//! | `approvals.mode` | managed `config.yaml`, `config.yaml` | `smart` |
//! | `approvals.cron_mode` | the same | `deny` |
//! | secrets are masked | `HERMES_REDACT_SECRETS` in the managed `.env`, `.env`, or the environment; `security.redact_secrets` in the managed `config.yaml`, `config.yaml` | yes |
//! | people are masked | `privacy.redact_pii` in the managed `config.yaml`, `config.yaml` | no |
//!
//! The managed files are an administrator's, in `/etc/hermes`. What is written with the help of another variable
//! (`${NAME}`) is not followed up; it is unknown, reason `unsupported`. A conversation in which somebody has said
//! `/yolo` shows nowhere, and neither does the `.env` of a checkout that Hermes runs from.

use serde_json::Value;

use super::super::hermes_config;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::dotenv;
use crate::system::files::ParseFault;

/// The variable that turns off all approvals.
pub(super) const YOLO: &str = "HERMES_YOLO_MODE";

/// The variable that says whether secrets are masked.
pub(super) const REDACT_SECRETS: &str = "HERMES_REDACT_SECRETS";

/// What a `config.yaml` says; absent where it says nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConfigSettings {
    /// Whether `approvals.mode` is another than `off`.
    pub(super) asks_for_approval: Reading<bool>,
    /// Whether `approvals.cron_mode` is another than `approve`.
    pub(super) asks_in_cron: Reading<bool>,
    pub(super) redacts_secrets: Reading<bool>,
    pub(super) redacts_pii: Reading<bool>,
    pub(super) is_yolo: Reading<bool>,
}

impl ConfigSettings {
    /// A file that says nothing.
    pub(super) const SILENT: ConfigSettings = ConfigSettings {
        asks_for_approval: Reading::Absent,
        asks_in_cron: Reading::Absent,
        redacts_secrets: Reading::Absent,
        redacts_pii: Reading::Absent,
        is_yolo: Reading::Absent,
    };

    /// A file that can not be read.
    pub(super) fn unknown(reason: Reason) -> ConfigSettings {
        ConfigSettings {
            asks_for_approval: Reading::Unknown(reason),
            asks_in_cron: Reading::Unknown(reason),
            redacts_secrets: Reading::Unknown(reason),
            redacts_pii: Reading::Unknown(reason),
            is_yolo: Reading::Unknown(reason),
        }
    }

    /// Takes the settings out of a file.
    pub(super) fn parse(content: &[u8]) -> Result<ConfigSettings, ParseFault> {
        let config = hermes_config::parse(content)?;
        let read = |pointer: &str, decide: fn(&Value) -> Reading<bool>| {
            config.pointer(pointer).map_or(Reading::Absent, decide)
        };
        Ok(ConfigSettings {
            asks_for_approval: read("/approvals/mode", asks_for_approval),
            asks_in_cron: read("/approvals/cron_mode", asks_in_cron),
            redacts_secrets: read("/security/redact_secrets", redacts_secrets),
            redacts_pii: read("/privacy/redact_pii", |value| Reading::Known(is_truthy(value))),
            is_yolo: read(&format!("/{YOLO}"), |value| match value {
                Value::Null | Value::Array(_) | Value::Object(_) => Reading::Absent,
                scalar => is_yolo(&as_python_writes(scalar)),
            }),
        })
    }

    /// What holds where an administrator's file stands before this one.
    pub(super) fn under(self, managed: &ConfigSettings) -> ConfigSettings {
        ConfigSettings {
            asks_for_approval: first([managed.asks_for_approval, self.asks_for_approval]),
            asks_in_cron: first([managed.asks_in_cron, self.asks_in_cron]),
            redacts_secrets: first([managed.redacts_secrets, self.redacts_secrets]),
            redacts_pii: first([managed.redacts_pii, self.redacts_pii]),
            is_yolo: first([managed.is_yolo, self.is_yolo]),
        }
    }
}

/// What variables say; absent where they are not set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct VariableSettings {
    pub(super) is_yolo: Reading<bool>,
    pub(super) redacts_secrets: Reading<bool>,
}

impl VariableSettings {
    /// Neither is set.
    pub(super) const SILENT: VariableSettings =
        VariableSettings { is_yolo: Reading::Absent, redacts_secrets: Reading::Absent };

    /// It can not be told whether they are set.
    pub(super) fn unknown(reason: Reason) -> VariableSettings {
        VariableSettings { is_yolo: Reading::Unknown(reason), redacts_secrets: Reading::Unknown(reason) }
    }

    /// From the values of the two variables.
    pub(super) fn of(yolo: Option<&str>, redact_secrets: Option<&str>) -> VariableSettings {
        VariableSettings {
            is_yolo: yolo.map_or(Reading::Absent, is_yolo),
            redacts_secrets: redact_secrets.map_or(Reading::Absent, |value| Reading::Known(is_on(value))),
        }
    }

    /// Takes the settings out of a `.env`.
    pub(super) fn parse(content: &[u8]) -> VariableSettings {
        let mut settings = VariableSettings::SILENT;
        dotenv::for_each(content, |key, written| {
            let value = dotenv::value(written);
            let refers = value.contains("${");
            match key {
                YOLO if refers => settings.is_yolo = Reading::Unknown(Reason::Unsupported),
                YOLO => settings.is_yolo = is_yolo(value),
                REDACT_SECRETS if refers => settings.redacts_secrets = Reading::Unknown(Reason::Unsupported),
                REDACT_SECRETS => settings.redacts_secrets = Reading::Known(is_on(value)),
                _ => {}
            }
        });
        settings
    }

    /// What holds where `before` stands before this.
    pub(super) fn under(self, before: VariableSettings) -> VariableSettings {
        VariableSettings {
            is_yolo: first([before.is_yolo, self.is_yolo]),
            redacts_secrets: first([before.redacts_secrets, self.redacts_secrets]),
        }
    }
}

/// The first that says something.
pub(super) fn first<const COUNT: usize>(readings: [Reading<bool>; COUNT]) -> Reading<bool> {
    readings.into_iter().find(|reading| *reading != Reading::Absent).unwrap_or_default()
}

/// Whether all of them hold: one that does not is enough to know; what is absent does not count.
pub(super) fn all(readings: impl IntoIterator<Item = Reading<bool>>) -> Reading<bool> {
    let mut whole = Reading::Known(true);
    for reading in readings {
        match reading {
            Reading::Known(false) => return reading,
            Reading::Unknown(_) if whole == Reading::Known(true) => whole = reading,
            _ => {}
        }
    }
    whole
}

/// Words that Hermes takes for yes in a variable.
fn is_on(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())
}

fn is_yolo(value: &str) -> Reading<bool> {
    Reading::Known(is_on(value.trim()))
}

/// `approvals.mode`: YAML's `off` arrives as false; what Hermes does not know counts as `manual`.
fn asks_for_approval(mode: &Value) -> Reading<bool> {
    match mode {
        Value::Bool(mode) => Reading::Known(*mode),
        Value::String(mode) if mode.contains("${") => Reading::Unknown(Reason::Unsupported),
        Value::String(mode) => Reading::Known(mode.trim().to_lowercase() != "off"),
        _ => Reading::Known(true),
    }
}

/// `approvals.cron_mode`: only as a word, so that `off` has to be quoted to mean anything.
fn asks_in_cron(mode: &Value) -> Reading<bool> {
    match mode {
        Value::String(mode) if mode.contains("${") => Reading::Unknown(Reason::Unsupported),
        Value::String(mode) => {
            Reading::Known(!["approve", "off", "allow", "yes"].contains(&mode.to_lowercase().trim()))
        }
        _ => Reading::Known(true),
    }
}

/// `security.redact_secrets`, which Hermes hands on as a variable.
fn redacts_secrets(value: &Value) -> Reading<bool> {
    if value.is_null() { Reading::Absent } else { Reading::Known(is_on(&as_python_writes(value))) }
}

/// The text that Python makes of a value, as far as it matters for yes and no.
fn as_python_writes(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Python's own idea of true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Absent, Known, Unknown};

    fn config(text: &str) -> ConfigSettings {
        ConfigSettings::parse(text.as_bytes()).unwrap()
    }

    // What is expected here was seen of Hermes 0.19.0 itself, asked with the same files.

    #[test]
    fn every_way_to_write_the_mode_of_approvals() {
        for (mode, asks) in [
            ("off", Known(false)),
            ("'Off '", Known(false)),
            ("no", Known(false)),
            ("false", Known(false)),
            ("'no'", Known(true)),
            ("'false'", Known(true)),
            ("on", Known(true)),
            ("manual", Known(true)),
            ("smart", Known(true)),
            ("auto", Known(true)),
            ("~", Known(true)),
            ("0", Known(true)),
            ("''", Known(true)),
            ("'${MODE}'", Unknown(Reason::Unsupported)),
        ] {
            assert_eq!(config(&format!("approvals: {{mode: {mode}}}")).asks_for_approval, asks, "{mode}");
        }
        for nothing in ["", "approvals:", "approvals: {}", "approvals: {timeout: 5}", "other: 1"] {
            assert_eq!(config(nothing), ConfigSettings::SILENT, "{nothing}");
        }
    }

    #[test]
    fn cron_is_given_a_free_hand_by_a_word_alone() {
        for (mode, asks) in [
            ("approve", Known(false)),
            ("' Approve '", Known(false)),
            ("'off'", Known(false)),
            ("'yes'", Known(false)),
            ("allow", Known(false)),
            ("off", Known(true)),
            ("yes", Known(true)),
            ("deny", Known(true)),
            ("~", Known(true)),
        ] {
            assert_eq!(config(&format!("approvals: {{cron_mode: {mode}}}")).asks_in_cron, asks, "{mode}");
        }
    }

    #[test]
    fn secrets_are_masked_where_the_setting_reads_as_yes() {
        for (value, redacts) in [
            ("true", Known(true)),
            ("on", Known(true)),
            ("'on'", Known(true)),
            ("1", Known(true)),
            ("1.0", Known(false)),
            ("false", Known(false)),
            ("'off'", Known(false)),
            ("''", Known(false)),
            ("~", Absent),
        ] {
            assert_eq!(config(&format!("security: {{redact_secrets: {value}}}")).redacts_secrets, redacts, "{value}");
        }
    }

    #[test]
    fn people_are_masked_where_python_finds_it_true() {
        for (value, redacts) in [
            ("true", true),
            ("'false'", true),
            ("1", true),
            ("0", false),
            ("false", false),
            ("''", false),
            ("~", false),
        ] {
            assert_eq!(config(&format!("privacy: {{redact_pii: {value}}}")).redacts_pii, Known(redacts), "{value}");
        }
    }

    #[test]
    fn the_variables_in_a_file_and_at_the_top_of_the_configuration() {
        for (value, yolo, redacts) in [
            ("1", Known(true), Known(true)),
            ("on # why", Known(true), Known(true)),
            ("\"YES\"", Known(true), Known(true)),
            ("' true '", Known(true), Known(false)),
            ("0", Known(false), Known(false)),
            ("", Known(false), Known(false)),
            ("${OTHER}", Unknown(Reason::Unsupported), Unknown(Reason::Unsupported)),
        ] {
            let text = format!("{YOLO}={value}\nexport {REDACT_SECRETS}={value}\n");
            let expected = VariableSettings { is_yolo: yolo, redacts_secrets: redacts };
            assert_eq!(VariableSettings::parse(text.as_bytes()), expected, "{value}");
        }
        assert_eq!(VariableSettings::parse(b"#HERMES_YOLO_MODE=1\nOTHER=1\n"), VariableSettings::SILENT);
        for (value, yolo) in [("true", Known(true)), ("1", Known(true)), ("no", Known(false)), ("{a: 1}", Absent)] {
            assert_eq!(config(&format!("{YOLO}: {value}")).is_yolo, yolo, "{value}");
        }
    }

    #[test]
    fn an_administrators_word_stands_before_the_users() {
        let managed = config("approvals: {mode: manual}");
        let user = config("approvals: {mode: off, cron_mode: approve}\nprivacy: {redact_pii: true}");
        let both = user.under(&managed);
        assert_eq!((both.asks_for_approval, both.asks_in_cron), (Known(true), Known(false)));
        assert_eq!(both.redacts_pii, Known(true));
    }

    #[test]
    fn one_that_does_not_hold_is_enough() {
        let unknown = Unknown(Reason::Parse);
        assert_eq!(all([Known(true), Absent, Known(true)]), Known(true));
        assert_eq!(all([unknown, Known(false)]), Known(false));
        assert_eq!(all([Known(true), unknown, Unknown(Reason::Io)]), unknown);
        assert_eq!(first([Absent, unknown, Known(true)]), unknown);
    }
}
