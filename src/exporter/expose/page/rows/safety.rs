//! Rows about what must not be lost, and who could get at it: backups, tokens, exposure, guardrails.

use maud::{Markup, html};

use super::super::reading::{Facts, absent, reading, unknown};
use super::super::times;
use super::{Look, RowKind, chip, things};
use crate::exporter::findings::Code;
use crate::exporter::findings::wording::duration;
use crate::exporter::snapshot::backups::{Artifacts, Backups, Repository, RepositoryState};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::exposure::{Listener, Scope};
use crate::exporter::snapshot::{Label, Reading};
use crate::system::time::Timestamp;

pub(super) fn backup(look: Look<'_>) -> Markup {
    reading(&look.snapshot.backups, |backups| {
        let drill = artifacts(look, "drill", Code::RestoreDrillOverdue, &backups.restore_drills);
        let bundle = artifacts(look, "bundle", Code::EmergencyBundleOverdue, &backups.emergency_bundles);
        let is_empty = backups.repositories.is_empty() && drill.is_none() && bundle.is_none();
        html! {
            @for (name, repository) in &backups.repositories {
                div class="line" { (of_repository(look, backups, name.as_str(), repository)) }
            }
            @if drill.is_some() || bundle.is_some() {
                div class="line" { (things(drill.into_iter().chain(bundle).collect())) }
            }
            @if is_empty { (absent()) }
        }
    })
}

fn of_repository(look: Look<'_>, backups: &Backups, name: &str, repository: &Repository) -> Markup {
    let until = repository.backed_up_until();
    let (word, explained) = match repository.state {
        Reading::Known(RepositoryState::Missing) => (html! { "missing" }, Some("there is nothing at its path")),
        Reading::Known(RepositoryState::NotARepository) => {
            (html! { "missing" }, Some("what is at its path is no repository"))
        }
        Reading::Known(RepositoryState::Empty) => (html! { "empty" }, Some("it has no commit")),
        Reading::Known(state @ (RepositoryState::Ready | RepositoryState::Interrupted)) => {
            (age(look, &until, repository.max_age_seconds), Some(state.as_str()))
        }
        Reading::Absent | Reading::Unknown(_) => (age(look, &until, repository.max_age_seconds), None),
    };
    // A finding about secrets, or a repository alone, may not name which it is of.
    let is_alone = backups.repositories.len() == 1;
    let mark = look.of_subject(RowKind::Backup, name).or_else(|| {
        let of_repositories = [
            Code::BackupMissing,
            Code::BackupStale,
            Code::BackupInterrupted,
            Code::BackupUnpushed,
            Code::BackupDirty,
            Code::BackupLeaking,
        ];
        look.of_codes(&of_repositories).filter(|_| is_alone)
    });
    let is_known = matches!(until, Reading::Known(_));
    Facts::default()
        .say(chip(name, word, mark, is_known))
        .read("state", &repository.state, |_| html! { (explained.unwrap_or_default()) })
        .say_if(has_no_remote(repository), "no remote")
        .read("unpushed", &repository.unpushed_commits, |unpushed| html! { (unpushed) " unpushed" })
        .read("dirty", &repository.dirty_files, |dirty| html! { (times::number(*dirty)) " dirty" })
        .read("payload", &repository.payload, |payload| {
            html! { "payload " (times::count(payload.files, "file", "files")) " " (times::bytes(payload.bytes)) }
        })
        .read("secrets", &repository.forbidden, |forbidden| {
            html! {
                (match (forbidden.current.total(), forbidden.ever.total()) {
                    (0, 0) => "no secrets",
                    (0, _) => "secrets in its history",
                    _ => "secrets committed",
                })
            }
        })
        .in_a_row()
}

/// Whether there is nothing to push its commits to.
fn has_no_remote(repository: &Repository) -> bool {
    matches!(repository.state, Reading::Known(RepositoryState::Ready | RepositoryState::Interrupted))
        && repository.remote_branch == Reading::Absent
        && repository.newest_pushed_commit == Reading::Absent
}

/// How old the newest of something is, and how old it may be.
fn age(look: Look<'_>, newest: &Reading<Timestamp>, limit: Reading<f64>) -> Markup {
    html! {
        @match newest {
            Reading::Known(newest) => {
                (times::lasting(*newest, look.now)) " old"
                @if let Reading::Known(limit) = limit { ", limit " (duration(limit)) }
            },
            Reading::Absent => "never",
            Reading::Unknown(reason) => (unknown("", *reason)),
        }
    }
}

fn artifacts(look: Look<'_>, name: &str, code: Code, artifacts: &Reading<Artifacts>) -> Option<Markup> {
    let artifacts = match artifacts {
        Reading::Known(artifacts) => artifacts,
        Reading::Absent => return None,
        Reading::Unknown(reason) => return Some(unknown(name, *reason)),
    };
    let age = age(look, &artifacts.newest, artifacts.max_age_seconds);
    Some(chip(name, age, look.of_codes(&[code]), matches!(artifacts.newest, Reading::Known(_))))
}

pub(super) fn tokens(look: Look<'_>) -> Markup {
    reading(&look.snapshot.credentials, |credentials| {
        things(credentials.tokens.iter().map(|(name, token)| of_token(look, name, token)).collect())
    })
}

fn of_token(look: Look<'_>, name: &Label, token: &Token) -> Markup {
    let mark = look.of_subject(RowKind::Tokens, name.as_str());
    match (&token.present, &token.valid) {
        (Reading::Known(false), _) => chip(name.as_str(), "missing", mark, false),
        (Reading::Unknown(reason), _) | (Reading::Known(true), Reading::Unknown(reason)) => {
            unknown(name.as_str(), *reason)
        }
        (_, valid) => {
            let is_valid = *valid == Reading::Known(true);
            // Access that is renewed by itself expires all the time.
            let expires = token.refreshable != Reading::Known(true);
            let word = html! {
                (match valid { Reading::Known(true) => "valid", Reading::Known(false) => "invalid", _ => "present" })
                @if let (true, Reading::Known(expiry)) = (expires, token.expiry) {
                    @if expiry.seconds() > look.now.seconds() { " · expires " } @else { " · expired " }
                    (times::moment(expiry, look.now))
                }
            };
            chip(name.as_str(), word, mark, is_valid)
        }
    }
}

pub(super) fn exposure(look: Look<'_>) -> Markup {
    let listeners = look.snapshot.exposure.as_ref().and_then(|exposure| exposure.listeners.as_ref());
    reading(&listeners, |listeners| {
        if listeners.is_empty() {
            return html! { "no port is listened on" };
        }
        let scopes = [Scope::Public, Scope::Private, Scope::Tailscale, Scope::Loopback];
        things(scopes.into_iter().filter_map(|scope| of_scope(look, scope, listeners)).collect())
    })
}

/// The ports that are listened on for one scope.
fn of_scope(look: Look<'_>, scope: Scope, listeners: &[Listener]) -> Option<Markup> {
    const MOST_PORTS: usize = 6;
    let of_scope: Vec<_> = listeners.iter().filter(|listener| listener.scope == scope).collect();
    let mark = look.of_codes(&[Code::PublicListener]).filter(|_| scope == Scope::Public);
    let ports: Vec<_> = of_scope.iter().take(MOST_PORTS).map(|listener| listener.port.to_string()).collect();
    let more = if of_scope.len() > MOST_PORTS { ", …" } else { "" };
    let word = html! { span title=(programs(&of_scope)) { (ports.join(", ")) (more) } };
    (!of_scope.is_empty()).then(|| chip(scope.as_str(), word, mark, false))
}

fn programs(listeners: &[&Listener]) -> String {
    let each: Vec<_> = listeners.iter().map(|listener| format!("{} {}", listener.port, listener.program)).collect();
    each.join(", ")
}

pub(super) fn guardrails(look: Look<'_>) -> Markup {
    let private = look.snapshot.exposure.as_ref().and_then(|exposure| exposure.private_listeners);
    let clean = look.snapshot.backups.as_ref().and_then(|backups| backups.are_clean_of_secrets());
    reading(&look.snapshot.guardrails, |guardrails| {
        let mut all = vec![("private_listeners", private), ("backup_clean_of_secrets", clean)];
        all.extend(guardrails.named().map(|(name, guardrail)| (name, *guardrail)));
        let judged = all.iter().filter(|(_, guardrail)| *guardrail != Reading::Absent).count();
        let in_place = all.iter().filter(|(_, guardrail)| *guardrail == Reading::Known(true)).count();
        let not_in_place = all.iter().filter_map(|(name, guardrail)| match guardrail {
            Reading::Known(false) => Some(chip(&name.replace('_', " "), "no", mark_of(look, name), false)),
            Reading::Unknown(reason) => Some(unknown(&name.replace('_', " "), *reason)),
            Reading::Known(true) | Reading::Absent => None,
        });
        let not_in_place: Vec<_> = not_in_place.collect();
        Facts::default()
            .say(html! { (in_place) " of " (judged) " in place" })
            .say_if(!not_in_place.is_empty(), html! { span class="things" { @for one in &not_in_place { (one) " " } } })
            .in_a_row()
    })
}

/// What was found of a guardrail.
fn mark_of(look: Look<'_>, guardrail: &str) -> Option<super::super::mark::Mark> {
    let code = match guardrail {
        "approvals_enforced" => Code::ApprovalsBypassed,
        "secrets_redacted" => Code::SecretsUnredacted,
        "home_private" => Code::HomeExposed,
        "secrets_private" => Code::SecretsExposed,
        "private_listeners" => Code::PublicListener,
        "backup_clean_of_secrets" => Code::BackupLeaking,
        _ => return None,
    };
    look.of_codes(&[code])
}
