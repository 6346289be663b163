//! The lanes of the readers: single users never wait behind lists, what is urgent goes first, and a row fails alone.

use super::super::OpenOptions;
use super::*;

#[tokio::test]
async fn a_single_user_is_read_while_lists_stand_still() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.set_custom_at("ann", CustomStatus::Idle, 1).await.unwrap();
    let held = store.hold_lists();
    let before = store.read_count();
    let list = tokio::spawn({
        let store = store.clone();
        async move { store.rows(&[user("ann"), user("bob")]).await }
    });
    wait_until(|| store.read_count() == before + 2).await;
    assert_eq!(store.custom("ann").await, Some(CustomStatus::Idle));
    drop(held);
    assert!(list.await.unwrap()[0].is_some());
}

#[tokio::test]
async fn a_reload_overtakes_the_reads_that_wait() {
    let dir = DatabaseDir::new();
    let options = OpenOptions {
        readers: 1,
        ..OpenOptions::patient()
    };
    let (store, _) = dir.start_with(&options);
    let held = store.hold_reads();
    let order = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut reading = Vec::new();
    let waiting = || store.requests().singles.waiting();
    for (number, name) in ["under way", "second", "first"].into_iter().enumerate() {
        let (asked, order) = (store.clone(), std::sync::Arc::clone(&order));
        reading.push(tokio::spawn(async move {
            match name {
                "first" => drop(asked.load_first(&[user(name)]).await),
                _ => drop(asked.load(&user(name)).await),
            }
            order.lock().push(name);
        }));
        // The first is being read, the others wait.
        wait_until(|| waiting() == number && store.read_count() == 1).await;
    }
    drop(held);
    for read in reading {
        read.await.unwrap();
    }
    assert_eq!(*order.lock(), ["under way", "first", "second"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_fails_alone_in_a_list() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.set_custom_at("ann", CustomStatus::Idle, 1).await.unwrap();
    dir.connect()
        .execute_batch("INSERT INTO profile (user_id, connected_on) VALUES ('bad', '[1]')")
        .unwrap();
    let users = [user("bad"), user("ann"), user("nobody")];
    for rows in [
        store.load_many(&users).await.unwrap(),
        store.load_first(&users).await.unwrap(),
    ] {
        assert!(matches!(&rows[0], Err(StoreError::Refused { .. })), "{rows:?}");
        assert!(matches!(&rows[1], Ok(Some(_))), "{rows:?}");
        assert_eq!(rows[2], Ok(None));
    }
}

#[tokio::test]
async fn an_unreadable_row_is_noted_until_it_is_read() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    dir.connect()
        .execute_batch("INSERT INTO profile (user_id, connected_on) VALUES ('bad', '[1]'), ('worse', '[1]')")
        .unwrap();
    let noted = || store.sqlite().inner.health.unreadable_rows.len();
    for _ in 0..3 {
        let _ = store.load_many(&[user("bad"), user("worse")]).await;
        assert!(store.load(&user("bad")).await.is_err());
        assert_eq!(noted(), 2);
    }
    dir.connect()
        .execute_batch(
            "UPDATE profile SET connected_on = '[]' WHERE user_id = 'bad'; DELETE FROM profile WHERE user_id = 'worse'",
        )
        .unwrap();
    for (name, left) in [("bad", 1), ("worse", 0)] {
        assert!(store.load(&user(name)).await.is_ok());
        assert_eq!(noted(), left, "{name}");
    }
}

#[tokio::test]
async fn a_table_that_is_gone_is_no_fault_of_a_row() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    dir.connect()
        .execute_batch("ALTER TABLE report RENAME TO gone")
        .unwrap();
    let loaded = store.load(&user("ann")).await;
    assert!(matches!(loaded, Err(StoreError::Unavailable { .. })), "{loaded:?}");
}

#[tokio::test]
async fn a_store_that_fails_is_asked_once_for_a_whole_list() {
    let dir = DatabaseDir::new();
    let registry = &mut prometheus_client::registry::Registry::default();
    let metrics = StoreMetrics::register(registry);
    let (store, _) = Store::open(&dir.path(), &OpenOptions::patient(), metrics).unwrap();
    store.fail_reads(true);
    let users: Vec<_> = (0..100).map(|number| user(&format!("user-{number}"))).collect();
    let rows = store.load_many(&users).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert!(
        rows.iter()
            .all(|row| matches!(row, Err(StoreError::Unavailable { .. })))
    );
    let mut figures = String::new();
    prometheus_client::encoding::text::encode(&mut figures, registry).unwrap();
    assert!(
        figures.contains("store_failures_total{kind=\"Locked\"} 1\n"),
        "{figures}"
    );
}

#[tokio::test]
async fn a_read_that_panics_fails_alone_and_its_reader_goes_on() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.set_custom_at("ann", CustomStatus::Idle, 1).await.unwrap();
    let users = [user("bad"), user("ann")];
    // More often than there are readers in any lane.
    for _ in 0..OpenOptions::patient().readers + 1 {
        store.sqlite().inner.health.faults.panic_at_reads(1);
        let rows = store.load_many(&users).await.unwrap();
        assert!(
            matches!(&rows[..], [Err(StoreError::Refused { .. }), Ok(Some(_))]),
            "{rows:?}"
        );
        store.sqlite().inner.health.faults.panic_at_reads(1);
        let rows = store.load_first(&users).await.unwrap();
        assert!(
            matches!(&rows[..], [Err(StoreError::Refused { .. }), Ok(Some(_))]),
            "{rows:?}"
        );
        store.sqlite().inner.health.faults.panic_at_reads(1);
        let row = store.load(&user("ann")).await;
        assert!(matches!(row, Err(StoreError::Refused { .. })), "{row:?}");
        store.sqlite().inner.health.faults.panic_at_reads(1);
        let removals = store.removed_at(&users).await;
        assert!(matches!(removals, Err(StoreError::Refused { .. })), "{removals:?}");
    }
    assert_eq!(store.custom("ann").await, Some(CustomStatus::Idle));
    assert_eq!(store.removed_at(&users).await, Ok(vec![None, None]));
    assert!(store.health().writable);
}
