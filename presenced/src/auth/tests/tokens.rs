//! The signature and the claims of tokens.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::AuthOptions;
use super::super::fixture::{JWT_SECRET, keys, sign};
use super::*;

const RSA: &str = include_str!("../testdata/rsa.pem");
const RSA_PRIVATE: &str = include_str!("../testdata/rsa.private.pem");
const P256: &str = include_str!("../testdata/p256.pem");
const P256_PRIVATE: &str = include_str!("../testdata/p256.private.pem");
const ED25519: &str = include_str!("../testdata/ed25519.pem");
const ED25519_PRIVATE: &str = include_str!("../testdata/ed25519.private.pem");
/// `{"alg":"none","typ":"JWT"}`
pub(super) const ALG_NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";

fn secret(text: &str) -> EncodingKey {
    EncodingKey::from_secret(text.as_bytes())
}

pub(super) fn good() -> Value {
    json!({"sub": "anna", "exp": NOW + 60})
}

/// Claims as they are, with one changed.
fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub(super) fn auth(key: &str) -> Auth {
    Auth::new(AuthOptions {
        jwt: keys(key.as_bytes()),
        ..options("the internal secret")
    })
}

fn show(auth: &Auth, token: &str) -> Result<CallerIdentity, AuthError> {
    let value = format!("Bearer {token}");
    auth.authenticate(
        addr("203.0.113.9"),
        &headers(&[("authorization", value.as_bytes())]),
        None,
        now(),
    )
}

#[track_caller]
pub(super) fn accepted(auth: &Auth, token: &str) -> CallerIdentity {
    show(auth, token).unwrap_or_else(|error| panic!("{error}: {token:.200}"))
}

#[track_caller]
pub(super) fn assert_rejected(auth: &Auth, token: &str) {
    let code = show(auth, token).map_err(|error| error.code());
    assert_eq!(code, Err(Code::Forbidden), "{token:.200}");
}

pub(super) fn hs256(claims: &Value) -> String {
    sign(Algorithm::HS256, &secret(JWT_SECRET), claims)
}

/// Signed claims that no JSON value can express.
fn hs256_raw(claims: &str) -> String {
    let raw: Box<RawValue> = serde_json::from_str(claims).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &raw, &secret(JWT_SECRET)).unwrap()
}

fn signers() -> [(&'static str, Algorithm, EncodingKey); 4] {
    [
        (JWT_SECRET, Algorithm::HS256, secret(JWT_SECRET)),
        (
            RSA,
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(),
        ),
        (
            P256,
            Algorithm::ES256,
            EncodingKey::from_ec_pem(P256_PRIVATE.as_bytes()).unwrap(),
        ),
        (
            ED25519,
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(ED25519_PRIVATE.as_bytes()).unwrap(),
        ),
    ]
}

#[test]
fn each_key_accepts_only_tokens_of_its_algorithm() {
    for (key, own, _) in signers() {
        let auth = auth(key);
        for (_, algorithm, signer) in signers() {
            let token = sign(algorithm, &signer, &good());
            if algorithm == own {
                let identity = accepted(&auth, &token);
                assert_eq!(identity.user, UserId::new("anna").ok());
                assert_eq!(identity.expires, Some(SystemWall::from_millis((NOW + 60) * 1000)));
                assert!(!identity.internal);
            } else {
                assert_rejected(&auth, &token);
            }
        }
    }
}

#[test]
fn a_stronger_algorithm_with_the_right_key_is_rejected() {
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap();
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        assert_rejected(&auth(RSA), &sign(algorithm, &rsa, &good()));
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_rejected(&auth(JWT_SECRET), &sign(algorithm, &secret(JWT_SECRET), &good()));
    }
}

#[test]
fn a_public_key_never_verifies_as_an_hs256_secret() {
    for key in [RSA, P256, ED25519] {
        let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        for forged in [key, key.trim(), &body] {
            assert_rejected(&auth(key), &sign(Algorithm::HS256, &secret(forged), &good()));
        }
        let der = EncodingKey::from_base64_secret(&body).unwrap();
        assert_rejected(&auth(key), &sign(Algorithm::HS256, &der, &good()));
    }
}

#[test]
fn a_token_without_a_valid_signature_is_rejected() {
    for (key, algorithm, signer) in signers() {
        let auth = auth(key);
        let token = sign(algorithm, &signer, &good());
        // From now on its header is known.
        accepted(&auth, &token);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (head, claims) = message.split_once('.').unwrap();
        let other = sign(algorithm, &signer, &with("sub", json!("root")));
        let other_claims = other.split('.').nth(1).unwrap();
        for token in [
            ".".into(),
            "..".into(),
            "...".into(),
            message.into(),
            format!("{message}."),
            format!("{message}.AAAA"),
            format!("{message}.{}", &signature[1..]),
            format!("{head}.{other_claims}.{signature}"),
            format!("{ALG_NONE}.{claims}."),
            format!("{ALG_NONE}.{claims}.{signature}"),
            format!("{ALG_NONE}.{claims}"),
            format!("{token}.{signature}"),
            format!(".{token}"),
            format!("{token}="),
            format!("{token} {token}"),
            format!("{head}..{signature}"),
            format!("\u{1f511}.{claims}.{signature}"),
            format!("{message}.{}", "A".repeat(100_000)),
            "A".repeat(100_000),
            ".".repeat(15_000),
        ] {
            assert_rejected(&auth, &token);
        }
    }
    assert_rejected(
        &auth(JWT_SECRET),
        &sign(Algorithm::HS256, &secret("another secret of tests"), &good()),
    );
}

#[test]
fn an_overlong_token_is_rejected_even_if_valid() {
    let auth = auth(JWT_SECRET);
    accepted(&auth, &hs256(&with("groups", json!("x".repeat(8_000)))));
    assert_rejected(&auth, &hs256(&with("groups", json!("x".repeat(13_000)))));
}

#[test]
fn an_unsupported_critical_extension_is_rejected() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["b64".into()]);
    let token = jsonwebtoken::encode(&header, &good(), &secret(JWT_SECRET)).unwrap();
    assert_rejected(&auth(JWT_SECRET), &token);
}

#[test]
fn a_token_needs_an_exp_in_the_future() {
    let auth = auth(JWT_SECRET);
    let last_second = 253_402_207_200_i64;
    let millis = |seconds: i64, millis| SystemWall::from_millis(seconds * 1000 + millis);
    for (exp, expires) in [
        (json!(NOW + 1), millis(NOW + 1, 0)),
        (json!(NOW as f64 + 0.25), millis(NOW, 250)),
        (json!(NOW as f64 + 60.5), millis(NOW + 60, 500)),
        (json!(1.9e9), millis(1_900_000_000, 0)),
        (json!(last_second), millis(last_second, 0)),
    ] {
        assert_eq!(accepted(&auth, &hs256(&with("exp", exp))).expires, Some(expires));
    }
    for exp in [
        json!(last_second + 1),
        json!((NOW + 60) * 1000),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(NOW),
        json!(NOW - 1),
        json!(NOW as f64 - 0.001),
        json!(0),
        json!(-1),
        json!(-1e300),
        json!(i64::MIN),
        json!(null),
        json!(true),
        json!((NOW + 60).to_string()),
        json!([NOW + 60]),
        json!({}),
    ] {
        assert_rejected(&auth, &hs256(&with("exp", exp)));
    }
    assert_rejected(&auth, &hs256(&without("exp")));
    assert_rejected(&auth, &hs256_raw(r#"{"sub":"anna","exp":1,"exp":1900000000}"#));
    assert_rejected(&auth, &hs256_raw(r#"{"sub":"anna","exp":1900000000,"exp":1}"#));
    assert_rejected(&auth, &hs256_raw(r#"{"sub":"anna","exp":1e999}"#));
}

#[test]
fn nbf_may_lie_up_to_five_seconds_ahead() {
    let auth = auth(JWT_SECRET);
    for nbf in [
        json!(0),
        json!(NOW),
        json!(NOW + 5),
        json!(NOW as f64 + 4.9),
        json!(-1e300),
    ] {
        accepted(&auth, &hs256(&with("nbf", nbf)));
    }
    for nbf in [
        json!(NOW + 6),
        json!(NOW as f64 + 5.01),
        json!(u64::MAX),
        json!(1e300),
        json!(null),
        json!("0"),
        json!([]),
    ] {
        assert_rejected(&auth, &hs256(&with("nbf", nbf)));
    }
}

#[test]
fn the_sub_must_be_a_valid_user_id() {
    let auth = auth(JWT_SECRET);
    for sub in ["anna", "名前", "a b", "query"] {
        assert_eq!(
            accepted(&auth, &hs256(&with("sub", json!(sub)))).user,
            UserId::new(sub).ok()
        );
    }
    for sub in [
        json!(""),
        json!(".."),
        json!(" anna"),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("x".repeat(129)),
        json!(7),
        json!(null),
        json!(["anna"]),
    ] {
        assert_rejected(&auth, &hs256(&with("sub", sub)));
    }
    assert_rejected(&auth, &hs256(&without("sub")));
    assert_rejected(&auth, &hs256_raw(r#"{"sub":"anna","sub":"root","exp":1900000000}"#));
    for claims in ["[]", "null", "7", r#""anna""#, "{}"] {
        assert_rejected(&auth, &hs256_raw(claims));
    }
}

#[test]
fn issuer_and_audience_are_required_if_configured() {
    let with_both = |iss, aud| {
        let mut claims = good();
        claims["iss"] = iss;
        claims["aud"] = aud;
        hs256(&claims)
    };
    let picky = Auth::new(AuthOptions {
        jwt_issuer: Some("https://issuer.example".into()),
        jwt_audience: Some("presence".into()),
        ..options("the internal secret")
    });
    let (issuer, audience) = (json!("https://issuer.example"), json!("presence"));
    for aud in [audience.clone(), json!(["presence"]), json!(["other", "presence"])] {
        accepted(&picky, &with_both(issuer.clone(), aud));
    }
    for aud in [
        json!("Presence"),
        json!("presence2"),
        json!([]),
        json!(["other"]),
        json!(null),
        json!({"presence": 1}),
    ] {
        assert_rejected(&picky, &with_both(issuer.clone(), aud));
    }
    for iss in [
        json!("https://issuer.example/"),
        json!(""),
        json!(null),
        json!(["https://issuer.example"]),
    ] {
        assert_rejected(&picky, &with_both(iss, audience.clone()));
    }
    assert_rejected(&picky, &hs256(&good()));
    assert_rejected(&picky, &hs256(&with("iss", issuer)));
    assert_rejected(&picky, &hs256(&with("aud", audience)));
    let careless = auth(JWT_SECRET);
    for odd in [json!("x"), json!(["x"]), json!(7), json!(null), json!({})] {
        accepted(&careless, &with_both(odd.clone(), odd));
    }
}

#[test]
fn an_expired_or_early_token_is_named_as_such() {
    let auth = auth(JWT_SECRET);
    for (claims, word) in [
        (with("exp", json!(NOW)), "expired"),
        (with("nbf", json!(NOW + 60)), "not valid yet"),
        (with("exp", json!((NOW + 60) * 1000)), "exp is not in seconds"),
        (with("nbf", json!(NOW * 1000)), "nbf is not in seconds"),
    ] {
        assert!(detail(show(&auth, &hs256(&claims))).contains(word));
    }
}

#[test]
fn a_rejected_token_says_what_is_wrong_with_it() {
    let auth = auth(JWT_SECRET);
    // The file's text with its newline: what a login service signs with that does not trim it.
    let untrimmed = secret(&format!("{JWT_SECRET}\n"));
    let claims = hs256(&good()).split('.').nth(1).unwrap().to_owned();
    for (token, words) in [
        (sign(Algorithm::HS256, &untrimmed, &good()), "signature does not match"),
        (
            sign(Algorithm::HS256, &untrimmed, &without("exp")),
            "signature does not match",
        ),
        (sign(Algorithm::HS512, &secret(JWT_SECRET), &good()), "alg does not fit"),
        (hs256(&without("sub")), "needs a sub"),
        (hs256(&with("sub", json!(7))), "needs a sub"),
        (hs256(&without("exp")), "an exp (number of seconds)"),
        (hs256(&with("exp", json!("soon"))), "an exp (number of seconds)"),
        (format!("{ALG_NONE}.{claims}."), "not a JWT signed with"),
        (format!("{}=", hs256(&good())), "not a JWT signed with"),
        ("alice".to_owned(), "not a JWT signed with"),
    ] {
        let detail = detail(show(&auth, &token));
        assert!(detail.contains(words), "{detail}: {token}");
    }
}
