//! What can only be told by going through a whole table, in transactions so short that nobody waits for them.
//!
//! A census is a walk along keys that can be left and taken up again: after [`ONE_STRETCH`] the transaction is
//! ended and the next one goes on behind the last key. What changes meanwhile is counted as it is met, which
//! is as exact as a count of a moving thing can be.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rusqlite::{Error, Row};

use crate::exporter::collect::problems::Because;
use crate::exporter::snapshot::sessions::{ModelUsage, SessionCounts, Tokens};
use crate::exporter::snapshot::{Label, MOST_ENTRIES, Reading, Reason, Tally};
use crate::system::sqlite::{Database, DatabaseError, Transaction, count, number, text};
use crate::system::time::Timestamp;

/// How long one transaction goes on, well below what the database layer would end by force.
const ONE_STRETCH: Duration = Duration::from_millis(50);

/// What a census found.
#[derive(Debug, Clone)]
pub(super) struct Census {
    pub(super) sessions: Reading<SessionCounts>,
    pub(super) model_usage: Reading<Vec<ModelUsage>>,
    pub(super) messages: Reading<u64>,
    /// Messages ever inserted when the messages were counted.
    pub(super) messages_ever: u64,
    /// The newest message of all.
    pub(super) last_message: Option<Timestamp>,
    /// Whether what is unknown of it stays so until the store changes.
    pub(super) is_lasting: bool,
}

impl Census {
    /// Why parts of it are not known.
    pub(super) fn failures(&self) -> impl Iterator<Item = Reason> {
        fn failure<T>(reading: &Reading<T>) -> Option<Reason> {
            match reading {
                Reading::Unknown(reason) => Some(*reason),
                Reading::Known(_) | Reading::Absent => None,
            }
        }
        [failure(&self.sessions), failure(&self.model_usage), failure(&self.messages)].into_iter().flatten()
    }
}

/// Counts everything. An error means that none of it could be told.
pub(super) fn take(store: &Database) -> Result<Census, DatabaseError> {
    let messages = walk(store, &mut MessageWalk::default());
    let counts = walk(store, &mut SessionWalk::default());
    let usage = walk(store, &mut UsageWalk::default());
    if let (Err(error), Err(_), Err(_)) = (&messages, &counts, &usage) {
        return Err(error.clone());
    }
    let counted = messages.as_ref().ok().and_then(Option::as_ref);
    let mut is_lasting = true;
    Ok(Census {
        last_message: counted.and_then(|walk| Timestamp::from_seconds(walk.newest)),
        messages_ever: counted.map_or(0, |walk| walk.messages_ever),
        messages: reading(messages.map(|walk| walk.map(|walk| walk.messages)), &mut is_lasting),
        sessions: reading(counts.map(|walk| walk.map(SessionWalk::counts)), &mut is_lasting),
        model_usage: reading(usage.map(|walk| walk.map(UsageWalk::usage)), &mut is_lasting),
        is_lasting,
    })
}

fn reading<T>(result: Result<Option<T>, DatabaseError>, is_lasting: &mut bool) -> Reading<T> {
    match result {
        Ok(value) => value.into(),
        Err(error) => {
            *is_lasting &= error.is_lasting();
            Reading::Unknown(error.reason())
        }
    }
}

/// A walk through one table.
trait Walk: Clone {
    /// Goes on from where it stands until `until`; `Continue` when the end is reached.
    fn stretch(&mut self, transaction: &Transaction<'_>, until: Instant) -> Result<ControlFlow<()>, Error>;
}

/// Walks to the end, one transaction after the other. `None` where there is no store.
fn walk<W: Walk>(store: &Database, walk: &mut W) -> Result<Option<W>, DatabaseError> {
    loop {
        // A read may be repeated, so each attempt starts from the same place.
        let stretched = store.read(|transaction| {
            let mut next = walk.clone();
            let ended = next.stretch(transaction, Instant::now() + ONE_STRETCH)?;
            Ok((next, ended))
        })?;
        match stretched {
            None => return Ok(None),
            Some((next, ControlFlow::Continue(()))) => return Ok(Some(next)),
            Some((next, ControlFlow::Break(()))) => *walk = next,
        }
    }
}

fn on_or_break(until: Instant) -> ControlFlow<()> {
    if Instant::now() < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn word(row: &Row<'_>, column: usize) -> Result<Label, Error> {
    Ok(Label::word(text(row, column)?.unwrap_or_default()))
}

/// The name of a model. One that runs on this machine may be called by the path of its file, whose folders are nobody's
/// business.
fn model(row: &Row<'_>, column: usize) -> Result<Label, Error> {
    let name = text(row, column)?.unwrap_or_default();
    let is_path = name.starts_with(['/', '~', '.']) || name.contains("://") || name.contains('\\');
    Ok(Label::new(if is_path { name.rsplit(['/', '\\']).next().unwrap_or_default() } else { name }))
}

/// The name of a column where the table has it, else what stands for it.
fn column<'a>(columns: &std::collections::HashSet<String>, name: &'a str, otherwise: &'a str) -> &'a str {
    if columns.contains(name) { name } else { otherwise }
}

#[derive(Debug, Clone, Default)]
struct SessionWalk {
    last: i64,
    current: BTreeMap<Label, u64>,
    archived: BTreeMap<Label, u64>,
    open: u64,
    ended: BTreeMap<Label, u64>,
}

impl Walk for SessionWalk {
    fn stretch(&mut self, transaction: &Transaction<'_>, until: Instant) -> Result<ControlFlow<()>, Error> {
        let columns = transaction.columns("sessions")?;
        let sql = format!(
            "SELECT rowid, source, {}, ended_at IS NULL, {} FROM sessions WHERE rowid > ?1 ORDER BY rowid",
            column(&columns, "archived", "0"),
            column(&columns, "end_reason", "NULL"),
        );
        transaction.rows(&sql, [self.last], |row| {
            self.last = row.get(0)?;
            let source = word(row, 1)?;
            let is_archived = count(row, 2)? != 0;
            let is_open: bool = row.get(3)?;
            let by_source = if is_archived { &mut self.archived } else { &mut self.current };
            *by_source.entry(source).or_default() += 1;
            if !is_open {
                *self.ended.entry(word(row, 4)?).or_default() += 1;
            } else if !is_archived {
                self.open += 1;
            }
            Ok(on_or_break(until))
        })
    }
}

impl SessionWalk {
    fn counts(self) -> SessionCounts {
        SessionCounts {
            current: Tally::capped(self.current),
            archived: Tally::capped(self.archived),
            open: self.open,
            ended: Tally::capped(self.ended),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct UsageWalk {
    last: i64,
    by_task: BTreeMap<(Label, Label, Label), (Tokens, u64, f64)>,
}

impl Walk for UsageWalk {
    fn stretch(&mut self, transaction: &Transaction<'_>, until: Instant) -> Result<ControlFlow<()>, Error> {
        let columns = transaction.columns("session_model_usage")?;
        let or_zero = |name| column(&columns, name, "0");
        let sql = format!(
            "SELECT rowid, model, {}, {}, {}, {}, {}, {}, {}, {}, {}, {} FROM session_model_usage WHERE rowid > ?1 ORDER BY rowid",
            column(&columns, "billing_provider", "''"),
            column(&columns, "task", "''"),
            or_zero("api_call_count"),
            or_zero("input_tokens"),
            or_zero("output_tokens"),
            or_zero("cache_read_tokens"),
            or_zero("cache_write_tokens"),
            or_zero("reasoning_tokens"),
            or_zero("estimated_cost_usd"),
            or_zero("actual_cost_usd"),
        );
        transaction.rows(&sql, [self.last], |row| {
            self.last = row.get(0)?;
            let (tokens, calls, cost) = self.by_task.entry((model(row, 1)?, word(row, 2)?, word(row, 3)?)).or_default();
            *calls = calls.saturating_add(count(row, 4)?);
            *tokens = tokens.plus(Tokens {
                input: count(row, 5)?,
                output: count(row, 6)?,
                cache_read: count(row, 7)?,
                cache_write: count(row, 8)?,
                reasoning: count(row, 9)?,
            });
            let (estimated, actual) = (number(row, 10)?, number(row, 11)?);
            // A bill of nothing is how Hermes writes that none has come.
            *cost += actual.filter(|bill| *bill > 0.0).or(estimated).unwrap_or(0.0);
            Ok(on_or_break(until))
        })
    }
}

impl UsageWalk {
    fn usage(self) -> Vec<ModelUsage> {
        let mut entries: Vec<_> = self.by_task.into_iter().collect();
        // Stable, so that entries of as many calls stay in the order of their names.
        entries.sort_by_key(|(_, (_, api_calls, _))| std::cmp::Reverse(*api_calls));
        let rest = entries.split_off(entries.len().min(MOST_ENTRIES));
        let mut by_task: BTreeMap<_, _> = entries.into_iter().collect();
        for (_, (tokens, api_calls, cost)) in rest {
            // Into what may really be called so.
            let other = by_task.entry((Label::other(), Label::other(), Label::other())).or_default();
            let (all, calls, sum) = other;
            *all = all.plus(tokens);
            *calls += api_calls;
            *sum += cost;
        }
        let one = |((model, provider, task), (tokens, api_calls, cost))| ModelUsage {
            model,
            provider,
            task,
            tokens,
            api_calls,
            cost_usd: Some(cost),
        };
        by_task.into_iter().map(one).collect()
    }
}

#[derive(Debug, Clone, Default)]
struct MessageWalk {
    last: String,
    messages: u64,
    newest: f64,
    messages_ever: u64,
}

impl Walk for MessageWalk {
    fn stretch(&mut self, transaction: &Transaction<'_>, until: Instant) -> Result<ControlFlow<()>, Error> {
        // Session by session along an index, which is a tenth of the table that the rowids would go through.
        let sql = "SELECT session_id, count(*), max(timestamp) FROM messages WHERE session_id > ?1 GROUP BY session_id ORDER BY session_id";
        let last = self.last.clone();
        let ended = transaction.rows(sql, [last], |row| {
            self.last = row.get(0)?;
            self.messages += count(row, 1)?;
            self.newest = self.newest.max(number(row, 2)?.unwrap_or(0.0));
            Ok(on_or_break(until))
        })?;
        if ended.is_continue() && transaction.columns("sqlite_sequence")?.contains("seq") {
            let sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'messages'";
            self.messages_ever = transaction.row(sequence, [], |row| count(row, 0))?.unwrap_or(0);
        }
        Ok(ended)
    }
}
