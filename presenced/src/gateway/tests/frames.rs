//! Valid and invalid frames of clients.

use std::time::Duration;

use presence::Rate;
use tokio::io::AsyncWriteExt;

use super::client::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, Received, TEXT, WsClient, close, frame, text};
use super::fixture::{GatewayFixture, GatewaySettings, plenty};
use crate::limits::Limits;

/// The default limit, in bytes.
const MESSAGE_MAX: usize = 16 * 1024;

/// A ping of exactly `length` bytes.
fn ping_of(length: usize) -> String {
    let around = r#"{"type":"ping","id":"long","pad":""}"#;
    around.replace(r#""}"#, &format!("{}\"}}", "x".repeat(length - around.len())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_read_whole_however_it_is_split() {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            messages: plenty(),
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let mut client = fixture.connect("anna").await;
    let bytes = [
        frame(TEXT, br#"{"type":"ping","#),
        frame(FINAL | PING, b"between"),
        frame(CONTINUATION, b""),
        frame(FINAL | CONTINUATION, br#""id":"cut"}"#),
    ]
    .concat();
    for cut in 0..bytes.len() {
        let (now, later) = bytes.split_at(cut);
        client.send(now).await;
        // Makes it likely that the daemon has read the first part alone; either way the outcome is the same.
        tokio::task::yield_now().await;
        client.send(later).await;
        assert_eq!(client.next().await, Received::Frame(PONG, b"between".to_vec()), "{cut}");
        assert_eq!(client.json().await["id"], "cut", "{cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_beyond_the_longest_message_is_1009() {
    let fixture = GatewayFixture::new().await;
    let mut anna = fixture.connect("anna").await;
    for _ in 0..3 {
        anna.say(&ping_of(MESSAGE_MAX)).await;
        assert_eq!(anna.answer("long").await["type"], "pong");
    }
    anna.say(&ping_of(MESSAGE_MAX + 1)).await;
    let closed = anna.until_closed().await;
    assert_eq!(
        (closed.code, closed.reason.as_deref()),
        (Some(1009), Some("message_too_long"))
    );

    let mut bob = fixture.connect("bob").await;
    let long = ping_of(MESSAGE_MAX + 1);
    let (front, back) = long.split_at(9_000);
    bob.send(&frame(TEXT, front.as_bytes())).await;
    bob.send(&frame(FINAL | CONTINUATION, back.as_bytes())).await;
    assert_eq!(bob.until_closed().await.code, Some(1009), "in fragments");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_beyond_the_limit_is_1009_before_the_payload() {
    let fixture = GatewayFixture::new().await;
    for length in [MESSAGE_MAX as u64 + 1, 1 << 32, u64::MAX] {
        let mut client = fixture.connect("anna").await;
        let mut head = vec![FINAL | TEXT, 0xff];
        head.extend(length.to_be_bytes());
        head.extend([0; 4]);
        client.send(&head).await;
        assert_eq!(client.until_closed().await.code, Some(1009), "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_close_frame_reaches_a_client_that_is_still_sending() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    client.send(&frame(FINAL | TEXT, &vec![b'x'; 150_000])).await;
    assert_eq!(client.until_closed().await.code, Some(1009));
    // Nor is it cut off at once: a reset could overtake the close frame on its way.
    for _ in 0..5 {
        let sent = client.stream.write_all(&[0; 1_000]).await;
        sent.expect("the daemon still takes what was under way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_errors_are_1002_and_invalid_utf8_is_1007() {
    let fixture = GatewayFixture::new().await;
    let mut unmasked = text("{}");
    unmasked.truncate(1);
    unmasked.extend([2, b'{', b'}']);
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("unmasked", unmasked, 1002),
        ("a reserved bit", frame(FINAL | 0x40 | TEXT, b"{}"), 1002),
        ("a reserved opcode", frame(FINAL | 0x3, b""), 1002),
        ("a reserved control opcode", frame(FINAL | 0xb, b""), 1002),
        ("a fragmented ping", frame(PING, b""), 1002),
        ("a ping that is too long", frame(FINAL | PING, &[0; 126]), 1002),
        ("a continuation of nothing", frame(FINAL | CONTINUATION, b"{}"), 1002),
        ("a message in a message", [frame(TEXT, b"{"), text("{}")].concat(), 1002),
        ("half a close code", frame(FINAL | CLOSE, b"\x03"), 1002),
        ("no UTF-8", frame(FINAL | TEXT, b"\"\xff\""), 1007),
        (
            "half a character",
            frame(FINAL | TEXT, "é".as_bytes().split_at(1).0),
            1007,
        ),
        ("a close reason that is no UTF-8", close(1000, b"\xff"), 1007),
    ];
    for (what, bytes, code) in cases {
        let mut client = fixture.connect("anna").await;
        client.send(&bytes).await;
        let closed = client.until_closed().await;
        assert_eq!(closed.code, Some(code), "{what}");
        assert!(closed.reason.is_some(), "{what}: no goodbye");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_close_code_is_echoed_and_an_invalid_one_is_1002() {
    let fixture = GatewayFixture::new().await;
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        let mut client = fixture.connect("anna").await;
        client.send(&close(code, "bye".as_bytes())).await;
        assert_eq!(client.until_closed().await.code, Some(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let mut client = fixture.connect("anna").await;
        client.send(&close(code, b"")).await;
        assert_eq!(client.until_closed().await.code, Some(1002), "{code}");
    }
    let mut client = fixture.connect("anna").await;
    client.send(&frame(FINAL | CLOSE, b"")).await;
    let closed = client.until_closed().await;
    assert_eq!((closed.code, closed.reason), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_message_is_an_error_and_the_connection_stays() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    client.send(&frame(FINAL | BINARY, b"\x00\xff")).await;
    let error = client.json().await;
    assert_eq!((&error["type"], &error["code"]), (&"error".into(), &"not_text".into()));
    assert!(client.is_served().await);
}

async fn burst_is_4008(limits: Limits, burst: Vec<u8>, limit: &str) {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits,
        ..GatewaySettings::default()
    })
    .await;
    let mut other = fixture.connect("bob").await;
    let mut client: WsClient = fixture.connect("anna").await;
    client.send(&burst).await;
    let closed = client.until_closed().await;
    assert_eq!((closed.code, closed.retry_after_ms), (Some(4008), None));
    assert!(
        fixture
            .metrics_text()
            .contains(&format!("refused_by_limit_total{{limit=\"{limit}\"}} 1"))
    );
    assert!(other.is_served().await);
}

/// Reads on until a message is answered that is sent now.
async fn until_pong(client: &mut WsClient) {
    client.say(r#"{"type":"ping","id":"now"}"#).await;
    loop {
        match client.next().await {
            Received::Frame(TEXT, payload) if payload.ends_with(br#""id":"now"}"#) => return,
            Received::Frame(TEXT | PONG, _) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lower_rates_hold_for_what_comes_and_not_for_what_came() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    let pings = |count| frame(FINAL | PING, b"").repeat(count);
    client.send(&pings(60)).await;
    client.send(&frame(FINAL | TEXT, b"[]").repeat(8)).await;
    until_pong(&mut client).await;
    let slow = |burst| Rate {
        amount: 1,
        period: Duration::from_secs(3_600),
        burst,
    };
    let limits = Limits {
        messages: slow(30),
        bad_messages: slow(5),
        ..Limits::default()
    };
    let replace = |limits| fixture.gateway.limits.replace(limits, fixture.gateway.clock.mono());
    replace(limits.clone());
    client.send(&pings(20)).await;
    client.send(&frame(FINAL | TEXT, b"[]")).await;
    until_pong(&mut client).await;
    // The same limits again are no new ones.
    replace(limits);
    client.send(&pings(20)).await;
    assert_eq!(client.until_closed().await.code, Some(4008));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_count_as_messages() {
    let limits = Limits::default();
    let pings = frame(FINAL | PING, b"").repeat(1_000);
    burst_is_4008(limits, pings, "messages").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_fragments_exceed_the_limit_of_bytes() {
    let limits = Limits {
        bytes: Rate {
            amount: 1,
            period: Duration::from_secs(3_600),
            burst: 100_000,
        },
        ..Limits::default()
    };
    let mut endless = frame(TEXT, b"");
    endless.extend(frame(CONTINUATION, b"").repeat(40_000));
    burst_is_4008(limits, endless, "bytes").await;
}
