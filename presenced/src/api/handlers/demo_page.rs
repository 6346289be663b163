//! `GET /demo`: the demonstration page, which clients/javascript/demo builds. Only with `--demo`.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Html;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../demo.html");

/// The page is one file, so that the daemon serves no other; its script and its style are allowed by their digests.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = policy(
        &digest_in("<script type=\"module\">", "</script>"),
        &digest_in("<style>", "</style>"),
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

fn policy(script: &str, style: &str) -> String {
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
    )
}

/// The digest of what stands in the page between these two; of nothing if they are missing, which allows nothing.
fn digest_in(start: &str, end: &str) -> String {
    let inner = PAGE.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    STANDARD.encode(Sha256::digest(inner.map_or("", |(inner, _)| inner)))
}

pub(in crate::api) async fn get_demo() -> ([(HeaderName, HeaderValue); 3], Html<&'static str>) {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        // The name of the user is in the query.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, Html(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style_and_loads_nothing() {
        for (start, count) in [
            ("<script", 1),
            ("<style", 1),
            (" src=", 0),
            ("<link", 1),
            (" style=", 0),
            (" onclick", 0),
        ] {
            assert_eq!(PAGE.matches(start).count(), count, "{start}");
        }
        let empty = STANDARD.encode(Sha256::digest(""));
        let policy = POLICY.to_str().expect("text");
        assert!(
            policy.contains("script-src 'sha256-") && !policy.contains(&empty),
            "{policy}"
        );
    }
}
