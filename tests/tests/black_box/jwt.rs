//! Users' tokens (JWT): the key determines the algorithm, claims are checked, and a connection ends when its token
//! expires.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use presence::wire::record::Record;
use presence_tests::jwt::{claims, hs256, signed, unsigned};
use presence_tests::rest::{Answer, send};
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, RawClient, Rest, Socket};
use reqwest::Method;
use serde_json::{Value, json};

async fn put_custom_status_with(rest: &Rest, authorization: &str) -> Answer {
    let request = rest
        .request(Method::PUT, "/api/user/custom-status")
        .header("authorization", authorization);
    send(request.json(&json!({"customStatus": "IDLE"}))).await
}

async fn is_let_in(daemon: &Daemon, token: &str) -> bool {
    let rest = put_custom_status_with(&daemon.rest(), &format!("Bearer {token}")).await;
    let socket = Socket::connect(daemon.address(), HandshakeHeaders::bearer(token)).await;
    if rest.status == 200 {
        assert_eq!(rest.ok::<Record>().user_id.as_str(), "alice");
        assert_eq!(socket.unwrap().user.unwrap().user_id.as_str(), "alice");
        return true;
    }
    rest.rejected(403, "forbidden");
    assert_eq!(socket.unwrap_err(), HandshakeError::Http(403, "forbidden".into()));
    false
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_valid_token_authenticates_its_user() {
    let daemon = Daemon::start(&[]).await;
    let key = daemon.jwt_key();
    let good = claims("alice", 3_600);
    assert!(is_let_in(&daemon, &hs256(&key, &good)).await);
    let now = good["exp"].as_i64().unwrap() - 3_600;
    let hs = |algorithm| {
        signed(
            &Header::new(algorithm),
            &good,
            &EncodingKey::from_secret(key.as_bytes()),
        )
    };
    let whole = hs256(&key, &good);
    let bad = [
        ("expired", hs256(&key, &claims("alice", -120))),
        ("another key", hs256("another key", &good)),
        ("no signature", unsigned(&good)),
        ("signature cut off", whole.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("two parts", whole.rsplit_once('.').unwrap().0.to_owned()),
        ("other claims under the signature", {
            let parts: Vec<&str> = whole.split('.').collect();
            let forged = presence_tests::jwt::base64_url(claims("bob", 3_600).to_string().as_bytes());
            format!("{}.{forged}.{}", parts[0], parts[2])
        }),
        ("HS384", hs(Algorithm::HS384)),
        ("HS512", hs(Algorithm::HS512)),
        ("no exp", hs256(&key, &json!({"sub": "alice"}))),
        (
            "exp as text",
            hs256(&key, &with(good.clone(), "exp", json!("tomorrow"))),
        ),
        ("not yet", hs256(&key, &with(good.clone(), "nbf", json!(now + 600)))),
        ("no sub", hs256(&key, &json!({"exp": good["exp"]}))),
        ("empty sub", hs256(&key, &claims("", 3_600))),
        (
            "sub with a control character",
            hs256(&key, &claims("al\u{7}ice", 3_600)),
        ),
        ("sub of 129 bytes", hs256(&key, &claims(&"a".repeat(129), 3_600))),
        (
            "sub is no text",
            hs256(&key, &with(good.clone(), "sub", json!(["alice"]))),
        ),
        ("no token", "x".into()),
        ("dots", "..".into()),
        ("long", "a".repeat(6_000)),
    ];
    for (what, token) in bad {
        assert!(!is_let_in(&daemon, &token).await, "{what}");
    }
    assert!(!daemon.log().contains(&whole), "no token in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_without_bearer_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let token = hs256(&daemon.jwt_key(), &claims("alice", 3_600));
    for (authorization, status, code) in [
        ("Basic YWxpY2U6eA==", 403, "forbidden"),
        (&token, 403, "forbidden"),
        (&format!("Token {token}"), 403, "forbidden"),
        // As if there were none.
        ("Bearer", 401, "unauthenticated"),
        ("Bearer ", 401, "unauthenticated"),
    ] {
        put_custom_status_with(&daemon.rest(), authorization)
            .await
            .rejected(status, code);
    }
    assert_eq!(
        put_custom_status_with(&daemon.rest(), &format!("bearer {token}"))
            .await
            .status,
        200,
        "the scheme has no case"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_accepted_as_a_second_subprotocol() {
    let daemon = Daemon::start(&[]).await;
    let token = hs256(&daemon.jwt_key(), &claims("alice", 3_600));
    let offer = format!("presence.v1, bearer.{token}");
    let mut raw = RawClient::connect(daemon.address()).await;
    let response = raw.upgrade("/ws", &[("sec-websocket-protocol", &offer)]).await;
    assert_eq!(response.status, 101, "{}", response.body);
    assert_eq!(
        response.header("sec-websocket-protocol"),
        Some("presence.v1"),
        "the token is not echoed"
    );
    let welcome = raw.text_with("welcome").await;
    assert!(welcome.contains("\"userId\":\"alice\""), "{welcome}");
    let offer = "presence.v1, bearer.nonsense";
    let response = RawClient::connect(daemon.address())
        .await
        .upgrade("/ws", &[("sec-websocket-protocol", offer)])
        .await;
    assert_eq!((response.status, response.code().as_str()), (403, "forbidden"));
    let path = format!("/ws?token={token}&access_token={token}");
    let response = RawClient::connect(daemon.address()).await.upgrade(&path, &[]).await;
    assert_eq!(
        (response.status, response.code().as_str()),
        (401, "unauthenticated"),
        "never in the URL"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_token_expires() {
    let daemon = Daemon::start(&[]).await;
    let token = hs256(&daemon.jwt_key(), &claims("alice", 3));
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let mut alice = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&token))
        .await
        .unwrap();
    alice.be_active().await;
    let active = daemon.rest().record("alice").await.last_active;
    let (code, _, _) = alice.goodbye().await;
    assert_eq!(code, 4001);
    // An expired token starts a grace period, so a reconnect with a new token is no event.
    let token = hs256(&daemon.jwt_key(), &claims("alice", 3_600));
    let _alice = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&token))
        .await
        .unwrap();
    assert_eq!(daemon.rest().record("alice").await.last_active, active);
}

pub(crate) fn key_file(daemon_home: &std::path::Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::OpenOptionsExt;
    let path = daemon_home.join(name);
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_fixes_the_algorithm() {
    let home = tempfile::tempdir().unwrap();
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("../keys/rsa.pem")).unwrap();
    let ec = EncodingKey::from_ec_pem(include_bytes!("../keys/ec.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("../keys/ed.pem")).unwrap();
    let keys = [
        (Algorithm::RS256, include_str!("../keys/rsa.pub.pem"), &rsa),
        (Algorithm::ES256, include_str!("../keys/ec.pub.pem"), &ec),
        (Algorithm::EdDSA, include_str!("../keys/ed.pub.pem"), &ed),
    ];
    let good = claims("alice", 3_600);
    for (algorithm, public, _) in &keys {
        let path = key_file(home.path(), "jwt.pem", public);
        let daemon = Daemon::start(&["--jwt-key", path.to_str().unwrap()]).await;
        for (other, _, private) in &keys {
            let token = signed(&Header::new(*other), &good, private);
            assert_eq!(
                is_let_in(&daemon, &token).await,
                other == algorithm,
                "{other:?} with a key for {algorithm:?}"
            );
        }
        assert!(
            !is_let_in(&daemon, &hs256(public, &good)).await,
            "the public key is no shared secret"
        );
        assert!(!is_let_in(&daemon, &hs256(public.trim(), &good)).await);
        assert!(!is_let_in(&daemon, &unsigned(&good)).await);
    }
    let path = key_file(home.path(), "jwt.pem", keys[0].1);
    let daemon = Daemon::start(&["--jwt-key", path.to_str().unwrap()]).await;
    let token = signed(&Header::new(Algorithm::RS512), &good, &rsa);
    assert!(!is_let_in(&daemon, &token).await, "RS512 with a key for RS256");
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_and_audience_are_checked_if_configured() {
    let daemon = Daemon::start(&["--jwt-issuer", "https://login.example", "--jwt-audience", "presence"]).await;
    let key = daemon.jwt_key();
    let plain = claims("alice", 3_600);
    let whole = with(
        with(plain.clone(), "iss", json!("https://login.example")),
        "aud",
        json!("presence"),
    );
    assert!(is_let_in(&daemon, &hs256(&key, &whole)).await);
    let several = with(whole.clone(), "aud", json!(["mail", "presence"]));
    assert!(is_let_in(&daemon, &hs256(&key, &several)).await);
    for claims in [
        plain.clone(),
        with(plain.clone(), "iss", json!("https://login.example")),
        with(plain, "aud", json!("presence")),
        with(whole.clone(), "iss", json!("https://login.example.evil")),
        with(whole, "aud", json!("mail")),
    ] {
        assert!(!is_let_in(&daemon, &hs256(&key, &claims)).await, "{claims}");
    }
}
