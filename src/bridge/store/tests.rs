use std::os::unix::fs::PermissionsExt;

use super::*;

fn path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("bridge.db")
}

#[test]
fn only_one_bridge_serves_from_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&path(&folder)).unwrap();
    let error = Store::open(&path(&folder)).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    // A look at it is no second bridge, and does not make room for one.
    drop(Store::open_beside(&path(&folder)).unwrap());
    assert!(matches!(Store::open(&path(&folder)), Err(StoreError::InUse { .. })));
    drop(store);
    drop(Store::open(&path(&folder)).unwrap());
}

#[test]
fn a_store_that_was_taken_away_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&path(&folder)).unwrap();
    store.check_place().unwrap();
    std::fs::rename(path(&folder), folder.path().join("elsewhere.db")).unwrap();
    assert!(matches!(store.check_place(), Err(StoreError::TakenAway { .. })));
    std::fs::write(path(&folder), "").unwrap();
    assert!(matches!(store.check_place(), Err(StoreError::TakenAway { .. })), "it is another one");
}

#[test]
fn what_is_in_the_store_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&path(&folder)).unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        files += 1;
    }
    // The store itself, what SQLite puts beside it, and the lock.
    assert!(files >= 3);
    drop(store);
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::write(&path, "this is no database, and long enough to be taken for one by its size alone").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })));
}

#[test]
fn an_older_store_becomes_one_of_today() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let columns = |path: &Path| -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut find = connection.prepare("SELECT name || ' ' || type FROM pragma_table_info('incident')").unwrap();
        find.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    drop(Store::open(&path).unwrap());
    let today = columns(&path);
    let older = Connection::open(&path).unwrap();
    for column in ["inhibited_by", "in_alertmanager", "ended_as"] {
        older.execute_batch(&format!("ALTER TABLE incident DROP COLUMN {column}")).unwrap();
    }
    older.pragma_update(None, "user_version", 1).unwrap();
    assert_eq!(columns(&path).len(), today.len() - 3);
    drop(older);
    for _ in 0..2 {
        drop(Store::open(&path).unwrap());
        assert_eq!(columns(&path), today);
    }
}

#[test]
fn a_newer_store_is_left_to_the_newer_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    drop(Store::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found, .. } if found == SCHEMA_VERSION + 1), "{error}");
}

#[test]
fn a_store_that_can_not_be_made_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("bridge.db");
    for error in [Store::open(&missing).unwrap_err(), Store::open_beside(&missing).unwrap_err()] {
        assert!(error.to_string().contains("missing/bridge.db"), "{error}");
    }
}

#[tokio::test]
async fn a_commit_is_on_the_disk_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&path(&folder)).unwrap();
    let settings = store
        .write(|connection| {
            let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            Ok((mode, number("synchronous")?, number("foreign_keys")?))
        })
        .await;
    assert_eq!(settings.unwrap(), ("wal".to_owned(), 2, 1));
    let put = "INSERT INTO fact (name, value) VALUES ('a', 'b')";
    store.write(move |connection| Ok(connection.execute(put, [])?)).await.unwrap();
    drop(store);
    let store = Store::open(&path(&folder)).unwrap();
    let value =
        store.read(|connection| Ok(connection.query_row("SELECT value FROM fact", [], |row| row.get::<_, String>(0))?));
    assert_eq!(value.await.unwrap(), "b");
}

#[tokio::test]
async fn what_is_written_beside_the_store_does_not_grow_with_all_that_was_ever_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&path(&folder)).unwrap();
    let log = folder.path().join("bridge.db-wal");
    let mut largest = 0;
    for round in 0..60 {
        let text = "x".repeat(1 << 20);
        let put = move |connection: &Connection| {
            let put = "INSERT INTO fact (name, value) VALUES ('large', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1";
            Ok(connection.execute(put, [format!("{round}{text}")])?)
        };
        store.write(put).await.unwrap();
        store.read(|connection| Ok(connection.query_row("SELECT value FROM fact", [], |_| Ok(()))?)).await.unwrap();
        largest = largest.max(std::fs::metadata(&log).unwrap().len());
    }
    assert!(largest < 30 << 20, "{largest}");
}
