//! What people do: presses and messages, asked for by one poller at a time, and the answers to presses.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::faults::Refusal;

/// What the older one of two pollers is told.
pub(crate) const CONFLICT: &str =
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";

const TOO_OLD: &str = "Bad Request: query is too old and response timeout expired or query ID is invalid";

/// What has happened, and who asks for it.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    waiting: VecDeque<(i64, Value)>,
    last: i64,
    /// Who polls now; grows with each one.
    poller: u64,
    /// Whether somebody else polls all the time, so that nobody else ever gets anything.
    pub(crate) is_polled_elsewhere: bool,
    presses: BTreeMap<String, Option<Answer>>,
}

/// What who pressed a button was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The text; may be empty.
    pub(crate) text: String,
    /// Whether it has to be clicked away.
    pub(crate) is_alert: bool,
}

impl Updates {
    /// Something has happened: `kind` is `message` or `callback_query`. Gives its number.
    pub(crate) fn push(&mut self, kind: &str, content: Value) -> i64 {
        self.last += 1;
        self.waiting.push_back((self.last, json!({"update_id": self.last, kind: content})));
        self.last
    }

    /// A press that can be answered, once. Gives what it is answered by.
    pub(crate) fn press(&mut self) -> String {
        let id = format!("{}", 4_611_686_018_427_387_000_i64 + self.presses.len() as i64);
        self.presses.insert(id.clone(), None);
        id
    }

    /// Somebody begins to poll, and is the only one from then on.
    pub(crate) fn begin(&mut self) -> u64 {
        self.poller += 1;
        self.poller
    }

    /// How often somebody has begun to poll.
    pub(crate) fn pollers(&self) -> u64 {
        self.poller
    }

    /// What there is from `offset` on; none where this poller is not the only one any more.
    pub(crate) fn take(&mut self, poller: u64, offset: i64, limit: usize) -> Result<Vec<Value>, Refusal> {
        if self.is_polled_elsewhere || poller != self.poller {
            return Err(Refusal::of(409, CONFLICT));
        }
        if offset < 0 {
            let keep = offset.unsigned_abs() as usize;
            while self.waiting.len() > keep {
                self.waiting.pop_front();
            }
        }
        self.waiting.retain(|(id, _)| *id >= offset);
        Ok(self.waiting.iter().take(limit).map(|(_, update)| update.clone()).collect())
    }

    /// Answers a press.
    pub(crate) fn answer(&mut self, id: &str, answer: Answer) -> Result<(), Refusal> {
        if answer.text.chars().count() > 200 {
            return Err(Refusal::bad("Bad Request: MESSAGE_TOO_LONG"));
        }
        match self.presses.get_mut(id) {
            Some(place @ None) => {
                *place = Some(answer);
                Ok(())
            }
            _ => Err(Refusal::bad(TOO_OLD)),
        }
    }

    /// How a press was answered; none where it was not yet.
    pub(crate) fn answer_of(&self, id: &str) -> Option<Answer> {
        self.presses.get(id).cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_there_until_a_later_one_is_asked_for() {
        let mut updates = Updates::default();
        let poller = updates.begin();
        for number in 1..=3 {
            assert_eq!(updates.push("message", json!({"text": number})), number);
        }
        let ids = |taken: Result<Vec<Value>, Refusal>| -> Vec<i64> {
            taken.unwrap().iter().map(|update| update["update_id"].as_i64().unwrap()).collect()
        };
        assert_eq!(ids(updates.take(poller, 0, 2)), [1, 2]);
        assert_eq!(ids(updates.take(poller, 0, 100)), [1, 2, 3]);
        assert_eq!(ids(updates.take(poller, 3, 100)), [3]);
        assert_eq!(ids(updates.take(poller, 0, 100)), [3], "what was confirmed is gone");
        let other = updates.begin();
        assert_eq!(updates.take(poller, 0, 100).unwrap_err().code, 409);
        assert_eq!(ids(updates.take(other, 4, 100)), [0_i64; 0]);
    }

    #[test]
    fn a_press_is_answered_once() {
        let mut updates = Updates::default();
        let press = updates.press();
        let answer = Answer { text: "done".to_owned(), is_alert: false };
        assert_eq!(updates.answer_of(&press), None);
        assert_eq!(updates.answer(&press, answer.clone()), Ok(()));
        assert_eq!(updates.answer(&press, answer.clone()).unwrap_err().description, TOO_OLD);
        assert_eq!(updates.answer("17", answer.clone()).unwrap_err().description, TOO_OLD);
        assert_eq!(updates.answer_of(&press), Some(answer));
    }
}
