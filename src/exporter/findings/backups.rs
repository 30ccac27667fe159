//! What is wrong with the repositories that an instance is backed up to, and with the proofs that they can be used.

use super::wording::{counted, duration};
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::backups::{Artifacts, Payload, RemoteBranch, Repository, RepositoryState};
use crate::exporter::snapshot::{Label, Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

pub(super) fn findings(snapshot: &Snapshot, now: Timestamp) -> Vec<Finding> {
    let Reading::Known(backups) = &snapshot.backups else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, repository) in &backups.repositories {
        match missing(name, repository) {
            Some(missing) => found.push(missing),
            None => {
                found.extend(interrupted(name, repository));
                found.extend(stale(name, repository, now));
                found.extend(unpushed(name, repository, snapshot, now));
                found.extend(dirty(name, repository, snapshot));
                found.extend(leaking(name, repository));
            }
        }
    }
    found.extend(overdue(Code::RestoreDrillOverdue, "restore drill", &backups.restore_drills, now));
    found.extend(overdue(Code::EmergencyBundleOverdue, "emergency bundle", &backups.emergency_bundles, now));
    found
}

fn missing(name: &Label, repository: &Repository) -> Option<Finding> {
    let sentence = match repository.state.known()? {
        RepositoryState::Missing => format!("The backup \"{name}\" is missing: there is nothing at its path"),
        RepositoryState::NotARepository => {
            format!("The backup \"{name}\" is missing: what is at its path is no repository")
        }
        RepositoryState::Empty => format!("The backup \"{name}\" is empty: it has no commit"),
        RepositoryState::Ready | RepositoryState::Interrupted => match repository.payload {
            Reading::Known(Payload { files: 0, .. }) => {
                format!("The backup \"{name}\" is empty: its newest commit has no file below the payload folder")
            }
            _ => return None,
        },
    };
    Some(Finding::new(Code::BackupMissing, Severity::Critical, sentence).about(name))
}

fn interrupted(name: &Label, repository: &Repository) -> Option<Finding> {
    let sentence = format!(
        "The backup \"{name}\" is in the middle of a rebase, a merge or the like, which somebody has to finish"
    );
    let is_interrupted = repository.state == Reading::Known(RepositoryState::Interrupted);
    is_interrupted.then(|| Finding::new(Code::BackupInterrupted, Severity::Warning, sentence).about(name))
}

fn stale(name: &Label, repository: &Repository, now: Timestamp) -> Option<Finding> {
    let (limit, until) = (*repository.max_age_seconds.known()?, *repository.backed_up_until().known()?);
    let age = now.seconds_since(until);
    let severity = if age > 2.0 * limit { Severity::Critical } else { Severity::Warning };
    let sentence = format!("The backup \"{name}\" is {} old; its limit is {}", duration(age), duration(limit));
    let finding = Finding::new(Code::BackupStale, severity, sentence).about(name).since(after(until, limit));
    (age > limit).then_some(finding)
}

fn unpushed(name: &Label, repository: &Repository, snapshot: &Snapshot, now: Timestamp) -> Option<Finding> {
    let limit = snapshot.thresholds.get(Threshold::BackupUnpushed)?;
    let oldest = *repository.oldest_unpushed_commit.known()?;
    let age = now.seconds_since(oldest);
    let commits = match repository.unpushed_commits {
        Reading::Known(1) => format!("1 commit of \"{name}\" has"),
        Reading::Known(count) => format!("{count} commits of \"{name}\" have"),
        Reading::Absent | Reading::Unknown(_) => format!("Commits of \"{name}\" have"),
    };
    let sentence = if repository.remote_branch == Reading::Known(RemoteBranch::Missing) {
        // A mistake in the names looks the same as a push that never was.
        format!(
            "Nothing of the backup \"{name}\" has been pushed for {}: git knows no such branch of its remote",
            duration(age)
        )
    } else {
        format!("{commits} not been pushed for {}", duration(age))
    };
    let finding = Finding::new(Code::BackupUnpushed, Severity::Warning, sentence).about(name).since(Some(oldest));
    (age > limit).then_some(finding)
}

fn dirty(name: &Label, repository: &Repository, snapshot: &Snapshot) -> Option<Finding> {
    let limit = snapshot.thresholds.get(Threshold::BackupDirtyFiles)?;
    let files = *repository.dirty_files.known()?;
    let sentence =
        format!("The backup \"{name}\" has {} that {} not committed", counted(files, "file"), is_or_are(files));
    (files as f64 > limit).then(|| Finding::new(Code::BackupDirty, Severity::Info, sentence).about(name))
}

fn leaking(name: &Label, repository: &Repository) -> Option<Finding> {
    let forbidden = repository.forbidden.known()?;
    let (severity, sentence) = match (forbidden.current.total(), forbidden.ever.total()) {
        (0, 0) => return None,
        (0, ever) => {
            let sentence = format!("The history of the backup \"{name}\" has {}", looking_forbidden(ever));
            (Severity::Warning, sentence)
        }
        (now, _) => (Severity::Critical, format!("The backup \"{name}\" has {}", looking_forbidden(now))),
    };
    Some(Finding::new(Code::BackupLeaking, severity, sentence).about(name))
}

fn looking_forbidden(files: u64) -> String {
    if files == 1 {
        "1 file that looks like a secret or a live database".to_owned()
    } else {
        format!("{files} files that look like secrets or live databases")
    }
}

fn overdue(code: Code, what: &str, artifacts: &Reading<Artifacts>, now: Timestamp) -> Option<Finding> {
    let artifacts = artifacts.known()?;
    let limit = *artifacts.max_age_seconds.known()?;
    let overdue = |sentence, since| Some(Finding::new(code, Severity::Warning, sentence).since(since));
    match artifacts.newest {
        Reading::Unknown(_) => None,
        Reading::Absent => overdue(format!("There is no {what}"), None),
        // A rehearsal may leave an empty mark, and nothing is restored from an empty bundle.
        Reading::Known(newest)
            if code == Code::EmergencyBundleOverdue && artifacts.newest_bytes == Reading::Known(0) =>
        {
            overdue(format!("The newest {what} is empty"), Some(newest))
        }
        Reading::Known(newest) => {
            let age = now.seconds_since(newest);
            let sentence = format!("The newest {what} is {} old; its limit is {}", duration(age), duration(limit));
            if age > limit { overdue(sentence, after(newest, limit)) } else { None }
        }
    }
}

fn after(moment: Timestamp, seconds: f64) -> Option<Timestamp> {
    Timestamp::from_seconds(moment.seconds() + seconds)
}

fn is_or_are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
