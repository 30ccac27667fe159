//! What an operator can click or paste: addresses to open, and commands for a shell.
//!
//! Names in commands come from the configuration, never from what an installation says about itself: somebody pastes
//! them behind `sudo`. Every word that a shell could take for something else is quoted.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::exporter::snapshot::gateway::Supervisor;
use crate::exporter::snapshot::units::ManagerKind;
use crate::exporter::snapshot::{Reading, Snapshot};
use crate::system::host_names::is_ssh_host;

/// What can be opened and done, of a whole fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The path of the metrics.
    pub telemetry_path: String,
    /// The machine to log in to with ssh, as the operator names it.
    pub ssh_host: String,
    /// What each instance has, by its name.
    pub instances: HashMap<String, InstanceLinks>,
}

/// What can be opened and done of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceLinks {
    /// The pages that it serves, the dashboard first.
    pub doors: Vec<Door>,
    /// The units that may run its gateway.
    pub gateway_units: Vec<GatewayUnit>,
}

/// A page that an instance serves for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The endpoint's name.
    pub name: String,
    /// How a browser gets there.
    pub way: Way,
}

/// How a browser gets to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By its address.
    Direct(String),
    /// It listens on the machine's loopback alone: through a tunnel.
    Tunnel {
        /// `http` or `https`.
        scheme: &'static str,
        /// Where it listens.
        host: String,
        /// The port there.
        port: u16,
        /// The path to open.
        path: String,
    },
}

/// A unit that may run the gateway of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUnit {
    /// Its name.
    pub name: String,
    /// Its supervisor, where the configuration says.
    pub manager: Option<ManagerKind>,
    /// Whether the configuration names it; else it is one that Hermes would have made, and need not be there.
    pub is_expected: bool,
    /// The folder in which s6 has its services.
    pub s6_scan_directory: PathBuf,
}

impl Way {
    /// The address to open.
    pub(super) fn address(&self) -> String {
        match self {
            Way::Direct(url) => url.clone(),
            Way::Tunnel { scheme, port, path, .. } => format!("{scheme}://127.0.0.1:{}{path}", local_port(*port)),
        }
    }

    /// The command that opens the tunnel, where one is needed.
    pub(super) fn tunnel(&self, user: &str, ssh_host: &str) -> Option<String> {
        let Way::Tunnel { host, port, .. } = self else {
            return None;
        };
        let forward = quoted(&format!("{}:{host}:{port}", local_port(*port)));
        Some(format!("ssh -N -L {forward} {}", destination(user, ssh_host)?))
    }
}

/// A port that anybody may listen on.
fn local_port(port: u16) -> u16 {
    if port < 1024 { port + 8000 } else { port }
}

/// Where ssh goes. One that begins like an option would be taken for one, also in quotes.
fn destination(user: &str, host: &str) -> Option<String> {
    if !is_ssh_host(host) {
        return None;
    }
    let is_user = !user.is_empty() && !user.starts_with('-') && !user.contains(char::is_control);
    Some(if is_user { quoted(&format!("{user}@{host}")) } else { quoted(host) })
}

/// How a gateway is started again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// By this command.
    Command(String),
    /// By who has started it by hand.
    ByHand,
    /// It is not known what runs it.
    NotKnown,
}

/// How the gateway of an instance is started again.
pub(super) fn restart(links: &InstanceLinks, snapshot: &Snapshot) -> Restart {
    let of_unit = |unit: &GatewayUnit| {
        let manager = unit.manager.or_else(|| manager_of(&unit.name, snapshot));
        // Nobody has said that there is such a unit, and it was not seen.
        let manager = manager.or(unit.is_expected.then_some(ManagerKind::System))?;
        Some(command(unit, manager, &snapshot.identity.user))
    };
    if let Some(command) = links.gateway_units.iter().find_map(of_unit) {
        return Restart::Command(command);
    }
    match snapshot.gateway.as_ref().and_then(|gateway| gateway.supervisor) {
        Reading::Known(Supervisor::None) => Restart::ByHand,
        _ => Restart::NotKnown,
    }
}

/// The supervisor that runs the unit, else one that has it.
fn manager_of(unit: &str, snapshot: &Snapshot) -> Option<ManagerKind> {
    let units = snapshot.units.known()?;
    let seen = units.0.iter().find(|seen| seen.unit.as_str() == unit && seen.role.as_str() == "gateway")?;
    let at_work = seen.managers.iter().find(|(_, is_at_work)| **is_at_work);
    at_work.or_else(|| seen.managers.iter().next()).map(|(manager, _)| *manager)
}

fn command(unit: &GatewayUnit, manager: ManagerKind, user: &str) -> String {
    let name = quoted(&unit.name);
    match manager {
        ManagerKind::System => format!("sudo systemctl restart {name}"),
        ManagerKind::User if user.is_empty() => format!("systemctl --user restart {name}"),
        ManagerKind::User => format!("sudo systemctl --user {} restart {name}", quoted(&format!("--machine={user}@"))),
        ManagerKind::S6 => {
            let service = unit.s6_scan_directory.join(&unit.name);
            format!("s6-svc -r {}", quoted(&service.to_string_lossy()))
        }
    }
}

/// One word of a shell's command line. What would be invisible, or end the line, has no place in a command.
fn quoted(word: &str) -> String {
    let word: String = word.chars().filter(|character| !character.is_control()).collect();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "@%+=:,./_-".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::exporter::snapshot::units::Units;
    use std::sync::Arc;

    fn tunnel(host: &str, port: u16) -> Way {
        Way::Tunnel { scheme: "http", host: host.to_owned(), port, path: "/".to_owned() }
    }

    #[test]
    fn a_tunnel_leads_to_where_the_page_listens() {
        let way = tunnel("127.0.0.1", 9119);
        assert_eq!(way.tunnel("uma", "vm.example").unwrap(), "ssh -N -L 9119:127.0.0.1:9119 uma@vm.example");
        assert_eq!(way.address(), "http://127.0.0.1:9119/");
        let low = tunnel("[::1]", 80);
        assert_eq!(low.tunnel("", "vm").unwrap(), "ssh -N -L '8080:[::1]:80' vm");
        assert_eq!(low.address(), "http://127.0.0.1:8080/");
        assert_eq!(Way::Direct("https://x/".to_owned()).tunnel("uma", "vm"), None);
    }

    #[test]
    fn a_strange_name_stays_one_word_and_is_never_an_option() {
        let way = tunnel("127.0.0.1", 9119);
        assert_eq!(way.tunnel("uma", "-oProxyCommand=reboot"), None);
        assert_eq!(way.tunnel("uma", "vm;reboot"), None);
        assert!(way.tunnel("-oProxyCommand=reboot", "vm").unwrap().ends_with(" vm"));
        assert!(way.tunnel("u'$(reboot)\n;", "vm").unwrap().ends_with(r" vm"));
        assert!(way.tunnel("u'$(reboot);", "vm").unwrap().ends_with(r" 'u'\''$(reboot);@vm'"));
        assert_eq!(quoted("a\nb"), "ab");
        assert_eq!(quoted(""), "''");
    }

    fn unit(name: &str, manager: Option<ManagerKind>, is_expected: bool) -> InstanceLinks {
        let gateway_units =
            vec![GatewayUnit { name: name.to_owned(), manager, is_expected, s6_scan_directory: "/run/service".into() }];
        InstanceLinks { doors: Vec::new(), gateway_units }
    }

    #[test]
    fn each_supervisor_has_its_command() {
        let snapshot = samples::snapshot("bheem");
        let by = |name: &str, manager| match restart(&unit(name, Some(manager), true), &snapshot) {
            Restart::Command(command) => command,
            other => panic!("{other:?}"),
        };
        let service = "hermes-gateway.service";
        assert_eq!(by(service, ManagerKind::System), "sudo systemctl restart hermes-gateway.service");
        assert_eq!(
            by(service, ManagerKind::User),
            "sudo systemctl --user --machine=uma@ restart hermes-gateway.service"
        );
        assert_eq!(by("gateway-default", ManagerKind::S6), "s6-svc -r /run/service/gateway-default");
        assert_eq!(by(r"a b$(reboot)", ManagerKind::S6), "s6-svc -r '/run/service/a b$(reboot)'");
    }

    #[test]
    fn the_supervisor_that_was_seen_counts_where_nobody_says_which() {
        let mut snapshot = samples::snapshot("bheem");
        let restarted =
            |snapshot: &_, is_expected| restart(&unit("hermes-gateway.service", None, is_expected), snapshot);
        let command = |words: &str| Restart::Command(words.to_owned());
        assert_eq!(
            restarted(&snapshot, false),
            command("sudo systemctl --user --machine=uma@ restart hermes-gateway.service")
        );
        snapshot.units = Reading::Known(Arc::new(Units::default()));
        assert_eq!(restarted(&snapshot, true), command("sudo systemctl restart hermes-gateway.service"));
        assert_eq!(restarted(&snapshot, false), Restart::NotKnown);
        samples::gateway(&mut snapshot).supervisor = Reading::Known(Supervisor::None);
        assert_eq!(restarted(&snapshot, false), Restart::ByHand);
        assert_eq!(restart(&InstanceLinks::default(), &snapshot), Restart::ByHand);
    }
}
