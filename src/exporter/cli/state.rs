//! What `report --state` keeps from one run to the next: what the collectors remember, in a file of the owner's own.
//!
//! Nobody else may read it, because it has names of sessions and the ends of logs in it. One that can not be used is as good
//! as none: counting begins anew, and the reports go on; but what was never one is not replaced. It is written before the
//! report that goes with it, so that no report ever shows more than is remembered: a run that is killed in between has shown
//! nothing, and what it has counted is in the next report.

#[cfg(test)]
mod properties;

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::output::write_privately;
use super::{CommandError, OutputError};
use crate::exporter::collect::memory::Memory;
use crate::exporter::instance::Instance;
use crate::system::files::{self, FileError, Stamp};
use crate::system::time::Timestamp;
use crate::system::users;

/// The version of the form. What each collector remembers has none: what it does not understand it leaves.
const FORMAT: u32 = 1;

/// The most that is read; with ten thousand turns that have no end yet it has about one.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Where the memory of one instance is kept.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    instance: String,
    home: String,
    /// The file as it was read.
    stamp: Option<Stamp>,
    /// Whether what was read is of another kind, and somebody may still want it.
    is_of_another_kind: bool,
}

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    format: u32,
    instance: String,
    home: String,
    written_at: Timestamp,
    memory: Memory,
}

/// Why what was kept can not be used.
#[derive(Debug, thiserror::Error)]
enum StateError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("it belongs to {owner}")]
    AnothersFile { owner: String },
    #[error("it is of format {format}, and not {FORMAT}")]
    Format { format: u64 },
    #[error("it is of the instance {instance:?} in {home}")]
    AnotherInstance { instance: String, home: String },
}

impl StateFile {
    /// The file at `path`, of an instance.
    pub(super) fn of(path: &Path, instance: &Instance) -> Result<StateFile, CommandError> {
        assert_outside_home("--state", path, instance)?;
        Ok(StateFile {
            path: path.to_owned(),
            instance: instance.name.clone(),
            home: instance.home.to_string_lossy().into_owned(),
            stamp: None,
            is_of_another_kind: false,
        })
    }

    /// What was remembered, and when; `None` where nothing was, or nothing that can be used.
    pub(super) fn read(&mut self) -> Option<(Timestamp, Memory)> {
        self.stamp = stamp(&self.path);
        self.try_read().unwrap_or_else(|error| {
            // Told where it would be replaced.
            if self.is_of_another_kind {
                return None;
            }
            let (path, error) = (self.path.display().to_string(), crate::error_chain::display_chain(&error));
            // Said also where only errors are: what was counted is lost.
            tracing::error!(path, error, "What was kept can not be used; counting begins anew.");
            None
        })
    }

    fn try_read(&mut self) -> Result<Option<(Timestamp, Memory)>, StateError> {
        let Some((mut file, metadata)) = files::open_no_link(&self.path)? else {
            return Ok(None);
        };
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(StateError::AnothersFile { owner: users::name_of(metadata.uid()) });
        }
        self.is_of_another_kind = !may_begin_a_state(&file);
        let content = files::read_at_most(&self.path, &mut file, &metadata, LARGEST)?;
        let broken = |error: serde_json::Error| files::ParseFault::from(error).of(&self.path);
        let state: serde_json::Value = serde_json::from_slice(&content).map_err(broken)?;
        self.is_of_another_kind = state.get("memory").is_none();
        // Before the rest is understood: that of another format need not be.
        if let Some(format) =
            state.get("format").and_then(serde_json::Value::as_u64).filter(|it| *it != u64::from(FORMAT))
        {
            return Err(StateError::Format { format });
        }
        let state: State = serde_json::from_value(state).map_err(broken)?;
        if (&state.instance, &state.home) != (&self.instance, &self.home) {
            return Err(StateError::AnotherInstance { instance: state.instance, home: state.home });
        }
        Ok(Some((state.written_at, state.memory)))
    }

    /// Keeps what is remembered at `now`, unless another run has done so since this one has read.
    pub(super) fn write(&self, now: Timestamp, memory: Memory) -> Result<(), CommandError> {
        if stamp(&self.path) != self.stamp {
            return Err(CommandError::AnotherRun { path: self.path.clone() });
        }
        let shown = || self.path.display().to_string();
        if self.is_of_another_kind {
            return Err(OutputError::AnotherKind { path: shown() }.into());
        }
        let (instance, home) = (self.instance.clone(), self.home.clone());
        let state = State { format: FORMAT, instance, home, written_at: now, memory };
        let text = serde_json::to_string(&state)
            .map_err(|error| OutputError::Write { path: shown(), source: error.into() })?;
        Ok(write_privately(&self.path, &text)?)
    }
}

/// Whether what stands in a file may be a state, whole or damaged: an object, or what is left of files after a loss of power.
fn may_begin_a_state(file: &File) -> bool {
    let mut first = [0; 16];
    let length = file.read_at(&mut first, 0).unwrap_or_default();
    first.iter().take(length).find(|byte| **byte != 0 && !byte.is_ascii_whitespace()).is_none_or(|byte| *byte == b'{')
}

fn stamp(path: &Path) -> Option<Stamp> {
    path.symlink_metadata().ok().map(|metadata| Stamp::of(&metadata))
}

/// Nothing is ever written in a Hermes home; `flag` is what names the file.
pub(super) fn assert_outside_home(flag: &'static str, path: &Path, instance: &Instance) -> Result<(), CommandError> {
    let inside = |home: &Path| is_inside(path, home);
    if inside(&instance.home) || instance.root_home().is_some_and(inside) {
        return Err(CommandError::FileInHome { path: path.to_owned(), flag });
    }
    Ok(())
}

/// Whether what is at `path`, or would be, is in `folder`, by whatever name that goes.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.canonicalize()) {
        (Ok(parent), Ok(folder)) => parent.starts_with(folder),
        _ => path.starts_with(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::instance::tests::instance_at;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    #[test]
    fn of_two_runs_that_count_from_the_same_the_later_one_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let run = || StateFile::of(&path, &instance_at(Path::new("/no/such/home"))).unwrap();
        let (mut one, mut other) = (run(), run());
        assert_eq!((one.read(), other.read()), (None, None));
        one.write(at(1.0), Memory::default()).unwrap();
        assert!(matches!(other.write(at(2.0), Memory::default()), Err(CommandError::AnotherRun { .. })));
        let mut next = run();
        assert_eq!(next.read(), Some((at(1.0), Memory::default())));
        next.write(at(3.0), Memory::default()).unwrap();
        assert_eq!(run().read().unwrap().0, at(3.0));
    }

    #[test]
    fn what_belongs_to_another_user_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = StateFile::of(&path, &instance_at(Path::new("/no/such/home"))).unwrap();
        file.write(at(1.0), Memory::default()).unwrap();
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            assert_eq!(file.read(), None);
        }
    }
}
