//! Replacing everything that requests are checked against: what stays valid, and what is revoked.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::super::fixture::{JWT_SECRET, keys, sign, token};
use super::super::{Auth, AuthOptions, TrustedProxies};
use super::*;

const OTHER_KEY: &str = "another key of users' tokens";

fn with_secrets(secrets: &[&str]) -> AuthOptions {
    AuthOptions {
        secrets: secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect(),
        ..options("")
    }
}

fn by_secret(auth: &Auth, secret: &str) -> Result<Revocation, Code> {
    let identity = ask(auth, "203.0.113.9", &[("x-secret-token", secret.as_bytes())])?;
    Ok(identity.revocation.unwrap())
}

fn by_token(auth: &Auth, token: &str) -> Result<Revocation, Code> {
    let bearer = format!("Bearer {token}");
    let identity = ask(auth, "203.0.113.9", &[("authorization", bearer.as_bytes())])?;
    Ok(identity.revocation.unwrap())
}

#[test]
fn a_secret_that_stays_keeps_its_callers_and_a_removed_one_does_not() {
    let auth = Auth::new(with_secrets(&["the old secret"]));
    let old = by_secret(&auth, "the old secret").unwrap();
    auth.replace(with_secrets(&["the new secret", "the old secret"]));
    assert!(!old.is_revoked());
    let again = by_secret(&auth, "the old secret").unwrap();
    let new = by_secret(&auth, "the new secret").unwrap();
    auth.replace(with_secrets(&["the new secret"]));
    assert!(old.is_revoked() && again.is_revoked(), "also after a reload in between");
    assert!(!new.is_revoked());
    assert_eq!(by_secret(&auth, "the old secret"), Err(Code::Forbidden));
    assert!(by_secret(&auth, "the new secret").is_ok());
    auth.replace(with_secrets(&["the new secret", "the old secret"]));
    assert!(old.is_revoked(), "a secret that comes back takes nothing back");
    assert!(!by_secret(&auth, "the old secret").unwrap().is_revoked());
}

#[test]
fn a_secret_that_was_there_twice_is_revoked_when_it_is_removed() {
    let twice = || with_secrets(&["the old secret", "the old secret"]);
    let auth = Auth::new(twice());
    let first = by_secret(&auth, "the old secret").unwrap();
    for _ in 0..2 {
        auth.replace(twice());
        assert!(!first.is_revoked());
    }
    auth.replace(with_secrets(&["the new secret"]));
    assert!(first.is_revoked());
}

#[test]
fn tokens_are_revoked_with_their_key_issuer_or_audience() {
    type OptionsChange = fn(&mut AuthOptions);
    let changes: [OptionsChange; 3] = [
        |options| options.jwt = keys(OTHER_KEY.as_bytes()),
        |options| options.jwt_issuer = Some("https://login.example".into()),
        |options| options.jwt_audience = Some("presence".into()),
    ];
    for change in changes {
        let auth = Auth::new(options(""));
        let before = by_token(&auth, &token("anna")).unwrap();
        auth.replace(options(""));
        assert!(!before.is_revoked(), "nothing changed");
        let mut changed = options("");
        change(&mut changed);
        auth.replace(changed);
        assert!(before.is_revoked());
        assert_eq!(by_token(&auth, &token("anna")), Err(Code::Forbidden));
    }
}

#[test]
fn a_new_key_verifies_new_tokens() {
    let auth = Auth::new(options(""));
    let mut changed = options("");
    changed.jwt = keys(OTHER_KEY.as_bytes());
    auth.replace(changed);
    let key = EncodingKey::from_secret(OTHER_KEY.as_bytes());
    let new = sign(Algorithm::HS256, &key, &json!({"sub": "anna", "exp": NOW + 60}));
    assert!(!by_token(&auth, &new).unwrap().is_revoked());
    assert_ne!(OTHER_KEY, JWT_SECRET);
}

#[test]
fn a_user_by_token_and_secret_depends_on_the_token() {
    let auth = Auth::new(with_secrets(&["the old secret"]));
    let bearer = format!("Bearer {}", token("anna"));
    let lines: [HeaderLine<'_>; 2] = [
        ("authorization", bearer.as_bytes()),
        ("x-secret-token", b"the old secret"),
    ];
    let both = ask(&auth, "203.0.113.9", &lines).unwrap().revocation.unwrap();
    let on_behalf = [("x-user-id", &b"anna"[..]), ("x-secret-token", b"the old secret")];
    let on_behalf = ask(&auth, "203.0.113.9", &on_behalf).unwrap().revocation.unwrap();
    let bare = ask(&auth, "127.0.0.1", &[("x-user-id", b"anna")]).unwrap().revocation;
    auth.replace(with_secrets(&["the new secret"]));
    assert!(!both.is_revoked());
    assert!(on_behalf.is_revoked());
    assert_eq!(bare, None, "there is no credential to revoke");
}

#[test]
fn trusted_proxies_and_origins_are_replaced_with_the_rest() {
    let auth = by_default();
    let user: HeaderLine<'_> = ("x-user-id", b"anna");
    assert_eq!(ask(&auth, "127.0.0.1", &[user]), bare("anna"));
    let mut changed = options("the internal secret");
    changed.trusted_proxies = TrustedProxies::Named(vec!["10.0.0.0/8".parse().unwrap()]);
    changed.allowed_origins = vec!["https://app.example".parse().unwrap()];
    auth.replace(changed);
    assert_eq!(ask(&auth, "127.0.0.1", &[user]), Err(Code::Forbidden));
    assert_eq!(ask(&auth, "10.0.0.1", &[user]), bare("anna"));
    assert!(
        auth.check_origin(&headers(&[("origin", b"https://app.example")]))
            .is_ok()
    );
}
