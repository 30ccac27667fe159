//! Memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, updates.

use super::{put, put_tallies, put_tally};
use crate::exporter::expose::family::{Family, gauge};
use crate::exporter::snapshot::Reading;

pub(super) static FAMILIES: &[Family] = &[
    gauge("hermes_memory_chars", &["file"], "Length of the memory file in characters").instance(|snapshot, sink| {
        for (file, reading) in snapshot.inventory.known().into_iter().flat_map(|inventory| &inventory.memory) {
            if let Reading::Known(memory) = reading {
                sink.sample(&[file.as_str()], memory.chars.into());
            }
        }
    }),
    gauge("hermes_memory_limit_chars", &["file"], "The most characters that Hermes lets the memory file have")
        .instance(|snapshot, sink| {
            for (file, reading) in snapshot.inventory.known().into_iter().flat_map(|inventory| &inventory.memory) {
                if let Reading::Known(memory) = reading {
                    sink.sample(&[file.as_str()], memory.limit_chars.into());
                }
            }
        }),
    gauge("hermes_skills", &["state"], "Skills, enabled and disabled; counted anew once a minute").instance(
        |snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put_tally(sink, &inventory.skills);
            }
        },
    ),
    gauge("hermes_mcp_servers", &["state"], "Configured MCP servers, enabled and disabled").instance(
        |snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put_tally(sink, &inventory.mcp_servers);
            }
        },
    ),
    gauge("hermes_webhooks", &["state"], "Webhook subscriptions, enabled and disabled").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.webhooks);
        }
    }),
    gauge(
        "hermes_paired_users",
        &["platform", "state"],
        "People who may talk to the gateway (approved) and who have asked to in the last hour (pending)",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tallies(sink, &inventory.paired_users);
        }
    }),
    gauge("hermes_kanban_tasks", &["board", "status"], "Kanban tasks by board and status").instance(
        |snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put_tallies(sink, &inventory.kanban_tasks);
            }
        },
    ),
    gauge("hermes_delivery_obligations", &["state"], "Replies that Hermes owes somebody, by state").instance(
        |snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put_tally(sink, &inventory.delivery_obligations);
            }
        },
    ),
    gauge("hermes_delegations", &["state"], "Background delegations, by state").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.delegations);
        }
    }),
    gauge("hermes_dead_targets", &["platform"], "Chats that the gateway has found it can not reach any more").instance(
        |snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put_tally(sink, &inventory.dead_targets);
            }
        },
    ),
    gauge("hermes_update_available", &[], "1 when Hermes' last check found something newer").instance(
        |snapshot, sink| {
            if let Some(update) = snapshot.inventory.known().and_then(|inventory| inventory.update.known()) {
                put(sink, &[], &update.available);
            }
        },
    ),
    gauge(
        "hermes_update_behind_commits",
        &[],
        "Commits (or releases) that the installation is behind, where Hermes could count them",
    )
    .instance(|snapshot, sink| {
        if let Some(update) = snapshot.inventory.known().and_then(|inventory| inventory.update.known()) {
            put(sink, &[], &update.behind_commits);
        }
    }),
    gauge("hermes_update_check_timestamp_seconds", &[], "When Hermes last checked for an update").instance(
        |snapshot, sink| {
            if let Some(update) = snapshot.inventory.known().and_then(|inventory| inventory.update.known()) {
                put(sink, &[], &update.checked);
            }
        },
    ),
    gauge("hermes_config_version", &[], "The version of the form of Hermes' configuration").instance(
        |snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put(sink, &[], &inventory.config_version);
            }
        },
    ),
];
