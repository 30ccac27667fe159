//! The documentation of every key of the configuration, from which `docs/configuration.md` is made.

use std::time::Duration;

use super::super::collect::COLLECTORS;
use crate::config_file::reference::{Key, push_keys};
use crate::exporter::snapshot::Threshold;
use crate::exporter::snapshot::thresholds::Measure;

/// Every key, in the order in which it is documented.
pub static KEYS: &[Key] = &[
    Key { path: "instances", takes: "list", default: "required", does: "The installations to look at" },
    Key {
        path: "instances[].name",
        takes: "text",
        default: "required",
        does: "The value of the `instance` label; unique; letters, digits and `_ . : @ -`, at most 64",
    },
    Key {
        path: "instances[].home",
        takes: "path",
        default: "required, or `report`",
        does: "The Hermes home, as an absolute path; a profile is the home `<root>/profiles/<name>`",
    },
    Key {
        path: "instances[].report",
        takes: "path",
        default: "none",
        does: "Instead of `home`: the report that the installation's own exporter writes, as an absolute path; nothing of its home is touched. Beside it there may be `user`, `thresholds` and `ignored_findings`",
    },
    Key {
        path: "instances[].user",
        takes: "text",
        default: "owner of the home",
        does: "The user it belongs to, by name or number. Where that is not the exporter's own, its home is read and its manager asked as that user, which takes `CAP_SETUID` and `CAP_SETGID`; without them it is tried with the exporter's own rights. With `report`: whose file that has to be, or root's; without it whoever owns the file is taken for the instance's user",
    },
    Key {
        path: "instances[].units",
        takes: "list",
        default: "the gateway's unit as Hermes names it, if there is one",
        does: "The services and timers that a supervisor runs for it; `[]` for none. The service that a timer starts is shown with it",
    },
    Key {
        path: "instances[].units[].unit",
        takes: "name or pattern",
        default: "required",
        does: "A unit's full name (`hermes-gateway.service`), or a shell pattern for loaded ones (`container@*.service`); may also be written `pattern`",
    },
    Key {
        path: "instances[].units[].role",
        takes: "word",
        default: "`other`",
        does: "What it is for: `gateway`, `dashboard`, `backup`, `watchdog`, `emergency` or any other word",
    },
    Key {
        path: "instances[].units[].manager",
        takes: "`system`, `user` or `s6`",
        default: "where it is",
        does: "The supervisor that has it; without it both the system's manager and that of the instance's user are asked",
    },
    Key {
        path: "instances[].s6_scan_directory",
        takes: "path",
        default: "`/run/service`",
        does: "The folder in which s6 has its services, for units with `manager: s6`",
    },
    Key {
        path: "instances[].thresholds",
        takes: "map",
        default: "those of the fleet",
        does: "As `thresholds`, for this instance; what it does not name is as in the fleet",
    },
    Key {
        path: "instances[].ignored_findings",
        takes: "list",
        default: "those of the fleet",
        does: "As `ignored_findings`, for this instance; stands instead of those of the fleet",
    },
    Key {
        path: "instances[].env_keys",
        takes: "list",
        default: "those of the fleet",
        does: "As `env_keys`, for this instance",
    },
    Key {
        path: "instances[].expected_tokens",
        takes: "list",
        default: "those of the fleet",
        does: "As `expected_tokens`, for this instance; `[]` for none",
    },
    Key {
        path: "instances[].cron_job_label",
        takes: "`id` or `name`",
        default: "that of the fleet",
        does: "As `cron_job_label`, for this instance",
    },
    Key {
        path: "instances[].endpoints",
        takes: "list",
        default: "none",
        does: "Addresses that are asked at every look whether they answer; at most 64",
    },
    Key {
        path: "instances[].endpoints[].name",
        takes: "text",
        default: "required",
        does: "The value of the `endpoint` label; unique in the instance",
    },
    Key {
        path: "instances[].endpoints[].url",
        takes: "URL",
        default: "required",
        does: "`http://` or `https://`; for a Hermes kind where it is served, with the path that a reverse proxy puts before it; for the kind `http` what is asked for",
    },
    Key {
        path: "instances[].endpoints[].kind",
        takes: "`hermes-dashboard`, `hermes-api-server`, `hermes-webhook` or `http`",
        default: "required",
        does: "What is expected there: one of Hermes' own servers, recognised by its answer, or any web server",
    },
    Key {
        path: "instances[].endpoints[].timeout",
        takes: "duration",
        default: "3s",
        does: "How long it may take until it is down; shorter than the timeout of the collector",
    },
    Key {
        path: "instances[].endpoints[].host",
        takes: "host, with or without port",
        default: "that of the URL",
        does: "The Host header, for a server that several names lead to; the certificate must be for the host of the URL all the same",
    },
    Key {
        path: "instances[].endpoints[].expect_status",
        takes: "list of numbers",
        default: "200 to 399",
        does: "The statuses that are right, for the kind `http`; redirects are not followed",
    },
    Key {
        path: "instances[].endpoints[].ca_file",
        takes: "path",
        default: "those of the system",
        does: "The authorities whose certificates are trusted, in PEM, instead of the system's; read again when it changes",
    },
    Key {
        path: "instances[].endpoints[].link",
        takes: "URL",
        default: "the `url`; on loopback through a tunnel",
        does: "Where the status page sends people who open it, such as `https://vm.tailnet.ts.net/`; without credentials",
    },
    Key {
        path: "instances[].backups",
        takes: "list",
        default: "none",
        does: "The repositories of git that it is backed up to; at most 64",
    },
    Key {
        path: "instances[].backups[].name",
        takes: "text",
        default: "required",
        does: "The value of the `repo` label; unique in the instance",
    },
    Key {
        path: "instances[].backups[].path",
        takes: "path",
        default: "required",
        does: "The repository: the folder with its working tree, or a bare one itself; read as the instance's user",
    },
    Key {
        path: "instances[].backups[].remote",
        takes: "name",
        default: "that of the branch's upstream, else the only one, else `origin`",
        does: "The remote that it is pushed to; one that is named here and is not there means that nothing has been pushed",
    },
    Key {
        path: "instances[].backups[].branch",
        takes: "name",
        default: "the branch's upstream, else the one of the same name",
        does: "The branch on that remote",
    },
    Key {
        path: "instances[].backups[].payload",
        takes: "folder",
        default: "none",
        does: "The folder in it that is restored from, whose files in the newest commit are counted; `.` for all of it",
    },
    Key {
        path: "instances[].backups[].max_age",
        takes: "duration or `off`",
        default: "the threshold `backup_age`",
        does: "How old its newest commit may be that has reached the remote, or without one its newest commit",
    },
    Key {
        path: "instances[].backups[].forbidden",
        takes: "list of patterns",
        default: "none",
        does: "Shell patterns of files that must not be committed, besides what looks like a secret or a live database; with a `/` for the whole path, else for the name",
    },
    Key {
        path: "instances[].backups[].allowed",
        takes: "list of patterns",
        default: "none",
        does: "Shell patterns, as `forbidden`, of files that may be committed whatever they look like",
    },
    Key {
        path: "instances[].backups[].dirty",
        takes: "`true` or `false`",
        default: "`true`",
        does: "Whether its working tree is looked through for what is not committed, which takes a look at every file",
    },
    Key {
        path: "instances[].restore_drills",
        takes: "map",
        default: "none",
        does: "The marks that rehearsals of a restore leave",
    },
    Key {
        path: "instances[].restore_drills.pattern",
        takes: "path with wildcards",
        default: "required",
        does: "Shell pattern of the files, from the root, of which the newest counts; without `**`",
    },
    Key {
        path: "instances[].restore_drills.max_age",
        takes: "duration or `off`",
        default: "the threshold `restore_drill_age`",
        does: "How old the newest may be",
    },
    Key {
        path: "instances[].emergency_bundles",
        takes: "map",
        default: "none",
        does: "The bundles that are made for an emergency",
    },
    Key {
        path: "instances[].emergency_bundles.pattern",
        takes: "path with wildcards",
        default: "required",
        does: "As for `restore_drills`",
    },
    Key {
        path: "instances[].emergency_bundles.max_age",
        takes: "duration or `off`",
        default: "the threshold `emergency_bundle_age`",
        does: "How old the newest may be",
    },
    Key {
        path: "thresholds",
        takes: "map",
        default: "see below",
        does: "The limits that instances and the machine are judged by, by name (below)",
    },
    Key {
        path: "ignored_findings",
        takes: "list",
        default: "none",
        does: "What is not to be found, of the table in [findings.md](findings.md), of instances and of the machine",
    },
    Key {
        path: "env_keys",
        takes: "list",
        default: "well-known keys that the file has",
        does: "The keys of `.env` to report as set or not; a key that is missing is reported as not set. Values are never kept",
    },
    Key {
        path: "expected_tokens",
        takes: "list",
        default: "those that somebody has set up",
        does: "The tokens that must be there, as the label `token` has them: `google`, `anthropic`, a provider's id, or `mcp:` and a server's name. One that is missing has `hermes_token_present` 0. Without the key these are expected: each that is there or was withdrawn, and `google` where there is a `google_client_secret.json`",
    },
    Key {
        path: "cron_job_label",
        takes: "`id` or `name`",
        default: "`id`",
        does: "What the label `cron_job` shows: the id says nothing about anybody, the name may",
    },
    Key {
        path: "ssh_host",
        takes: "host",
        default: "the host that the page is asked for, or the machine's name",
        does: "Where ssh goes in the commands that the status page shows, as operators name it",
    },
    Key {
        path: "tailscale.socket",
        takes: "path",
        default: "`/run/tailscale/tailscaled.sock`, if it is there",
        does: "The socket of Tailscale's daemon on this machine; one that is named here and is not there means that Tailscale is down",
    },
    Key {
        path: "collectors",
        takes: "map",
        default: "all enabled",
        does: "How the collectors are run, by name (below)",
    },
    Key {
        path: "collectors.<name>.enabled",
        takes: "`true` or `false`",
        default: "`true`",
        does: "Whether it is run; a flag on the command line wins",
    },
    Key {
        path: "collectors.<name>.timeout",
        takes: "duration",
        default: "see below",
        does: "After this long it is given up on: its readings are unknown, reason `timeout`",
    },
    Key {
        path: "collectors.<name>.time_to_live",
        takes: "duration",
        default: "see below",
        does: "How old its expensive readings may get; only where the table below has one",
    },
];

/// The reference as Markdown: the content of `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::from(include_str!("reference.md"));
    push_keys(&mut text, KEYS);
    text.push_str("\n## Thresholds\n\n| name | takes | default | what is judged by it |\n|---|---|---|---|\n");
    for threshold in Threshold::ALL {
        let or_off = if threshold.is_optional() { " or `off`" } else { "" };
        let (takes, default) = match threshold.measure() {
            Measure::Seconds => ("duration", duration_as_typed(Duration::from_secs_f64(threshold.default_value()))),
            Measure::Ratio => ("part of a whole, as in `0.1` or `10%`,", threshold.default_value().to_string()),
            Measure::Count => ("number", threshold.default_value().to_string()),
        };
        let (name, meaning) = (threshold.as_str(), threshold.meaning());
        text.push_str(&format!("| `{name}` | {takes}{or_off} | {default} | {meaning} |\n"));
    }
    text.push_str("\n## Collectors\n\n| name | what it reads | timeout | time to live |\n|---|---|---|---|\n");
    for entry in &COLLECTORS {
        let time_to_live =
            entry.time_to_live.map_or("–".to_owned(), |time| humantime::format_duration(time).to_string());
        let timeout = humantime::format_duration(entry.timeout);
        text.push_str(&format!("| `{}` | {} | {timeout} | {time_to_live} |\n", entry.name, entry.reads));
    }
    text
}

/// Days are what people count in; the crate goes on to months.
fn duration_as_typed(duration: Duration) -> String {
    const DAY: u64 = 86_400;
    match duration.as_secs() {
        seconds if seconds > DAY && seconds.is_multiple_of(DAY) => format!("{}d", seconds / DAY),
        seconds if seconds > DAY => format!("{}h", seconds / 3600),
        _ => humantime::format_duration(duration).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The keys that the parser accepts in one place, by asking it for one that it can not have.
    fn accepted(text: &str) -> Vec<String> {
        match super::super::Config::from_text(Path::new("f"), text).unwrap_err() {
            super::super::ConfigError::UnknownKey { known, .. } => known,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_key_is_documented() {
        let places = [
            ("", "zzz: 1\n"),
            ("instances[].", "instances: [{zzz: 1}]\n"),
            ("instances[].endpoints[].", "instances: [{name: a, home: /a, endpoints: [{zzz: 1}]}]\n"),
            ("instances[].backups[].", "instances: [{name: a, home: /a, backups: [{zzz: 1}]}]\n"),
            ("instances[].restore_drills.", "instances: [{name: a, home: /a, restore_drills: {zzz: 1}}]\n"),
            ("instances[].emergency_bundles.", "instances: [{name: a, home: /a, emergency_bundles: {zzz: 1}}]\n"),
            ("tailscale.", "instances: []\ntailscale: {zzz: 1}\n"),
            ("collectors.<name>.", "instances: []\ncollectors: {home: {zzz: 1}}\n"),
        ];
        for (prefix, text) in places {
            for key in accepted(text) {
                let path = format!("{prefix}{key}");
                let is_documented =
                    KEYS.iter().any(|key| key.path == path || key.path.starts_with(&format!("{path}.")));
                assert!(is_documented, "{path}");
            }
        }
    }

    #[test]
    fn every_threshold_is_documented() {
        let known = accepted("instances: []\nthresholds: {zzz: 1}\n");
        assert_eq!(known.len(), Threshold::ALL.len());
        let text = markdown();
        for name in known {
            assert!(text.contains(&format!("| `{name}` | ")), "{name}");
        }
    }

    #[test]
    fn the_document_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text == markdown(), "docs/configuration.md is stale: run UPDATE_GOLDEN=1 cargo test");
    }
}
