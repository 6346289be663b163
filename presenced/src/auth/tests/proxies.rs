//! Trusted proxies and client addresses.

use super::super::{Auth, AuthOptions, TrustedProxies};
use super::*;

fn named(nets: &[&str]) -> Auth {
    Auth::new(AuthOptions {
        trusted_proxies: TrustedProxies::Named(nets.iter().map(|net| net.parse().unwrap()).collect()),
        ..options("the internal secret")
    })
}

#[test]
fn default_trust_in_loopback_ends_behind_an_unnamed_proxy() {
    let user: HeaderLine<'_> = ("x-user-id", b"anna");
    let marks = [
        "forwarded",
        "via",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-anything",
        "X-Forwarded-For",
    ];
    for mark in marks {
        for value in [&b"127.0.0.1"[..], b"", b"\xff"] {
            let lines = [user, (mark, value)];
            assert_eq!(ask(&by_default(), "127.0.0.1", &lines), Err(Code::Forbidden), "{mark}");
            assert_eq!(
                ask(&by_default(), "::ffff:127.0.0.1", &lines),
                Err(Code::Forbidden),
                "{mark}"
            );
            assert_eq!(
                ask(&named(&["127.0.0.0/8"]), "127.0.0.1", &lines),
                bare("anna"),
                "{mark}"
            );
            let with_secret = [user, (mark, value), ("x-secret-token", SECRET)];
            assert_eq!(
                ask(&by_default(), "127.0.0.1", &with_secret),
                internal(Some("anna")),
                "{mark}"
            );
        }
    }
    for harmless in ["x-request-id", "x-forward", "user-agent", "origin"] {
        assert_eq!(ask(&by_default(), "127.0.0.1", &[user, (harmless, b"x")]), bare("anna"));
    }
    let text = by_default().authenticate(addr("127.0.0.1"), &headers(&[user, ("via", b"x")]), None, now());
    assert!(detail(text).contains("--trusted-proxy"));
}

#[test]
fn naming_a_proxy_takes_trust_away_from_loopback() {
    let auth = named(&["10.0.0.0/8"]);
    let user: HeaderLine<'_> = ("x-user-id", b"anna");
    assert_eq!(ask(&auth, "10.1.2.3", &[user]), bare("anna"));
    assert_eq!(ask(&auth, "127.0.0.1", &[user]), Err(Code::Forbidden));
    assert!(!auth.is_trusted_proxy(addr("127.0.0.1")));
    assert_eq!(ask(&named(&[]), "127.0.0.1", &[user]), Err(Code::Forbidden));
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_address() {
    let cases = [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
        ("::ffff:10.0.0.1/128", "10.0.0.2", false),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::10.1.2.3", false),
        ("2001:db8::/32", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("0.0.0.0/0", "::1", false),
    ];
    for (net, peer, trusted) in cases {
        assert_eq!(named(&[net]).is_trusted_proxy(addr(peer)), trusted, "{net} {peer}");
    }
}

#[test]
fn behind_proxies_the_rightmost_untrusted_address_counts() {
    let auth = named(&["10.0.0.0/8", "fd00::/8"]);
    let cases: [(&str, &[&str], &str); 21] = [
        ("203.0.113.9", &[], "203.0.113.9"),
        ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
        ("::ffff:203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", &["10.0.0.9, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", &["203.0.113.9 ,\t10.0.0.2"], "203.0.113.9"),
        (
            "10.0.0.1",
            &["198.51.100.1", "203.0.113.9, 10.0.0.3", "10.0.0.2"],
            "203.0.113.9",
        ),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7"),
        ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
        // Malformed: what stands further left can't be trusted.
        ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["203.0.113.9,,"], "10.0.0.1"),
        ("10.0.0.1", &[""], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.9", "203.0.113.256"], "10.0.0.1"),
    ];
    for (peer, lines, client) in cases {
        let lines: Vec<HeaderLine<'_>> = lines.iter().map(|line| ("x-forwarded-for", line.as_bytes())).collect();
        let found = auth.client(addr(peer), &headers(&lines));
        assert_eq!(found.address, addr(client), "{peer} {lines:?}");
    }
    let no_text = headers(&[("x-forwarded-for", b"203.0.113.9, \xff")]);
    assert_eq!(auth.client(addr("10.0.0.1"), &no_text).address, addr("10.0.0.1"));
}

#[test]
fn loopback_trusted_by_default_forwards_client_addresses() {
    let auth = by_default();
    let forwarded = headers(&[("x-forwarded-for", b"127.0.0.1, 203.0.113.9")]);
    assert_eq!(auth.client(addr("::1"), &forwarded).address, addr("203.0.113.9"));
    assert_eq!(auth.client(addr("192.0.2.1"), &forwarded).address, addr("192.0.2.1"));
    let endless = "127.0.0.1,".repeat(10_000);
    let endless = headers(&[("x-forwarded-for", endless.trim_end_matches(',').as_bytes())]);
    assert_eq!(auth.client(addr("127.0.0.1"), &endless).address, addr("127.0.0.1"));
}

#[test]
fn an_empty_list_of_proxies_trusts_nobody() {
    let auth = named(&[]);
    for peer in ["127.0.0.1", "::1", "10.0.0.1"] {
        assert!(!auth.is_trusted_proxy(addr(peer)));
        assert_eq!(
            ask(&auth, peer, &[("x-user-id", b"anna")]),
            Err(Code::Forbidden),
            "{peer}"
        );
    }
}

#[test]
fn a_loopback_peer_is_believed_only_with_a_host_of_this_server() {
    let user: HeaderLine<'_> = ("x-user-id", b"anna");
    let with = |trusted_proxies: TrustedProxies, listen: &str| {
        Auth::new(AuthOptions {
            trusted_proxies,
            listen: listen.parse().unwrap(),
            allowed_origins: vec!["https://app.example".parse().unwrap()],
            ..options("the internal secret")
        })
    };
    let loopback = || TrustedProxies::Named(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    for (auth, own) in [
        (with(TrustedProxies::Loopback, "0.0.0.0:7420"), "127.0.0.1:7420"),
        (with(TrustedProxies::Loopback, "[::]:7420"), "[::1]:7420"),
        (with(TrustedProxies::Loopback, "192.0.2.7:7420"), "192.0.2.7:7420"),
        (with(loopback(), "0.0.0.0:7420"), "localhost"),
    ] {
        for peer in ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"] {
            for host in [own, "localhost:7420", "127.0.0.9", "app.example"] {
                let lines = [user, ("host", host.as_bytes())];
                if auth.is_trusted_proxy(addr(peer)) {
                    assert_eq!(ask(&auth, peer, &lines), bare("anna"), "{peer} {host}");
                }
            }
            for host in ["evil.example:7420", "localhost.evil.example", "192.0.2.9:7420", ""] {
                let lines = [user, ("host", host.as_bytes())];
                assert_eq!(ask(&auth, peer, &lines), Err(Code::MisdirectedRequest), "{peer} {host}");
                let with_secret = [user, ("host", host.as_bytes()), ("x-secret-token", SECRET)];
                assert_eq!(
                    ask(&auth, peer, &with_secret),
                    internal(Some("anna")),
                    "a credential is enough"
                );
            }
            let twice = [user, ("host", &b"localhost"[..]), ("host", b"evil.example")];
            let malformed = [user, ("host", &b"localhost:x"[..])];
            for lines in [&twice[..], &malformed] {
                assert_eq!(ask(&auth, peer, lines), Err(Code::InvalidHeader), "{peer}");
            }
            let missing = auth.authenticate(addr(peer), &headers(&[user]), None, now());
            assert_eq!(
                missing.map_err(|error| error.code()),
                Err(Code::InvalidHeader),
                "{peer}"
            );
        }
    }
    let other = with(
        TrustedProxies::Named(vec!["10.0.0.1/32".parse().unwrap()]),
        "0.0.0.0:7420",
    );
    let through = [user, ("host", &b"presence.example"[..])];
    assert_eq!(
        ask(&other, "10.0.0.1", &through),
        bare("anna"),
        "a proxy elsewhere passes on any host"
    );
}

#[test]
fn a_client_that_a_proxy_names_in_another_header_is_found() {
    let auth = named(&["10.0.0.0/8"]);
    let cases: [(&[HeaderLine<'_>], &str); 12] = [
        (&[("x-real-ip", b"203.0.113.9")], "203.0.113.9"),
        (&[("x-real-ip", b" [2001:db8::7]:443 ")], "2001:db8::7"),
        (&[("forwarded", b"for=203.0.113.9")], "203.0.113.9"),
        (
            &[("forwarded", b"proto=https; FOR=\"203.0.113.9:47\";by=10.0.0.1")],
            "203.0.113.9",
        ),
        (&[("forwarded", b"For=\"[2001:db8::7]:4711\"")], "2001:db8::7"),
        (
            &[("forwarded", b"for=198.51.100.1, for=203.0.113.9;by=\"a,b\"")],
            "203.0.113.9",
        ),
        (&[("forwarded", b"for=203.0.113.9, for=10.0.0.7")], "203.0.113.9"),
        (
            &[("forwarded", b"for=198.51.100.1"), ("forwarded", b"for=203.0.113.9")],
            "203.0.113.9",
        ),
        (
            &[("x-forwarded-for", b""), ("x-real-ip", b"203.0.113.9")],
            "203.0.113.9",
        ),
        (&[("forwarded", b" "), ("x-real-ip", b"203.0.113.9")], "203.0.113.9"),
        (
            &[("x-real-ip", b"198.51.100.1"), ("x-forwarded-for", b"203.0.113.9")],
            "203.0.113.9",
        ),
        (
            &[("x-real-ip", b"198.51.100.1"), ("forwarded", b"for=203.0.113.9")],
            "203.0.113.9",
        ),
    ];
    for (lines, client) in cases {
        let found = auth.client(addr("10.0.0.1"), &headers(lines));
        assert_eq!((found.address, found.is_exempt), (addr(client), false), "{lines:?}");
        let forged = auth.client(addr("192.0.2.1"), &headers(lines));
        assert_eq!(forged.address, addr("192.0.2.1"), "from no proxy: {lines:?}");
    }
}

#[test]
fn a_client_that_can_not_be_told_counts_as_its_proxy_and_is_not_exempt() {
    let auth = named(&["10.0.0.0/8"]);
    let unknown: [(&[HeaderLine<'_>], &str); 9] = [
        (&[("x-forwarded-for", b"unknown")], "10.0.0.1"),
        (&[("x-forwarded-for", b"203.0.113.9, unknown")], "10.0.0.1"),
        (&[("x-forwarded-for", b"203.0.113.9, unknown, 10.0.0.2")], "10.0.0.2"),
        (&[("x-forwarded-for", b"203.0.113.256")], "10.0.0.1"),
        (&[("x-forwarded-for", b"203.0.113.9,")], "10.0.0.1"),
        (&[("forwarded", b"for=unknown")], "10.0.0.1"),
        (&[("forwarded", b"for=_hidden, for=10.0.0.3")], "10.0.0.3"),
        (&[("forwarded", b"by=203.0.113.9")], "10.0.0.1"),
        (&[("x-real-ip", b"client.example")], "10.0.0.1"),
    ];
    for (lines, client) in unknown {
        let found = auth.client(addr("10.0.0.1"), &headers(lines));
        assert_eq!((found.address, found.is_exempt), (addr(client), false), "{lines:?}");
    }
    for own in [
        &[][..],
        &[("x-forwarded-for", &b"10.0.0.2"[..])],
        &[("x-forwarded-for", b"")],
    ] {
        assert!(auth.client(addr("10.0.0.1"), &headers(own)).is_exempt, "{own:?}");
    }
    assert!(!auth.client(addr("127.0.0.1"), &headers(&[])).is_exempt);
}
