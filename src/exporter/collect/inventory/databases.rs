//! What the inventory counts in databases: kanban tasks, and two small tables of the session store.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::collect::sessions::STORE;
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::{Label, MOST_ENTRIES, Reading, Reason, Tally};
use crate::system::files;
use crate::system::sqlite::{Database, DatabaseError, DatabaseStamp, Transaction, count, text};

/// States in which a kanban task can be (hermes_cli/kanban_db.py).
const TASK_STATUSES: [&str; 9] =
    ["triage", "todo", "scheduled", "ready", "running", "blocked", "review", "done", "archived"];

/// States of a reply that Hermes owes (gateway/delivery_ledger.py).
const OBLIGATION_STATES: [&str; 5] = ["pending", "attempting", "delivered", "failed", "abandoned"];

/// Tallies of a database's tables, read again when the database has changed.
#[derive(Debug)]
struct Tables {
    database: Database,
    tables: &'static [Table],
    seen: Option<(DatabaseStamp, Tallies)>,
}

type Tallies = Result<Vec<Option<Tally>>, Reason>;

#[derive(Debug)]
struct Table {
    name: &'static str,
    column: &'static str,
    known: &'static [&'static str],
}

impl Tables {
    fn new(path: PathBuf, tables: &'static [Table]) -> Self {
        Tables { database: Database::new(path), tables, seen: None }
    }

    /// A tally per table, `None` for a table that is not there; `None` where there is no database.
    fn read(&mut self) -> Result<Option<Vec<Option<Tally>>>, Reason> {
        let reason = |error: DatabaseError| error.reason();
        let Some(stamp) = self.database.stamp().map_err(reason)? else {
            self.seen = None;
            return Ok(None);
        };
        if let Some((of, tallies)) = &self.seen
            && *of == stamp
        {
            return tallies.clone().map(Some);
        }
        let read = self.database.read(|transaction| {
            self.tables.iter().map(|table| tally(transaction, table)).collect::<Result<Vec<_>, _>>()
        });
        let tallies = match read {
            Ok(Some(tallies)) => Ok(tallies),
            Ok(None) => return Ok(None),
            Err(error) if error.is_lasting() => Err(error.reason()),
            Err(error) => {
                self.seen = None;
                return Err(error.reason());
            }
        };
        self.seen = stamp.is_settled().then(|| (stamp, tallies.clone()));
        tallies.map(Some)
    }
}

fn tally(transaction: &Transaction<'_>, table: &Table) -> Result<Option<Tally>, rusqlite::Error> {
    if !transaction.columns(table.name)?.contains(table.column) {
        return Ok(None);
    }
    let mut counts: BTreeMap<Label, u64> = table.known.iter().map(|name| (Label::new(name), 0)).collect();
    let sql =
        format!("SELECT {column}, count(*) FROM {name} GROUP BY {column}", column = table.column, name = table.name);
    let _ = transaction.rows(&sql, [], |row| {
        let name = text(row, 0)?.unwrap_or_default();
        *counts.entry(Label::new(name)).or_default() += count(row, 1)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Some(Tally::capped(counts)))
}

/// The small tables of the session store.
#[derive(Debug)]
pub(super) struct StoreTables(Tables);

impl StoreTables {
    pub(super) fn new(instance: &Instance) -> Self {
        const TABLES: [Table; 2] = [
            Table { name: "delivery_obligations", column: "state", known: &OBLIGATION_STATES },
            Table { name: "async_delegations", column: "state", known: &[] },
        ];
        StoreTables(Tables::new(instance.path(STORE), &TABLES))
    }

    /// Replies that Hermes owes somebody, by state.
    pub(super) fn obligations(&mut self, problems: &mut Problems) -> Reading<Tally> {
        self.table(0, problems)
    }

    /// Background delegations, by state.
    pub(super) fn delegations(&mut self, problems: &mut Problems) -> Reading<Tally> {
        self.table(1, problems)
    }

    fn table(&mut self, index: usize, problems: &mut Problems) -> Reading<Tally> {
        match self.0.read() {
            Ok(tallies) => tallies.and_then(|mut tallies| tallies.swap_remove(index)).into(),
            Err(reason) => {
                problems.note(STORE, reason);
                Reading::Unknown(reason)
            }
        }
    }
}

/// The kanban boards of one instance.
#[derive(Debug)]
pub(super) struct Boards {
    default_board: PathBuf,
    folder: PathBuf,
    boards: HashMap<String, Tables>,
}

impl Boards {
    pub(super) fn new(instance: &Instance) -> Self {
        Boards {
            default_board: instance.path("kanban.db"),
            folder: instance.path("kanban/boards"),
            boards: HashMap::new(),
        }
    }

    /// Tasks by board and status.
    pub(super) fn read(&mut self, problems: &mut Problems) -> Reading<BTreeMap<Label, Tally>> {
        const TABLES: [Table; 1] = [Table { name: "tasks", column: "status", known: &TASK_STATUSES }];
        let slugs = match files::entries(&self.folder) {
            Ok(slugs) => slugs.unwrap_or_default(),
            Err(error) => return problems.unknown("kanban/boards", &error),
        };
        let board = |slug: String| {
            let path = self.folder.join(&slug).join("kanban.db");
            (slug, path)
        };
        let all = std::iter::once(("default".to_owned(), self.default_board.clone()))
            .chain(slugs.into_iter().filter(|slug| slug != "default").map(board));
        let mut boards = HashMap::new();
        let mut tasks: BTreeMap<Label, Tally> = BTreeMap::new();
        for (slug, path) in all.take(MOST_ENTRIES) {
            let mut tables = self.boards.remove(&slug).unwrap_or_else(|| Tables::new(path, &TABLES));
            match tables.read() {
                Ok(None) => continue,
                Ok(Some(mut tallies)) => {
                    if let Some(tally) = tallies.pop().flatten() {
                        tasks.insert(Label::new(&slug), tally);
                    }
                }
                Err(reason) => problems.note("kanban.db", reason),
            }
            boards.insert(slug, tables);
        }
        let has_none = boards.is_empty();
        self.boards = boards;
        if has_none { Reading::Absent } else { Reading::Known(tasks) }
    }
}
