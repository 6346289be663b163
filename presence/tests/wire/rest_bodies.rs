//! Request and response bodies of the REST API, and error codes.

use presence::report::SOURCE_MAX_BYTES;
use presence::wire::error_code::Code;
use presence::wire::rest::{
    Counts, EndedSessions, NodeErrorCode, NodeStats, Page, Problem, Query, QueryResponse, SetCustomStatus,
};
use presence::wire::strict;
use presence::{Actor, CustomStatus, Reason, Source, Status, Wall};

#[test]
fn a_custom_status_that_is_no_string_parses_as_empty() {
    let value = |text: &str| strict::from_slice::<SetCustomStatus>(text.as_bytes()).map(|body| body.custom_status);
    assert_eq!(value(r#"{"customStatus":"IDLE","extra":1}"#).unwrap(), "IDLE");
    for text in [
        "{}",
        r#"{"customStatus":null}"#,
        r#"{"customStatus":5}"#,
        r#"{"customStatus":["IDLE"]}"#,
        r#"{"customStatus":{}}"#,
    ] {
        let value = value(text).unwrap();
        assert!(value.parse::<CustomStatus>().is_err(), "{text} parsed as {value:?}");
    }
    for text in [
        r#"["IDLE"]"#,
        r#"["IDLE",null]"#,
        r#"{"customStatus":"IDLE","customStatus":"IDLE"}"#,
        r#"{"customStatus":"IDLE"}x"#,
    ] {
        assert!(value(text).is_err(), "{text}");
    }
}

#[test]
fn a_source_is_1_to_64_plain_characters() {
    let longest = "x".repeat(SOURCE_MAX_BYTES);
    for good in ["a", "gateway", "A-Z_0.9", ".", "..", "-", &longest] {
        assert_eq!(good.parse::<Source>().unwrap().as_str(), good);
    }
    let too_long = "x".repeat(SOURCE_MAX_BYTES + 1);
    for bad in ["", " ", "a b", "a/b", "ä", "a\n", "a\0", "a:b", "a%", &too_long] {
        assert!(bad.parse::<Source>().is_err(), "{bad:?}");
    }
    assert_eq!(Source::default().as_str(), "gateway");
}

#[test]
fn enum_values_are_the_same_parsed_serialized_and_displayed() {
    for status in Status::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        assert_eq!(status.to_string().parse::<Status>(), Ok(status));
    }
    for custom in [CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb] {
        assert_eq!(serde_json::to_value(custom).unwrap(), custom.as_str());
        assert_eq!(custom.to_string().parse::<CustomStatus>(), Ok(custom));
    }
    for actor in [Actor::User, Actor::Operator] {
        assert_eq!(serde_json::to_value(actor).unwrap(), actor.as_str());
        assert_eq!(actor.as_str().parse::<Actor>(), Ok(actor));
    }
    for reason in [
        Reason::NoSession,
        Reason::Custom,
        Reason::Reported,
        Reason::Inactive,
        Reason::Active,
    ] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
    for value in ["", "online", "Online", "OFFLINE ", "AWAY", "user\0"] {
        assert!(
            value.parse::<Status>().is_err()
                && value.parse::<CustomStatus>().is_err()
                && value.parse::<Actor>().is_err()
        );
    }
    assert!(
        "OFFLINE".parse::<CustomStatus>().is_err(),
        "OFFLINE is no custom status"
    );
}

#[test]
fn error_codes_have_the_documented_http_status() {
    let stable = [
        (Code::InvalidJson, "invalid_json", 400),
        (Code::InvalidUserId, "invalid_user_id", 400),
        (Code::InvalidCustomStatus, "invalid_custom_status", 400),
        (Code::InvalidHeader, "invalid_header", 400),
        (Code::MissingUser, "missing_user", 400),
        (Code::Unauthenticated, "unauthenticated", 401),
        (Code::Forbidden, "forbidden", 403),
        (Code::TooLarge, "too_large", 413),
        (Code::MisdirectedRequest, "misdirected_request", 421),
        (Code::TooManyWatched, "too_many_watched", 400),
        (Code::RateLimited, "rate_limited", 429),
        (Code::StoreUnavailable, "store_unavailable", 503),
    ];
    for (code, value, status) in stable {
        assert_eq!(
            (serde_json::to_value(code).unwrap(), code.http_status()),
            (value.into(), status)
        );
    }
    assert_eq!(serde_json::to_value(Code::TooMany).unwrap(), "too_many");
}

#[test]
fn responses_have_the_documented_shape() {
    let now = Wall::from_millis(0);
    let time = "1970-01-01T00:00:00.000Z";
    let json = |value: &dyn erased::Json| value.to_json();
    let counts = Counts {
        online: 1,
        idle: 2,
        do_not_disturb: 3,
    };
    assert_eq!(counts.total(), 6);
    let page = Page {
        now,
        users: vec![],
        next: None,
        counts,
    };
    let page_text =
        format!(r#"{{"now":"{time}","users":[],"next":null,"counts":{{"ONLINE":1,"IDLE":2,"DO_NOT_DISTURB":3}}}}"#);
    assert_eq!(json(&page), page_text);
    assert_eq!(
        json(&QueryResponse { now, users: vec![] }),
        format!(r#"{{"now":"{time}","users":[]}}"#)
    );
    assert_eq!(
        json(&Query {
            user_ids: vec!["a".into()]
        }),
        r#"{"userIds":["a"]}"#
    );
    assert_eq!(json(&EndedSessions { ended: 3 }), r#"{"ended":3}"#);
    let problem = Problem {
        kind: "about:blank".into(),
        title: "Bad Request".into(),
        status: 400,
        code: Code::InvalidUserId,
        detail: "user id must not be empty".into(),
        request_id: None,
    };
    assert_eq!(
        json(&problem),
        r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_user_id","detail":"user id must not be empty"}"#
    );
    let with_id = Problem {
        request_id: Some("7".into()),
        ..problem
    };
    assert!(json(&with_id).ends_with(r#","requestId":"7"}"#), "{}", json(&with_id));
}

#[test]
fn a_code_of_a_newer_version_says_that_something_is_wrong() {
    let codes = [
        (NodeErrorCode::OtherSecret, "other_secret"),
        (NodeErrorCode::NotAccepted, "not_accepted"),
        (NodeErrorCode::OtherTokens, "other_tokens"),
        (NodeErrorCode::Unreachable, "unreachable"),
        (NodeErrorCode::Timeout, "timeout"),
        (NodeErrorCode::AddressLeadsNowhere, "address_leads_nowhere"),
        (NodeErrorCode::NoAddress, "no_address"),
        (NodeErrorCode::NotUnderstood, "not_understood"),
    ];
    let read = |code: &str| serde_json::from_value::<NodeErrorCode>(code.into()).unwrap();
    for (code, text) in codes {
        assert_eq!(serde_json::to_value(code).unwrap(), text);
        assert_eq!(read(text), code);
    }
    assert_eq!(read("of_a_newer_version"), NodeErrorCode::Unknown);
    let told = serde_json::to_string(&NodeStats::default()).unwrap();
    assert!(!told.contains("error"), "{told}");
}

mod erased {
    /// A value that can be serialized, as a trait object.
    pub(super) trait Json {
        fn to_json(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn to_json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}
