//! What can be done from a chat: buttons below cards, and commands.

use rusqlite::Connection;

use super::card::{Card, CardId};
use super::config::Config;
use super::service::ButtonState;
use super::store::StoreError;
use super::telegram::{Destination, Keyboard, MessageId};
use crate::system::time::Timestamp;

/// The buttons below a card as it is now; those that are there already and still fit stay. Called in the transaction that
/// is committed before the card is sent or edited.
pub fn offer(
    _connection: &Connection,
    _config: &Config,
    _state: &ButtonState,
    _card: &Card,
    _now: Timestamp,
) -> Result<Keyboard, StoreError> {
    Ok(Keyboard::default())
}

/// Binds a card's buttons to the message that they are below. Called in the transaction that notes that it was sent.
pub fn bind(_connection: &Connection, _card: CardId, _at: Destination, _message: MessageId) -> Result<(), StoreError> {
    Ok(())
}
