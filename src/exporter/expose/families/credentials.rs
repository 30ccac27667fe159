//! Tokens, credential pools and keys.

use super::{put, put_tallies};
use crate::exporter::expose::family::{Family, gauge};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::{Reading, Snapshot};

pub(super) static FAMILIES: &[Family] = &[
    gauge("hermes_token_present", &["token"], "1 when there is such a token; the Google token is always looked for")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.present))),
    gauge(
        "hermes_token_expected",
        &["token"],
        "1 when somebody counts on the token: the configuration names it or, where it names none, somebody has set it up",
    )
    .instance(|snapshot, sink| of_tokens(snapshot, |name, token| sink.sample(&[name], token.is_expected.into()))),
    gauge(
        "hermes_token_valid",
        &["token"],
        "1 when the token would work now: not expired, or refreshed when it is used",
    )
    .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.valid))),
    gauge("hermes_token_refreshable", &["token"], "1 when the token can be refreshed without a person")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.refreshable))),
    gauge(
        "hermes_token_expiry_timestamp_seconds",
        &["token"],
        "When the token's access expires; in the past is normal for a refreshable one",
    )
    .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.expiry))),
    gauge("hermes_token_scopes", &["token"], "Permissions that the token carries, where it says")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.scopes))),
    gauge(
        "hermes_credential_pool_entries",
        &["provider", "status"],
        "Entries of the credential pools: ok (also: never tried), exhausted, dead or other",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(credentials) = &snapshot.credentials {
            put_tallies(sink, &credentials.pools);
        }
    }),
    gauge("hermes_env_key_present", &["key"], "1 when the key of .env is set to something").instance(
        |snapshot, sink| {
            let keys = snapshot.credentials.known().and_then(|credentials| credentials.env_keys.known());
            for (key, is_set) in keys.into_iter().flatten() {
                sink.sample(&[key.as_str()], (*is_set).into());
            }
        },
    ),
];

fn of_tokens(snapshot: &Snapshot, mut put: impl FnMut(&str, &Token)) {
    if let Reading::Known(credentials) = &snapshot.credentials {
        for (name, token) in &credentials.tokens {
            put(name.as_str(), token);
        }
    }
}
