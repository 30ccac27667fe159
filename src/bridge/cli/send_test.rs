//! `send-test`: one message to one chat, past store and queue, to see whether it arrives.

use std::process::ExitCode;

use super::advice::what_to_do;
use super::arguments::SendTestArguments;
use super::run::{config_of, runtime, store_beside};
use super::{CommandError, chat_named, print};
use crate::bridge::config::Delivery;
use crate::bridge::reload::way_to_people;
use crate::bridge::store::overview;
use crate::bridge::telegram::{Destination, Failure, Keyboard, Outgoing, Text, console};

pub(super) fn send_test(arguments: &SendTestArguments) -> Result<ExitCode, CommandError> {
    let config = config_of(&arguments.config)?;
    let name = chat_named(&config, &arguments.chat)?;
    let Some(chat) = config.chats.get(&name) else { return Ok(ExitCode::FAILURE) };
    let configured = match config.delivery {
        Delivery::Console => console::chat_id(&config, &name),
        Delivery::Telegram => {
            chat.id.read().map_err(|source| CommandError::ChatId { chat: name.to_string(), source })?
        }
    };
    let moved = match store_beside(&config) {
        Ok(Some(store)) => store.read_now(|transaction| overview::migrated(transaction)).unwrap_or_default(),
        // A store that can not be read is no reason not to send; where the chat has moved, Telegram says so.
        Ok(None) | Err(_) => Default::default(),
    };
    let telegram = way_to_people(&config)?;
    let text =
        arguments.text.clone().unwrap_or_else(|| format!("A test of hermes-alert-bridge: this is the chat {name}."));
    let mut message = Outgoing {
        to: Destination { chat_id: moved.get(&configured).copied().unwrap_or(configured), thread: chat.thread },
        text: Text::Plain(text),
        reply_to: None,
        keyboard: Keyboard::default(),
        is_silent: false,
    };
    let sent = runtime()?.block_on(async {
        match telegram.send(&message).await {
            Err(Failure::Migrated { to }) => {
                message.to.chat_id = to;
                telegram.send(&message).await
            }
            outcome => outcome,
        }
    });
    match sent {
        Ok(_) => {
            print(&format!("sent to {name}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            let advice = what_to_do(&failure).to_owned();
            Err(CommandError::NotSent { chat: name.to_string(), failure, advice })
        }
    }
}
