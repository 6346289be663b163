//! Invalid WebSocket frames: each ends its own connection with a close code, and no other.

use presence::Status;
use presence_tests::frame::{Frame, opcode};
use presence_tests::raw_client::RawEvent;
use presence_tests::{Daemon, RawClient};

/// The longest message, in bytes.
const MESSAGE_MAX: usize = 16 * 1024;

/// A `ping` of exactly so many bytes.
fn ping_of(bytes: usize) -> String {
    let head = r#"{"type":"ping","pad":""#;
    format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
}

/// Sends these frames as mallory and returns the close code.
async fn code_after(daemon: &Daemon, frames: &[Frame]) -> Option<u16> {
    let mut mallory = RawClient::user(daemon.address(), "mallory").await;
    for frame in frames {
        mallory.send_frame(frame.clone()).await;
    }
    mallory.close_code().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_violation_is_closed_with_1002() {
    let daemon = Daemon::start(&[]).await;
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    let ping = || Frame::text(r#"{"type":"ping"}"#);
    let control = |opcode| Frame::new(opcode, "x");
    let cases: Vec<(&str, Vec<Frame>)> = vec![
        ("unmasked text", vec![ping().unmasked()]),
        ("unmasked control", vec![control(opcode::PING).unmasked()]),
        ("RSV1", vec![ping().with_bits(0xc0)]),
        ("RSV2", vec![ping().with_bits(0xa0)]),
        ("RSV3", vec![ping().with_bits(0x90)]),
        ("all reserved bits", vec![ping().with_bits(0xf0)]),
        ("RSV1 on a control frame", vec![control(opcode::PING).with_bits(0xc0)]),
        ("opcode 3", vec![Frame::new(3, "x")]),
        ("opcode 7", vec![Frame::new(7, "x")]),
        ("opcode 11", vec![Frame::new(11, "")]),
        ("opcode 15", vec![Frame::new(15, "")]),
        ("fragmented ping", vec![Frame::fragment(opcode::PING, "x")]),
        ("fragmented close", vec![Frame::fragment(opcode::CLOSE, "")]),
        ("ping of 126 bytes", vec![Frame::new(opcode::PING, "x".repeat(126))]),
        ("pong of 126 bytes", vec![Frame::new(opcode::PONG, "x".repeat(126))]),
        ("continuation of nothing", vec![Frame::new(opcode::CONTINUATION, "x")]),
        ("fragment of nothing", vec![Frame::fragment(opcode::CONTINUATION, "x")]),
        ("text within a text", vec![Frame::fragment(opcode::TEXT, "{"), ping()]),
        (
            "binary within a text",
            vec![Frame::fragment(opcode::TEXT, "{"), Frame::new(opcode::BINARY, "x")],
        ),
        ("close of one byte", vec![Frame::new(opcode::CLOSE, "x")]),
        (
            "close with code 999",
            vec![Frame::new(opcode::CLOSE, 999_u16.to_be_bytes())],
        ),
        (
            "close with code 1005",
            vec![Frame::new(opcode::CLOSE, 1005_u16.to_be_bytes())],
        ),
        (
            "close with code 1006",
            vec![Frame::new(opcode::CLOSE, 1006_u16.to_be_bytes())],
        ),
        (
            "close of 126 bytes",
            vec![Frame::new(
                opcode::CLOSE,
                [&1000_u16.to_be_bytes()[..], &[b'x'; 124]].concat(),
            )],
        ),
    ];
    for (what, frames) in cases {
        assert_eq!(code_after(&daemon, &frames).await, Some(1002), "{what}");
        assert!(alice.is_served().await, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf_8_text_is_closed_with_1007() {
    let daemon = Daemon::start(&[]).await;
    let bad: [&[u8]; 6] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"{\"type\":\"\xce\"}",
        b"\xe2\x82",
    ];
    for bytes in bad {
        assert_eq!(
            code_after(&daemon, &[Frame::text(bytes)]).await,
            Some(1007),
            "{bytes:?}"
        );
        let (front, back) = bytes.split_at(bytes.len() / 2);
        let fragments = [
            Frame::fragment(opcode::TEXT, front),
            Frame::new(opcode::CONTINUATION, back),
        ];
        assert_eq!(
            code_after(&daemon, &fragments).await,
            Some(1007),
            "{bytes:?} in fragments"
        );
    }
    let reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    assert_eq!(
        code_after(&daemon, &[Frame::new(opcode::CLOSE, reason)]).await,
        Some(1007),
        "in a close"
    );
    // A fragment may end within a character.
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    let text = r#"{"type":"ping","id":"ü"}"#;
    let cut = text.find('ü').unwrap() + 1;
    alice
        .send_frame(Frame::fragment(opcode::TEXT, &text.as_bytes()[..cut]))
        .await;
    alice
        .send_frame(Frame::new(opcode::CONTINUATION, &text.as_bytes()[cut..]))
        .await;
    assert!(alice.text_with("ü").await.contains("pong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_limited_to_16_kib() {
    let daemon = Daemon::start(&[]).await;
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    for bytes in [MESSAGE_MAX - 1, MESSAGE_MAX] {
        alice.send_frame(Frame::text(ping_of(bytes))).await;
        alice.text_with("pong").await;
        let text = ping_of(bytes);
        let parts: Vec<&[u8]> = text.as_bytes().chunks(1_000).collect();
        alice.send_frame(Frame::fragment(opcode::TEXT, parts[0])).await;
        for part in &parts[1..parts.len() - 1] {
            alice.send_frame(Frame::fragment(opcode::CONTINUATION, *part)).await;
        }
        alice
            .send_frame(Frame::new(opcode::CONTINUATION, *parts.last().unwrap()))
            .await;
        alice.text_with("pong").await;
    }
    let over = ping_of(MESSAGE_MAX + 1);
    assert_eq!(
        code_after(&daemon, &[Frame::text(over.clone())]).await,
        Some(1009),
        "whole"
    );
    let (front, back) = over.as_bytes().split_at(MESSAGE_MAX / 2);
    let fragments = [
        Frame::fragment(opcode::TEXT, front),
        Frame::new(opcode::CONTINUATION, back),
    ];
    assert_eq!(code_after(&daemon, &fragments).await, Some(1009), "in two");
    let many: Vec<Frame> = (0..40)
        .map(|_| Frame::fragment(opcode::CONTINUATION, "x".repeat(1_000)))
        .collect();
    let many = [vec![Frame::fragment(opcode::TEXT, "")], many].concat();
    assert_eq!(
        code_after(&daemon, &many).await,
        Some(1009),
        "in many, and never finished"
    );
    assert_eq!(
        code_after(&daemon, &[Frame::new(opcode::BINARY, vec![0; MESSAGE_MAX + 1])]).await,
        Some(1009),
        "binary"
    );
    assert!(alice.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_rejected_by_its_declared_length() {
    let daemon = Daemon::start(&[]).await;
    for claimed in [MESSAGE_MAX as u64 + 1, 1 << 20, 1 << 31, 1 << 32, u64::MAX >> 1] {
        let code = code_after(&daemon, &[Frame::text("x").claiming(claimed)]).await;
        assert_eq!(code, Some(1009), "{claimed}");
    }
    let code = code_after(&daemon, &[Frame::text("x").claiming(u64::MAX)]).await;
    assert!(matches!(code, Some(1002 | 1009)), "{code:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sending_client_receives_close_code_1009() {
    let daemon = Daemon::start(&[]).await;
    let mut mallory = RawClient::user(daemon.address(), "mallory").await;
    let long = Frame::text("x".repeat(1 << 20)).encode();
    for part in long.chunks(64 * 1024) {
        if !mallory.send(part).await {
            break;
        }
    }
    assert_eq!(mallory.close_code().await, Some(1009));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_empty_fragments_are_closed_as_abusive() {
    let daemon = Daemon::start(&[]).await;
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    let mut mallory = RawClient::user(daemon.address(), "mallory").await;
    mallory.send_frame(Frame::fragment(opcode::TEXT, "")).await;
    let empty = Frame::fragment(opcode::CONTINUATION, "").encode().repeat(2_000);
    let before = daemon.process().cpu_time();
    // At most 40 MB, far above any limit.
    for _ in 0..3_500 {
        if !mallory.send(&empty).await {
            break;
        }
    }
    assert_eq!(mallory.close_code().await, Some(4008));
    let cost = daemon.process().cpu_time().saturating_sub(before);
    assert!(cost.as_secs() < 5, "{cost:?}");
    assert!(alice.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_message_is_closed_despite_other_frames() {
    let daemon = Daemon::start(&["--message-timeout", "1s"]).await;
    let mut mallory = RawClient::user(daemon.address(), "mallory").await;
    mallory.send_frame(Frame::fragment(opcode::TEXT, "{")).await;
    let mut code = None;
    let mut answered = 0;
    while code.is_none() {
        mallory.send_frame(Frame::new(opcode::PING, "x")).await;
        match mallory.next().await {
            RawEvent::Frame(frame) if frame.opcode == opcode::PONG => answered += 1,
            RawEvent::Frame(frame) => code = frame.close_code(),
            RawEvent::End | RawEvent::Reset => break,
        }
        tokio::task::yield_now().await;
        presence_tests::wait::pause_between_pings().await;
    }
    assert_eq!(code, Some(4008), "after {answered} pongs");
    assert!(answered > 1, "control frames are answered in between");

    let mut half = RawClient::user(daemon.address(), "half").await;
    half.send(&Frame::text(r#"{"type":"ping"}"#).encode()[..9]).await;
    assert_eq!(half.close_code().await, Some(4008), "a frame that is never finished");
    let mut slow = RawClient::user(daemon.address(), "slow").await;
    let begin = Frame::fragment(opcode::TEXT, r#"{"type":"ping","#).encode();
    let end = Frame::new(opcode::CONTINUATION, r#""id":"s"}"#).encode();
    // Together: the rest of it, sent later, might be late.
    slow.send([begin, end].concat()).await;
    slow.text_with("pong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_for_invalid_frames_is_in_grace() {
    let daemon = Daemon::start(&["--grace", "3s"]).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["mallory"]).await;
    assert_eq!(code_after(&daemon, &[Frame::new(3, "x")]).await, Some(1002));
    let explain = daemon.rest().explain("mallory").await;
    let told = bob.wait_for_status("mallory", Status::Offline).await;
    assert!(
        explain
            .grace
            .is_none_or(|grace| told.since.unwrap() >= daemon.earliest_of(grace.until)),
        "{explain:?} {told:?}"
    );
}
