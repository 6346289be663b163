//! How long ago an activity was, in messages from clients.

use std::time::Duration;

use presence::wire::client_message::ClientMessage;
use presence::wire::error_code::Code;

use crate::client::{code, parsed};

#[test]
fn activity_may_say_how_long_ago_it_was() {
    let millis = Duration::from_millis;
    for (fields, message) in [
        (r#""agoMs":0"#, ClientMessage::Activity { ago: Duration::ZERO }),
        (r#""agoMs":null"#, ClientMessage::Activity { ago: Duration::ZERO }),
        (r#""agoMs":31000"#, ClientMessage::Activity { ago: millis(31_000) }),
        (
            r#""idle":true,"agoMs":310000"#,
            ClientMessage::Away {
                ago: Some(millis(310_000)),
            },
        ),
        (
            r#""agoMs":316224000000"#,
            ClientMessage::Activity {
                ago: millis(316_224_000_000),
            },
        ),
    ] {
        assert_eq!(parsed(&format!(r#"{{"type":"activity",{fields}}}"#)), message);
    }
    for ago in [
        "-1",
        "1.5",
        r#""1""#,
        "true",
        "316224000001",
        "18446744073709551616",
        "[]",
    ] {
        let text = format!(r#"{{"type":"activity","agoMs":{ago}}}"#);
        assert_eq!(code(&text), Code::InvalidValue, "{text}");
    }
}
