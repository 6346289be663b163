//! A client of the REST API.

use std::net::SocketAddr;
use std::sync::Arc;

use presence::Wall;
use presence::wire::record::Record;
use presence::wire::rest::{Explain, NodesResponse, Page, RevocationResponse, Revoke, RevokeResponse, Stats};
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::catch_up::{catch_up, note_answer};
use crate::wait::within_deadline;

/// A client without a proxy, and without TLS: what is encrypted goes through [`crate::tls_tunnel::TlsTunnel`].
pub(crate) fn client() -> Client {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let nobody = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let builder = Client::builder().no_proxy().tls_backend_preconfigured(nobody);
    builder.build().unwrap()
}

/// A client of one daemon, with its internal secret.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
    secret: String,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl Answer {
    /// The error code of a problem document; empty if it is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Parses the body of a 200. Fails the test for another status.
    pub fn ok<T: DeserializeOwned>(self) -> T {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_value(self.body).unwrap()
    }

    /// Fails the test unless the response is a problem document with this status and code.
    pub fn rejected(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{kind}");
        assert_eq!(self.body["status"], status, "{}", self.body);
    }
}

impl Rest {
    /// Makes a client of the daemon at this address.
    pub fn new(address: SocketAddr, secret: String) -> Self {
        Self {
            client: client(),
            base: format!("http://{address}"),
            secret,
        }
    }

    /// Makes a request without credentials. `path` is sent as it is.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Makes a request with the internal secret.
    pub fn internal(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-secret-token", &self.secret)
    }

    /// Makes a request with `x-user-id` alone, which loopback is trusted with.
    pub fn user(&self, user: &str, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-user-id", user.as_bytes())
    }

    /// Sets the custom status as the user.
    pub async fn set_custom_status(&self, user: &str, custom: &str) -> Answer {
        let request = self.user(user, Method::PUT, "/api/user/custom-status");
        send(request.json(&json!({"customStatus": custom}))).await
    }

    /// Sets the custom status as the user; none if the daemon is gone before it answers.
    pub async fn try_set_custom_status(&self, user: &str, custom: &str) -> Option<Answer> {
        let request = self.user(user, Method::PUT, "/api/user/custom-status");
        try_send(request.json(&json!({"customStatus": custom}))).await
    }

    /// Sets the custom status of a user as an operator.
    pub async fn set_custom_status_as_operator(&self, user: &str, custom: &str) -> Answer {
        let request = self
            .internal(Method::PUT, "/api/user/custom-status")
            .header("x-user-id", user.as_bytes());
        send(request.json(&json!({"customStatus": custom, "by": "operator"}))).await
    }

    /// Reads the stored custom status.
    pub async fn custom_status(&self, user: &str) -> String {
        let path = format!("/api/user/custom-status/{}", percent(user));
        let answer: Value = send(self.internal(Method::GET, &path)).await.ok();
        answer["customStatus"].as_str().unwrap().to_owned()
    }

    /// Sends a report of an outside gateway.
    pub async fn report(&self, user: &str, body: Value) -> Answer {
        let request = self
            .internal(Method::PUT, "/api/user/realtime")
            .header("x-user-id", user.as_bytes());
        send(request.json(&body)).await
    }

    /// Reads a record as an internal caller.
    pub async fn record(&self, user: &str) -> Record {
        send(self.internal(Method::GET, &format!("/api/presence/{}", percent(user))))
            .await
            .ok()
    }

    /// Queries the records of several users.
    pub async fn query(&self, users: &[String]) -> Answer {
        send(
            self.internal(Method::POST, "/api/presence/query")
                .json(&json!({"userIds": users})),
        )
        .await
    }

    /// Lists a page of present users.
    pub async fn list(&self, query: &str) -> Page {
        send(self.internal(Method::GET, &format!("/api/presence{query}")))
            .await
            .ok()
    }

    /// Explains the status of a user.
    pub async fn explain(&self, user: &str) -> Explain {
        send(self.internal(Method::GET, &format!("/api/presence/{}/explain", percent(user))))
            .await
            .ok()
    }

    /// Explains the status of a user by what this node knows alone.
    pub async fn explain_alone(&self, user: &str) -> Explain {
        let path = format!("/api/presence/{}/explain?scope=node", percent(user));
        send(self.internal(Method::GET, &path)).await.ok()
    }

    /// Kicks a user and returns the number of sessions ended.
    pub async fn kick(&self, user: &str) -> u64 {
        let answer: Value = self.try_kick(user).await.ok();
        answer["ended"].as_u64().unwrap()
    }

    /// Kicks a user, or is refused.
    pub async fn try_kick(&self, user: &str) -> Answer {
        let path = format!("/api/presence/{}/sessions", percent(user));
        send(self.internal(Method::DELETE, &path)).await
    }

    /// Revokes the tokens of a user that were issued until now.
    pub async fn revoke(&self, user: &str) -> RevokeResponse {
        self.try_revoke(user, &Revoke::default()).await.ok()
    }

    /// Revokes tokens of a user, or is refused.
    pub async fn try_revoke(&self, user: &str, revoke: &Revoke) -> Answer {
        let path = format!("/api/presence/{}/revocation", percent(user));
        send(self.internal(Method::PUT, &path).json(revoke)).await
    }

    /// Before which time tokens of a user were issued that the node refuses.
    pub async fn revoked_before(&self, user: &str) -> Option<Wall> {
        let path = format!("/api/presence/{}/revocation", percent(user));
        let answer: RevocationResponse = send(self.internal(Method::GET, &path)).await.ok();
        answer.before
    }

    /// Forgets a user and returns the number of sessions ended.
    pub async fn forget(&self, user: &str) -> u64 {
        let answer: Value = send(self.internal(Method::DELETE, &format!("/api/user/{}", percent(user))))
            .await
            .ok();
        answer["ended"].as_u64().unwrap()
    }

    pub async fn stats(&self) -> Stats {
        send(self.internal(Method::GET, "/api/stats")).await.ok()
    }

    /// Lists the nodes of the cluster.
    pub async fn nodes(&self) -> NodesResponse {
        send(self.internal(Method::GET, "/api/nodes")).await.ok()
    }

    /// Reads the statistics; none if the secret is rejected.
    pub async fn try_stats(&self) -> Option<Stats> {
        let answer = send(self.internal(Method::GET, "/api/stats")).await;
        (answer.status == 200).then(|| answer.ok())
    }

    /// Gets a path without credentials.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn metrics(&self) -> String {
        let response = within_deadline("the metrics", self.request(Method::GET, "/metrics").send())
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.text().await.unwrap()
    }
}

/// Sends the request and reads the response.
pub async fn send(request: RequestBuilder) -> Answer {
    try_send(request).await.expect("the daemon answers")
}

/// Sends the request; none if the daemon is gone before it answers.
pub async fn try_send(request: RequestBuilder) -> Option<Answer> {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let what = format!("an answer to {} {}", request.method(), request.url());
    let addresses = request.url().socket_addrs(|| None).unwrap_or_default();
    for address in &addresses {
        catch_up(*address).await;
    }
    let request = RequestBuilder::from_parts(client, request);
    let answer = within_deadline(&what, send_without_deadline(request)).await.ok()?;
    if let Ok(record) = Record::deserialize(&answer.body) {
        addresses.iter().for_each(|address| note_answer(*address, &record));
    }
    Some(answer)
}

/// Sends the request and reads the response, however long that takes.
///
/// # Errors
/// There was none.
pub async fn send_without_deadline(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?;
    Ok(Answer {
        status,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

/// Percent-encodes a path segment: everything but unreserved characters (RFC 3986, section 2.3).
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
