//! Tokens that an operator has revoked: which of them are refused, by `iat`.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::super::fixture::{JWT_SECRET, options, sign};
use super::*;
use crate::revocation::{UserRevocation, user_hash};

/// A moment in which tokens of the tests are revoked, in milliseconds: in the middle of a second.
const REVOKED_MS: i64 = NOW * 1000 - 9_500;

fn revoke(auth: &Auth, user: &str, issued_before_ms: i64, number: u64) {
    let revocation = UserRevocation {
        issued_before: SystemWall::from_millis(issued_before_ms),
        number,
    };
    let hash = user_hash(&UserId::new(user).unwrap());
    assert!(auth.revoked_tokens().note(hash, revocation));
}

fn sign_claims(claims: &Value) -> String {
    sign(
        Algorithm::HS256,
        &EncodingKey::from_secret(JWT_SECRET.as_bytes()),
        claims,
    )
}

fn issued(user: &str, iat: &Value) -> String {
    sign_claims(&json!({"sub": user, "exp": NOW + 60, "iat": iat}))
}

fn check(auth: &Auth, token: &str) -> Result<CallerIdentity, AuthError> {
    let bearer = format!("Bearer {token}");
    let lines = headers(&[("authorization", bearer.as_bytes())]);
    auth.authenticate(addr("203.0.113.9"), &lines, None, now())
}

#[track_caller]
fn assert_refused(auth: &Auth, token: &str, why: &str) {
    let refused = check(auth, token);
    assert!(matches!(refused, Err(AuthError::Forbidden { .. })), "{refused:?}");
    let text = detail(refused);
    assert!(text.contains(why), "{text}");
}

#[test]
fn a_token_is_refused_if_it_was_issued_before_the_revocation() {
    let auth = by_default();
    revoke(&auth, "anna", REVOKED_MS, 1);
    let seconds = REVOKED_MS.div_euclid(1000);
    for iat in [
        json!(seconds - 1),
        // The second of the revocation has begun before it.
        json!(seconds),
        json!(seconds as f64 + 0.499),
        json!(0),
        json!(-1),
        json!(1e-300),
    ] {
        assert_refused(&auth, &issued("anna", &iat), "token was revoked");
    }
    for iat in [
        json!(seconds + 1),
        json!(seconds as f64 + 0.501),
        json!(NOW),
        json!(NOW + 5),
    ] {
        assert!(check(&auth, &issued("anna", &iat)).is_ok(), "{iat}");
    }
}

#[test]
fn a_token_that_does_not_tell_when_it_was_issued_is_refused() {
    let auth = by_default();
    let without = sign_claims(&json!({"sub": "anna", "exp": NOW + 60}));
    let others = [
        json!(null),
        json!("1800000000"),
        json!([NOW]),
        json!({"at": NOW}),
        json!(true),
    ];
    for token in others.iter().map(|iat| issued("anna", iat)).chain([without.clone()]) {
        assert!(
            check(&auth, &token).is_ok(),
            "nobody asks for it as long as nothing is revoked"
        );
    }
    revoke(&auth, "anna", 0, 1);
    for token in others.iter().map(|iat| issued("anna", iat)).chain([without]) {
        assert_refused(&auth, &token, "token has no iat");
    }
}

#[test]
fn an_iat_of_the_future_shows_no_token_to_be_newer() {
    let auth = by_default();
    revoke(&auth, "anna", REVOKED_MS, 1);
    // Milliseconds for seconds, and a clock that is an hour ahead.
    for iat in [json!(NOW * 1000), json!(NOW + 3_600), json!(NOW + 6), json!(1e300)] {
        assert!(check(&auth, &issued("bob", &iat)).is_ok(), "{iat}");
        assert_refused(&auth, &issued("anna", &iat), "token iat lies in the future");
    }
}

#[test]
fn other_users_and_identities_without_a_token_are_not_refused() {
    let auth = Auth::for_tests("the internal secret", "10.0.0.1/32", "https://app.example");
    revoke(&auth, "anna", NOW * 1000, 1);
    assert!(check(&auth, &issued("Anna", &json!(1))).is_ok());
    let old = issued("anna", &json!(1));
    assert_refused(&auth, &old, "token was revoked");
    let bearer = format!("Bearer {old}");
    let secret = ("x-secret-token", &b"the internal secret"[..]);
    let lines = [secret, ("authorization", bearer.as_bytes())];
    assert_eq!(
        ask(&auth, "203.0.113.9", &lines),
        Err(Code::Forbidden),
        "beside a secret"
    );
    let named = ("x-user-id", &b"anna"[..]);
    assert_eq!(ask(&auth, "203.0.113.9", &[secret, named]), internal(Some("anna")));
    assert_eq!(ask(&auth, "10.0.0.1", &[named]), bare("anna"));
}

#[test]
fn a_reload_takes_no_revocation_away() {
    let auth = by_default();
    revoke(&auth, "anna", REVOKED_MS, 1);
    let old = issued("anna", &json!(NOW - 60));
    auth.replace(options("another secret"));
    assert_refused(&auth, &old, "token was revoked");
}

#[test]
fn a_token_of_the_demonstration_tells_when_it_was_issued() {
    let key = b"generated-by-presenced-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    let auth = Auth::new(super::super::AuthOptions {
        jwt: super::super::fixture::keys(key),
        demo: Some(super::super::DemoKey::new(key)),
        ..options("the internal secret")
    });
    let anna = UserId::new("anna").unwrap();
    let at = |millis| SystemWall::from_millis(NOW * 1000 + millis);
    let old = auth.demo_token(&anna, at(-1)).unwrap();
    revoke(&auth, "anna", NOW * 1000, 1);
    assert_refused(&auth, &old, "token was revoked");
    assert!(check(&auth, &auth.demo_token(&anna, at(1)).unwrap()).is_ok());
}
