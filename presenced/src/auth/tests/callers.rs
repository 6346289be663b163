//! Secrets, bare user ids, and several credentials at once.

use proptest::prelude::*;

use super::super::fixture::token;
use super::super::{Auth, AuthOptions};
use super::*;

const UNTRUSTED: &str = "203.0.113.9";
const LOCAL: &str = "127.0.0.1";

#[test]
fn a_request_without_a_credential_is_unauthenticated() {
    let auth = by_default();
    for peer in [UNTRUSTED, LOCAL] {
        let lines: [&[HeaderLine<'_>]; 2] = [&[], &[("cookie", b"a=b"), ("via", b"1.1 x")]];
        for lines in lines {
            assert_eq!(ask(&auth, peer, lines), Err(Code::Unauthenticated), "{lines:?}");
        }
    }
}

#[test]
fn only_the_exact_secret_makes_a_caller_internal() {
    let auth = by_default();
    assert_eq!(ask(&auth, UNTRUSTED, &[("x-secret-token", SECRET)]), internal(None));
    let wrong: [&[u8]; 7] = [
        b"the internal secre",
        b"the internal secret ",
        b"the internal secretx",
        b"The internal secret",
        b"\xff\xfe",
        &[b'a'; 100_000],
        b"4f8a",
    ];
    for value in wrong {
        let given = ("x-secret-token", value);
        assert_eq!(ask(&auth, LOCAL, &[given]), Err(Code::Forbidden), "{value:?}");
    }
}

#[test]
fn during_a_rotation_both_secrets_are_valid() {
    let auth = Auth::new(AuthOptions {
        secrets: vec![b"old secret".to_vec(), b"new secret".to_vec()],
        ..options("")
    });
    for secret in ["old secret", "new secret"] {
        assert_eq!(
            ask(&auth, UNTRUSTED, &[("x-secret-token", secret.as_bytes())]),
            internal(None)
        );
    }
    let both = ("x-secret-token", &b"old secretnew secret"[..]);
    assert_eq!(ask(&auth, UNTRUSTED, &[both]), Err(Code::Forbidden));
}

#[test]
fn an_empty_or_missing_secret_never_matches() {
    for secrets in [vec![Vec::new()], Vec::new()] {
        let auth = Auth::new(AuthOptions { secrets, ..options("") });
        for (value, code) in [(&b""[..], Code::Unauthenticated), (b"x", Code::Forbidden)] {
            assert_eq!(ask(&auth, LOCAL, &[("x-secret-token", value)]), Err(code));
        }
    }
}

#[test]
fn a_bare_user_id_needs_a_secret_or_a_trusted_proxy() {
    let auth = by_default();
    for id in ["anna", "Zoë", "名前", "a b", "query", "anna@example.org", "%2e%2e"] {
        let named = ("x-user-id", id.as_bytes());
        let secret = ("x-secret-token", SECRET);
        assert_eq!(ask(&auth, UNTRUSTED, &[named, secret]), internal(Some(id)));
        for peer in [LOCAL, "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(ask(&auth, peer, &[named]), bare(id), "{peer}");
        }
        for peer in [UNTRUSTED, "10.0.0.1", "::ffff:10.0.0.1", "::2", "0.0.0.0", "::"] {
            assert_eq!(ask(&auth, peer, &[named]), Err(Code::Forbidden), "{peer}");
        }
    }
}

#[test]
fn an_invalid_user_id_has_its_own_code_for_trusted_callers() {
    let auth = by_default();
    let long = "x".repeat(129);
    let bad: [&[u8]; 6] = [
        b".",
        b"..",
        b"a\xff",
        b"\xc3\x28",
        "\u{a0}a".as_bytes(),
        long.as_bytes(),
    ];
    for value in bad {
        let named = ("x-user-id", value);
        let secret = ("x-secret-token", SECRET);
        assert_eq!(ask(&auth, LOCAL, &[named]), Err(Code::InvalidUserId), "{value:?}");
        assert_eq!(
            ask(&auth, UNTRUSTED, &[named, secret]),
            Err(Code::InvalidUserId),
            "{value:?}"
        );
        assert_eq!(ask(&auth, UNTRUSTED, &[named]), Err(Code::Forbidden), "{value:?}");
    }
}

#[test]
fn an_empty_user_header_counts_as_absent() {
    let auth = by_default();
    let bearer = format!("Bearer {}", token("anna"));
    let anna: HeaderLine<'_> = ("authorization", bearer.as_bytes());
    for name in ["x-user-id", "x-user-id-encoded"] {
        for empty in [&b""[..], b" ", b"\t "] {
            let empty = (name, empty);
            assert_eq!(
                ask(&auth, UNTRUSTED, &[anna, empty]).unwrap().user,
                UserId::new("anna").ok()
            );
            assert_eq!(
                ask(&auth, UNTRUSTED, &[("x-secret-token", SECRET), empty]),
                internal(None)
            );
            assert_eq!(ask(&auth, LOCAL, &[empty]), Err(Code::Unauthenticated));
            assert_eq!(ask(&auth, LOCAL, &[empty, empty]), Err(Code::InvalidHeader));
        }
    }
    assert_eq!(
        ask(&auth, LOCAL, &[("x-user-id", b"anna"), ("x-user-id-encoded", b"")]),
        bare("anna")
    );
}

#[test]
fn an_empty_credential_counts_as_absent() {
    let auth = by_default();
    let bearer = format!("Bearer {}", token("anna"));
    let anna: HeaderLine<'_> = ("authorization", bearer.as_bytes());
    let secret: HeaderLine<'_> = ("x-secret-token", SECRET);
    for empty in [&b""[..], b" ", b"\t "] {
        let (no_secret, no_token) = (("x-secret-token", empty), ("authorization", empty));
        for lines in [&[no_secret][..], &[no_token], &[no_secret, no_token]] {
            assert_eq!(ask(&auth, UNTRUSTED, lines), Err(Code::Unauthenticated), "{lines:?}");
        }
        assert_eq!(ask(&auth, UNTRUSTED, &[secret, no_token]), internal(None));
        assert!(ask(&auth, UNTRUSTED, &[anna, no_secret]).is_ok());
        assert_eq!(ask(&auth, LOCAL, &[no_token, ("x-user-id", b"anna")]), bare("anna"));
        assert_eq!(ask(&auth, UNTRUSTED, &[no_token, no_token]), Err(Code::InvalidHeader));
        assert_eq!(ask(&auth, UNTRUSTED, &[no_secret, no_secret]), Err(Code::InvalidHeader));
    }
    for value in ["Bearer", "Bearer ", "bearer", "BEARER\t"] {
        let no_token = ("authorization", value.as_bytes());
        assert_eq!(
            ask(&auth, UNTRUSTED, &[no_token]),
            Err(Code::Unauthenticated),
            "{value:?}"
        );
        assert_eq!(ask(&auth, UNTRUSTED, &[secret, no_token]), internal(None));
    }
    for subprotocol in ["", " "] {
        let ask = |lines: &[HeaderLine<'_>]| {
            let identity = auth.authenticate(addr(UNTRUSTED), &headers(lines), Some(subprotocol), now());
            identity.map_err(|error| error.code())
        };
        assert_eq!(ask(&[]), Err(Code::Unauthenticated));
        assert_eq!(ask(&[anna]).unwrap().user, UserId::new("anna").ok());
        assert_eq!(ask(&[("authorization", b"Basic YTpi")]), Err(Code::Forbidden));
    }
}

#[test]
fn an_encoded_user_id_is_decoded_beside_a_credential_alone() {
    let auth = by_default();
    let secret: HeaderLine<'_> = ("x-secret-token", SECRET);
    for (encoded, id) in [
        ("anna", "anna"),
        ("Zo%C3%AB", "Zoë"),
        ("%E5%90%8D%E5%89%8D", "名前"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("100%25", "100%"),
        ("%2541", "%41"),
    ] {
        let named = ("x-user-id-encoded", encoded.as_bytes());
        assert_eq!(ask(&auth, UNTRUSTED, &[secret, named]), internal(Some(id)), "{encoded}");
        // A proxy that removes `x-user-id` may pass this one on.
        for peer in [LOCAL, UNTRUSTED] {
            assert_eq!(ask(&auth, peer, &[named]), Err(Code::Forbidden), "{encoded}");
        }
        let bearer = format!("Bearer {}", token(id));
        let token: HeaderLine<'_> = ("authorization", bearer.as_bytes());
        assert_eq!(
            ask(&auth, UNTRUSTED, &[token, named]).unwrap().user,
            UserId::new(id).ok()
        );
        let other = ("x-user-id-encoded", &b"bert"[..]);
        assert_eq!(ask(&auth, UNTRUSTED, &[token, other]), Err(Code::Forbidden));
        let both = [secret, named, ("x-user-id", id.as_bytes())];
        assert_eq!(
            ask(&auth, LOCAL, &both),
            Err(Code::InvalidHeader),
            "which of them is meant?"
        );
    }
    for bad in ["%", "%C3", "%FF", "%zz", "%2e%2e", "%00", "Zo\u{eb}"] {
        let named = ("x-user-id-encoded", bad.as_bytes());
        assert_eq!(ask(&auth, LOCAL, &[secret, named]), Err(Code::InvalidUserId), "{bad}");
    }
}

#[test]
fn several_credentials_must_all_be_valid_and_agree() {
    let auth = by_default();
    let bearer = format!("Bearer {}", token("anna"));
    let anna: HeaderLine<'_> = ("authorization", bearer.as_bytes());
    let garbage: HeaderLine<'_> = ("authorization", b"Bearer x.y.z");
    let basic: HeaderLine<'_> = ("authorization", b"Basic YTpi");
    let secret: HeaderLine<'_> = ("x-secret-token", SECRET);
    let wrong: HeaderLine<'_> = ("x-secret-token", b"wrong");
    let (own, other, bad): (HeaderLine<'_>, HeaderLine<'_>, HeaderLine<'_>) =
        (("x-user-id", b"anna"), ("x-user-id", b"bert"), ("x-user-id", b".."));
    let (no, twice) = (Code::Forbidden, Code::InvalidHeader);
    let rejected: [(&[HeaderLine<'_>], Code); 18] = [
        (&[anna, wrong], no),
        (&[secret, garbage], no),
        (&[secret, basic], no),
        (&[secret, own, garbage], no),
        (&[own, basic], no),
        (&[anna, other], no),
        (&[anna, bad], no),
        (&[anna, secret, other], no),
        (&[wrong, own], no),
        (&[wrong, own, own], no),
        (&[wrong, anna, anna], no),
        (&[secret, secret, garbage], no),
        (&[secret, secret], twice),
        (&[secret, wrong], twice),
        (&[anna, anna], twice),
        (&[anna, garbage, secret], twice),
        (&[own, own], twice),
        (&[secret, own, other], twice),
    ];
    for (lines, code) in rejected {
        assert_eq!(ask(&auth, LOCAL, lines), Err(code), "{lines:?}");
    }
    for lines in [&[anna][..], &[anna, own], &[anna, secret], &[anna, secret, own]] {
        let identity = ask(&auth, UNTRUSTED, lines).unwrap();
        assert_eq!(identity.user, UserId::new("anna").ok());
        assert_eq!(identity.internal, lines.contains(&secret));
        assert!(identity.expires.is_some());
    }
}

#[test]
fn a_token_may_not_be_in_header_and_subprotocol_at_once() {
    let auth = by_default();
    let token = token("anna");
    let ask = |subprotocol: &str, lines: &[HeaderLine<'_>]| {
        let identity = auth.authenticate(addr(UNTRUSTED), &headers(lines), Some(subprotocol), now());
        identity.map_err(|error| error.code())
    };
    let identity = ask(&token, &[]).unwrap();
    assert_eq!((identity.internal, identity.user), (false, UserId::new("anna").ok()));
    assert!(ask(&token, &[("x-user-id", b"anna")]).is_ok());
    assert!(ask(&token, &[("x-secret-token", SECRET)]).unwrap().internal);
    let header = format!("Bearer {token}");
    for value in [header.as_bytes(), b"Bearer x"] {
        assert_eq!(ask(&token, &[("authorization", value)]), Err(Code::InvalidHeader));
    }
    for value in [&b"bearer"[..], b""] {
        assert!(ask(&token, &[("authorization", value)]).is_ok(), "no token");
    }
    for (subprotocol, lines) in [
        ("x.y.z", &[][..]),
        ("x.y.z", &[("x-secret-token", SECRET)]),
        (&token, &[("x-user-id", b"bert")]),
        (&token, &[("x-secret-token", b"wrong")]),
    ] {
        assert_eq!(ask(subprotocol, lines), Err(Code::Forbidden), "{lines:?}");
    }
}

#[test]
fn a_browsers_own_credential_beside_a_token_in_a_subprotocol_is_ignored() {
    let auth = by_default();
    let token = token("anna");
    let ask = |subprotocol: &str, lines: &[HeaderLine<'_>]| {
        let identity = auth.authenticate(addr(UNTRUSTED), &headers(lines), Some(subprotocol), now());
        identity.map_err(|error| error.code())
    };
    for value in [
        &b"Basic YTpi"[..],
        b"basic YTpi",
        b"Digest username=\"a\"",
        b"Negotiate YII=",
    ] {
        let own = ("authorization", value);
        let identity = ask(&token, &[own]).unwrap();
        assert_eq!((identity.internal, identity.user), (false, UserId::new("anna").ok()));
        assert_eq!(ask("x.y.z", &[own]), Err(Code::Forbidden), "the token alone counts");
        assert_eq!(ask(&token, &[own, own]), Err(Code::InvalidHeader));
    }
}

#[test]
fn bearer_in_any_case_is_the_only_scheme() {
    let auth = by_default();
    let token = token("anna");
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        for gap in [" ", "   "] {
            let value = format!("{scheme}{gap}{token}");
            assert!(
                ask(&auth, UNTRUSTED, &[("authorization", value.as_bytes())]).is_ok(),
                "{value}"
            );
        }
    }
    for start in [
        "",
        "Bearer",
        "Bearer\t",
        "Basic ",
        "Bearers ",
        "Token ",
        "Bearer Bearer ",
        "Bearer=",
        "\u{e9} ",
    ] {
        let value = format!("{start}{token}");
        let given = ("authorization", value.as_bytes());
        assert_eq!(ask(&auth, LOCAL, &[given]), Err(Code::Forbidden), "{start:?}");
    }
}

#[test]
fn an_auth_error_never_quotes_a_credential() {
    let auth = by_default();
    let cases: [&[HeaderLine<'_>]; 4] = [
        &[("x-secret-token", b"SENSITIVE")],
        &[("authorization", b"Bearer SENSITIVE")],
        &[("authorization", b"SENSITIVE")],
        &[("x-user-id", b"SENSITIVE"), ("via", b"SENSITIVE")],
    ];
    for lines in cases {
        let error = auth
            .authenticate(addr(LOCAL), &headers(lines), None, now())
            .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("SENSITIVE"), "{text}");
        assert!(!text.contains("internal secret"), "{text}");
    }
}

proptest! {
    #[test]
    fn no_single_header_authenticates_an_untrusted_peer(
        name in prop::sample::select(vec!["x-secret-token", "authorization", "x-user-id"]),
        start in prop::sample::select(vec!["", "Bearer ", "the internal "]),
        rest in prop::collection::vec(any::<u8>().prop_filter("a header's", |byte| *byte >= 32 && *byte != 127), 0..200),
    ) {
        let auth = by_default();
        let value = [start.as_bytes(), &rest].concat();
        let trimmed = value.trim_ascii();
        let is_empty = trimmed.is_empty() || (name == "authorization" && trimmed == b"Bearer");
        let code = if is_empty { Code::Unauthenticated } else { Code::Forbidden };
        prop_assert_eq!(ask(&auth, UNTRUSTED, &[(name, &value)]), Err(code));
    }
}
