//! `report`: one look at one instance, written down for an exporter that may not look itself. What there is to know from one
//! run to the next is in a file beside it ([`super::state`]).

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use super::CommandError;
use super::arguments::ReportArguments;
use super::output::write_atomically;
use super::run::{crew_for_once, listening_for_signals, load_without, print, runtime};
use super::state::{StateFile, assert_outside_home};
use crate::config_file::{LONGEST_NAME, is_name};
use crate::exporter::collect::engine::Selection;
use crate::exporter::collect::memory::Memory;
use crate::exporter::collect::report::MOST_BYTES;
use crate::exporter::collect::{COLLECTORS, Scope};
use crate::exporter::config::Config;
use crate::exporter::expose::self_report::{self, NOT_REPORTED};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::{FORMAT, Snapshot};
use crate::system::files;
use crate::system::time::Timestamp;
use crate::web::lifetime;

pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, CommandError> {
    let left_out: &[_] = if arguments.state.is_some() { &[] } else { &NOT_REPORTED };
    let mut config = load_without(left_out, arguments.config_file.clone(), &arguments.collectors.0)?;
    let instance = choose(&mut config, arguments.instance.as_deref(), arguments.config_file.is_none())?;
    leave_machine_out(&mut config);
    if let Some(output) = &arguments.output {
        assert_outside_home("--output", output, &instance)?;
    }
    let mut state = match &arguments.state {
        Some(path) if arguments.output.as_ref() == Some(path) => {
            return Err(CommandError::StateIsOutput { path: path.clone() });
        }
        Some(path) => Some(StateFile::of(path, &instance)?),
        None => None,
    };
    let shown = arguments.output.as_deref().and_then(former).map(|shown| (shown.taken_at, shown));
    let shown = shown.filter(|(_, shown)| shown.identity.name == instance.name);
    let kept = state.as_mut().and_then(StateFile::read);
    let runtime = runtime()?;
    // From now on a signal no longer ends the program by itself, so that it can not leave half a file behind.
    let stop = listening_for_signals(&runtime, lifetime::termination_or_hangup)?;
    let now = Timestamp::now();
    let crew = crew_for_once(config, arguments.timeout);
    let before = match (kept, shown) {
        (Some((at, memory)), _) => self_report::as_of(now, instance.thresholds, at, memory),
        (None, Some((at, shown))) => self_report::as_of(now, instance.thresholds, at, Memory::of_shown(&shown)),
        (None, None) => Memory::default(),
    };
    if state.is_some() {
        crew.recall(&instance.name, &before);
    } else {
        crew.recall_failures(&instance.name, &before);
    }
    let everything = Selection::default();
    let looked = runtime.block_on(async {
        tokio::select! {
            fleet = crew.look_as_of(now, &everything, Instant::now() + arguments.timeout) => Ok(fleet),
            signal = stop => Err(CommandError::Stopped { signal }),
        }
    });
    // A collector that hangs must not keep the program from ending.
    runtime.shutdown_background();
    let fleet = looked?;
    let Some(snapshot) = fleet.instances.first() else {
        return Err(CommandError::NobodyToReport);
    };
    let mut report = self_report::report(Snapshot::clone(snapshot), state.is_some());
    let mut unkept = None;
    if let Some(state) = &state {
        match state.write(now, crew.remember(&instance.name, before)) {
            Ok(()) => {}
            Err(error @ CommandError::AnotherRun { .. }) => return Err(error),
            Err(error) => {
                self_report::forget_counts(&mut report);
                unkept = Some(error);
            }
        }
    }
    let json = self_report::json(&report)
        .map_err(|error| CommandError::System { what: "encoding the report", source: std::io::Error::other(error) })?;
    match &arguments.output {
        None => print(&json)?,
        Some(path) => write_atomically(path, &json)?,
    }
    unkept.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Leaves the instance that is asked for, or the only one. Where there is no configuration, nothing has been given a name,
/// so the only home that was found is called as it is asked for.
fn choose(config: &mut Config, asked: Option<&str>, is_discovered: bool) -> Result<Instance, CommandError> {
    // Only who looks can say what there is to be seen.
    if let Some(reported) = config.reported.iter().find(|reported| asked == Some(&reported.name)) {
        return Err(CommandError::ReportOfReport { name: reported.name.clone(), path: reported.report.clone() });
    }
    config.reported.clear();
    let names = || config.instances.iter().map(|instance| instance.name.clone()).collect::<Vec<_>>();
    let place = match (asked, config.instances.as_slice()) {
        (_, []) => return Err(CommandError::NobodyToReport),
        (None, [_]) => 0,
        (None, _) => return Err(CommandError::WhichInstance { known: names() }),
        (Some(name), [_]) if is_discovered => {
            if !is_name(name) {
                return Err(CommandError::InstanceName { name: name.to_owned(), longest: LONGEST_NAME });
            }
            0
        }
        (Some(name), instances) => instances
            .iter()
            .position(|instance| instance.name == name)
            .ok_or_else(|| CommandError::no_such_instance(name, names()))?,
    };
    let mut instance = config.instances.swap_remove(place);
    if let Some(name) = asked {
        name.clone_into(&mut instance.name);
    }
    config.instances = vec![instance.clone()];
    Ok(instance)
}

/// Of the machine only who runs its exporter tells.
fn leave_machine_out(config: &mut Config) {
    let of_machine = COLLECTORS.iter().filter(|entry| matches!(entry.scope, Scope::Machine { .. }));
    config.switch_collectors(&of_machine.map(|entry| (entry.name, false)).collect::<Vec<_>>());
}

/// The report that is to be replaced, where it is one of this user's. One that can not be read is as good as none.
fn former(path: &Path) -> Option<Snapshot> {
    let (mut file, metadata) = files::open_no_link(path).ok()??;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let content = files::read_at_most(path, &mut file, &metadata, MOST_BYTES).ok()?;
    let former: Snapshot = serde_json::from_slice(&content).ok()?;
    Some(former).filter(|former| former.format == FORMAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::instance::tests::instance_at;

    fn config(names: &[&str]) -> Config {
        let named = |name: &&str| {
            let mut instance = instance_at(&Path::new("/homes").join(name));
            instance.name = (*name).to_owned();
            instance
        };
        Config::discovered(names.iter().map(named).collect())
    }

    /// The home that is chosen and what it is called, or the message.
    fn chosen(names: &[&str], asked: Option<&str>, is_discovered: bool) -> Result<(String, String), String> {
        let mut config = config(names);
        choose(&mut config, asked, is_discovered).map_err(|error| error.to_string())?;
        let [instance] = config.instances.as_slice() else { panic!("{config:?}") };
        Ok((instance.home.display().to_string(), instance.name.clone()))
    }

    #[test]
    fn the_only_instance_needs_no_name_and_the_only_home_takes_any() {
        let ok = |home: &str, name: &str| Ok((format!("/homes/{home}"), name.to_owned()));
        assert_eq!(chosen(&["uma"], None, true), ok("uma", "uma"));
        assert_eq!(chosen(&["uma"], Some("bheem"), true), ok("uma", "bheem"));
        assert_eq!(chosen(&["vijay", "bheem"], Some("bheem"), false), ok("bheem", "bheem"));
        assert_eq!(chosen(&["uma", "uma-coder"], Some("uma-coder"), true), ok("uma-coder", "uma-coder"));
    }

    #[test]
    fn who_is_not_told_which_instance_says_which_there_are() {
        let message = |names: &[&str], asked, is_discovered| chosen(names, asked, is_discovered).unwrap_err();
        assert_eq!(
            message(&["vijay", "bheem"], None, false),
            "there are several instances; say which one with --instance: vijay, bheem"
        );
        assert_eq!(
            message(&["vijay"], Some("vijai"), false),
            "there is no instance called \"vijai\"; did you mean \"vijay\"?"
        );
        assert_eq!(
            message(&["uma", "uma-coder"], Some("bheem"), true),
            "there is no instance called \"bheem\"; there are: uma, uma-coder"
        );
        assert!(message(&["uma"], Some("two words"), true).contains("\"two words\" can not name an instance"));
        assert!(message(&[], Some("bheem"), true).contains("there is no Hermes home"));
    }
}
