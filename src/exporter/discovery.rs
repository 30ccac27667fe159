//! Finding Hermes homes without a configuration: those of the user the exporter runs as.
//!
//! The homes of others are only ever proposed (`discover --all-users`), never looked into without being
//! configured.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::instance::{CronJobLabel, Instance, S6_SCAN_DIRECTORY, UnitName, generated_units};
use super::snapshot::Thresholds;
use crate::system::users::{self, User};
use crate::system::{files, processes};

/// The home in the official container.
const CONTAINER_HOME: &str = "/opt/data";

/// Files that make a folder a Hermes home.
const SIGNS: [&str; 5] = ["config.yaml", "state.db", "gateway_state.json", "SOUL.md", ".env"];

/// Files that only Hermes makes: `/opt/data` may be anybody's.
const SIGNS_OF_USE: [&str; 3] = ["state.db", "gateway_state.json", "SOUL.md"];

/// What discovery goes by.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The variable `HERMES_HOME`.
    pub hermes_home: Option<OsString>,
    /// The variable `HOME`.
    pub user_home: Option<OsString>,
    /// The home in a container.
    pub container_home: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Surroundings {
        Surroundings {
            hermes_home: std::env::var_os("HERMES_HOME"),
            user_home: std::env::var_os("HOME"),
            container_home: CONTAINER_HOME.into(),
        }
    }
}

/// What was found, and where it was looked for.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The instances, with distinct names.
    pub instances: Vec<Instance>,
    /// Every place that was looked at.
    pub looked_at: Vec<PathBuf>,
    /// To whom the homes that are looked at belong, where they are other users'.
    owner: Option<String>,
}

/// Looks for the homes of the user this process runs as.
pub fn discover(surroundings: &Surroundings) -> Discovered {
    let mut found = Discovered::default();
    let absolute = |path: &OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let named = surroundings.hermes_home.as_ref().and_then(absolute);
    let usual = surroundings.user_home.as_ref().and_then(absolute).map(|home| home.join(".hermes"));
    for home in named.into_iter().chain(usual).chain([surroundings.container_home.clone()]) {
        found.add_home_and_profiles(&home);
    }
    found
}

/// The homes of all users that can be seen to exist, and those users whose folder could not be looked into.
pub fn discover_all_users(passwd: &Path) -> (Discovered, Vec<User>) {
    let mut found = Discovered::default();
    let mut hidden = Vec::new();
    for user in users::all(passwd).unwrap_or_default() {
        let home = user.home.join(".hermes");
        match files::exists(&home) {
            Ok(true) => {
                found.owner = Some(user.name);
                found.add_home_and_profiles(&home);
            }
            Ok(false) => {}
            Err(_) => hidden.push(user),
        }
    }
    (found, hidden)
}

impl Discovered {
    /// Adds what is found in another place, once.
    pub fn include(&mut self, other: Discovered) {
        self.owner = None;
        for home in other.looked_at {
            self.add_home_and_profiles(&home);
        }
    }

    fn add_home_and_profiles(&mut self, home: &Path) {
        if self.looked_at.iter().any(|other| is_same_folder(other, home)) {
            return;
        }
        self.looked_at.push(home.to_owned());
        self.add_if_home(home);
        let profiles = home.join("profiles");
        for profile in files::entries(&profiles).ok().flatten().unwrap_or_default() {
            // The profile called default is the root home itself.
            if profile != "default" {
                self.add_if_home(&profiles.join(profile));
            }
        }
    }

    fn add_if_home(&mut self, home: &Path) {
        let signs = if home == Path::new(CONTAINER_HOME) { &SIGNS_OF_USE[..] } else { &SIGNS[..] };
        if !signs.iter().any(|sign| home.join(sign).exists())
            || self.instances.iter().any(|instance| is_same_folder(&instance.home, home))
        {
            return;
        }
        let taken: HashSet<_> = self.instances.iter().map(|instance| instance.name.clone()).collect();
        let wanted = name_for(home);
        // Short enough to stay a valid name with a number behind it.
        let short: String = wanted.chars().take(58).collect();
        let numbered = (2..).map(|number| format!("{short}-{number}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
        self.instances.push(Instance {
            name: name.unwrap_or(wanted),
            home: home.to_owned(),
            user: self.owner.clone(),
            env_keys: None,
            expected_tokens: None,
            cron_job_label: CronJobLabel::Id,
            thresholds: Thresholds::default(),
            ignored_findings: Vec::new(),
            units: generated_units(home, processes::is_supervised_by_s6()),
            s6_scan_directory: S6_SCAN_DIRECTORY.into(),
            endpoints: Vec::new(),
            backups: Vec::new(),
            restore_drills: None,
            emergency_bundles: None,
        });
    }
}

/// A name for a home: the user's for `~/.hermes`, the folder's for others, and both for a profile.
fn name_for(home: &Path) -> String {
    let file_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let parent = home.parent().unwrap_or(home);
    let name = if file_name(parent).is_some_and(|name| name == "profiles") {
        let root = parent.parent().map(name_for).unwrap_or_default();
        format!("{root}-{}", file_name(home).unwrap_or_default())
    } else if home == Path::new(CONTAINER_HOME) {
        "hermes".to_owned()
    } else if file_name(home).is_some_and(|name| name == ".hermes") {
        file_name(parent).unwrap_or_default()
    } else {
        file_name(home).unwrap_or_default()
    };
    let fits = |character: char| if character.is_alphanumeric() || "_.-".contains(character) { character } else { '_' };
    let name: String = name.trim_start_matches('.').chars().map(fits).take(64).collect();
    if name.is_empty() { "hermes".to_owned() } else { name }
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    one == other
        || std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// Where a document is to be read: where the package has put it, or else in the sources.
fn documentation(name: &str) -> String {
    let installed = format!("/usr/share/doc/hermes-exporter/docs/{name}");
    if Path::new(&installed).exists() { installed } else { format!("docs/{name}") }
}

/// The instances as a configuration file to start from.
pub fn as_configuration(found: &Discovered, hidden: &[User]) -> String {
    // A JSON string is a YAML string.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!("# Found by `hermes-exporter discover`. Every key: {}\n", documentation("configuration.md"));
    if found.instances.iter().any(|instance| !instance.units.is_empty()) {
        text.push_str("# A line `units` is a guess: without its mark that unit is missed where it does not run.\n");
    }
    text.push_str(if found.instances.is_empty() { "instances: []\n" } else { "instances:\n" });
    for instance in &found.instances {
        text.push_str(&format!("  - name: {}\n", quoted(&instance.name)));
        text.push_str(&format!("    home: {}\n", quoted(&instance.home.to_string_lossy())));
        if let Some(user) = &instance.user {
            text.push_str(&format!("    user: {}\n", quoted(user)));
        }
        for unit in &instance.units {
            if let UnitName::Named(name) = &unit.unit {
                // Shown as it is in force by itself; named in the file, it would be missed where it is not there.
                let manager = unit.manager.map(|manager| format!(", manager: {}", manager.as_str()));
                let (role, name, manager) = (&unit.role, quoted(name), manager.unwrap_or_default());
                text.push_str(&format!("    # units: [{{role: {role}, unit: {name}{manager}}}]\n"));
            }
        }
    }
    for user in hidden {
        let (name, home) = (quoted(&user.name), quoted(&user.home.join(".hermes").to_string_lossy()));
        text.push_str(&format!(
            "  # {name} may have one, which this user can not see:\n  # - {{name: {name}, home: {home}, user: {name}}}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::config::Config;

    fn make_home(path: &Path) {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("config.yaml"), "").unwrap();
    }

    fn names(found: &Discovered) -> Vec<&str> {
        found.instances.iter().map(|instance| instance.name.as_str()).collect()
    }

    #[test]
    fn homes_and_profiles_of_this_user_are_found_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("uma");
        make_home(&root.join(".hermes"));
        make_home(&root.join(".hermes/profiles/coder"));
        make_home(&root.join(".hermes/profiles/default"));
        std::fs::create_dir_all(root.join(".hermes/profiles/empty")).unwrap();
        make_home(&folder.path().join("vijay"));
        let surroundings = Surroundings {
            hermes_home: Some(folder.path().join("vijay").into()),
            user_home: Some(root.clone().into()),
            container_home: root.join(".hermes"),
        };
        let found = discover(&surroundings);
        assert_eq!(names(&found), ["vijay", "uma", "uma-coder"]);
        let config = Config::from_text(Path::new("f"), &as_configuration(&found, &[])).unwrap();
        assert_eq!(config.instances, found.instances);
    }

    #[test]
    fn a_profile_that_is_named_and_found_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("uma");
        make_home(&root.join(".hermes"));
        make_home(&root.join(".hermes/profiles/coder"));
        let surroundings = Surroundings {
            hermes_home: Some(root.join(".hermes/profiles/coder").into()),
            user_home: Some(root.clone().into()),
            container_home: folder.path().join("data"),
        };
        let found = discover(&surroundings);
        assert_eq!(names(&found), ["uma-coder", "uma"]);
        Config::from_text(Path::new("f"), &as_configuration(&found, &[])).unwrap();
    }

    #[test]
    fn nothing_is_found_on_an_empty_machine() {
        let folder = tempfile::tempdir().unwrap();
        let surroundings = Surroundings {
            hermes_home: None,
            user_home: Some(folder.path().into()),
            container_home: folder.path().join("data"),
        };
        let found = discover(&surroundings);
        assert!(found.instances.is_empty());
        assert_eq!(found.looked_at.len(), 2);
        assert!(Config::from_text(Path::new("f"), &as_configuration(&found, &[])).unwrap().instances.is_empty());
    }

    #[test]
    fn homes_of_one_name_are_numbered_and_odd_names_made_valid() {
        let folder = tempfile::tempdir().unwrap();
        let mut found = Discovered::default();
        for place in ["a/it's \"one\"", "b/it's \"one\""] {
            make_home(&folder.path().join(place));
            found.add_home_and_profiles(&folder.path().join(place));
        }
        assert_eq!(names(&found), ["it_s__one_", "it_s__one_-2"]);
        Config::from_text(Path::new("f"), &as_configuration(&found, &[])).unwrap();
    }

    #[test]
    fn the_homes_of_all_users_are_proposed() {
        let folder = tempfile::tempdir().unwrap();
        make_home(&folder.path().join("uma/.hermes"));
        let passwd = folder.path().join("passwd");
        let line = |name: &str| format!("{name}:x:1:1::{}:/bin/sh\n", folder.path().join(name).display());
        std::fs::write(&passwd, line("uma") + &line("bob")).unwrap();
        let (found, hidden) = discover_all_users(&passwd);
        assert_eq!(names(&found), ["uma"]);
        assert!(hidden.is_empty());
        assert!(as_configuration(&found, &[]).contains("user: \"uma\""));
    }
}
