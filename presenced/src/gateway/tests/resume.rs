//! `resume`: the first message of a client that continues a session.

use serde_json::{Value, json};

use super::client::{BINARY, FINAL, WsClient, close, frame, text};
use super::fixture::GatewayFixture;

/// A connection of the user and the name of its session.
async fn connect(fixture: &GatewayFixture, name: &str) -> (WsClient, String) {
    let mut client = WsClient::open(fixture.address(), &[("x-user-id", name)]).await;
    let welcome = client.json().await;
    let session = welcome["sessionId"].as_str().expect("a session id").to_owned();
    (client, session)
}

/// The answer to a `resume` of this session.
async fn resume(client: &mut WsClient, session: &str) -> Value {
    let message = json!({"type": "resume", "sessionId": session, "id": "r"});
    client.say(&message.to_string()).await;
    client.answer("r").await
}

/// A session of the user that was lost, and is in grace.
async fn lose(fixture: &GatewayFixture, name: &str) -> String {
    let (mut client, session) = connect(fixture, name).await;
    client.send(&close(3000, b"")).await;
    client.until_closed().await;
    let has_grace = async |fixture: &GatewayFixture| fixture.explain(name).await.grace.is_some();
    fixture.until("the session is lost", has_grace).await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_is_replied_to_with_the_own_record() {
    let fixture = GatewayFixture::new().await;
    let lost = lose(&fixture, "anna").await;
    let (mut back, _) = connect(&fixture, "anna").await;
    let answer = resume(&mut back, &lost).await;
    assert_eq!((&answer["type"], &answer["resumed"]), (&"ok".into(), &true.into()));
    assert_eq!(answer["user"]["sessions"], 1, "{answer}");
    assert_eq!(fixture.explain("anna").await.grace, None);
    assert!(back.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_given_twice_is_resumed_once() {
    let fixture = GatewayFixture::new().await;
    let lost = lose(&fixture, "anna").await;
    let (mut first, _) = connect(&fixture, "anna").await;
    let (mut second, _) = connect(&fixture, "anna").await;
    assert_eq!(resume(&mut first, &lost).await["resumed"], true);
    let again = resume(&mut second, &lost).await;
    assert_eq!((&again["type"], &again["resumed"]), (&"ok".into(), &false.into()));
    assert_eq!(again["user"]["userId"], "anna");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_foreign_sessions_are_not_resumed() {
    let fixture = GatewayFixture::new().await;
    let of_bert = lose(&fixture, "bert").await;
    let _lost = lose(&fixture, "anna").await;
    let mut open = Vec::new();
    for session in [of_bert.as_str(), "ffffffff-7", "no session id", ""] {
        let (mut client, own) = connect(&fixture, "anna").await;
        let answer = resume(&mut client, session).await;
        assert_eq!(
            (&answer["type"], &answer["resumed"]),
            (&"ok".into(), &false.into()),
            "{session}"
        );
        let grace = fixture.explain("anna").await.grace.expect("a grace period");
        assert_eq!(grace.sessions, Some(1), "{session}");
        assert_ne!(own, session);
        open.push(client);
    }
    assert!(fixture.explain("bert").await.grace.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_resume_itself() {
    let fixture = GatewayFixture::new().await;
    let (mut client, own) = connect(&fixture, "anna").await;
    assert_eq!(resume(&mut client, &own).await["resumed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_after_any_other_message_is_an_invalid_value() {
    let fixture = GatewayFixture::new().await;
    let lost = lose(&fixture, "anna").await;
    let mut open = Vec::new();
    for (first, bytes) in [
        r#"{"type":"ping"}"#,
        r#"{"type":"activity"}"#,
        r#"{"type":"nonsense"}"#,
        "no JSON",
        r#"{"type":"resume","sessionId":"ffffffff-7"}"#,
        r#"{"type":"resume"}"#,
    ]
    .map(|first| (first, text(first)))
    .into_iter()
    .chain([("binary", frame(FINAL | BINARY, b"{}"))])
    {
        let (mut client, _) = connect(&fixture, "anna").await;
        client.send(&bytes).await;
        let answer = resume(&mut client, &lost).await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&"error".into(), &"invalid_value".into()),
            "{first}"
        );
        assert!(client.is_served().await, "{first}");
        open.push(client);
    }
    let grace = fixture.explain("anna").await.grace.expect("a grace period");
    assert_eq!(grace.sessions, Some(1), "without any effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_resumes_no_session() {
    let fixture = GatewayFixture::new().await;
    let lost = lose(&fixture, "anna").await;
    let mut observer = fixture.observe().await;
    let answer = resume(&mut observer, &lost).await;
    assert_eq!(answer["code"], "users_only");
    assert_eq!(
        resume(&mut observer, &lost).await["code"],
        "invalid_value",
        "it is not the first"
    );
    assert!(fixture.explain("anna").await.grace.is_some());
}
