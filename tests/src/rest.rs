//! The REST interface as an application or an operator calls it.

use std::net::SocketAddr;

use presence::wire::record::Record;
use presence::wire::rest::{Explain, Page, Stats};
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wait::within_deadline;

/// Where to, and as whom an internal caller speaks.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
    secret: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as JSON if it is any.
    pub body: Value,
}

impl Answer {
    /// The stable code of a problem; empty if it is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of a 200.
    pub fn ok<T: DeserializeOwned>(self) -> T {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_value(self.body).unwrap()
    }

    /// Fails the test unless it is this refusal, as a problem document.
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{kind}");
        assert_eq!(self.body["status"], status, "{}", self.body);
    }
}

impl Rest {
    /// Calls the daemon at this address.
    pub fn new(address: SocketAddr, secret: String) -> Self {
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            base: format!("http://{address}"),
            secret,
        }
    }

    /// A request without any credential. `path` is sent as it is.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request with the internal secret.
    pub fn internal(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-secret-token", &self.secret)
    }

    /// A request of this user, from this machine.
    pub fn user(&self, user: &str, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-user-id", user.as_bytes())
    }

    /// The user sets its custom status.
    pub async fn choose(&self, user: &str, custom: &str) -> Answer {
        let request = self.user(user, Method::PUT, "/api/user/custom-status");
        send(request.json(&json!({"customStatus": custom}))).await
    }

    /// The same, or none if the daemon could not be asked or did not live to answer.
    pub async fn try_choose(&self, user: &str, custom: &str) -> Option<Answer> {
        let request = self.user(user, Method::PUT, "/api/user/custom-status");
        try_send(request.json(&json!({"customStatus": custom}))).await
    }

    /// An operator sets the custom status of a user.
    pub async fn choose_as_operator(&self, user: &str, custom: &str) -> Answer {
        let request = self
            .internal(Method::PUT, "/api/user/custom-status")
            .header("x-user-id", user.as_bytes());
        send(request.json(&json!({"customStatus": custom, "by": "operator"}))).await
    }

    /// The stored choice.
    pub async fn choice(&self, user: &str) -> String {
        let path = format!("/api/user/custom-status/{}", percent(user));
        let answer: Value = send(self.internal(Method::GET, &path)).await.ok();
        answer["customStatus"].as_str().unwrap().to_owned()
    }

    /// A report of an outside gateway.
    pub async fn report(&self, user: &str, body: Value) -> Answer {
        let request = self
            .internal(Method::PUT, "/api/user/realtime")
            .header("x-user-id", user.as_bytes());
        send(request.json(&body)).await
    }

    /// The record, as internal callers see it.
    pub async fn record(&self, user: &str) -> Record {
        send(self.internal(Method::GET, &format!("/api/presence/{}", percent(user))))
            .await
            .ok()
    }

    /// The records of several users.
    pub async fn query(&self, users: &[String]) -> Answer {
        send(
            self.internal(Method::POST, "/api/presence/query")
                .json(&json!({"userIds": users})),
        )
        .await
    }

    /// A page of who is present.
    pub async fn list(&self, query: &str) -> Page {
        send(self.internal(Method::GET, &format!("/api/presence{query}")))
            .await
            .ok()
    }

    /// Why the user is shown so.
    pub async fn explain(&self, user: &str) -> Explain {
        send(self.internal(Method::GET, &format!("/api/presence/{}/explain", percent(user))))
            .await
            .ok()
    }

    /// Ends the user's sessions; how many there were.
    pub async fn kick(&self, user: &str) -> u64 {
        let path = format!("/api/presence/{}/sessions", percent(user));
        let answer: Value = send(self.internal(Method::DELETE, &path)).await.ok();
        answer["ended"].as_u64().unwrap()
    }

    /// Forgets the user; how many sessions there were.
    pub async fn forget(&self, user: &str) -> u64 {
        let answer: Value = send(self.internal(Method::DELETE, &format!("/api/user/{}", percent(user))))
            .await
            .ok();
        answer["ended"].as_u64().unwrap()
    }

    /// The daemon's figures.
    pub async fn stats(&self) -> Stats {
        send(self.internal(Method::GET, "/api/stats")).await.ok()
    }

    /// A path that needs no credential.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let response = within_deadline("the metrics", self.request(Method::GET, "/metrics").send())
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.text().await.unwrap()
    }
}

/// Sends the request and reads the whole answer.
pub async fn send(request: RequestBuilder) -> Answer {
    try_send(request).await.expect("the daemon answers")
}

/// The same, or none if the daemon could not be asked or did not live to answer.
pub async fn try_send(request: RequestBuilder) -> Option<Answer> {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let what = format!("an answer to {} {}", request.method(), request.url());
    within_deadline(&what, async {
        let response = client.execute(request).await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.ok()?;
        Some(Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    })
    .await
}

/// A path segment: everything but unreserved characters percent-encoded.
pub fn percent(segment: &str) -> String {
    let mut text = String::new();
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}
