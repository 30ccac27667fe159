//! Facts in the store: single numbers under a name each, for what needs no table. Whose they are says the name.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;

/// A fact; `None` where there is none, or where it is no number.
pub fn read(connection: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    let mut find = connection.prepare_cached("SELECT value FROM fact WHERE name = ?1")?;
    let value: Option<String> = find.query_row([name], |row| row.get(0)).optional()?;
    Ok(value.and_then(|value| value.parse().ok()))
}

/// Keeps a fact, in place of what it was before.
pub fn keep(connection: &Connection, name: &str, value: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO fact (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![name, value.to_string()])?;
    Ok(())
}

/// Forgets the facts whose names begin with `prefix`.
pub fn forget_all(connection: &Connection, prefix: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM fact WHERE substr(name, 1, length(?1)) = ?1")?.execute([prefix])?;
    Ok(())
}

/// The facts whose names begin with `prefix`: what follows it in the name, and the number.
pub fn list(connection: &Connection, prefix: &str) -> Result<Vec<(String, i64)>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT substr(name, length(?1) + 1), value FROM fact WHERE substr(name, 1, length(?1)) = ?1",
    )?;
    let mut rows = find.query([prefix])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        let value = row.get::<_, String>(1)?;
        let number = value.parse().map_err(|_| StoreError::Damaged(format!("the number {value:?}")))?;
        facts.push((row.get(0)?, number));
    }
    Ok(facts)
}
