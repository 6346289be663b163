//! The demonstration page: who gets tokens, and which key makes them.

use super::super::fixture::keys;
use super::super::{AuthOptions, DemoKey};
use super::*;

const GENERATED: &[u8] = b"generated-by-presenced-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

fn with_demo() -> Auth {
    Auth::new(AuthOptions {
        jwt: keys(GENERATED),
        demo: Some(DemoKey::new(GENERATED)),
        allowed_origins: vec!["http://app.example:7420".parse().unwrap()],
        ..options("the internal secret")
    })
}

#[test]
fn a_demo_token_is_accepted_for_five_minutes() {
    let auth = with_demo();
    for name in ["alice", "zoë \"o'\" brien", "a.b/c"] {
        let user = UserId::new(name).unwrap();
        let token = auth.demo_token(&user, now()).unwrap();
        for (seconds, is_accepted) in [(0, true), (299, true), (300, false)] {
            let then = SystemWall::from_millis((NOW + seconds) * 1000);
            let identity = auth.authenticate(addr("127.0.0.1"), &HeaderMap::new(), Some(&token), then);
            assert_eq!(identity.is_ok(), is_accepted, "{name} after {seconds} s");
            assert!(
                identity.is_ok_and(|caller| caller.user.as_ref() == Some(&user) && !caller.internal) || !is_accepted
            );
        }
    }
}

#[test]
fn there_are_no_demo_tokens_without_a_demo() {
    let auth = by_default();
    assert!(!auth.has_demo() && auth.demo_token(&UserId::new("alice").unwrap(), now()).is_none());
    assert!(with_demo().has_demo());
}

#[test]
fn only_a_page_of_the_own_address_gets_demo_tokens() {
    let auth = with_demo();
    let check = |lines: &[HeaderLine<'_>]| auth.check_demo_page(&headers(lines)).map_err(|error| error.code());
    for (host, origin) in [
        (&b"127.0.0.1:7420"[..], &b"http://127.0.0.1:7420"[..]),
        (b"localhost:7420", b"http://localhost:7420"),
        (b"LOCALHOST:7420", b"http://localhost:7420"),
        (b"[::1]:7420", b"http://[::1]:7420"),
    ] {
        assert_eq!(
            check(&[("host", host), ("origin", origin)]),
            Ok(()),
            "{}",
            origin.escape_ascii()
        );
        let proxied = check(&[("host", host), ("origin", origin), ("x-forwarded-for", b"192.0.2.7")]);
        assert_eq!(proxied, Err(Code::Forbidden));
    }
    for (host, origin) in [
        (&b"127.0.0.1:7420"[..], &b"http://evil.example"[..]),
        (b"127.0.0.1:7420", b"http://localhost:7420"),
        (b"127.0.0.1:7420", b"http://127.0.0.1:8080"),
        (b"127.0.0.1:7420", b"https://127.0.0.1:7420"),
        (b"127.0.0.1:7420", b"null"),
        // Allowed to call, but not the demonstration page.
        (b"127.0.0.1:7420", b"http://app.example:7420"),
        (b"app.example:7420", b"http://app.example:7420"),
        (b"evil.example:7420", b"http://evil.example:7420"),
    ] {
        assert_eq!(
            check(&[("host", host), ("origin", origin)]),
            Err(Code::Forbidden),
            "{}",
            origin.escape_ascii()
        );
    }
    assert_eq!(
        check(&[("host", b"127.0.0.1:7420")]),
        Err(Code::Forbidden),
        "without an origin"
    );
    assert_eq!(
        check(&[("origin", b"http://127.0.0.1:7420")]),
        Err(Code::Forbidden),
        "without a host"
    );
}
