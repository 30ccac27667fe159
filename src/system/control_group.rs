//! Control groups: which systemd unit a process runs in, and which processes run in a unit, by the path of the group.
//!
//! systemd gives every unit a group of its own name, below the slices it is in. The path is read as it is written:
//! whether that systemd still knows the unit is not asked here.

use std::path::{Path, PathBuf};

use super::files::{self, FileError};

/// A systemd service that a process runs in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Whose it is.
    pub manager: Manager,
    /// Its name as systemd spells it, such as `some\x2dthing.service`.
    pub name: String,
}

/// A systemd that runs units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// The one of the machine, or of the container.
    System,
    /// One of a user.
    User,
}

/// The service that a process runs in; `None` where it runs in none (but in a login session, or in a container) or has
/// ended.
pub fn unit(process: u32) -> Result<Option<Unit>, FileError> {
    let content = files::read(&PathBuf::from(format!("/proc/{process}/cgroup")))?.unwrap_or_default();
    Ok(unit_in(&String::from_utf8_lossy(&content)))
}

/// Where systemd has its groups: under version 2, and beside version 1 under either of two names.
const ROOTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// The processes in the group of a unit and in the groups below it; none where it does not run.
///
/// Looked for is where systemd puts units by itself; a unit with a `Slice=` of its own is not found.
pub fn processes_in(unit: &str, of: Owner) -> Result<Vec<u32>, FileError> {
    let mut processes = Vec::new();
    for root in ROOTS {
        processes.extend(processes_below(Path::new(root), unit, of)?);
    }
    Ok(processes)
}

/// Whose unit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The system's manager's.
    System,
    /// That of the manager of the user with this id.
    User(u32),
}

fn processes_below(root: &Path, unit: &str, of: Owner) -> Result<Vec<u32>, FileError> {
    // The instances of a template have a slice of their own.
    let template = unit.split_once('@').map(|(template, _)| template.replace('-', "\\x2d"));
    let slice = |outer: &str| match &template {
        Some(template) => format!("{outer}.slice/{outer}-{template}.slice"),
        None => format!("{outer}.slice"),
    };
    let groups = match of {
        Owner::System => vec![root.join(slice("system"))],
        Owner::User(user) => {
            let manager = root.join(format!("user.slice/user-{user}.slice/user@{user}.service"));
            ["app", "session", "background"].iter().map(|outer| manager.join(slice(outer))).collect()
        }
    };
    let mut processes = Vec::new();
    for group in groups {
        for entry in walkdir::WalkDir::new(group.join(unit)).max_depth(DEEPEST_GROUP).same_file_system(true) {
            // Groups come and go while they are walked through; most often there is none.
            let Ok(entry) = entry else { continue };
            if entry.file_name() == "cgroup.procs" {
                match files::read(entry.path()) {
                    Ok(content) => {
                        let content = content.unwrap_or_default();
                        processes
                            .extend(String::from_utf8_lossy(&content).lines().filter_map(|id| id.parse::<u32>().ok()));
                    }
                    Err(error @ FileError::Permission { .. }) => return Err(error),
                    // A threaded group has no list of processes.
                    Err(_) => {}
                }
            }
        }
    }
    Ok(processes)
}

/// How deep below the group of a unit its processes are looked for.
const DEEPEST_GROUP: usize = 4;

/// The service that the lines of `/proc/<pid>/cgroup` name.
///
/// A line is `number:controllers:path`. There is one `0::` for the unified hierarchy (version 2), and one for each of the
/// others (version 1), of which systemd keeps its units in the one called `name=systemd`. A machine may have both.
fn unit_in(lines: &str) -> Option<Unit> {
    let path_of = |wanted: &str| {
        lines.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            (controllers == wanted).then_some(path)
        })
    };
    ["", "name=systemd"].into_iter().filter_map(path_of).find_map(unit_of)
}

fn unit_of(path: &str) -> Option<Unit> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let groups: Vec<&str> = path.split('/').collect();
    // The innermost unit counts: a service may have groups of its own below it, and a container in one.
    let is_unit = |group: &str| {
        [".service", ".scope", ".slice"].iter().any(|kind| group.ends_with(kind)) || group.contains(".slice:")
    };
    let place = groups.iter().rposition(|group| is_unit(group))?;
    let is_user_manager = |group: &&str| group.starts_with("user@") && group.ends_with(".service");
    let (outer, name) = (groups.get(..place)?, groups.get(place).filter(|name| !is_user_manager(name))?);
    // A group may not be called like a file of the kernel's; such a unit's gets an underscore.
    let name = name.strip_prefix('_').unwrap_or(name);
    name.ends_with(".service").then(|| Unit {
        manager: if outer.iter().any(is_user_manager) { Manager::User } else { Manager::System },
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &str) -> Option<(Manager, String)> {
        unit_in(lines).map(|unit| (unit.manager, unit.name))
    }

    fn is(manager: Manager, name: &str) -> Option<(Manager, String)> {
        Some((manager, name.to_owned()))
    }

    #[test]
    fn services_of_both_managers_are_named() {
        let user = "0::/user.slice/user-1001.slice/user@1001.service/app.slice/hermes-gateway.service\n";
        assert_eq!(found("0::/system.slice/hermes-gateway.service\n"), is(Manager::System, "hermes-gateway.service"));
        assert_eq!(found(user), is(Manager::User, "hermes-gateway.service"));
        let instance = "0::/system.slice/system-hermes.slice/hermes@vijay.service\n";
        assert_eq!(found(instance), is(Manager::System, "hermes@vijay.service"));
    }

    #[test]
    fn a_name_stays_as_systemd_spells_it() {
        let escaped = r"0::/system.slice/system-some\x2dgate.slice/some\x2dgate@a:b.service";
        assert_eq!(found(escaped), is(Manager::System, r"some\x2dgate@a:b.service"));
        assert_eq!(found("0::/system.slice/_cgroup.service"), is(Manager::System, "cgroup.service"));
    }

    #[test]
    fn every_layout_of_the_hierarchies_is_read() {
        let hybrid = "12:memory:/\n1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service\n";
        assert_eq!(found(hybrid), is(Manager::System, "a.service"));
        let only_named =
            "4:cpu,cpuacct:/x.service\n1:name=systemd:/user.slice/user-0.slice/user@0.service/a.service\n0::/\n";
        assert_eq!(found(only_named), is(Manager::User, "a.service"));
        assert_eq!(found("4:cpu,cpuacct:/system.slice/a.service\n"), None, "a controller's group is not a unit's");
    }

    #[test]
    fn the_processes_of_a_unit_are_those_in_its_group_and_below() {
        let root = tempfile::tempdir().unwrap();
        for (group, content) in [
            ("system.slice/a.service", "1\n2\n"),
            ("system.slice/b.service", "3\n"),
            ("user.slice/user-7.slice/user@7.service/app.slice/a.service/below", "4\n"),
            ("user.slice/user-8.slice/user@8.service/app.slice/a.service", "5\n"),
            (r"system.slice/system-hermes\x2ddash.slice/hermes-dash@x.service", "6\n"),
        ] {
            std::fs::create_dir_all(root.path().join(group)).unwrap();
            std::fs::write(root.path().join(group).join("cgroup.procs"), content).unwrap();
        }
        let found = |unit, of| processes_below(root.path(), unit, of).unwrap();
        assert_eq!(found("a.service", Owner::System), [1, 2]);
        assert_eq!(found("a.service", Owner::User(7)), [4]);
        assert_eq!(found("a.service", Owner::User(9)), Vec::<u32>::new());
        assert_eq!(found("hermes-dash@x.service", Owner::System), [6]);
    }

    #[test]
    fn groups_within_a_service_are_the_services() {
        assert_eq!(found("0::/system.slice/a.service/worker"), is(Manager::System, "a.service"));
        assert_eq!(found("0::/system.slice/a.service (deleted)"), is(Manager::System, "a.service"));
        assert_eq!(found("0::/../system.slice/a.service"), is(Manager::System, "a.service"));
    }

    #[test]
    fn sessions_containers_and_the_rest_are_no_service() {
        for lines in [
            "",
            "0::/",
            "rubbish",
            "0::",
            "0::/init.scope",
            "0::/user.slice/user-1001.slice/session-3.scope",
            "0::/user.slice/user-1001.slice/user@1001.service/init.scope",
            "0::/user.slice/user-1001.slice/user@1001.service",
            "0::/user.slice/user-1001.slice/user@1001.service/app.slice/tmux-spawn-1.scope",
            "0::/system.slice/docker-0123.scope",
            "0::/docker/0123",
            "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:0123",
        ] {
            assert_eq!(found(lines), None, "{lines}");
        }
        assert_eq!(unit(u32::MAX).unwrap(), None);
        assert!(unit(std::process::id()).is_ok());
    }
}
