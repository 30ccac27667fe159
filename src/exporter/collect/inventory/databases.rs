//! What the inventory counts in databases: kanban tasks, and two small tables of the session store.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::collect::sessions::STORE;
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::{Label, MOST_ENTRIES, Reading, Tally};
use crate::system::files;
use crate::system::sqlite::{DatabaseError, Transaction, WatchedDatabase, count, text};

/// States in which a kanban task can be (hermes_cli/kanban_db.py).
const TASK_STATUSES: [&str; 9] =
    ["triage", "todo", "scheduled", "ready", "running", "blocked", "review", "done", "archived"];

/// States of a reply that Hermes owes (gateway/delivery_ledger.py).
const OBLIGATION_STATES: [&str; 5] = ["pending", "attempting", "delivered", "failed", "abandoned"];

/// Tallies of a database's tables, read again when the database has changed; `None` for a table that is not there.
#[derive(Debug)]
struct Tables {
    database: WatchedDatabase<Vec<Option<Tally>>>,
    tables: &'static [Table],
}

#[derive(Debug)]
struct Table {
    name: &'static str,
    column: &'static str,
    known: &'static [&'static str],
}

impl Tables {
    fn new(path: PathBuf, tables: &'static [Table]) -> Self {
        Tables { database: WatchedDatabase::new(path), tables }
    }

    /// A tally per table; `None` where there is no database.
    fn read(&mut self) -> Result<Option<Arc<Vec<Option<Tally>>>>, DatabaseError> {
        let tables = self.tables;
        self.database.get(|transaction| tables.iter().map(|table| tally(transaction, table)).collect())
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
        *counts.entry(Label::word(name)).or_default() += count(row, 1)?;
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
        let tally = self.0.read().map(|tallies| tallies?.get(index).cloned().flatten());
        problems.reading(STORE, tally)
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
                Ok(Some(tallies)) => {
                    let tally = tallies.first().cloned().flatten();
                    tasks.extend(tally.map(|tally| (Label::new(&slug), tally)));
                }
                Err(error) => problems.note("kanban.db", error.reason()),
            }
            boards.insert(slug, tables);
        }
        let has_none = boards.is_empty();
        self.boards = boards;
        if has_none { Reading::Absent } else { Reading::Known(tasks) }
    }
}
