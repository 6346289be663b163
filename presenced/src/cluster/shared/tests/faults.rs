//! What a real Redis does when it is full, slow, restarted, or refuses.

use std::time::Duration;

use presence::Revision;
use presence::replication::{Answer, Call, Incarnation, KeptEnd, Outcome, Question, Reply, UserOffer};

use super::super::keys::Keys;
use super::super::link::{ANSWERS_WITHIN, AnswerTimes, Link, LinkError};
use super::server::{PATIENT, RedisServer};
use super::subject::{A, Subject, node_of, present, user};
use crate::clock::Stopwatch;

/// An answer that fails does so by then, on a busy machine; before [`PATIENT`] callers give up.
const AT_ONCE: Duration = Duration::from_secs(15);

async fn registered(server: &RedisServer) -> Link {
    registered_within(server, PATIENT).await
}

async fn registered_within(server: &RedisServer, times: AnswerTimes) -> Link {
    let mut link = server.link_within(3, times).await;
    let register = Call::Register {
        caller: A,
        node: node_of(A),
        new_epoch: 7,
        floor: Revision::NEVER,
    };
    link.call(&register).await.expect("an answer");
    link
}

fn tick() -> Call {
    Call::Tick {
        caller: A,
        content: b"t".to_vec(),
    }
}

#[tokio::test]
async fn full_memory_refuses_additions_and_nothing_else() {
    let mut subject = Subject::of_redis().await;
    subject.register(A).await;
    let ann = subject.take(A, present("ann", b"one")).await;
    let before = subject.state().await;
    subject.server().command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let leaves = UserOffer {
        base: Some(ann),
        is_present: false,
        ..present("ann", b"two")
    };
    let outcomes = subject
        .offer(A, vec![present("bob", b"b"), leaves, present("cem", b"c")])
        .await;
    let [Outcome::Full, Outcome::Taken(left), third] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    // After a removal Redis refuses the rest of a script nothing.
    assert!(matches!(third, Outcome::Full | Outcome::Taken(_)), "{third:?}");
    assert!(subject.note(tick()).await.is_some());
    let drop = Call::Drop {
        caller: A,
        users: vec![(user("ann"), *left)],
    };
    assert!(subject.note(drop).await.is_some());
    let again = Call::Register {
        caller: A,
        node: node_of(A),
        new_epoch: 8,
        floor: Revision::NEVER,
    };
    assert!(matches!(
        subject.call(&again).await,
        Answer::Registered { is_new: false, .. }
    ));
    assert!(before.users.len() == 1 && subject.state().await.users.iter().all(|(who, ..)| *who != user("bob")));
    subject.history().await;
    subject.server().command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    subject.take(A, present("bob", b"b")).await;
    subject.history().await;
}

#[tokio::test]
async fn an_offer_that_is_refused_for_lack_of_memory_leaves_nothing() {
    let mut subject = Subject::of_redis().await;
    subject.register(A).await;
    let (head, history) = (subject.head().await, subject.history().await);
    subject.server().command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let outcomes = subject.offer(A, vec![present("bob", b"b"), present("cem", b"c")]).await;
    assert_eq!(outcomes, [Outcome::Full, Outcome::Full]);
    assert_eq!((subject.head().await, subject.history().await), (head, history));
    assert!(subject.state().await.users.is_empty() && subject.online().await.is_empty());
}

#[tokio::test]
async fn flushed_scripts_are_given_again() {
    let server = RedisServer::start(&[]).await;
    let mut link = registered(&server).await;
    for _ in 0..2 {
        server.command(&["SCRIPT", "FLUSH"]).await;
        let answer = link.call(&tick()).await.expect("an answer");
        assert!(matches!(answer, Answer::Ticked { .. }));
    }
}

#[tokio::test]
async fn a_hung_server_is_found_in_time() {
    let server = RedisServer::start(&[]).await;
    let mut link = registered_within(&server, AnswerTimes::default()).await;
    let mut follower = server.link_within(3, AnswerTimes::default()).await;
    let asleep = server.command_in_background(&["DEBUG", "SLEEP", "60"]).await;
    let started = Stopwatch::start();
    let tick = tick();
    let (answer, reply) = tokio::join!(
        link.call(&tick),
        follower.query(Question::Read {
            after: Revision::new(1 << 52)
        })
    );
    assert!(answer.is_err() && reply.is_err());
    let took = started.elapsed();
    assert!(took >= ANSWERS_WITHIN && took < ANSWERS_WITHIN + AT_ONCE, "{took:?}");
    asleep.abort();
}

#[tokio::test]
async fn the_end_of_a_connection_is_found_at_once() {
    let server = RedisServer::start(&[]).await;
    let mut link = registered(&server).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let started = Stopwatch::start();
    let answer = link.call(&tick()).await;
    assert!(matches!(answer, Err(LinkError::Redis(_))), "{answer:?}");
    assert!(started.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn a_server_that_loads_or_is_a_replica_gives_no_answer() {
    let server = RedisServer::start(&[]).await;
    let mut link = registered(&server).await;
    server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let answer = link.call(&tick()).await;
    assert!(
        matches!(&answer, Err(LinkError::Redis(error)) if error.code() == Some("READONLY")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn fields_that_no_node_wrote_are_skipped() {
    let server = RedisServer::start(&[]).await;
    let mut link = registered(&server).await;
    let state = "presence:{3}:state";
    for (field, value) in [
        ("ann", "short"),
        ("\u{7f}bad", "0000000000000001x"),
        ("\u{1}nxyz", "1 a"),
        ("\u{1}z", "?"),
        (
            "\u{1}g",
            "?,00000000000000ab 1,00000000000000ab x 5,00000000000000ab 7 500 more",
        ),
    ] {
        server.command(&["HSET", state, field, value]).await;
    }
    let Ok(Reply::Page(page)) = link.query(Question::Page { place: 0 }).await else {
        panic!("not a page")
    };
    assert_eq!((page.users.len(), page.registrations.len()), (0, 1));
    // What a newer version adds to one is not read.
    let end = KeptEnd {
        incarnation: Incarnation(0xab),
        id: Revision::new(7),
        grace: Duration::from_millis(500),
    };
    assert_eq!(page.ends, [end]);
}

#[tokio::test]
async fn entries_that_no_node_wrote_are_an_error() {
    let server = RedisServer::start(&[]).await;
    let mut link = registered(&server).await;
    server
        .command(&["XADD", "presence:{3}:log", "*", "by", "somebody"])
        .await;
    let reply = link.query(Question::Read { after: Revision::NEVER }).await;
    assert!(matches!(reply, Err(LinkError::Unexpected(_))), "{reply:?}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_a_right_one_is_not() {
    let server = RedisServer::start(&["--user", "presenced", "on", ">secret", "~presence:*", "+@all"]).await;
    server.command(&["CONFIG", "SET", "requirepass", "another"]).await;
    for (password, is_right) in [("wrong", false), ("secret", true)] {
        let client = server.client_as("presenced", password);
        let opened = Link::open(&client, Keys::of(3), PATIENT).await;
        assert_eq!(opened.is_ok(), is_right, "{password}");
        if let Err(error) = opened {
            assert!(!error.to_string().contains(password));
        }
    }
    assert!(
        Link::open(&server.client(), Keys::of(3), PATIENT).await.is_err(),
        "no password"
    );
}
