//! The sample homes: unpacked from the archive of the tests, and moved to the present.
//!
//! Every time in them (numbers of Unix seconds, ISO texts, columns of databases) is shifted by the same span,
//! so that a session that was active when the homes were made is active now, and an overdue job is overdue.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::Connection;
use serde_json::Value;
use walkdir::WalkDir;

use super::DemoError;

/// Homes made by Hermes 0.19.0.
const ARCHIVE: &[u8] = include_bytes!("../../../tests/fixtures/hermes-0.19.0/homes.tar.gz");

/// The moment they were made for, in Unix seconds.
const MADE_AT: f64 = 1_795_165_255.233_391;

/// Marks a home as a sample, so that the stand-in never runs in a real one.
pub(super) const MARK: &str = ".hermes-exporter-demo";

/// Numbers between these are Unix seconds: September 2020 to May 2033.
const TIMES: std::ops::Range<f64> = 1_600_000_000.0..2_000_000_000.0;

/// Unpacks the homes as `vijay` and `bheem`.
pub(super) fn unpack(folder: &Path) -> Result<(), DemoError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DemoError::Unpack { path, source }
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(ARCHIVE));
    archive.unpack(folder).map_err(failed(folder))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(MADE_AT, |since| since.as_secs_f64());
    for name in ["vijay", "bheem"] {
        let home = folder.join(name);
        fs::rename(folder.join(format!("home-{name}")), &home).map_err(failed(&home))?;
        fs::write(home.join(MARK), "").map_err(failed(&home))?;
        move_in_time(&home, now - MADE_AT)?;
    }
    Ok(())
}

fn move_in_time(home: &Path, by: f64) -> Result<(), DemoError> {
    for entry in WalkDir::new(home).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy();
        let failed = |source| DemoError::Unpack { path: path.to_owned(), source };
        if name.ends_with(".db") {
            move_database(path, by).map_err(|source| DemoError::Database { path: path.to_owned(), source })?;
        } else if name.ends_with(".json") || matches!(&*name, "gateway.heartbeat" | ".update_check") {
            if let Ok(mut value) = serde_json::from_slice::<Value>(&fs::read(path).map_err(failed)?) {
                move_value(&mut value, by);
                fs::write(path, value.to_string()).map_err(failed)?;
            }
        } else if matches!(&*name, "ticker_heartbeat" | "ticker_last_success" | "gateway-starts.log") {
            let text = fs::read_to_string(path).map_err(failed)?;
            let moved: Vec<_> =
                text.lines().filter_map(|line| Some((line.parse::<f64>().ok()? + by).to_string())).collect();
            fs::write(path, moved.join("\n") + "\n").map_err(failed)?;
        }
    }
    Ok(())
}

fn move_value(value: &mut Value, by: f64) {
    match value {
        Value::Number(number) => {
            if let Some(seconds) = number.as_f64().filter(|seconds| TIMES.contains(seconds)) {
                *value = (seconds + by).into();
            }
        }
        Value::String(text) => {
            if let Some(moved) = move_text(text, by) {
                *text = moved;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| move_value(value, by)),
        Value::Object(values) => values.values_mut().for_each(|value| move_value(value, by)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn move_text(text: &str, by: f64) -> Option<String> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    let moved = moment.checked_add(jiff::SignedDuration::try_from_secs_f64(by).ok()?).ok()?;
    Some(moved.to_string())
}

fn move_database(path: &Path, by: f64) -> Result<(), rusqlite::Error> {
    let database = Connection::open(path)?;
    let names = |sql: &str| -> Result<Vec<String>, rusqlite::Error> {
        database.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    };
    // The triggers keep a full-text index that nobody reads here.
    for trigger in names("SELECT name FROM sqlite_schema WHERE type = 'trigger'")? {
        database.execute(&format!("DROP TRIGGER \"{trigger}\""), [])?;
    }
    let ordinary =
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'";
    let transaction = database.unchecked_transaction()?;
    for table in names(ordinary)? {
        for column in names(&format!("SELECT name FROM pragma_table_info('{table}')"))? {
            let numbers = format!(
                "UPDATE \"{table}\" SET \"{column}\" = \"{column}\" + ?1
                 WHERE typeof(\"{column}\") IN ('integer', 'real') AND \"{column}\" BETWEEN {} AND {}",
                TIMES.start, TIMES.end
            );
            transaction.execute(&numbers, [by])?;
            if column.ends_with("_at") {
                let texts = names(&format!(
                    "SELECT DISTINCT \"{column}\" FROM \"{table}\" WHERE typeof(\"{column}\") = 'text'"
                ))?;
                for text in texts {
                    if let Some(moved) = move_text(&text, by) {
                        let update = format!("UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE \"{column}\" = ?2");
                        transaction.execute(&update, [moved, text])?;
                    }
                }
            }
        }
    }
    transaction.commit()?;
    // As the owner leaves it: without a log.
    database.pragma_update(None, "wal_checkpoint", "TRUNCATE").or_else(ignore_row)
}

/// A checkpoint answers with a row, which a plain update does not expect.
fn ignore_row(error: rusqlite::Error) -> Result<(), rusqlite::Error> {
    if matches!(error, rusqlite::Error::ExecuteReturnedResults) { Ok(()) } else { Err(error) }
}
