//! Hosts and origins.

use proptest::prelude::*;

use super::super::{Auth, AuthOptions, Origin};
use super::*;

fn listening(listen: &str, allowed: &[&str]) -> Auth {
    Auth::new(AuthOptions {
        listen: listen.parse().unwrap(),
        allowed_origins: allowed.iter().map(|origin| origin.parse().unwrap()).collect(),
        ..options("the internal secret")
    })
}

fn host(auth: &Auth, host: &[u8]) -> Result<(), Code> {
    let headers = headers(&[("host", host)]);
    let checked = auth.check_host(&headers).map_err(|error| error.code());
    assert!(checked.is_ok() || !auth.has_own_host(&headers), "accepted unparsed");
    checked
}

fn origin(auth: &Auth, origin: &[u8]) -> Result<(), Code> {
    let checked = auth.check_origin(&headers(&[("origin", origin)]));
    checked
        .map_err(|error| error.code())
        .map(|origin| assert!(origin.is_some()))
}

/// Names of a loopback listener that allows `https://App.Example` and `http://192.0.2.5:8080`.
const OUR_HOSTS: [&str; 15] = [
    "localhost",
    "LocalHost",
    "localhost:7420",
    "localhost:1",
    "127.0.0.1",
    "127.0.0.1:7420",
    "127.255.0.9:80",
    "[::1]",
    "[::1]:7420",
    "[::ffff:127.0.0.1]:7420",
    "[0:0:0:0:0:0:0:1]",
    "app.example",
    "APP.example:9000",
    "192.0.2.5",
    "192.0.2.5:8080",
];

/// Well-formed hosts of others.
const OTHER_HOSTS: [&[u8]; 23] = [
    b"",
    b":7420",
    b"evil.example",
    b"evil.example:7420",
    b"localhost.evil.example",
    b"127.0.0.1.evil.example",
    b"127.0.0.1.nip.io:7420",
    b"evil.localhost",
    b"localhost.",
    b"localhost:",
    b"localhost:65536",
    b"127.1",
    b"0177.0.0.1",
    b"2130706433",
    b"0.0.0.0:7420",
    b"192.0.2.6",
    b"[::]",
    b"[::]:",
    b"null",
    b"local%68ost",
    b"caf%E9.example",
    b"localhost,evil.example",
    b"a~b!c$d&e'f(g)h*i+j;k=l_m.n-o",
];

const MALFORMED_HOSTS: [&[u8]; 17] = [
    b"localhost:x",
    b"localhost:+80",
    b"localhost:80:80",
    b"localhost:80 ",
    b"localhost, evil.example",
    b"local host",
    b"localhost/",
    b"localhost?",
    b"evil.example@localhost",
    b"localhost@evil.example",
    b"::1",
    b"[::1",
    b"[::1]x",
    b"[127.0.0.1]",
    b"localhost%",
    b"localhost%6",
    b"localhost\xff",
];

#[test]
fn a_loopback_listener_serves_only_its_own_names() {
    let allowed = ["https://App.Example", "http://192.0.2.5:8080", "null"];
    for listen in [
        "127.0.0.1:7420",
        "[::1]:7420",
        "127.5.5.5:80",
        "[::ffff:127.0.0.1]:7420",
    ] {
        let auth = listening(listen, &allowed);
        for name in OUR_HOSTS {
            assert_eq!(host(&auth, name.as_bytes()), Ok(()), "{listen} {name}");
        }
        for name in OTHER_HOSTS {
            assert_eq!(host(&auth, name), Err(Code::MisdirectedRequest), "{listen} {name:?}");
        }
        for name in MALFORMED_HOSTS {
            assert_eq!(host(&auth, name), Err(Code::InvalidHeader), "{listen} {name:?}");
        }
    }
}

#[test]
fn a_missing_or_repeated_host_is_rejected() {
    let auth = listening("127.0.0.1:7420", &[]);
    let host: HeaderLine<'_> = ("host", b"localhost");
    for lines in [&[][..], &[host, host]] {
        let checked = auth.check_host(&headers(lines)).map_err(|error| error.code());
        assert_eq!(checked, Err(Code::InvalidHeader));
    }
}

#[test]
fn a_host_as_clients_usually_write_it_is_not_parsed() {
    let is_own = |listen, lines: &[HeaderLine<'_>]| listening(listen, &[]).has_own_host(&headers(lines));
    let own: [HeaderLine<'_>; 2] = [("host", b"127.0.0.1:7420"), ("host", b"localhost:7420")];
    assert!(own.iter().all(|line| is_own("127.0.0.1:7420", &[*line])));
    assert!(is_own("[::1]:7420", &[("host", b"[::1]:7420")]));
    assert!(!is_own("127.0.0.1:7420", &own), "two");
    for others in [&b"localhost:7421"[..], b"localhost", b"evil.example:7420"] {
        assert!(!is_own("127.0.0.1:7420", &[("host", others)]));
    }
}

#[test]
fn a_listener_for_the_network_serves_any_name() {
    for listen in ["0.0.0.0:7420", "[::]:7420", "192.0.2.1:7420"] {
        let auth = listening(listen, &[]);
        assert_eq!(host(&auth, b"whatever.example"), Ok(()));
        assert_eq!(auth.check_host(&headers(&[])), Ok(()), "HTTP/1.0 needs none");
        for name in MALFORMED_HOSTS {
            assert_eq!(host(&auth, name), Err(Code::InvalidHeader), "{listen} {name:?}");
        }
        let host: HeaderLine<'_> = ("host", b"localhost");
        assert!(auth.check_host(&headers(&[host, host])).is_err());
    }
}

#[test]
fn only_allowed_origins_and_the_bound_address_may_call() {
    let allowed = [
        "https://app.example",
        "http://dev.example:3000",
        "tauri://localhost",
        "https://[2001:db8::1]",
    ];
    let auth = listening("127.0.0.1:7420", &allowed);
    assert_eq!(auth.check_origin(&headers(&[])), Ok(None));
    let ours = [
        "https://app.example",
        "https://app.example:443",
        "HTTPS://App.Example",
        "http://dev.example:3000",
        "tauri://localhost",
        "https://[2001:DB8:0::1]",
        "http://127.0.0.1:7420",
        "http://localhost:7420",
        "http://[::1]:7420",
        "http://[::ffff:127.0.0.1]:7420",
    ];
    for page in ours {
        assert_eq!(origin(&auth, page.as_bytes()), Ok(()), "{page}");
    }
    let others: [&[u8]; 24] = [
        b"",
        b"null",
        b"*",
        b"app.example",
        b"//app.example",
        b"http://app.example",
        b"http://app.example:443",
        b"https://app.example:8443",
        b"https://app.example.",
        b"https://app.example/",
        b"https://app.example.evil.example",
        b"https://evil.example",
        b"https://evil.example#https://app.example",
        b"https://app.example@evil.example",
        b"https://app.example https://evil.example",
        b"https://sub.app.example",
        b"https://app.example\xff",
        b"http://dev.example",
        b"http://localhost",
        b"http://localhost:7421",
        b"https://localhost:7420",
        b"http://127.0.0.2:7420",
        b"http://127.1:7420",
        b"file://",
    ];
    for page in others {
        assert_eq!(origin(&auth, page), Err(Code::Forbidden), "{page:?}");
    }
}

#[test]
fn an_origin_is_never_compared_with_the_host() {
    let auth = listening("0.0.0.0:7420", &[]);
    let rebound = headers(&[("host", b"evil.example:7420"), ("origin", b"http://evil.example:7420")]);
    assert_eq!(
        auth.check_origin(&rebound).map_err(|error| error.code()),
        Err(Code::Forbidden)
    );
    assert_eq!(origin(&auth, b"http://0.0.0.0:7420"), Ok(()));
    assert_eq!(origin(&auth, b"http://localhost:7420"), Err(Code::Forbidden));
}

#[test]
fn a_repeated_origin_header_is_invalid() {
    let auth = listening("127.0.0.1:7420", &["https://app.example"]);
    let page: HeaderLine<'_> = ("origin", b"https://app.example");
    let checked = auth.check_origin(&headers(&[page, page])).map_err(|error| error.code());
    assert_eq!(checked, Err(Code::InvalidHeader));
}

#[test]
fn the_null_origin_may_call_only_if_it_is_listed() {
    assert_eq!(origin(&listening("127.0.0.1:7420", &[]), b"null"), Err(Code::Forbidden));
    assert_eq!(origin(&listening("127.0.0.1:7420", &["null"]), b"null"), Ok(()));
}

#[test]
fn an_origin_is_written_in_its_shortest_form() {
    let cases = [
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("http://[::ffff:10.0.0.1]", "http://10.0.0.1"),
        ("app://-", "app://-"),
        ("null", "null"),
    ];
    for (written, text) in cases {
        assert_eq!(written.parse::<Origin>().unwrap().to_string(), text);
    }
    let bad = [
        "",
        " ",
        "*",
        "https://*",
        "https://*.example",
        "https://",
        "https://:443",
        "app.example",
        "https:app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?x",
        "https://app.example:",
        "https://app.example:0x50",
        "https://app.example:-1",
        "https://app.example:65536",
        "https://user@app.example",
        "https://a,https://b",
        "https://bücher.example",
        "1http://a",
        "ht tp://a",
        "https://[::1",
        "https://[::1]x",
        "https://[nonsense]",
        "NULL",
    ];
    for written in bad {
        assert!(written.parse::<Origin>().is_err(), "{written:?}");
    }
}

proptest! {
    #[test]
    fn a_parsed_origin_survives_a_round_trip(text in "(https?|tauri)://[a-zA-Z0-9.\\[\\]:_-]{0,20}") {
        if let Ok(origin) = text.parse::<Origin>() {
            prop_assert_eq!(origin.to_string().parse::<Origin>(), Ok(origin));
        }
    }

    #[test]
    fn no_text_panics_the_origin_parser(text in any::<String>()) {
        let _ = text.parse::<Origin>();
    }
}
