//! Small repositories that the sample homes are backed up to: a good one, and one that nobody has pushed for days.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature, Time};

use super::DemoError;
use crate::system::git;

const HOUR: i64 = 3_600;

/// The folder in them that would be restored from.
pub(super) const PAYLOAD: &str = "hermes_persistent_backup";

/// Makes `vijay-backup`, whose commits are pushed to a repository beside it, and `bheem-backup`, whose last one is not.
pub(super) fn make(folder: &Path) -> Result<(), DemoError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let sample = |name: &'static str, pushed: &'static [i64], left: &'static [i64]| {
        let path = folder.join(format!("{name}-backup"));
        let made = Sample::init(&path, folder).and_then(|sample| {
            for hours in pushed {
                sample.commit(name, now - hours * HOUR)?;
            }
            sample.push()?;
            for hours in left {
                sample.commit(name, now - hours * HOUR)?;
            }
            Ok(())
        });
        made.map_err(|source| DemoError::Repository { path, source })
    };
    sample("vijay", &[72, 50, 26, 2], &[])?;
    sample("bheem", &[120, 97, 75], &[51])?;
    let notes = folder.join("bheem-backup").join(PAYLOAD).join("NOTES.md");
    std::fs::write(&notes, "Written after the last backup.\n")
        .map_err(|source| DemoError::Unpack { path: notes, source })
}

struct Sample {
    repository: Repository,
    path: PathBuf,
}

impl Sample {
    fn init(path: &Path, folder: &Path) -> Result<Sample, git2::Error> {
        if !git::isolate() {
            return Err(git2::Error::from_str("libgit2 could not be set up"));
        }
        let options = |is_bare| {
            let mut options = RepositoryInitOptions::new();
            options.bare(is_bare).initial_head("main").external_template(false);
            options
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let remote = folder.join(format!("{name}.git"));
        Repository::init_opts(&remote, &options(true))?;
        let repository = Repository::init_opts(path, &options(false))?;
        let mut config = repository.config()?;
        config.set_str("user.name", "hermes-exporter demo")?;
        config.set_str("user.email", "demo@example.invalid")?;
        repository.remote("origin", &remote.to_string_lossy())?;
        Ok(Sample { repository, path: path.to_owned() })
    }

    /// Writes something down and commits it, as of a moment.
    fn commit(&self, name: &str, seconds: i64) -> Result<(), git2::Error> {
        let failed = |error: std::io::Error| git2::Error::from_str(&error.to_string());
        let payload = self.path.join(PAYLOAD);
        std::fs::create_dir_all(&payload).map_err(failed)?;
        for file in ["MEMORY.md", "jobs.json", "state.sql"] {
            std::fs::write(payload.join(file), format!("{file} of {name}, as of {seconds}\n")).map_err(failed)?;
        }
        let mut index = self.repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = self.repository.find_tree(index.write_tree()?)?;
        let by = Signature::new("hermes-exporter demo", "demo@example.invalid", &Time::new(seconds, 0))?;
        let before = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let before: Vec<_> = before.iter().collect();
        self.repository.commit(Some("HEAD"), &by, &by, "Back up", &tree, &before)?;
        Ok(())
    }

    fn push(&self) -> Result<(), git2::Error> {
        self.repository.find_remote("origin")?.push(&["refs/heads/main:refs/heads/main"], None)
    }
}
