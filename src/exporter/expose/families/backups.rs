//! How fresh, complete and clean the backups are, and when their use was last proved.

use super::{put, put_state};
use crate::exporter::expose::family::{Family, gauge};
use crate::exporter::snapshot::backups::{Artifacts, Backups, Repository, RepositoryState};
use crate::exporter::snapshot::{Reading, Snapshot, Tally};

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_backup_state",
        &["repo", "state"],
        "1 for what is at the path of the repository: ready, empty (no commit), interrupted (a rebase, a merge), not_a_repository or missing",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| {
            if let Reading::Known(current) = repository.state {
                put_state(
                    sink,
                    &[repo],
                    RepositoryState::ALL.into_iter().map(|state| (state.as_str(), state == current)),
                );
            }
        });
    }),
    gauge(
        "hermes_backup_age_seconds",
        &["repo"],
        "How long ago the newest commit was made that has reached the remote, or without a remote the newest commit; where nothing has reached the remote, how long the oldest commit has waited",
    )
    .instance(|snapshot, sink| {
        let now = sink.now();
        of_repositories(snapshot, |repo, repository| {
            let age = repository.backed_up_until().map(|until| until.age_at(now).as_secs_f64());
            put(sink, &[repo], &age);
        });
    }),
    gauge(
        "hermes_backup_max_age_seconds",
        &["repo"],
        "How old the backup may be; not there where it is not judged by its age",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.max_age_seconds));
    }),
    gauge("hermes_backup_last_commit_timestamp_seconds", &["repo"], "When the newest commit was made").instance(
        |snapshot, sink| of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.newest_commit)),
    ),
    gauge(
        "hermes_backup_last_pushed_commit_timestamp_seconds",
        &["repo"],
        "When the newest commit was made that has reached the remote",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.newest_pushed_commit));
    }),
    gauge(
        "hermes_backup_last_push_timestamp_seconds",
        &["repo"],
        "When something was last pushed from this repository, as git has logged it",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.last_push));
    }),
    gauge(
        "hermes_backup_unpushed_commits",
        &["repo"],
        "Commits that have not reached the remote, as far as the repository knows; all of them where nothing has",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.unpushed_commits));
    }),
    gauge(
        "hermes_backup_oldest_unpushed_commit_timestamp_seconds",
        &["repo"],
        "When the oldest commit was made that has not reached the remote",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.oldest_unpushed_commit));
    }),
    gauge(
        "hermes_backup_commits",
        &["repo", "window"],
        "Commits of the last 24h, 7d and 30d, by the clock of who made them",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| {
            if let Reading::Known(commits) = repository.commits {
                for (window, count) in [("24h", commits.day), ("7d", commits.week), ("30d", commits.month)] {
                    sink.sample(&[repo, window], count.into());
                }
            }
        });
    }),
    gauge(
        "hermes_backup_dirty_files",
        &["repo"],
        "Files that are changed, new or deleted and not committed, a new folder counted once; looked for anew every ten minutes",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.dirty_files));
    }),
    gauge(
        "hermes_backup_payload_files",
        &["repo"],
        "Files that would be restored: below the payload folder in the newest commit",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| put(sink, &[repo], &repository.payload.map(|payload| payload.files)));
    }),
    gauge("hermes_backup_payload_bytes", &["repo"], "The sizes of the files that would be restored, summed up").instance(
        |snapshot, sink| {
            of_repositories(snapshot, |repo, repository| {
                put(sink, &[repo], &repository.payload.map(|payload| payload.bytes));
            });
        },
    ),
    gauge(
        "hermes_backup_forbidden_files",
        &["repo"],
        "Files in the newest commit that look like secrets or live databases, or are forbidden by the configuration",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| {
            put(sink, &[repo], &repository.forbidden.as_ref().map(|forbidden| forbidden.current.total()));
        });
    }),
    gauge(
        "hermes_backup_forbidden_files_ever",
        &["repo", "kind"],
        "Paths of such files in any commit, by what they look like: auth, configured, database, env, private_key or token",
    )
    .instance(|snapshot, sink| {
        of_repositories(snapshot, |repo, repository| {
            let ever = repository.forbidden.known().map(|forbidden| &forbidden.ever);
            for (kind, count) in ever.into_iter().flat_map(Tally::iter) {
                sink.sample(&[repo, kind.as_str()], count.into());
            }
        });
    }),
    gauge("hermes_restore_drills", &[], "Marks that rehearsals of a restore have left").instance(|snapshot, sink| {
        put(sink, &[], &artifacts(snapshot, |backups| &backups.restore_drills).map(|found| found.files));
    }),
    gauge("hermes_restore_drill_timestamp_seconds", &[], "When the newest of these marks was written").instance(
        |snapshot, sink| {
            put(sink, &[], &artifacts(snapshot, |backups| &backups.restore_drills).and_then(|found| found.newest));
        },
    ),
    gauge(
        "hermes_restore_drill_max_age_seconds",
        &[],
        "How long ago a rehearsal of a restore may be; not there where it is not judged by its age",
    )
    .instance(|snapshot, sink| {
        put(sink, &[], &artifacts(snapshot, |backups| &backups.restore_drills).and_then(|found| found.max_age_seconds));
    }),
    gauge("hermes_emergency_bundles", &[], "Bundles for an emergency").instance(|snapshot, sink| {
        put(sink, &[], &artifacts(snapshot, |backups| &backups.emergency_bundles).map(|found| found.files));
    }),
    gauge("hermes_emergency_bundle_timestamp_seconds", &[], "When the newest bundle for an emergency was written")
        .instance(|snapshot, sink| {
            put(sink, &[], &artifacts(snapshot, |backups| &backups.emergency_bundles).and_then(|found| found.newest));
        }),
    gauge("hermes_emergency_bundle_bytes", &[], "Size of the newest bundle for an emergency").instance(|snapshot, sink| {
        put(sink, &[], &artifacts(snapshot, |backups| &backups.emergency_bundles).and_then(|found| found.newest_bytes));
    }),
    gauge(
        "hermes_emergency_bundle_max_age_seconds",
        &[],
        "How old a bundle for an emergency may be; not there where it is not judged by its age",
    )
    .instance(|snapshot, sink| {
        let found = artifacts(snapshot, |backups| &backups.emergency_bundles);
        put(sink, &[], &found.and_then(|found| found.max_age_seconds));
    }),
];

fn of_repositories(snapshot: &Snapshot, mut put: impl FnMut(&str, &Repository)) {
    for (name, repository) in snapshot.backups.known().into_iter().flat_map(|backups| &backups.repositories) {
        put(name.as_str(), repository);
    }
}

fn artifacts(snapshot: &Snapshot, of: impl FnOnce(&Backups) -> &Reading<Artifacts>) -> Reading<Artifacts> {
    snapshot.backups.as_ref().and_then(|backups| *of(backups))
}
