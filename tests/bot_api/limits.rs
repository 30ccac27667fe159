//! Telegram's limits, where they are to be kept: messages per chat, per group and minute, and per bot.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// What is permitted; nothing is refused where it is not enforced.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Permitted {
    /// Whether more is refused.
    pub(crate) is_enforced: bool,
    /// How many may come at once to a chat, before one per second is all.
    pub(crate) chat_burst: u32,
    /// Per minute to a group.
    pub(crate) group_per_minute: usize,
    /// Per second to all chats together.
    pub(crate) bot_per_second: usize,
}

impl Default for Permitted {
    fn default() -> Self {
        Permitted { is_enforced: false, chat_burst: 5, group_per_minute: 20, bot_per_second: 30 }
    }
}

/// What was sent lately.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    permitted: Permitted,
    chats: BTreeMap<i64, (f64, Instant)>,
    groups: BTreeMap<i64, VecDeque<Instant>>,
    bot: VecDeque<Instant>,
}

impl Limits {
    /// From now on this is permitted.
    pub(crate) fn set(&mut self, permitted: Permitted) {
        *self = Limits { permitted, ..Limits::default() };
    }

    /// Takes note of a message; how many seconds to wait where it is one too many.
    pub(crate) fn take(&mut self, chat_id: i64, now: Instant) -> Option<u64> {
        if !self.permitted.is_enforced {
            return None;
        }
        let burst = f64::from(self.permitted.chat_burst);
        let (tokens, since) = self.chats.get(&chat_id).copied().unwrap_or((burst, now));
        let tokens = (tokens + now.duration_since(since).as_secs_f64()).min(burst);
        let group = (chat_id < 0).then(|| self.groups.entry(chat_id).or_default());
        let mut wait = if tokens < 1.0 { 1.0 - tokens } else { 0.0 };
        if let Some(sent) = &group {
            wait = wait.max(window(sent, self.permitted.group_per_minute, Duration::from_secs(60), now));
        }
        wait = wait.max(window(&self.bot, self.permitted.bot_per_second, Duration::from_secs(1), now));
        if wait > 0.0 {
            return Some(wait.ceil() as u64);
        }
        self.chats.insert(chat_id, (tokens - 1.0, now));
        remember(&mut self.bot, self.permitted.bot_per_second, now);
        if let Some(sent) = group {
            remember(sent, self.permitted.group_per_minute, now);
        }
        None
    }
}

/// How long until there is room in a window.
fn window(sent: &VecDeque<Instant>, count: usize, length: Duration, now: Instant) -> f64 {
    if sent.len() < count {
        return 0.0;
    }
    sent.front().map_or(0.0, |first| (*first + length).saturating_duration_since(now).as_secs_f64())
}

fn remember(sent: &mut VecDeque<Instant>, count: usize, now: Instant) {
    sent.push_back(now);
    while sent.len() > count {
        sent.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_a_group_and_the_bot_have_a_limit_each() {
        let mut limits = Limits::default();
        let begin = Instant::now();
        for _ in 0..1000 {
            assert_eq!(limits.take(1, begin), None, "not enforced");
        }
        limits.set(Permitted { is_enforced: true, ..Permitted::default() });
        for _ in 0..5 {
            assert_eq!(limits.take(1, begin), None);
        }
        assert_eq!(limits.take(1, begin), Some(1));
        assert_eq!(limits.take(2, begin), None, "another chat");
        for second in 0..20 {
            assert_eq!(limits.take(-3, begin + Duration::from_secs(10 + second)), None);
        }
        assert_eq!(limits.take(-3, begin + Duration::from_secs(30)), Some(40), "twenty per minute");
        let later = begin + Duration::from_secs(100);
        for chat in 100..130 {
            assert_eq!(limits.take(chat, later), None);
        }
        assert_eq!(limits.take(130, later), Some(1), "thirty per second");
    }
}
