//! The command `targets`: what `/sd` answers, as a file for Prometheus' `file_sd_configs`.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::CommandError;
use super::output::write_atomically;
use super::run::{assert_own_path, load_without, print};
use crate::exporter::expose::targets::{self, OWN_LABELS};
use crate::system::host_names::is_ssh_host;

#[derive(Debug, Args)]
pub(super) struct TargetsArguments {
    /// Where Prometheus reaches the exporter
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    address: String,
    /// The instances of this file, instead of the homes that are found
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Write to this file, atomically, instead of to standard output; Prometheus takes .json, .yml and .yaml
    #[arg(long, value_name = "FILE", value_parser = output)]
    output: Option<PathBuf>,
    /// Put this label to every target, as in box=one; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The path under which the exporter serves its metrics
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    telemetry_path: String,
}

pub(super) fn targets(arguments: TargetsArguments) -> Result<ExitCode, CommandError> {
    let TargetsArguments { address, config_file, output, labels, telemetry_path } = arguments;
    assert_own_path(&telemetry_path)?;
    let config = load_without(&[], config_file, &[])?;
    let groups = targets::groups(config.names(), &address, &telemetry_path, &labels);
    let mut text = serde_json::to_string_pretty(&groups)
        .map_err(|error| CommandError::System { what: "encoding the targets", source: error.into() })?;
    text.push('\n');
    match output {
        None => print(&text)?,
        Some(path) => write_atomically(&path, &text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn address(typed: &str) -> Result<String, String> {
    let (host, port) = typed.rsplit_once(':').unwrap_or((typed, ""));
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().is_ok_and(|host| !host.is_unspecified()),
        None => is_ssh_host(host) && !host.contains(':') && host != "0.0.0.0",
    };
    if !is_host || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err("write where Prometheus reaches the exporter as host:port, without http://, as in \
                    100.64.0.11:10119 or [2001:db8::1]:10119"
            .to_owned());
    }
    Ok(typed.to_owned())
}

fn output(typed: &str) -> Result<PathBuf, String> {
    let path = Path::new(typed);
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("json" | "yml" | "yaml") => Ok(path.to_owned()),
        _ => Err("Prometheus reads targets from files that end in .json, .yml or .yaml alone".to_owned()),
    }
}

fn label(typed: &str) -> Result<(String, String), String> {
    let (name, value) = typed.split_once('=').ok_or("write it as NAME=VALUE, as in box=one")?;
    let fits = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.chars().all(fits) {
        return Err(format!("{name:?} can not name a label; use letters, digits (not first) and _"));
    }
    if OWN_LABELS.contains(&name) {
        return Err(format!("the targets have a label {name:?} of their own"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_can_be_asked() {
        for typed in ["one:10119", "100.64.0.11:10119", "[2001:db8::1]:443", "vm.tailnet.ts.net:1"] {
            assert_eq!(address(typed).as_deref(), Ok(typed));
        }
        for typed in [
            "",
            "one",
            ":10119",
            "one:",
            "one:0",
            "one:65536",
            "http://one:10119",
            "one:10119/sd",
            "0.0.0.0:10119",
            "[::]:10119",
            "::1:10119",
            "[one]:10119",
            "user@one:10119",
            "unix:/run/x.sock",
        ] {
            assert!(address(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_file_has_a_name_that_prometheus_takes() {
        for typed in ["a.json", "/etc/a.yml", "a.YAML"] {
            assert!(output(typed).is_ok(), "{typed}");
        }
        for typed in ["a", "a.prom", "json", "a.json.new"] {
            assert!(output(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_label_can_be_one_and_leaves_the_own_ones_alone() {
        assert_eq!(label("box=one=1"), Ok(("box".to_owned(), "one=1".to_owned())));
        assert_eq!(label("__scheme__=https"), Ok(("__scheme__".to_owned(), "https".to_owned())));
        for typed in ["box", "=one", "1=a", "a-b=c", "instance=a", "__param_collect=host", "__address__=one:1"] {
            assert!(label(typed).is_err(), "{typed}");
        }
    }
}
