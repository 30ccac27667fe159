//! What is done about a call that failed. Only the decision; it is carried out in `lane`.

use std::time::Duration;

use crate::bridge::card::Level;
use crate::bridge::telegram::Failure;

/// The first wait after trouble on the way, and the longest one; they double in between.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The least wait after a call of which it is not known whether it has arrived.
const UNCERTAIN_WAIT: Duration = Duration::from_secs(5);

/// So many calls of which it is not known whether they have arrived are followed by another one soon: a connection that
/// breaks off twice is no reason to tell something critical late.
const QUICK_TRIES: u32 = 2;

/// The longest wait for a card that may be there more than once.
const LONGEST_UNCERTAIN_WAIT: Duration = Duration::from_secs(3600);

/// A card that has failed as often as this lets others go first: the trouble may be with it alone. However chance shortens
/// the waits until then, they are more than an hour, so that after a shorter outage everything arrives in order.
pub(super) const LETS_OTHERS_GO_AT: u32 = 26;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// A message that notifies people, or begins a card.
    Send,
    /// Changing one.
    Edit,
    /// Taking one back.
    Delete,
    /// Sending a file.
    Document,
}

/// How it was tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// What was tried.
    pub(super) verb: Verb,
    /// In which form.
    pub(super) level: Level,
    /// Whether it was sent to a topic.
    pub(super) has_thread: bool,
    /// Whether it was an answer.
    pub(super) has_reply: bool,
    /// How often this card has failed before.
    pub(super) attempts: u32,
    /// For how many calls for this card it is not known whether they have arrived.
    pub(super) uncertain: u32,
    /// How often the chat has failed before, whatever the card.
    pub(super) failures: u32,
    /// Something from 0 to 1, so that not everybody comes back at once.
    pub(super) chance: f64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing; it is as it should be.
    Done,
    /// The chat gets nothing for this long, because Telegram has asked for it.
    Wait(Duration),
    /// The chat is tried again after this long.
    Retry {
        /// How long.
        wait: Duration,
        /// Whether it may have arrived all the same.
        is_uncertain: bool,
    },
    /// The card is tried again after this long, and others are before.
    LetOthersGo {
        /// How long.
        wait: Duration,
        /// Whether it may have arrived all the same.
        is_uncertain: bool,
    },
    /// The chat has another number now.
    Follow(i64),
    /// Once more, at once: not in the topic.
    WithoutThread,
    /// Once more, at once: not as an answer.
    WithoutReply,
    /// The message is gone; there is to be a new one.
    Replace,
    /// Once more, at once: in a lesser form.
    Degrade(Level),
    /// To another chat. Whether this one can be written to at all.
    Elsewhere {
        /// False where Telegram refuses just this.
        is_chat_lost: bool,
    },
    /// The change waits until the chat can be written to.
    Park,
    /// Nothing at all can be sent until there is another token.
    StopAll,
    /// It is done without.
    GiveUp,
}

/// What is to be done about a failure.
pub(super) fn decide(failure: &Failure, circumstances: Circumstances) -> Action {
    let Circumstances { verb, level, has_thread, has_reply, .. } = circumstances;
    match failure {
        Failure::Unauthorized(_) => Action::StopAll,
        Failure::Rate { retry_after } => Action::Wait(*retry_after),
        Failure::NotModified => Action::Done,
        // The chat's other messages do not wait for one that is one too many.
        _ if verb == Verb::Delete => Action::GiveUp,
        Failure::Transient(_) | Failure::Conflict(_) => again(circumstances, false),
        Failure::Ambiguous(_) => again(circumstances, verb != Verb::Edit),
        Failure::Migrated { to } => Action::Follow(*to),
        Failure::Thread(_) if verb == Verb::Edit => Action::Replace,
        Failure::Thread(_) if has_thread => Action::WithoutThread,
        Failure::ReplyGone(_) if has_reply => Action::WithoutReply,
        Failure::EditGone(_) if verb == Verb::Edit => Action::Replace,
        Failure::Thread(_) | Failure::Destination(_) => match verb {
            Verb::Edit => Action::Park,
            Verb::Document => Action::GiveUp,
            _ => Action::Elsewhere { is_chat_lost: true },
        },
        Failure::Content(_) | Failure::ReplyGone(_) | Failure::EditGone(_) => match (verb, level) {
            (Verb::Document, _) => Action::GiveUp,
            (_, Level::Html) => Action::Degrade(Level::Plain),
            (_, Level::Plain) => Action::Degrade(Level::Line),
            (Verb::Edit, Level::Line) => Action::Replace,
            (_, Level::Line) => Action::Elsewhere { is_chat_lost: false },
        },
    }
}

fn again(circumstances: Circumstances, is_uncertain: bool) -> Action {
    let Circumstances { attempts, uncertain, failures, chance, .. } = circumstances;
    if is_uncertain && uncertain >= QUICK_TRIES {
        // Each further try may be one more copy in the chat: where messages are taken and never answered in time, people
        // are not to be flooded with them.
        let wait =
            LONGEST_WAIT.saturating_mul(2_u32.saturating_pow(uncertain - QUICK_TRIES)).min(LONGEST_UNCERTAIN_WAIT);
        return Action::LetOthersGo { wait, is_uncertain };
    }
    if attempts + 1 >= LETS_OTHERS_GO_AT {
        return Action::LetOthersGo { wait: LONGEST_WAIT, is_uncertain };
    }
    let wait = backoff(failures, chance);
    Action::Retry { wait: if is_uncertain { wait.max(UNCERTAIN_WAIT) } else { wait }, is_uncertain }
}

/// The wait after `failures` in a row: doubling, less up to a quarter by chance.
pub(super) fn backoff(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_WAIT);
    doubled.mul_f64(1.0 - 0.25 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDING: Circumstances = Circumstances {
        verb: Verb::Send,
        level: Level::Html,
        has_thread: true,
        has_reply: true,
        attempts: 0,
        uncertain: 0,
        failures: 0,
        chance: 0.0,
    };

    fn told(failure: fn(String) -> Failure) -> Failure {
        failure("why".to_owned())
    }

    #[test]
    fn every_failure_has_its_remedy() {
        let elsewhere = |is_chat_lost| Action::Elsewhere { is_chat_lost };
        let retry = |seconds, is_uncertain| Action::Retry { wait: Duration::from_secs(seconds), is_uncertain };
        let others = |seconds| Action::LetOthersGo { wait: Duration::from_secs(seconds), is_uncertain: true };
        let bare = Circumstances { has_thread: false, has_reply: false, ..SENDING };
        let editing = Circumstances { verb: Verb::Edit, has_reply: false, ..SENDING };
        let document = Circumstances { verb: Verb::Document, ..SENDING };
        let deleting = Circumstances { verb: Verb::Delete, ..SENDING };
        let level = |level| Circumstances { level, ..SENDING };
        for (failure, circumstances, action) in [
            (Failure::Rate { retry_after: Duration::from_secs(30) }, SENDING, Action::Wait(Duration::from_secs(30))),
            (Failure::Rate { retry_after: Duration::from_secs(30) }, deleting, Action::Wait(Duration::from_secs(30))),
            (told(Failure::Transient), SENDING, retry(1, false)),
            (told(Failure::Transient), Circumstances { failures: 3, ..SENDING }, retry(8, false)),
            (told(Failure::Transient), Circumstances { failures: 60, ..SENDING }, retry(300, false)),
            (
                told(Failure::Transient),
                Circumstances { attempts: LETS_OTHERS_GO_AT - 1, failures: 60, ..SENDING },
                Action::LetOthersGo { wait: LONGEST_WAIT, is_uncertain: false },
            ),
            (told(Failure::Conflict), SENDING, retry(1, false)),
            (told(Failure::Ambiguous), SENDING, retry(5, true)),
            (told(Failure::Ambiguous), Circumstances { failures: 4, ..SENDING }, retry(16, true)),
            (told(Failure::Ambiguous), document, retry(5, true)),
            (told(Failure::Ambiguous), Circumstances { uncertain: 1, ..SENDING }, retry(5, true)),
            (told(Failure::Ambiguous), Circumstances { uncertain: 2, ..SENDING }, others(300)),
            (told(Failure::Ambiguous), Circumstances { uncertain: 4, ..SENDING }, others(1200)),
            (told(Failure::Ambiguous), Circumstances { uncertain: 40, ..SENDING }, others(3600)),
            (told(Failure::Ambiguous), Circumstances { uncertain: 2, ..editing }, retry(1, false)),
            (told(Failure::Transient), Circumstances { uncertain: 2, ..SENDING }, retry(1, false)),
            (told(Failure::Ambiguous), editing, retry(1, false)),
            (Failure::Migrated { to: -7 }, SENDING, Action::Follow(-7)),
            (Failure::Migrated { to: -7 }, editing, Action::Follow(-7)),
            (told(Failure::Content), SENDING, Action::Degrade(Level::Plain)),
            (told(Failure::Content), level(Level::Plain), Action::Degrade(Level::Line)),
            (told(Failure::Content), level(Level::Line), elsewhere(false)),
            (told(Failure::Content), Circumstances { level: Level::Line, ..editing }, Action::Replace),
            (told(Failure::Content), document, Action::GiveUp),
            (told(Failure::Thread), SENDING, Action::WithoutThread),
            (told(Failure::Thread), document, Action::WithoutThread),
            (told(Failure::Thread), bare, elsewhere(true)),
            (told(Failure::Thread), editing, Action::Replace),
            (told(Failure::ReplyGone), SENDING, Action::WithoutReply),
            (told(Failure::ReplyGone), bare, Action::Degrade(Level::Plain)),
            (Failure::NotModified, editing, Action::Done),
            (told(Failure::EditGone), editing, Action::Replace),
            (told(Failure::Destination), SENDING, elsewhere(true)),
            (told(Failure::Destination), editing, Action::Park),
            (told(Failure::Destination), document, Action::GiveUp),
            (told(Failure::Destination), deleting, Action::GiveUp),
            (told(Failure::Transient), deleting, Action::GiveUp),
            (told(Failure::Unauthorized), SENDING, Action::StopAll),
            (told(Failure::Unauthorized), deleting, Action::StopAll),
        ] {
            assert_eq!(decide(&failure, circumstances), action, "{failure:?} {circumstances:?}");
        }
    }

    #[test]
    fn waits_double_up_to_five_minutes_and_differ_by_chance() {
        let waits: Vec<_> = (0..11).map(|failures| backoff(failures, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(9, 1.0), Duration::from_secs(225));
        let least: Duration = (0..LETS_OTHERS_GO_AT - 1).map(|failures| backoff(failures, 1.0)).sum();
        assert!(least > Duration::from_secs(3600), "an hour's outage must not change the order: {least:?}");
    }
}
