//! `queue`: what waits, and doing something about it; a bridge that serves meanwhile notices.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::{ConfigFile, QueueCommand};
use super::run::{config_of, runtime, store_beside};
use super::table::{short, table};
use super::{CommandError, chat_named, print};
use crate::bridge::card::{CardId, Step};
use crate::bridge::store::queue::{self, Dropped, Waiting, Which, subject};
use crate::bridge::store::{Store, StoreError};
use crate::system::time::Timestamp;

const LONGEST_SUBJECT: usize = 48;
const LONGEST_FAILURE: usize = 160;

pub(super) fn queue(command: QueueCommand) -> Result<ExitCode, CommandError> {
    match command {
        QueueCommand::List { config, chat } => list(&config, chat.as_deref()),
        QueueCommand::Retry { config, chat, ids } => retry(&config, chat.as_deref(), &ids),
        QueueCommand::Drop { config, ids, yes } => drop_cards(&config, &ids, yes),
    }
}

fn list(file: &ConfigFile, chat: Option<&str>) -> Result<ExitCode, CommandError> {
    let config = config_of(file)?;
    let chat = chat.map(|name| chat_named(&config, name)).transpose()?;
    let waiting = match store_beside(&config)? {
        Some(store) => store.read_now(|transaction| queue::list(transaction, chat.as_ref()))?,
        None => Vec::new(),
    };
    if waiting.is_empty() {
        print("nothing waits\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = Timestamp::now();
    let rows: Vec<_> = waiting.iter().map(|waiting| row(waiting, now)).collect();
    print(&table(["id", "chat", "to do", "about", "for", "tries", "next", "last failure"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(waiting: &Waiting, now: Timestamp) -> [String; 8] {
    let Waiting { card, step, not_before, is_in_flight, last_failure } = waiting;
    let chat = match &card.diverted {
        Some(diverted) => format!("{} (for {})", card.chat, diverted.from),
        None => card.chat.to_string(),
    };
    let step = match step {
        Step::Send => "send",
        Step::Announce(_) => "tell the end",
        Step::Edit => "change",
    };
    let next = match not_before.filter(|until| *until > now) {
        _ if *is_in_flight => "under way".to_owned(),
        Some(until) => format!("in {}", span(now, until)),
        None => "at once".to_owned(),
    };
    let uncertain = match card.uncertain {
        0 => "",
        _ => "may have arrived; ",
    };
    [
        card.id.0.to_string(),
        chat,
        step.to_owned(),
        short(&subject(card), LONGEST_SUBJECT),
        span(card.created, now),
        card.attempts.to_string(),
        next,
        format!("{uncertain}{}", short(last_failure.as_deref().unwrap_or(""), LONGEST_FAILURE)),
    ]
}

/// How long it is from one moment to another, in its two largest units.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let whole = Duration::from_secs(from.age_at(to).as_secs());
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn retry(file: &ConfigFile, chat: Option<&str>, ids: &[i64]) -> Result<ExitCode, CommandError> {
    let config = config_of(file)?;
    let which = match chat {
        Some(name) => Which::Of(chat_named(&config, name)?),
        None if ids.is_empty() => Which::All,
        None => Which::These(ids.iter().copied().map(CardId).collect()),
    };
    let store = store_beside(&config)?;
    let waiting = match &store {
        Some(store) => store.read_now(|transaction| queue::list(transaction, None))?,
        None => Vec::new(),
    };
    let gone: Vec<_> = ids.iter().filter(|id| !waiting.iter().any(|waiting| waiting.card.id.0 == **id)).collect();
    let count = match store {
        Some(store) => runtime()?.block_on(store.write(move |connection| queue::retry(connection, &which)))?,
        None => 0,
    };
    let mut said: String = gone.iter().map(|id| format!("{id} does not wait\n")).collect();
    match (count, chat) {
        (0, None) if ids.is_empty() => said.push_str("nothing waits\n"),
        (0, Some(name)) => {
            said.push_str(&format!("nothing waits for {name}; it is written to at once when something does\n"))
        }
        (0, None) => {}
        (count, _) => said.push_str(&format!("{} tried at once, by the bridge that serves\n", counted(count))),
    }
    print(&said)?;
    // Who names one that is not there is mistaken about something.
    Ok(if gone.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn counted(count: usize) -> String {
    match count {
        1 => "1 card is".to_owned(),
        count => format!("{count} cards are"),
    }
}

fn drop_cards(file: &ConfigFile, ids: &[i64], yes: bool) -> Result<ExitCode, CommandError> {
    let config = config_of(file)?;
    let Some(store) = store_beside(&config)? else {
        print("nothing waits\n")?;
        return Ok(ExitCode::FAILURE);
    };
    let waiting = store.read_now(|transaction| queue::list(transaction, None))?;
    let runtime = runtime()?;
    let mut is_all_done = true;
    for id in ids {
        let about = waiting.iter().find(|waiting| waiting.card.id.0 == *id);
        let about = about.map(|waiting| short(&subject(&waiting.card), LONGEST_SUBJECT));
        let said = match (about, yes) {
            (None, _) => {
                is_all_done = false;
                format!("{id} does not wait")
            }
            (Some(about), false) => {
                is_all_done = false;
                format!("{id} ({about}) would be dropped; say --yes to do it")
            }
            (Some(about), true) => {
                let dropped = runtime.block_on(drop_one(&store, CardId(*id)))?;
                is_all_done &= matches!(dropped, Dropped::Gone | Dropped::LeftAsItIs);
                match dropped {
                    Dropped::Gone => format!("{id} ({about}) is dropped; nobody will be told"),
                    Dropped::LeftAsItIs => format!("{id} ({about}) is dropped; its message stays as it is"),
                    Dropped::InFlight => format!("{id} ({about}) is being sent right now; look again in a moment"),
                    Dropped::NotWaiting => format!("{id} ({about}) does not wait any more"),
                }
            }
        };
        print(&format!("{said}\n"))?;
    }
    Ok(if is_all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn drop_one(store: &Store, card: CardId) -> Result<Dropped, StoreError> {
    store.write(move |connection| queue::drop_card(connection, card)).await
}
