//! Stands in for a bot that can not be made, because there is no token: refuses everything as Telegram refuses a wrong
//! token, so that nothing is sent, and nothing given up.

use std::time::Duration;

use super::{Call, ChatFacts, Destination, Document, Failure, MessageId, Myself, Outgoing, Telegram, Update};

/// Refuses everything.
#[derive(Debug)]
pub struct Unavailable {
    why: String,
}

impl Unavailable {
    /// For this reason.
    pub fn because(why: String) -> Unavailable {
        Unavailable { why }
    }

    fn refuse<'a, T: Send + 'a>(&self) -> Call<'a, T> {
        let failure = Failure::Unauthorized(self.why.clone());
        Box::pin(std::future::ready(Err(failure)))
    }
}

impl Telegram for Unavailable {
    fn send<'a>(&'a self, _: &'a Outgoing) -> Call<'a, MessageId> {
        self.refuse()
    }

    fn edit<'a>(&'a self, _: MessageId, _: &'a Outgoing) -> Call<'a, ()> {
        self.refuse()
    }

    fn send_document<'a>(&'a self, _: &'a Outgoing, _: &'a Document) -> Call<'a, MessageId> {
        self.refuse()
    }

    fn delete<'a>(&'a self, _: Destination, _: MessageId) -> Call<'a, ()> {
        self.refuse()
    }

    fn answer_press<'a>(&'a self, _: &'a str, _: &'a str, _: bool) -> Call<'a, ()> {
        self.refuse()
    }

    fn updates(&self, _: i64, _: Duration) -> Call<'_, Vec<Update>> {
        self.refuse()
    }

    fn me(&self) -> Call<'_, Myself> {
        self.refuse()
    }

    fn chat(&self, _: i64) -> Call<'_, ChatFacts> {
        self.refuse()
    }

    fn set_commands<'a>(&'a self, _: &'a [(&'a str, &'a str)]) -> Call<'a, ()> {
        self.refuse()
    }
}
