//! Clients that lost their connection continue their session on another node: it takes the place that the lost one has in the
//! grace period there, whether that node is alive, stopped or crashed.

use presence::Status;
use presence::wire::server_message::ServerMessage;
use presence_tests::cluster::{Cluster, Observers};
use presence_tests::{Daemon, Socket, wait_until};
use serde_json::json;

/// Graces that outlast every test: nobody becomes OFFLINE but by a sign-out after which no place is left.
const PATIENT: [&str; 8] = [
    "--lease",
    "2s",
    "--node-grace",
    "300s",
    "--grace",
    "300s",
    "--restart-grace",
    "300s",
];

/// Whether the session of this name was continued.
async fn resumed(socket: &mut Socket, session: &str) -> bool {
    let answer = socket.ask(json!({"type": "resume", "sessionId": session})).await;
    match answer {
        ServerMessage::Ok {
            resumed: Some(resumed), ..
        } => resumed,
        other => panic!("no answer to resume: {other:?}"),
    }
}

/// Connects and continues the session of this name. Whether it was.
async fn resume_at(node: &Daemon, user: &str, session: &str) -> (Socket, bool) {
    let mut socket = node.socket(user).await;
    let is_resumed = resumed(&mut socket, session).await;
    (socket, is_resumed)
}

/// Waits until all nodes count so many sessions of the user in the grace period.
async fn in_grace(nodes: &[&Daemon], user: &str, places: u32) {
    wait_until("the lost sessions are in grace", async || {
        for node in nodes {
            let grace = node.rest().explain(user).await.grace;
            if grace.and_then(|grace| grace.sessions).unwrap_or(0) != places {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// The user signs out, and is OFFLINE everywhere, without any other status in between.
async fn signs_out(cluster: &[&Daemon], observers: &mut Observers, user: &str, socket: Socket) {
    socket.close(Some(1000)).await;
    observers.told_only(user, Status::Online, Status::Offline).await;
    Cluster::agree(cluster, user, Status::Offline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lost_on_one_node_is_continued_on_another() {
    let cluster = Cluster::start(&PATIENT).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let mut observers = Cluster::observers(&nodes).await;
    let old = a.socket("alice").await;
    observers.told("alice", Status::Online).await;
    let session = old.session.clone();
    old.reset();
    in_grace(&nodes, "alice", 1).await;
    let (mut stranger, is_resumed) = resume_at(c, "mallory", &session).await;
    assert!(!is_resumed, "a session of another user");
    assert!(!resumed_later(&mut stranger, "1-1").await);
    let (new, is_resumed) = resume_at(b, "alice", &session).await;
    assert!(is_resumed);
    in_grace(&nodes, "alice", 0).await;
    let (second, is_resumed) = resume_at(c, "alice", &session).await;
    assert!(!is_resumed, "continued already");
    second.close(Some(1000)).await;
    signs_out(&nodes, &mut observers, "alice", new).await;
}

/// `resume` is the first message of a connection.
async fn resumed_later(socket: &mut Socket, session: &str) -> bool {
    let answer = socket.ask(json!({"type": "resume", "sessionId": session})).await;
    !matches!(answer, ServerMessage::Error { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_lost_sessions_leaves_the_place_of_the_other() {
    let cluster = Cluster::start(&PATIENT).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let mut observers = Cluster::observers(&nodes).await;
    let (phone, laptop) = (a.socket("alice").await, a.socket("alice").await);
    observers.told("alice", Status::Online).await;
    let (first, second) = (phone.session.clone(), laptop.session.clone());
    phone.reset();
    laptop.reset();
    in_grace(&nodes, "alice", 2).await;
    let (new, is_resumed) = resume_at(b, "alice", &first).await;
    assert!(is_resumed);
    in_grace(&nodes, "alice", 1).await;
    new.close(Some(1000)).await;
    let (last, is_resumed) = resume_at(c, "alice", &second).await;
    assert!(is_resumed, "the user was present by it");
    signs_out(&nodes, &mut observers, "alice", last).await;
}

/// Connects and names the session of this name. Whether it was continued; none if the log did not say so in time.
async fn decided_at(node: &Daemon, user: &str, session: &str) -> (Socket, Option<bool>) {
    let mut socket = node.socket(user).await;
    let answer = socket.ask(json!({"type": "resume", "sessionId": session})).await;
    match answer {
        ServerMessage::Ok {
            resumed: Some(resumed),
            user: Some(record),
            ..
        } => (socket, (!record.stale).then_some(resumed)),
        other => panic!("no answer to resume: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_two_nodes_are_told_of_at_once_is_continued_on_one() {
    let cluster = Cluster::start(&PATIENT).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let mut observers = Cluster::observers(&nodes).await;
    let mut decided = 0;
    for number in 0..60 {
        let user = format!("user-{number}");
        let old = a.socket(&user).await;
        observers.told(&user, Status::Online).await;
        let session = old.session.clone();
        old.reset();
        in_grace(&nodes, &user, 1).await;
        // The node where it was is one of them each second time.
        let other = if number % 2 == 0 { c } else { a };
        let (first, second) = tokio::join!(decided_at(b, &user, &session), decided_at(other, &user, &session));
        if let (Some(one), Some(two)) = (first.1, second.1) {
            assert!(one != two, "{user}: {one}, {two}");
            decided += 1;
        }
        in_grace(&nodes, &user, 0).await;
        first.0.close(Some(1000)).await;
        signs_out(&nodes, &mut observers, &user, second.0).await;
        if decided == 6 {
            return;
        }
    }
    panic!("the log decided {decided} of 60");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_closed_is_not_continued_elsewhere() {
    let cluster = Cluster::start(&PATIENT).await;
    let [a, b, _] = cluster.nodes();
    let _stays = a.socket("alice").await;
    let gone = a.socket("alice").await;
    let knows = async |sessions: u32| {
        wait_until("the node knows of so many sessions", async || {
            let record = b.rest().record("alice").await;
            (record.sessions == Some(sessions)).then_some(())
        })
        .await;
    };
    knows(2).await;
    let session = gone.session.clone();
    gone.close(Some(1000)).await;
    knows(1).await;
    assert!(!resume_at(b, "alice", &session).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_idle_stays_idle_on_another_node() {
    let cluster = Cluster::start(&PATIENT).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let mut observers = Cluster::observers(&nodes).await;
    let mut old = a.socket("alice").await;
    old.be_idle().await;
    observers.told("alice", Status::Idle).await;
    let session = old.session.clone();
    old.reset();
    in_grace(&nodes, "alice", 1).await;
    let (mut new, is_resumed) = resume_at(b, "alice", &session).await;
    assert!(is_resumed);
    in_grace(&nodes, "alice", 0).await;
    Cluster::agree(&nodes, "alice", Status::Idle).await;
    new.be_active().await;
    observers.told_only("alice", Status::Idle, Status::Online).await;

    // One that was active is so on the other node, beside a session that is idle.
    let mut idle = c.socket("alice").await;
    idle.be_idle().await;
    let session = new.session.clone();
    new.reset();
    in_grace(&nodes, "alice", 1).await;
    let (_active, is_resumed) = resume_at(a, "alice", &session).await;
    assert!(is_resumed);
    in_grace(&nodes, "alice", 0).await;
    c.rest().set_custom_status("alice", "DO_NOT_DISTURB").await;
    observers.told_only("alice", Status::Online, Status::DoNotDisturb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_idle_beside_an_active_one_that_was_lost_here() {
    let cluster = Cluster::start(&PATIENT).await;
    let nodes = cluster.nodes();
    let [a, b, _] = nodes;
    let (mut active, mut idle) = (a.socket("alice").await, b.socket("alice").await);
    active.be_active().await;
    idle.be_idle().await;
    active.reset();
    idle.reset();
    in_grace(&nodes, "alice", 2).await;
    for node in [a, b] {
        let new = node.socket("alice").await;
        let explained = node.rest().explain("alice").await.sessions;
        let session = explained.iter().find(|one| one.session_id == new.session);
        assert_eq!(session.and_then(|one| one.inherited_until), None, "{explained:?}");
        assert!(session.is_some_and(|one| !one.idle), "{explained:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_crashed_node_is_continued_also_once_it_is_found_dead() {
    let mut cluster = Cluster::start(&PATIENT).await;
    let (early, late) = (cluster.a.socket("early").await, cluster.a.socket("late").await);
    for user in ["early", "late"] {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[&cluster.b, &cluster.c]).await;
    let sessions = (early.session.clone(), late.session.clone());
    cluster.a.kill();
    let nodes = [&cluster.b, &cluster.c];
    let (early, is_resumed) = resume_at(&cluster.b, "early", &sessions.0).await;
    assert!(is_resumed, "before anybody knows that it is lost");
    in_grace(&nodes, "late", 1).await;
    let (late, is_resumed) = resume_at(&cluster.c, "late", &sessions.1).await;
    assert!(is_resumed, "it is in grace");
    signs_out(&nodes, &mut observers, "early", early).await;
    signs_out(&nodes, &mut observers, "late", late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_was_taken_before_its_node_is_found_dead_is_over_then() {
    let mut cluster = Cluster::start(&PATIENT).await;
    let users = ["stays", "leaves"];
    let (stays, leaves) = (cluster.a.socket("stays").await, cluster.a.socket("leaves").await);
    for user in users {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    cluster.a.kill();
    let (_stays, is_resumed) = resume_at(&cluster.b, "stays", &stays.session).await;
    assert!(is_resumed);
    let (again, is_resumed) = resume_at(&cluster.c, "leaves", &leaves.session).await;
    assert!(is_resumed);
    again.close(Some(1000)).await;
    let nodes = [&cluster.b, &cluster.c];
    // Nothing else happens to either of them, and the grace of the dead node is minutes.
    Cluster::agree(&nodes, "leaves", Status::Offline).await;
    for node in nodes {
        wait_until("nothing of the dead node is left", async || {
            let record = node.rest().record("stays").await;
            let explain = node.rest().explain("stays").await;
            let is_over = explain.nodes.iter().all(|other| other.node != "a") && explain.grace.is_none();
            (is_over && record.nodes == Some(vec!["b".to_owned()])).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_node_that_restarts_is_continued_there_or_elsewhere() {
    let mut cluster = Cluster::start(&PATIENT).await;
    let (here, there) = (cluster.a.socket("here").await, cluster.a.socket("there").await);
    for user in ["here", "there"] {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[&cluster.b, &cluster.c]).await;
    let sessions = (here.session.clone(), there.session.clone());
    assert_eq!(cluster.a.terminate().await.code(), Some(0));
    let (there, is_resumed) = resume_at(&cluster.b, "there", &sessions.1).await;
    assert!(is_resumed);
    cluster.a.start_again().await;
    let (here, is_resumed) = resume_at(&cluster.a, "here", &sessions.0).await;
    assert!(is_resumed);
    let nodes = cluster.nodes();
    signs_out(&nodes, &mut observers, "there", there).await;
    signs_out(&nodes, &mut observers, "here", here).await;
}
