//! What a node finds in Redis before it takes part.

use std::convert::Infallible;
use std::time::Duration;

use presence::Revision;
use presence::replication::{Call, Caller, ConnectionNumber, Incarnation, NodeInfo, Tick};

use super::super::link::Link;
use super::super::meta::{DatabaseFacts, SharedFacts};
use super::super::reach::UnusableRedis;
use super::super::rivals::{Company, OwnNode};
use super::super::servers::{RedisOptions, RedisServers};
use super::server::RedisServer;

/// Longer than a test may take: nobody waits for it.
pub(super) const LONG: Duration = Duration::from_secs(600);

pub(super) fn facts() -> SharedFacts {
    SharedFacts {
        partitions: 16,
        database: DatabaseFacts {
            identity: "0a".into(),
            place: "sqlite:/a.db".into(),
        },
    }
}

pub(super) fn node(name: &str, lease: Duration) -> OwnNode<'_> {
    OwnNode {
        name,
        previous: &[],
        lease,
        company: Company::Others,
    }
}

async fn register(link: &mut Link, number: u64, name: &str) -> Caller {
    let caller = Caller {
        incarnation: Incarnation(number),
        connection: ConnectionNumber(1),
    };
    let info = NodeInfo {
        name: name.into(),
        address: "192.0.2.1:7420".into(),
        ..NodeInfo::default()
    };
    let register = Call::Register {
        caller,
        node: info.encode(),
        new_epoch: 7,
        floor: Revision::NEVER,
    };
    link.call(&register).await.expect("an answer");
    caller
}

/// A node that is alive.
async fn tick_for_ever(link: &mut Link, caller: Caller) -> Infallible {
    loop {
        let content = Tick::default().encode();
        link.call(&Call::Tick { caller, content }).await.expect("an answer");
    }
}

/// What keeps a node from starting.
pub(super) async fn refused(servers: &RedisServers, facts: &SharedFacts, own: OwnNode<'_>) -> UnusableRedis {
    servers.reach(facts, own).await.expect_err("it does not start")
}

#[tokio::test]
async fn the_first_node_writes_what_all_have_in_common() {
    let server = RedisServer::start(&[]).await;
    let servers = server.servers();
    servers.reach(&facts(), node("a", LONG)).await.expect("the first one");
    let fields = ["layout", "partitions", "database", "database-place"];
    let stored: Vec<String> = server.read(&[&["HMGET", "presence:meta"], &fields[..]].concat()).await;
    assert_eq!(stored, ["1", "16", "0a", "sqlite:/a.db"]);
    let mut same = facts();
    same.database.place = "another name of it".into();
    servers.reach(&same, node("b", LONG)).await.expect("the same database");
    let again: Vec<String> = server.read(&[&["HMGET", "presence:meta"], &fields[..]].concat()).await;
    assert_eq!(again, stored);
}

#[tokio::test]
async fn a_node_that_differs_does_not_start_and_changes_nothing() {
    let server = RedisServer::start(&[]).await;
    let servers = server.servers();
    servers.reach(&facts(), node("a", LONG)).await.expect("the first one");
    let mut other = facts();
    other.partitions = 8;
    let error = refused(&servers, &other, node("b", LONG)).await.to_string();
    assert!(
        error.contains("into 16 partitions") && error.contains("--partitions is 8"),
        "{error}"
    );
    let mut other = facts();
    other.database = DatabaseFacts {
        identity: "0b".into(),
        place: "sqlite:/b.db".into(),
    };
    let error = refused(&servers, &other, node("b", LONG)).await.to_string();
    for part in [
        "\"sqlite:/a.db\" (identity \"0a\")",
        "\"sqlite:/b.db\" (identity \"0b\")",
    ] {
        assert!(error.contains(part), "{error}");
    }
    server.command(&["HSET", "presence:meta", "layout", "2"]).await;
    server.command(&["HDEL", "presence:meta", "database"]).await;
    let error = refused(&servers, &facts(), node("b", LONG)).await.to_string();
    assert!(error.contains("layout \"2\""), "{error}");
    let database: Option<String> = server.read(&["HGET", "presence:meta", "database"]).await;
    assert_eq!(database, None, "nothing is written beside another layout");
}

#[tokio::test]
async fn a_node_whose_name_another_one_has_does_not_start() {
    let server = RedisServer::start(&[]).await;
    let mut link = server.link(0).await;
    let caller = register(&mut link, 5, "a").await;
    let servers = server.servers();
    let facts = facts();
    let error = tokio::select! {
        error = refused(&servers, &facts, node("a", LONG)) => error,
        never = tick_for_ever(&mut link, caller) => match never {},
    };
    let UnusableRedis::NameTaken { name, address, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((name.as_str(), address.as_str()), ("a", "192.0.2.1:7420"));
    servers.reach(&facts, node("b", LONG)).await.expect("another name");
}

#[tokio::test]
async fn a_node_whose_name_a_silent_one_has_starts_after_a_lease() {
    let server = RedisServer::start(&[]).await;
    let mut link = server.link(0).await;
    register(&mut link, 5, "a").await;
    let servers = server.servers();
    let own = node("a", Duration::from_millis(300));
    servers.reach(&facts(), own).await.expect("it is silent");
    let restarted = OwnNode {
        previous: &[Incarnation(5)],
        ..node("a", LONG)
    };
    servers.reach(&facts(), restarted).await.expect("its own run before");
}

#[tokio::test]
async fn a_name_whose_registration_ends_meanwhile_is_free() {
    let server = RedisServer::start(&[]).await;
    let mut link = server.link(0).await;
    let caller = register(&mut link, 5, "a").await;
    let other = register(&mut link, 6, "z").await;
    let servers = server.servers();
    let facts = facts();
    let (reached, ()) = tokio::join!(servers.reach(&facts, node("a", LONG)), async {
        server.until_somebody_reads().await;
        let end = Call::End {
            caller: other,
            ended: caller.incarnation,
            grace: Duration::ZERO,
        };
        link.call(&end).await.expect("an answer");
    });
    reached.expect("the name is free");
}

#[tokio::test]
async fn an_sqlite_file_has_no_company() {
    let server = RedisServer::start(&[]).await;
    let mut link = server.link(0).await;
    let caller = register(&mut link, 5, "other").await;
    let servers = server.servers();
    let own = OwnNode {
        company: Company::Alone,
        ..node("a", LONG)
    };
    let facts = facts();
    let error = tokio::select! {
        error = refused(&servers, &facts, own) => error,
        never = tick_for_ever(&mut link, caller) => match never {},
    };
    assert!(
        matches!(&error, UnusableRedis::NotAlone { name, .. } if name == "other"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_password_is_an_error_at_once_and_a_changed_one_is_read() {
    let server = RedisServer::start(&[]).await;
    server.command(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    };
    write("wrong\n");
    let options = RedisOptions {
        urls: server.urls(),
        password_file: Some(file.clone()),
        ..RedisOptions::patient()
    };
    let servers = RedisServers::new(&options).expect("an address");
    let error = refused(&servers, &facts(), node("a", LONG)).await.to_string();
    assert!(
        error.contains("--redis-password-file") && !error.contains("wrong"),
        "{error}"
    );
    let without = RedisOptions {
        password_file: None,
        ..options
    };
    let without = RedisServers::new(&without).expect("an address");
    let error = refused(&without, &facts(), node("a", LONG)).await.to_string();
    assert!(error.contains("NOAUTH"), "{error}");
    write("hunter2\n");
    servers.reach(&facts(), node("a", LONG)).await.expect("the right one");
}

#[tokio::test]
async fn a_server_that_comes_later_is_waited_for() {
    let mut server = RedisServer::start(&[]).await;
    let servers = server.servers();
    server.kill();
    let facts = facts();
    let reaching = servers.reach(&facts, node("a", LONG));
    let (reached, ()) = tokio::join!(reaching, server.start_again());
    reached.expect("it is there");
}

#[tokio::test]
async fn several_addresses_must_be_of_a_cluster() {
    let server = RedisServer::start(&[]).await;
    let options = RedisOptions {
        urls: [server.urls(), server.urls()].concat(),
        ..RedisOptions::patient()
    };
    let servers = RedisServers::new(&options).expect("addresses");
    let error = refused(&servers, &facts(), node("a", LONG)).await.to_string();
    assert!(error.contains("Redis Cluster"), "{error}");
}

#[tokio::test]
async fn facts_that_redis_lost_are_written_again() {
    let server = RedisServer::start(&[]).await;
    let servers = server.servers();
    let facts = facts();
    servers.reach(&facts, node("a", LONG)).await.expect("the first one");
    let emptied = async {
        server.command(&["FLUSHALL"]).await;
        while server
            .read::<Option<String>>(&["HGET", "presence:meta", "database"])
            .await
            .is_none()
        {}
    };
    tokio::select! {
        () = servers.keep_agreed(&facts, Duration::from_millis(5)) => panic!("it never returns"),
        () = emptied => {}
    }
}
