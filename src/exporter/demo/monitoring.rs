//! Prometheus and Alertmanager, where they are installed: on ports of their own, with the shipped rules, in a hurry.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::loopback::{get, is_ready, wait_for};
use super::processes::{Process, on_path};
use super::rules::{SHIPPED, in_a_hurry};
use super::{DemoError, write};

/// Their names in the distributions.
const PROMETHEUS: &str = "prometheus";
const ALERTMANAGER: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];

/// What they are configured with, in the folder.
const PROMETHEUS_FILE: &str = "prometheus.yml";
const ALERTMANAGER_FILE: &str = "alertmanager.yml";

/// Both, under way.
#[derive(Debug)]
pub(super) struct Monitoring {
    prometheus: Process,
    prometheus_address: SocketAddr,
    alertmanager: Process,
    alertmanager_address: SocketAddr,
}

impl Monitoring {
    /// Whether both could be started.
    pub(super) fn is_installed() -> bool {
        installed().is_some()
    }

    /// Starts both between an exporter and a bridge, and waits until they are ready. `None` where one is not installed.
    pub(super) async fn start(
        folder: &Path,
        exporter: SocketAddr,
        bridge: SocketAddr,
    ) -> Result<Option<Monitoring>, DemoError> {
        let Some((prometheus, alertmanager)) = installed() else {
            return Ok(None);
        };
        let [prometheus_address, alertmanager_address] =
            free_addresses().map_err(|source| DemoError::Start { program: prometheus.clone(), source })?;
        let addresses =
            Addresses { exporter, bridge, prometheus: prometheus_address, alertmanager: alertmanager_address };
        write_configuration(folder, &addresses)?;
        let monitoring = Monitoring {
            alertmanager: start_alertmanager(&alertmanager, folder, alertmanager_address)?,
            alertmanager_address,
            prometheus: start_prometheus(&prometheus, folder, prometheus_address)?,
            prometheus_address,
        };
        monitoring.once_ready().await.map(Some)
    }

    /// Waits until both say that they are ready.
    async fn once_ready(mut self) -> Result<Monitoring, DemoError> {
        for (name, process, address) in [
            ("Alertmanager", &mut self.alertmanager, self.alertmanager_address),
            ("Prometheus", &mut self.prometheus, self.prometheus_address),
        ] {
            wait_for(&format!("{name} to be ready"), async || {
                process.still_runs()?;
                Ok(is_ready(address).await)
            })
            .await?;
        }
        Ok(self)
    }

    pub(super) fn prometheus(&self) -> SocketAddr {
        self.prometheus_address
    }

    pub(super) fn alertmanager(&self) -> SocketAddr {
        self.alertmanager_address
    }

    pub(super) fn still_run(&mut self) -> Result<(), DemoError> {
        self.alertmanager.still_runs()?;
        self.prometheus.still_runs()
    }

    /// Whether an expression, which stands in a URL as it is, has a result in Prometheus now.
    pub(super) async fn has(&mut self, expression: &str) -> Result<Option<()>, DemoError> {
        self.still_run()?;
        let answer = get(self.prometheus_address, &format!("/api/v1/query?query={expression}")).await.ok();
        let found = answer.and_then(|answer| answer.json()).and_then(|json| {
            let results = json.get("data")?.get("result")?.as_array()?.len();
            (results > 0).then_some(())
        });
        Ok(found)
    }
}

/// The programs of both.
fn installed() -> Option<(PathBuf, PathBuf)> {
    on_path(&[PROMETHEUS]).zip(on_path(&ALERTMANAGER))
}

/// The rules as they are shipped, in a hurry, and the configuration of both beside them.
fn write_configuration(folder: &Path, addresses: &Addresses) -> Result<(), DemoError> {
    let rules = folder.join("rules");
    std::fs::create_dir(&rules).map_err(|source| DemoError::Write { path: rules.clone(), source })?;
    for (name, text) in SHIPPED {
        write(&rules.join(name), &in_a_hurry(text, addresses.exporter))?;
    }
    write(&folder.join(PROMETHEUS_FILE), &prometheus_configuration(addresses))?;
    write(&folder.join(ALERTMANAGER_FILE), &alertmanager_configuration(addresses))
}

fn start_prometheus(program: &Path, folder: &Path, address: SocketAddr) -> Result<Process, DemoError> {
    let mut flags = common_flags(folder, PROMETHEUS_FILE, address).to_vec();
    flags.push(format!("--storage.tsdb.path={}", folder.join("prometheus-data").display()));
    Process::start("prometheus", program, &flags, folder)
}

fn start_alertmanager(program: &Path, folder: &Path, address: SocketAddr) -> Result<Process, DemoError> {
    let mut flags = common_flags(folder, ALERTMANAGER_FILE, address).to_vec();
    flags.push(format!("--storage.path={}", folder.join("alertmanager-data").display()));
    // One alone needs no port for others.
    flags.push("--cluster.listen-address=".to_owned());
    Process::start("alertmanager", program, &flags, folder)
}

/// What both are told in the same words.
fn common_flags(folder: &Path, file: &str, address: SocketAddr) -> [String; 4] {
    [
        format!("--config.file={}", folder.join(file).display()),
        format!("--web.listen-address={address}"),
        format!("--web.external-url=http://{address}/"),
        "--log.level=warn".to_owned(),
    ]
}

/// Who listens where.
#[derive(Debug)]
struct Addresses {
    exporter: SocketAddr,
    bridge: SocketAddr,
    prometheus: SocketAddr,
    alertmanager: SocketAddr,
}

/// Addresses that nobody listens on. They are let go of together, so that no two are the same.
fn free_addresses<const COUNT: usize>() -> std::io::Result<[SocketAddr; COUNT]> {
    let mut held = Vec::with_capacity(COUNT);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}

/// As `alerts/prometheus.yml`, which is for more than one minute.
fn prometheus_configuration(addresses: &Addresses) -> String {
    let Addresses { exporter, bridge, prometheus, alertmanager } = addresses;
    format!(
        r#"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules/*.yml]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["{alertmanager}"]}}]
scrape_configs:
  - job_name: hermes
    honor_labels: true
    static_configs: [{{targets: ["{exporter}"]}}]
  - job_name: hermes-alert-bridge
    static_configs: [{{targets: ["{bridge}"]}}]
  - job_name: prometheus
    static_configs: [{{targets: ["{prometheus}"]}}]
  - job_name: alertmanager
    static_configs: [{{targets: ["{alertmanager}"]}}]
"#
    )
}

/// As `alerts/alertmanager.yml`, which waits longer.
fn alertmanager_configuration(addresses: &Addresses) -> String {
    format!(
        r#"route:
  receiver: bridge
  group_by: [alertname, instance]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 4h
  routes:
    - matchers: ['alertname = "Watchdog"']
      receiver: bridge
      repeat_interval: 1m
receivers:
  - name: bridge
    webhook_configs:
      - url: http://{}/alertmanager
        send_resolved: true
"#,
        addresses.bridge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_where_the_others_are() {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let addresses =
            Addresses { exporter: address(1), bridge: address(2), prometheus: address(3), alertmanager: address(4) };
        let parse = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
        let prometheus = parse(&prometheus_configuration(&addresses));
        let jobs: Vec<_> = prometheus["scrape_configs"].as_array().unwrap().iter().collect();
        let targets: Vec<_> = jobs
            .iter()
            .map(|job| (job["job_name"].as_str().unwrap(), job["static_configs"][0]["targets"][0].as_str().unwrap()))
            .collect();
        assert_eq!(
            targets,
            [
                ("hermes", "127.0.0.1:1"),
                ("hermes-alert-bridge", "127.0.0.1:2"),
                ("prometheus", "127.0.0.1:3"),
                ("alertmanager", "127.0.0.1:4"),
            ]
        );
        assert_eq!(jobs[0]["honor_labels"], true);
        assert_eq!(
            prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"][0].as_str(),
            Some("127.0.0.1:4")
        );
        let alertmanager = parse(&alertmanager_configuration(&addresses));
        let receiver = &alertmanager["receivers"][0];
        assert_eq!(receiver["name"], alertmanager["route"]["receiver"]);
        assert_eq!(receiver["webhook_configs"][0]["url"].as_str(), Some("http://127.0.0.1:2/alertmanager"));
    }

    #[test]
    fn free_addresses_differ() {
        let [one, other] = free_addresses().unwrap();
        assert!(one != other && one.ip().is_loopback() && other.port() != 0);
    }
}
