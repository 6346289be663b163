//! The parts of tokens, all of them signed with the right key: headers, base64url, and what is around the JSON. Each is tried with
//! an `Auth` that has seen no token, and with one that has accepted one: it remembers the header of that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};

use super::super::fixture::JWT_SECRET;
use super::tokens::{ALG_NONE, accepted, assert_rejected, auth, good, hs256};
use super::*;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const CLAIMS: &str = r#"{"sub":"anna","exp":1900000000}"#;

fn encode(part: &str) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token of parts that are encoded already, with a valid signature.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn with_header(header: &str) -> String {
    signed(&encode(header), &encode(CLAIMS))
}

#[track_caller]
fn assert_never_accepted(token: &str) {
    let auth = auth(JWT_SECRET);
    assert_rejected(&auth, token);
    accepted(&auth, &hs256(&good()));
    assert_rejected(&auth, token);
    accepted(&auth, &hs256(&good()));
}

#[test]
fn a_token_names_the_algorithm_of_its_signature() {
    for alg in [
        "none", "None", "NONE", "", "hs256", "HS256 ", "HS384", "RS256", "ES256", "EdDSA", "PS256",
    ] {
        assert_never_accepted(&with_header(&format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#)));
    }
    for header in [
        "",
        "{}",
        "null",
        "[]",
        r#""HS256""#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
    ] {
        assert_never_accepted(&with_header(header));
    }
    assert_never_accepted(&signed(ALG_NONE, &encode(CLAIMS)));
}

#[test]
fn a_malformed_header_is_rejected_though_it_is_signed() {
    for header in [
        r#"{"alg":"HS256""#,
        r#"{"alg":"HS256"}x"#,
        r#"{"alg":"HS256"}{}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","typ":7}"#,
        r#"{"alg":"HS256","jwk":7}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
    ] {
        assert_never_accepted(&with_header(header));
    }
}

#[test]
fn tokens_with_other_valid_headers_are_accepted_in_turn() {
    let auth = auth(JWT_SECRET);
    let headers = [
        HEADER,
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"JWT","alg":"HS256","kid":"one"}"#,
        r#" { "alg" : "HS256" , "ours" : [7, null] } "#,
    ];
    for header in headers.iter().chain(&headers) {
        let identity = accepted(&auth, &with_header(header));
        assert_eq!(identity.user, UserId::new("anna").ok());
    }
}

#[test]
fn parts_are_unpadded_base64url_and_nothing_else() {
    let (header, claims) = (encode(HEADER), encode(CLAIMS));
    accepted(&auth(JWT_SECRET), &signed(&header, &claims));
    assert_never_accepted(&signed("", &claims));
    assert_never_accepted(&signed(&header, ""));
    for broken in ["A", "=", " ", "\t", "%", "+", "/", "=="] {
        assert_never_accepted(&signed(broken, &claims));
        assert_never_accepted(&signed(&header, broken));
        assert_never_accepted(&signed(&format!("{header}{broken}"), &claims));
        assert_never_accepted(&signed(&header, &format!("{claims}{broken}")));
        // White space around a credential is no part of it.
        if !broken.trim().is_empty() {
            assert_never_accepted(&format!("{}{broken}", signed(&header, &claims)));
        }
    }
}

#[test]
fn a_last_character_with_stray_bits_is_rejected() {
    // 31 bytes end in two bits that must be 0, and so do the 32 of a signature.
    let claims = encode(CLAIMS);
    let stray = |part: &str| {
        let (rest, last) = part.split_at(part.len() - 1);
        let next = char::from(last.as_bytes()[0] + 1);
        format!("{rest}{next}")
    };
    assert_eq!(CLAIMS.len() % 3, 1, "the last character has stray bits");
    assert_never_accepted(&signed(&encode(HEADER), &stray(&claims)));
    assert_never_accepted(&stray(&signed(&encode(HEADER), &claims)));
}

#[test]
fn a_token_has_exactly_three_parts() {
    let valid = signed(&encode(HEADER), &encode(CLAIMS));
    let (message, signature) = valid.rsplit_once('.').unwrap();
    for token in [
        message.to_owned(),
        format!("{valid}."),
        format!(".{valid}"),
        format!("{message}..{signature}"),
        valid.replacen('.', "..", 1),
        format!("{valid}.{signature}"),
        signed(&format!("{}.{}", encode(HEADER), encode(CLAIMS)), &encode(CLAIMS)),
        signed(&encode(HEADER), &format!("{}.", encode(CLAIMS))),
    ] {
        assert_never_accepted(&token);
    }
}

#[test]
fn claims_are_one_json_object() {
    for claims in [
        format!("{CLAIMS}x"),
        format!("{CLAIMS}{CLAIMS}"),
        CLAIMS[..CLAIMS.len() - 1].to_owned(),
        r#"["anna",1900000000]"#.to_owned(),
        r#"["anna",1900000000,0,null,null]"#.to_owned(),
        format!("[{CLAIMS}]"),
        "\u{feff}".to_owned() + CLAIMS,
        String::new(),
    ] {
        assert_never_accepted(&signed(&encode(HEADER), &encode(&claims)));
    }
    accepted(
        &auth(JWT_SECRET),
        &signed(&encode(HEADER), &encode(&format!(" \n{CLAIMS}\t"))),
    );
}

#[test]
fn a_signature_of_another_length_is_rejected() {
    let (header, claims) = (encode(HEADER), encode(CLAIMS));
    let token = signed(&header, &claims);
    let signature = URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
    for length in [0, 1, 16, 31] {
        let short = URL_SAFE_NO_PAD.encode(&signature[..length]);
        assert_never_accepted(&format!("{header}.{claims}.{short}"));
    }
    let long = [&signature[..], &[0]].concat();
    assert_never_accepted(&format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(long)));
    for at in [0, 31] {
        let mut wrong = signature.clone();
        wrong[at] ^= 1;
        assert_never_accepted(&format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(wrong)));
    }
}
