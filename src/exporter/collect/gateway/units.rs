//! Which supervisor runs a gateway process, and under which name.

use std::collections::BTreeMap;

use crate::exporter::collect::problems::Problems;
use crate::exporter::snapshot::gateway::{Manager, Supervisor, UnitProcesses};
use crate::exporter::snapshot::{Label, MOST_ENTRIES, Reading};
use crate::system::control_group;
use crate::system::files::FileError;
use crate::system::processes::{self, Process};

/// The processes by what runs them. A home whose gateway runs in two units at once shows so here.
pub(super) fn unit_processes(gateways: &[Process], problems: &mut Problems) -> Reading<Vec<UnitProcesses>> {
    let mut counts: BTreeMap<(Manager, Label), u64> = BTreeMap::new();
    for gateway in gateways {
        match unit(gateway) {
            Ok(unit) => *counts.entry(unit).or_default() += 1,
            Err(error) => return problems.unknown("control group", &error),
        }
    }
    let counted = counts.into_iter().take(MOST_ENTRIES);
    Reading::Known(counted.map(|((manager, unit), processes)| UnitProcesses { manager, unit, processes }).collect())
}

/// Who starts the process again when it ends.
pub(super) fn supervisor(gateway: &Process) -> Supervisor {
    match unit(gateway) {
        Ok((Manager::S6, _)) => Supervisor::S6,
        Ok((Manager::System | Manager::User, _)) => Supervisor::Systemd,
        Ok((Manager::None, _)) | Err(_) => Supervisor::None,
    }
}

/// What runs the process; the name is empty where nothing does.
fn unit(gateway: &Process) -> Result<(Manager, Label), FileError> {
    // Asked first: s6 may itself be a service of systemd.
    if gateway.parent_name().as_deref() == Some("s6-supervise") {
        return Ok((Manager::S6, s6_service(gateway.parent).unwrap_or_else(|| Label::new(""))));
    }
    Ok(match control_group::unit(gateway.id)? {
        None => (Manager::None, Label::new("")),
        Some(unit) => {
            let manager = match unit.manager {
                control_group::Manager::System => Manager::System,
                control_group::Manager::User => Manager::User,
            };
            (manager, Label::new(&unit.name))
        }
    })
}

/// The service that `s6-supervise` was told to keep: the name of its directory.
fn s6_service(supervisor: u32) -> Option<Label> {
    let supervisor = processes::find(supervisor).ok()??;
    let directory = supervisor.command_line.get(1)?.trim_end_matches('/');
    directory.rsplit('/').next().map(Label::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Signal;
    use std::process::{Command, Stdio};

    fn found(process: u32) -> Process {
        processes::find(process).unwrap().unwrap()
    }

    #[test]
    fn processes_of_one_unit_are_counted_together() {
        let me = found(std::process::id());
        let mut problems = Problems::default();
        let counted = unit_processes(&[me.clone(), me], &mut problems);
        let counted = counted.known().unwrap();
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].processes, 2);
        assert_eq!(unit_processes(&[], &mut problems), Reading::Known(Vec::new()));
        assert!(problems.into_sorted().is_empty());
    }

    #[test]
    fn a_service_of_s6_is_named_after_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("gateway-coder");
        std::fs::create_dir(&service).unwrap();
        std::fs::write(service.join("run"), "#!/bin/sh\nexec cat\n").unwrap();
        rustix::fs::chmod(service.join("run"), rustix::fs::Mode::RWXU).unwrap();
        let mut command = Command::new("s6-supervise");
        command.arg(&service).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut supervisor = match command.spawn() {
            Ok(supervisor) => supervisor,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return skipped(),
            Err(error) => panic!("s6-supervise does not start: {error}"),
        };
        let gateway = loop {
            let children = format!("/proc/{id}/task/{id}/children", id = supervisor.id());
            let children = std::fs::read_to_string(children).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                break found(child.parse().unwrap());
            }
            std::thread::yield_now();
        };
        let named = unit(&gateway).map(|(manager, unit)| (manager, unit.to_string()));
        let supervised_by = super::supervisor(&gateway);
        rustix::process::kill_process(rustix::process::Pid::from_child(&supervisor), Signal::TERM).unwrap();
        supervisor.wait().unwrap();
        assert_eq!(named.unwrap(), (Manager::S6, "gateway-coder".to_owned()));
        assert_eq!(supervised_by, Supervisor::S6);
    }

    #[expect(clippy::print_stderr, reason = "a test that does not run says so")]
    fn skipped() {
        eprintln!("s6 is not installed: nothing was tested");
    }
}
