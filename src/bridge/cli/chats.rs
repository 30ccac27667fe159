//! `chats`: how things stand with each chat, as far as it is known without asking Telegram.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::arguments::ConfigFile;
use super::queue::span;
use super::run::{config_of, store_beside};
use super::table::{short, table};
use super::{CommandError, print};
use crate::bridge::config::{Chat, Config, Delivery};
use crate::bridge::store::overview::{self, ChatOverview, KnownChat};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

const LONGEST_REASON: usize = 80;

pub(super) fn chats(file: &ConfigFile) -> Result<ExitCode, CommandError> {
    let config = config_of(file)?;
    let (overview, moved) = match store_beside(&config)? {
        Some(store) => {
            store.read_now(|transaction| Ok((overview::read(transaction)?, overview::migrated(transaction)?)))?
        }
        None => Default::default(),
    };
    let now = Timestamp::now();
    let nothing = ChatOverview::default();
    let of_config = config.chats.iter().map(|(name, chat)| {
        let stored = overview.chats.get(name).unwrap_or(&nothing);
        [
            name.to_string(),
            number(&config, chat, &moved),
            chat.thread.map(|thread| thread.to_string()).unwrap_or_default(),
            stored.all_pending().to_string(),
            state(chat, stored, now),
        ]
    });
    let is_gone = |stored: &ChatOverview| stored.all_pending() > 0;
    let others = overview.chats.iter().filter(|(name, stored)| !config.chats.contains_key(*name) && is_gone(stored));
    let others = others.map(|(name, stored)| {
        let state = format!("is not in the configuration; what waits goes to {}", config.default_chat);
        [name.to_string(), String::new(), String::new(), stored.all_pending().to_string(), state]
    });
    let rows: Vec<_> = of_config.chain(others).collect();
    print(&table(["chat", "number", "topic", "waiting", "state"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn number(config: &Config, chat: &Chat, moved: &BTreeMap<i64, i64>) -> String {
    if config.delivery == Delivery::Console {
        return "printed".to_owned();
    }
    match chat.id.read() {
        Err(_) => "unknown".to_owned(),
        Ok(id) => match moved.get(&id) {
            Some(new) => format!("{id}, now {new}"),
            None => id.to_string(),
        },
    }
}

fn state(chat: &Chat, stored: &ChatOverview, now: Timestamp) -> String {
    let mut said = Vec::new();
    if let Err(error) = chat.id.read() {
        said.push(display_chain(&error));
    }
    if let Some(KnownChat { not_before, thread_gone, unreachable, try_again, .. }) = &stored.known {
        if let Some((since, because)) = unreachable {
            let again = match try_again.filter(|again| *again > now) {
                Some(again) => format!(", tried again in {}", span(now, again)),
                None => ", tried again with the next message".to_owned(),
            };
            said.push(format!("unreachable for {}: {}{again}", span(*since, now), short(because, LONGEST_REASON)));
            said.extend(chat.fallback.as_ref().map(|fallback| format!("diverted to {fallback}")));
        }
        if let Some(because) = thread_gone {
            said.push(format!("its topic is gone: {}", short(because, LONGEST_REASON)));
        }
        if *not_before > now {
            said.push(format!("Telegram asks to wait for {}", span(now, *not_before)));
        }
    }
    match stored.diverted {
        0 => {}
        count => said.push(format!("{count} for it wait elsewhere")),
    }
    if let Some(oldest) = stored.oldest_pending {
        said.push(format!("the oldest news waits for {}", span(oldest, now)));
    }
    match (said.is_empty(), &stored.known) {
        (false, _) => said.join("; "),
        (true, Some(_)) => "reachable".to_owned(),
        (true, None) => "nothing is known against it".to_owned(),
    }
}
