use std::sync::mpsc;

use super::*;
use crate::bridge::store::Store;

/// A store with a table of numbers, and the folder that it is in.
async fn numbers() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("bridge.db")).unwrap();
    store
        .write(|connection| Ok(connection.execute_batch("CREATE TABLE number (n INTEGER, text TEXT)")?))
        .await
        .unwrap();
    (folder, store)
}

fn put(connection: &Connection, number: i64) -> Result<(), StoreError> {
    connection.execute("INSERT INTO number (n) VALUES (?1)", [number])?;
    Ok(())
}

fn all(store: &Store) -> Vec<i64> {
    let read = store.read_now(|connection| {
        let mut find = connection.prepare("SELECT n FROM number ORDER BY n")?;
        let rows = find.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    });
    read.unwrap()
}

/// Keeps the writer busy until the sender is used, so that what is written meanwhile is in one transaction.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (let_go, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel::<()>();
    let store = store.clone();
    tokio::spawn(async move {
        let hold = move |_: &Connection| {
            let _ = begun.send(());
            let _ = held.recv();
            Ok(())
        };
        store.write(hold).await
    });
    // Where nothing runs but this the task has to be let run first.
    tokio::task::block_in_place(|| has_begun.recv().unwrap());
    let_go
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_together_is_committed_together() {
    let (_folder, store) = numbers().await;
    let let_go = hold(&store);
    let before = *store.commits().borrow();
    let writes: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.write(move |connection| put(connection, number)).await })
        })
        .collect();
    let_go.send(()).unwrap();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(all(&store), (0..200).collect::<Vec<_>>());
    assert!(*store.commits().borrow() - before < 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_takes_nothing_with_it() {
    let (_folder, store) = numbers().await;
    let let_go = hold(&store);
    let writes: Vec<_> = (0..30)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let work = move |connection: &Connection| {
                    put(connection, number)?;
                    match number % 3 {
                        0 => Ok(number),
                        1 => Err(StoreError::Damaged("on purpose".to_owned())),
                        _ => panic!("on purpose"),
                    }
                };
                (number, store.write(work).await)
            })
        })
        .collect();
    let_go.send(()).unwrap();
    for write in writes {
        match write.await.unwrap() {
            (number, Ok(same)) => assert_eq!((number % 3, number), (0, same)),
            (number, Err(StoreError::Damaged(_))) => assert_eq!(number % 3, 1),
            (number, Err(StoreError::Panicked)) => assert_eq!(number % 3, 2),
            (number, Err(error)) => panic!("{number}: {error}"),
        }
    }
    assert_eq!(all(&store), (0..30).step_by(3).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_to_everybody_who_waits() {
    let (_folder, store) = numbers().await;
    let limit = |pages: i64| {
        move |connection: &Connection| {
            Ok(connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
        }
    };
    store.write(limit(1)).await.unwrap();
    let before = *store.commits().borrow();
    let let_go = hold(&store);
    let writes: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let text = "x".repeat(10_000);
                let work = move |connection: &Connection| {
                    connection.execute("INSERT INTO number (n, text) VALUES (?1, ?2)", (number, text))?;
                    Ok(())
                };
                store.write(work).await
            })
        })
        .collect();
    let_go.send(()).unwrap();
    for write in writes {
        let error = write.await.unwrap().unwrap_err();
        let StoreError::Commit(source) = &error else { panic!("{error}") };
        assert_eq!(source.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull), "{source}");
    }
    assert!(all(&store).is_empty());
    // Whatever was committed, it was nothing that was refused.
    assert!(*store.commits().borrow() - before <= 1);
    store.write(limit(1_000_000)).await.unwrap();
    store.write(|connection| put(connection, 7)).await.unwrap();
    assert_eq!(all(&store), [7]);
}

#[tokio::test]
async fn what_was_taken_is_written_before_the_store_is_closed() {
    let (_folder, store) = numbers().await;
    let mut writes: Vec<_> =
        (0..50).map(|number| Box::pin(store.write(move |connection| put(connection, number)))).collect();
    for write in &mut writes {
        // Once it was asked, the work is on its way.
        let _ = futures_util::poll!(write);
    }
    store.close();
    assert!(matches!(store.write(|connection| put(connection, 99)).await, Err(StoreError::Closed)));
    assert_eq!(all(&store), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_last_to_have_the_store_may_be_its_own_work() {
    let (_folder, store) = numbers().await;
    let (done, is_done) = mpsc::channel();
    let own = store.clone();
    let write = tokio::spawn(async move {
        let store = own.clone();
        let work = move |_: &Connection| {
            drop(own);
            let _ = done.send(());
            Ok(())
        };
        store.write(work).await
    });
    drop(store);
    assert!(matches!(write.await.unwrap(), Ok(()) | Err(StoreError::Closed)));
    is_done.recv().unwrap();
}
