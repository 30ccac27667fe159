//! How fast may be sent: to one chat, to a group, and by the bot to all of them.
//!
//! Telegram permits a message per second to a chat (a few at once are fine), 20 per minute to a group, and 30 per second
//! in all. What asks for more is answered with waits of minutes, so it is not asked for. A little of what groups and the
//! bot may do is kept for what is critical.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::bridge::config::Limits;
use crate::system::time::Timestamp;

/// As many may come to one chat at once.
const CHAT_BURST: f64 = 3.0;

/// As many may be sent at once by the bot. With what it may send in a second this stays below Telegram's 30.
const BOT_BURST: f64 = 4.0;

/// What a group's limit is counted over.
const WINDOW: f64 = 60.0;

/// One in so many of a group's messages is kept for what is critical.
const RESERVE: u32 = 8;

/// How fast may be sent.
#[derive(Debug)]
pub(super) struct Buckets {
    limits: Limits,
    bot: Bucket,
    chats: HashMap<i64, ChatPace>,
}

#[derive(Debug)]
struct ChatPace {
    bucket: Bucket,
    /// When messages were sent in the last minute; kept for groups alone.
    sent: VecDeque<f64>,
}

/// Holds up to `capacity`, and gains `per_second`.
#[derive(Debug)]
struct Bucket {
    content: f64,
    at: f64,
    capacity: f64,
    per_second: f64,
}

impl Bucket {
    fn full(capacity: f64, per_second: f64, now: f64) -> Bucket {
        Bucket { content: capacity, at: now, capacity, per_second }
    }

    fn fill(&mut self, now: f64) {
        // A clock that was set back gives nothing, and takes nothing away.
        let gained = (now - self.at).max(0.0) * self.per_second;
        self.content = (self.content + gained).min(self.capacity);
        self.at = now;
    }

    /// Seconds until there is as much as this in it.
    fn wait_for(&self, content: f64) -> f64 {
        ((content - self.content) / self.per_second).max(0.0)
    }
}

impl Buckets {
    pub(super) fn new(limits: Limits, now: Timestamp) -> Buckets {
        let per_second = f64::from(limits.bot_per_second.max(1));
        Buckets {
            limits,
            bot: Bucket::full(BOT_BURST.min(per_second), per_second, now.seconds()),
            chats: HashMap::new(),
        }
    }

    /// Goes by other limits from now on.
    pub(super) fn change(&mut self, limits: Limits, now: Timestamp) {
        if limits != self.limits {
            *self = Buckets::new(limits, now);
        }
    }

    /// Takes leave to send one message to a chat now; or tells for how long there is none.
    pub(super) fn take(&mut self, chat_id: i64, is_critical: bool, now: Timestamp) -> Result<(), Duration> {
        let limits = self.limits;
        let now = now.seconds();
        let pace = pace(&mut self.chats, &limits, chat_id, now);
        pace.bucket.fill(now);
        self.bot.fill(now);
        while pace.sent.front().is_some_and(|sent| *sent <= now - WINDOW || *sent > now) {
            pace.sent.pop_front();
        }
        let reserve = if is_critical { 0 } else { limits.group_per_minute / RESERVE };
        let most = limits.group_per_minute.saturating_sub(reserve).max(1) as usize;
        let group = match pace.sent.len().checked_sub(most).and_then(|over| pace.sent.get(over)) {
            Some(earlier) if chat_id < 0 => earlier + WINDOW - now,
            _ => 0.0,
        };
        let bot = if is_critical || self.bot.capacity < 2.0 { 1.0 } else { 2.0 };
        let wait = pace.bucket.wait_for(1.0).max(self.bot.wait_for(bot)).max(group);
        // Less than this is what is lost in sums of seconds since 1970.
        if wait > 1e-4 {
            return Err(Duration::from_secs_f64(wait));
        }
        self.spend(chat_id, now);
        Ok(())
    }

    /// Notes a message that is sent whether there is leave or not: something that has to be done at once belongs to
    /// what there was leave for.
    pub(super) fn take_anyway(&mut self, chat_id: i64, now: Timestamp) {
        let limits = self.limits;
        pace(&mut self.chats, &limits, chat_id, now.seconds()).bucket.fill(now.seconds());
        self.bot.fill(now.seconds());
        self.spend(chat_id, now.seconds());
    }

    fn spend(&mut self, chat_id: i64, now: f64) {
        self.bot.content -= 1.0;
        if let Some(pace) = self.chats.get_mut(&chat_id) {
            pace.bucket.content -= 1.0;
            if chat_id < 0 {
                pace.sent.push_back(now);
            }
        }
    }
}

fn pace<'a>(chats: &'a mut HashMap<i64, ChatPace>, limits: &Limits, chat_id: i64, now: f64) -> &'a mut ChatPace {
    chats.entry(chat_id).or_insert_with(|| {
        let per_second = 1.0 / limits.chat_interval.as_secs_f64().max(0.001);
        ChatPace { bucket: Bucket::full(CHAT_BURST, per_second, now), sent: VecDeque::new() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: f64 = 1_795_000_000.0;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_seconds(START + seconds).unwrap()
    }

    /// Takes all that there is to be had until `end`, and tells when.
    fn drain(buckets: &mut Buckets, chat_id: i64, is_critical: bool, end: f64) -> Vec<f64> {
        let (mut now, mut taken) = (0.0, Vec::new());
        while now < end {
            match buckets.take(chat_id, is_critical, at(now)) {
                Ok(()) => taken.push(now),
                Err(wait) => now += wait.as_secs_f64() + 0.000_5,
            }
        }
        taken
    }

    fn most_within(taken: &[f64], span: f64) -> usize {
        taken
            .iter()
            .map(|from| taken.iter().filter(|at| **at >= *from && **at < from + span).count())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_chat_gets_a_few_at_once_and_then_one_a_second() {
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        let taken = drain(&mut buckets, 5, false, 10.0);
        assert_eq!(taken[..3], [0.0; 3]);
        assert!((12..=13).contains(&taken.len()), "{taken:?}");
    }

    #[test]
    fn a_group_never_gets_more_than_its_limit_in_any_minute() {
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        let taken = drain(&mut buckets, -5, true, 300.0);
        assert_eq!(most_within(&taken, 60.0), 18);
        assert!(taken.len() >= 5 * 18 - 1, "{}", taken.len());
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        let taken = drain(&mut buckets, -5, false, 59.0);
        assert_eq!(taken.len(), 16);
        assert!(buckets.take(-5, true, at(59.0)).is_ok(), "two of them are kept for what is critical");
    }

    #[test]
    fn the_bot_stays_below_its_limit_over_all_chats_and_goes_on_for_what_is_critical() {
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        let (mut now, mut taken, mut chat) = (0.0, Vec::new(), 0);
        while now < 4.0 {
            chat += 1;
            match buckets.take(chat, false, at(now)) {
                Ok(()) => taken.push(now),
                Err(wait) => now += wait.as_secs_f64() + 0.000_5,
            }
        }
        assert!(most_within(&taken, 1.0) <= 30, "{}", most_within(&taken, 1.0));
        assert!(taken.len() >= 98, "{}", taken.len());
        let last = *taken.last().unwrap();
        assert!(buckets.take(100_000, false, at(last)).is_err());
        assert!(buckets.take(100_000, true, at(last)).is_ok());
    }

    #[test]
    fn one_chat_that_has_to_wait_keeps_no_other_waiting_and_neither_does_a_clock_set_back() {
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        drain(&mut buckets, -5, false, 0.5);
        assert!(buckets.take(-5, false, at(0.5)).is_err());
        assert!(buckets.take(6, false, at(0.5)).is_ok());
        let wait = buckets.take(-5, false, at(-3600.0)).unwrap_err();
        assert!(wait <= Duration::from_secs(3), "{wait:?}");
        // Nor does a group wait for what it had sent by the clock as it was.
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        drain(&mut buckets, -5, true, 30.0);
        let wait = buckets.take(-5, true, at(-3600.0)).err().unwrap_or_default();
        assert!(wait <= Duration::from_secs(3), "{wait:?}");
    }

    #[test]
    fn other_limits_hold_from_when_they_are_in_force() {
        let mut buckets = Buckets::new(Limits::default(), at(0.0));
        let slow = Limits { chat_interval: Duration::from_secs(60), ..Limits::default() };
        buckets.change(slow, at(0.0));
        assert_eq!(drain(&mut buckets, 5, false, 130.0).len(), 5);
        // The same ones change nothing, and give nothing anew.
        buckets.change(slow, at(130.0));
        assert!(buckets.take(5, false, at(130.0)).is_err());
    }
}
