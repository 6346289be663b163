//! JSON Web Key Sets, and several keys at once: which key a token is for, and what a rotation leaves valid.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::super::fixture::keys;
use super::super::jwt_key::InvalidJwtKey;
use super::super::{AuthOptions, JwtKeyFile, JwtKeys};
use super::tokens::{accepted, assert_rejected, good};
use super::*;

const RSA_MODULUS: &str = "tsoPJ_ruIlK39APPl2YiBZDIXcGstcR6a7DbS0ZKrMLGbGxEAdevj-p5sk2xunSJJ6zP5-jU3OmbsRrCK4pMOm2LpC7c9HiYRAMx_JdeChrpB3W0ofmTVX1YYU04kmSnX8Y35mAzeBzPwIpwwGL13uM0A3uB4LLyYJF1N7fhmjaAyf9Rp73OT01HR0Duy3C64Q9-SCUgxFLEvEp6_nKgCcdPR0WX-tTvjEhHK_LnvDdvFyduFESkQ8lcm5qHuFoI-EngoANGRQg_r1Q8gvv_jSApY0u0VpkIY2899qQ-dnv5pEmJuQjKZIe70GvMgkV4vHgZQ_RswxZGoXaLyRTTIw";
const SECRET_TEXT: &str = "a secret of a key set";
const OTHER_SECRET: &str = "another secret without a name";

fn rsa() -> Value {
    json!({"kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB"})
}

fn p256() -> Value {
    json!({"kty": "EC", "kid": "p256", "crv": "P-256",
        "x": "ah3oOS8KE2A86861PKh6XwycJD_SFFfliX_HTahST0w", "y": "buKYXsyB0CqzBZCgImEdKr15vhbh8FvSAb5Uk_T_SZs"})
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "nvvBKjNtEJ69zbklooL23-ctfs3At5mm9GBXdNYP2Xw"})
}

/// An HS256 secret.
fn oct() -> Value {
    json!({"kty": "oct", "kid": "oct", "k": "YSBzZWNyZXQgb2YgYSBrZXkgc2V0"})
}

/// The same key with these members; null removes one.
fn with(key: &Value, members: Value) -> Value {
    let mut key = key.clone();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(key.as_object_mut().unwrap().remove(name)),
            value => key[name] = value.clone(),
        }
    }
    key
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// How many keys a file has, and how many are ignored.
fn count(text: &str) -> Result<(usize, usize), InvalidJwtKey> {
    let file = JwtKeyFile::parse(text.as_bytes())?;
    let ignored = file.ignored();
    let mut keys = JwtKeys::default();
    keys.add(file)?;
    Ok((keys.into_iter().count(), ignored))
}

fn options_of(files: &[&str]) -> AuthOptions {
    let mut jwt = JwtKeys::default();
    for text in files {
        jwt.add(JwtKeyFile::parse(text.as_bytes()).unwrap()).unwrap();
    }
    AuthOptions {
        jwt,
        ..options("the internal secret")
    }
}

fn auth_of(files: &[&str]) -> Auth {
    Auth::new(options_of(files))
}

fn private(name: &str) -> (Algorithm, EncodingKey) {
    match name {
        "rsa" => (
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(include_bytes!("../testdata/rsa.private.pem")).unwrap(),
        ),
        "p256" => (
            Algorithm::ES256,
            EncodingKey::from_ec_pem(include_bytes!("../testdata/p256.private.pem")).unwrap(),
        ),
        "ed" => (
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(include_bytes!("../testdata/ed25519.private.pem")).unwrap(),
        ),
        "oct" => (Algorithm::HS256, EncodingKey::from_secret(SECRET_TEXT.as_bytes())),
        _ => (Algorithm::HS256, EncodingKey::from_secret(OTHER_SECRET.as_bytes())),
    }
}

/// A token that is signed by this key and names that one.
fn signed(by: &str, kid: Option<&str>) -> String {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let (algorithm, key) = private(by);
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::new(algorithm)
    };
    jsonwebtoken::encode(&header, &good(), &key).unwrap()
}

fn revocation(auth: &Auth, token: &str) -> Revocation {
    accepted(auth, token).revocation.unwrap()
}

#[test]
fn tokens_of_each_key_of_a_set_are_accepted() {
    let text = set(&[rsa(), p256(), ed25519(), oct()]);
    let auth = auth_of(&[&text]);
    for name in ["rsa", "p256", "ed", "oct", "rsa", "oct"] {
        accepted(&auth, &signed(name, Some(name)));
        accepted(&auth, &signed(name, None));
    }
    let alone = auth_of(&[&rsa().to_string()]);
    accepted(&alone, &signed("rsa", Some("rsa")));
    assert_rejected(&alone, &signed("p256", None));
}

#[test]
fn a_token_is_verified_with_the_key_that_it_names_alone() {
    let text = set(&[rsa(), p256(), ed25519(), oct()]);
    let auth = auth_of(&[&text]);
    for (by, kid) in [
        ("rsa", "p256"),
        ("oct", "rsa"),
        ("ed", "oct"),
        ("rsa", "nobody"),
        ("oct", ""),
    ] {
        assert_rejected(&auth, &signed(by, Some(kid)));
        accepted(&auth, &signed(by, Some(by)));
        assert_rejected(&auth, &signed(by, Some(kid)));
    }
    let same_algorithm = [
        oct(),
        with(&oct(), json!({"kid": "other", "k": "b3RoZXIgc2VjcmV0IG9mIGEgc2V0"})),
    ];
    let auth = auth_of(&[&set(&same_algorithm)]);
    accepted(&auth, &signed("oct", Some("oct")));
    assert_rejected(&auth, &signed("oct", Some("other")));
}

#[test]
fn keys_without_a_name_are_for_tokens_that_name_no_key_of_a_set() {
    let auth = auth_of(&[&set(&[rsa()]), OTHER_SECRET]);
    for kid in [None, Some("anything")] {
        accepted(&auth, &signed("other", kid));
    }
    assert_rejected(&auth, &signed("other", Some("rsa")));
    accepted(&auth, &signed("rsa", None));
    assert_rejected(&auth, &signed("rsa", Some("anything")));
}

#[test]
fn keys_of_a_set_for_something_else_are_ignored() {
    for other in [
        with(&rsa(), json!({"use": "enc"})),
        with(&rsa(), json!({"alg": "RSA-OAEP"})),
        with(&rsa(), json!({"alg": "PS256"})),
        with(&rsa(), json!({"alg": "HS256"})),
        with(&rsa(), json!({"key_ops": ["encrypt", "wrapKey"]})),
        with(&p256(), json!({"crv": "P-384"})),
        with(&p256(), json!({"crv": null})),
        with(&ed25519(), json!({"crv": "X25519"})),
        with(&oct(), json!({"alg": "HS512"})),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
    ] {
        let text = set(&[other.clone(), with(&p256(), json!({"kid": "used"}))]);
        assert_eq!(count(&text), Ok((1, 1)), "{other}");
        assert_eq!(
            count(&set(std::slice::from_ref(&other))),
            Err(InvalidJwtKey::NoKeyInSet),
            "{other}"
        );
    }
    for ours in [
        with(
            &rsa(),
            json!({"use": "sig", "alg": "RS256", "key_ops": ["verify"], "x5t": "x"}),
        ),
        with(&ed25519(), json!({"alg": "Ed25519"})),
        with(&p256(), json!({"kid": null, "use": null})),
    ] {
        assert_eq!(count(&set(std::slice::from_ref(&ours))), Ok((1, 0)), "{ours}");
    }
}

#[test]
fn damaged_and_private_keys_of_a_set_are_errors() {
    use InvalidJwtKey::{NoKeyInSet, NotKeySet, Private, RsaSize, ShortSecret, Unsupported};
    let short_modulus = "risnYH9eb0uf4eNHUrma-QcvQ9HrV8wNWoRew2dNezZAgONJDZrkJduOnXCOaew6p19MNWMgKJ6J2mfp6utG3hRPzH-HPI2qAx4gB6buVIuUXqZ7AqDdRTBv776j6609zkGscQpiOi1TpULgX4ovviFrjenveZEKxkk-WHh_tus";
    let cases = [
        (with(&rsa(), json!({"d": "AQAB"})), Private),
        (with(&rsa(), json!({"use": "enc", "p": "AQAB"})), Private),
        (with(&p256(), json!({"d": "AQAB"})), Private),
        (with(&rsa(), json!({"n": null})), Unsupported),
        (with(&rsa(), json!({"e": null})), Unsupported),
        (with(&rsa(), json!({"e": "AQAB="})), Unsupported),
        (with(&rsa(), json!({"n": ""})), Unsupported),
        (with(&rsa(), json!({"n": short_modulus})), RsaSize { bits: 1024 }),
        (with(&p256(), json!({"y": null})), Unsupported),
        (with(&p256(), json!({"y": "AQAB"})), Unsupported),
        (
            with(&p256(), json!({"y": "ah3oOS8KE2A86861PKh6XwycJD_SFFfliX_HTahST0w"})),
            Unsupported,
        ),
        (with(&ed25519(), json!({"x": "AQAB"})), Unsupported),
        (with(&oct(), json!({"k": "c2hvcnQ"})), ShortSecret { bytes: 5 }),
        (with(&oct(), json!({"k": null})), Unsupported),
        (with(&rsa(), json!({"kid": 7})), NotKeySet),
        (with(&rsa(), json!({"kty": null})), NotKeySet),
        (json!("a key"), NotKeySet),
    ];
    for (key, error) in cases {
        assert_eq!(count(&set(&[ed25519(), key.clone()])).err(), Some(error), "{key}");
    }
    for (text, error) in [
        (r#"{"keys":[]}"#, NoKeyInSet),
        (r#"{"keys":{}}"#, NotKeySet),
        (r#"{"keys":[{"kty":"RSA"}"#, NotKeySet),
        (r#"{"keys":[null]}"#, NotKeySet),
        (r#"{ "kty" : "EC" }"#, NoKeyInSet),
    ] {
        assert_eq!(count(text), Err(error), "{text}");
    }
}

#[test]
fn two_keys_of_one_name_are_an_error_and_the_same_key_is_not() {
    let twice = set(&[rsa(), rsa()]);
    assert_eq!(count(&twice), Ok((1, 0)));
    let same_name = set(&[rsa(), with(&p256(), json!({"kid": "rsa"}))]);
    assert_eq!(count(&same_name), Err(InvalidJwtKey::SameKid));
    let nameless = |number: usize| {
        use base64::Engine as _;
        let secret = format!("secret {number:02} of sixteen");
        let k = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
        json!({"kty": "oct", "k": k})
    };
    let many: Vec<Value> = (0..16).map(nameless).collect();
    assert_eq!(count(&set(&many)), Ok((16, 0)));
    let more: Vec<Value> = (0..17).map(nameless).collect();
    assert_eq!(count(&set(&more)), Err(InvalidJwtKey::TooMany));
}

#[test]
fn only_a_file_with_a_secret_must_be_private() {
    let is_secret = |text: &str| JwtKeyFile::parse(text.as_bytes()).unwrap().holds_secret();
    assert!(is_secret(&set(&[rsa(), oct()])) && is_secret(OTHER_SECRET));
    assert!(!is_secret(&set(&[rsa(), p256()])) && !is_secret(include_str!("../testdata/rsa.pem")));
}

#[test]
fn a_rotation_by_overlap_revokes_nobody_until_the_old_key_is_removed() {
    let (old, new) = (set(&[rsa()]), set(&[p256()]));
    let auth = auth_of(&[&old]);
    let before = revocation(&auth, &signed("rsa", Some("rsa")));
    auth.replace(options_of(&[&old, &new]));
    let after = revocation(&auth, &signed("p256", Some("p256")));
    assert!(!before.is_revoked());
    accepted(&auth, &signed("rsa", Some("rsa")));
    // The order says nothing.
    auth.replace(options_of(&[&new, &old]));
    assert!(!before.is_revoked() && !after.is_revoked());
    auth.replace(options_of(&[&new]));
    assert!(before.is_revoked() && !after.is_revoked());
    assert_rejected(&auth, &signed("rsa", Some("rsa")));
    accepted(&auth, &signed("p256", Some("p256")));
    // The same key under another name is not what tokens name.
    auth.replace(options_of(&[&set(&[with(&p256(), json!({"kid": "renamed"}))])]));
    assert!(after.is_revoked());
}

#[test]
fn secrets_without_names_rotate_by_overlap() {
    let auth = auth_of(&[SECRET_TEXT, OTHER_SECRET]);
    for _ in 0..3 {
        accepted(&auth, &signed("oct", None));
        accepted(&auth, &signed("other", None));
    }
    let other = Auth::new(AuthOptions {
        jwt: keys(OTHER_SECRET.as_bytes()),
        ..options("the internal secret")
    });
    assert_rejected(&other, &signed("oct", None));
}

#[test]
fn nodes_accept_the_same_whatever_the_order_of_their_keys() {
    let (rsa, p256) = (set(&[rsa()]), set(&[p256()]));
    let told = auth_of(&[&rsa, &p256]).acceptance("run");
    assert!(auth_of(&[&p256, &rsa]).accepts_as("run", &told));
    assert!(!auth_of(&[&rsa]).accepts_as("run", &told));
}
