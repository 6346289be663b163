//! Development tokens, verified as a daemon does. The keys in `keys/` are for this test only.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const HS256_KEY: &str = "0123456789abcdef0123456789abcdef";

fn claims(token: &str, algorithm: Algorithm, key: &DecodingKey) -> Value {
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    decode::<Value>(token.trim_end(), key, &validation).unwrap().claims
}

#[test]
fn the_local_daemons_key_is_the_default() {
    let run = Sandbox::with_daemon("127.0.0.1:1").run(&["token", "利用者", "--ttl", "90s"]);
    let claims = claims(
        &run.stdout,
        Algorithm::HS256,
        &DecodingKey::from_secret(HS256_KEY.as_bytes()),
    );
    assert_eq!(claims["sub"], "利用者");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 90);
    assert_eq!(claims.as_object().unwrap().len(), 3);
}

#[test]
fn a_private_key_signs_with_the_algorithm_of_its_type() {
    let sandbox = Sandbox::new();
    for (private, public, algorithm) in [
        (
            include_str!("keys/ed.private.pem"),
            DecodingKey::from_ed_pem(include_bytes!("keys/ed.public.pem")),
            Algorithm::EdDSA,
        ),
        (
            include_str!("keys/ec.private.pem"),
            DecodingKey::from_ec_pem(include_bytes!("keys/ec.public.pem")),
            Algorithm::ES256,
        ),
        (
            include_str!("keys/rsa.private.pem"),
            DecodingKey::from_rsa_pem(include_bytes!("keys/rsa.public.pem")),
            Algorithm::RS256,
        ),
    ] {
        let key = sandbox.private("key.pem", private);
        let run = sandbox.run(&[
            "token",
            "alice",
            "--jwt-key",
            key.to_str().unwrap(),
            "--issuer",
            "me",
            "--audience",
            "it",
        ]);
        assert_eq!(run.code, 0, "{run:?}");
        let claims = claims(&run.stdout, algorithm, &public.unwrap());
        assert_eq!(
            (&claims["sub"], &claims["iss"], &claims["aud"]),
            (&json!("alice"), &json!("me"), &json!("it"))
        );
    }
}

#[test]
fn keys_that_can_not_sign_are_rejected_with_the_reason() {
    let sandbox = Sandbox::new();
    for (text, word) in [
        (include_str!("keys/ed.public.pem"), "public key"),
        (include_str!("keys/sec1.private.pem"), "openssl pkcs8 -topk8"),
        ("", "empty"),
    ] {
        let key = sandbox.private("key.pem", text);
        let run = sandbox.run(&["token", "alice", "--jwt-key", key.to_str().unwrap()]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains(word), "{run:?}");
    }
}

#[test]
fn the_key_next_to_the_secret_file_precedes_the_local_one() {
    let sandbox = Sandbox::with_daemon("127.0.0.1:1");
    std::fs::create_dir(sandbox.path("other")).unwrap();
    let secret = sandbox.private("other/secret", "some-other-secret");
    sandbox.private("other/jwt-key", "another-key-another-key-another-");
    let run = sandbox.run(&["--secret-file", secret.to_str().unwrap(), "token", "alice"]);
    let key = DecodingKey::from_secret(b"another-key-another-key-another-");
    assert_eq!(claims(&run.stdout, Algorithm::HS256, &key)["sub"], "alice");
}
