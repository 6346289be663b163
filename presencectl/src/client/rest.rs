//! The REST client, one method per call. Error responses become a [`Failure`] with an exit code and a suggestion.
//! Redirects and proxies of the environment are not used, since either would send the secret elsewhere.

use presence::wire::record::Record;
use presence::wire::rest::{
    EndedReports, EndedSessions, Explain, Health, NodesResponse, Page, Query, QueryResponse, ReloadStats, Revoke,
    RevokeResponse, SetCustomStatus, Stats,
};
use presence::{CustomStatus, Source, Status, UserId, Wall};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, RequestBuilder, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;

use super::discover::{Credential, Target};
use super::private_file::{Secret, display_path};
use super::problem::{ProblemDetails, root_cause};
use super::tls::{ClientTls, TlsProblem, Trust};
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::time;

/// The whole response may take this many times as long as the daemon may be silent: one that sends a byte now and then
/// holds up no command for ever.
const WHOLE_RESPONSE: u32 = 6;
/// Sixteen times 1000 records of at most a kilobyte.
const RESPONSE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Carries the internal secret.
pub(crate) const SECRET_HEADER: HeaderName = HeaderName::from_static("x-secret-token");
/// Carries the user of an internal request.
pub(crate) const USER_HEADER: HeaderName = HeaderName::from_static("x-user-id");

/// The parameters of one page of a listing.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageQuery {
    pub(crate) status: Option<Status>,
    pub(crate) prefix: Option<String>,
    pub(crate) limit: usize,
    pub(crate) cursor: Option<String>,
}

/// The REST client of one daemon.
pub(crate) struct Rest {
    http: Client,
    target: Target,
}

impl Rest {
    /// Builds the client; no request is sent yet.
    pub(crate) fn new(target: Target) -> Result<Self, Failure> {
        let tls = match &target.tls {
            Some(tls) => tls.clone(),
            None => ClientTls::new(Trust::Nobody)?,
        };
        let http = Client::builder()
            .user_agent(concat!("presencectl/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .tls_backend_preconfigured((*tls.config()).clone())
            .connect_timeout(target.timeout)
            .read_timeout(target.timeout)
            .timeout(target.timeout.saturating_mul(WHOLE_RESPONSE))
            .build()
            .map_err(|error| Failure::failed(format_args!("can't build the HTTP client: {error}")))?;
        Ok(Self { http, target })
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Sets the custom status: as the operator with the secret, as the user with a token.
    pub(crate) async fn set_custom_status(
        &self,
        user: Option<&UserId>,
        status: CustomStatus,
    ) -> Result<Record, Failure> {
        let by = matches!(self.target.credential, Credential::Secret { .. }).then(|| "operator".to_owned());
        let body = SetCustomStatus {
            custom_status: status.as_str().to_owned(),
            by,
        };
        let mut request = self
            .request(Method::PUT, &["api", "user", "custom-status"])?
            .json(&body);
        if let Some(user) = user {
            let value = HeaderValue::from_bytes(user.as_str().as_bytes()).map_err(|_| {
                Failure::usage(format_args!(
                    "the user id {} can't be sent in an HTTP header",
                    quote(user.as_str())
                ))
            })?;
            request = request.header(USER_HEADER, value);
        }
        self.send(request).await
    }

    /// Records of up to 1000 users, in the order of `ids`.
    pub(crate) async fn query(&self, ids: &[UserId]) -> Result<QueryResponse, Failure> {
        let body = Query {
            user_ids: ids.iter().map(|id| id.as_str().to_owned()).collect(),
        };
        self.send(self.request(Method::POST, &["api", "presence", "query"])?.json(&body))
            .await
    }

    /// One page of the present users.
    pub(crate) async fn page(&self, page: &PageQuery) -> Result<Page, Failure> {
        let limit = page.limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(page.status.map(|status| ("status", status.as_str())));
        query.extend(page.prefix.as_deref().map(|prefix| ("prefix", prefix)));
        query.extend(page.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        self.send(self.request(Method::GET, &["api", "presence"])?.query(&query))
            .await
    }

    pub(crate) async fn explain(&self, user: &UserId) -> Result<Explain, Failure> {
        self.send(self.request(Method::GET, &["api", "presence", user.as_str(), "explain"])?)
            .await
    }

    pub(crate) async fn kick(&self, user: &UserId) -> Result<EndedSessions, Failure> {
        self.send(self.request(Method::DELETE, &["api", "presence", user.as_str(), "sessions"])?)
            .await
    }

    pub(crate) async fn forget(&self, user: &UserId) -> Result<EndedSessions, Failure> {
        self.send(self.request(Method::DELETE, &["api", "user", user.as_str()])?)
            .await
    }

    pub(crate) async fn revoke(&self, user: &UserId, before: Option<Wall>) -> Result<RevokeResponse, Failure> {
        let request = self.request(Method::PUT, &["api", "presence", user.as_str(), "revocation"])?;
        self.send(request.json(&Revoke { before })).await
    }

    /// One page of ending the reports of a source.
    pub(crate) async fn end_reports(&self, source: &Source, cursor: Option<&str>) -> Result<EndedReports, Failure> {
        let request = self.request(Method::DELETE, &["api", "reports", source.as_str()])?;
        let query: Vec<_> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
        self.send(request.query(&query)).await
    }

    pub(crate) async fn stats(&self) -> Result<Stats, Failure> {
        self.send(self.request(Method::GET, &["api", "stats"])?).await
    }

    pub(crate) async fn nodes(&self) -> Result<NodesResponse, Failure> {
        self.send(self.request(Method::GET, &["api", "nodes"])?).await
    }

    /// The nodes, each with whether it answers the one that is asked.
    pub(crate) async fn nodes_that_answer(&self) -> Result<NodesResponse, Failure> {
        self.send(self.request(Method::GET, &["api", "nodes"])?.query(&[("ask", "true")]))
            .await
    }

    /// Has a node move its clients to the others.
    pub(crate) async fn drain(&self, node: &str) -> Result<NodesResponse, Failure> {
        self.send(self.request(Method::PUT, &["api", "nodes", node, "drain"])?)
            .await
    }

    /// Has a node take clients again.
    pub(crate) async fn cancel_drain(&self, node: &str) -> Result<NodesResponse, Failure> {
        self.send(self.request(Method::DELETE, &["api", "nodes", node, "drain"])?)
            .await
    }

    /// Has the daemon read its secrets, keys and settings again.
    pub(crate) async fn reload(&self) -> Result<ReloadStats, Failure> {
        self.send(self.request(Method::POST, &["api", "reload"])?).await
    }

    /// `healthz` or `readyz`, whatever their HTTP status.
    pub(crate) async fn health(&self, path: &str) -> Result<Health, Failure> {
        let request = self.http.get(self.target.server.path(&[path]));
        let failed = |error: &reqwest::Error| self.unreachable(error, &Method::GET);
        let response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let body = self.body(response, &Method::GET).await?;
        serde_json::from_slice(&body).map_err(|_| self.not_presenced(status))
    }

    fn request(&self, method: Method, segments: &[&str]) -> Result<RequestBuilder, Failure> {
        self.target.check_is_daemon()?;
        let request = self.http.request(method, self.target.server.path(segments));
        Ok(match credential_header(&self.target.credential)? {
            Some((name, value)) => request.header(name, value),
            None => request,
        })
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let request = request
            .build()
            .map_err(|error| Failure::failed(format_args!("can't build the request: {error}")))?;
        let method = request.method().clone();
        let response = self.execute(request).await;
        let response = response.map_err(|error| self.unreachable(&error, &method))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = self.body(response, &method).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                Failure::failed(format_args!(
                    "can't parse the response of {}: {error}",
                    self.target.server.display()
                ))
                .next("it may be a presenced of another version; `presencectl doctor` compares the versions")
            });
        }
        match serde_json::from_slice::<ProblemDetails>(&body) {
            Ok(problem) => Err(self.error_response(&method, status, &problem, retry_after.as_deref())),
            Err(_) => Err(self.not_presenced(status)),
        }
    }

    /// Sends a request, and once more with the other secret if the first one is rejected. What is rejected is not done.
    async fn execute(&self, request: Request) -> Result<Response, reqwest::Error> {
        let other = self.target.credential.other();
        let header = other.and_then(|other| credential_header(&other).ok().flatten());
        let again = header.and_then(|(name, value)| {
            let mut again = request.try_clone()?;
            again.headers_mut().insert(name, value);
            Some(again)
        });
        let response = self.http.execute(request).await?;
        match again {
            Some(again) if response.status() == StatusCode::FORBIDDEN => self.http.execute(again).await,
            _ => Ok(response),
        }
    }

    async fn body(&self, mut response: Response, method: &Method) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let failed = |error: reqwest::Error| self.unreachable(&error, method);
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > RESPONSE_MAX_BYTES {
                return Err(Failure::failed(format_args!(
                    "the response of {} exceeds {RESPONSE_MAX_BYTES} bytes",
                    self.target.server.display()
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error, method: &Method) -> Failure {
        let problem = TlsProblem::below(error);
        let failure = match (problem, error.is_timeout(), error.is_connect()) {
            (Some(problem), ..) => problem.failure(&self.target),
            (None, true, false) => no_answer(&self.target),
            (None, true, true) => unreachable(&self.target, "timed out"),
            (None, false, _) => unreachable(&self.target, &root_cause(error)),
        };
        let was_sent = !error.is_connect() && !error.is_builder();
        match *method {
            // Sent, and perhaps carried out: it is not known, so it must not look as if nothing had happened.
            Method::PUT | Method::DELETE if was_sent => failure.but("the change may have been made all the same"),
            _ => failure,
        }
    }

    fn not_presenced(&self, status: StatusCode) -> Failure {
        let message = format!(
            "{} responded with {status}, but not as presenced does",
            self.target.server.display()
        );
        let failure = match status.as_u16() {
            401 | 403 => Failure::not_allowed(message),
            _ => Failure::failed(message),
        };
        failure.next("check the URL: another program or a proxy may have responded")
    }

    fn error_response(
        &self,
        method: &Method,
        status: StatusCode,
        problem: &ProblemDetails,
        retry_after: Option<&str>,
    ) -> Failure {
        let detail = if problem.detail.is_empty() {
            status.canonical_reason().unwrap_or("request rejected")
        } else {
            &problem.detail
        };
        let message = format!("{} {}", escape(detail), escape(&problem.reference()));
        match status.as_u16() {
            401 | 403 => Failure::not_allowed(message).next(self.credential_advice(status.as_u16())),
            _ => match (retry_after, problem.advice(method)) {
                (Some(seconds), _) => Failure::failed(message).next(format_args!("retry in {} s", escape(seconds))),
                (None, Some(advice)) => Failure::failed(message).next(advice),
                (None, None) => Failure::failed(message),
            },
        }
    }

    fn credential_advice(&self, status: u16) -> String {
        credential_advice(&self.target.credential, status)
    }
}

/// The header with the credential, marked as sensitive.
pub(crate) fn credential_header(credential: &Credential) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
    let (name, text) = match credential {
        Credential::Secret { secret, .. } => (SECRET_HEADER, secret.clone()),
        Credential::Token { token, .. } => (AUTHORIZATION, Secret::new(format!("Bearer {}", token.expose()))),
        Credential::None => return Ok(None),
    };
    let mut value = HeaderValue::from_str(text.expose())
        .map_err(|_| Failure::usage("the credential can't be sent in an HTTP header"))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

/// The suggestion for a 401 (a credential is missing) or a 403 (the one that was sent does not do).
pub(crate) fn credential_advice(credential: &Credential, status: u16) -> String {
    match credential {
        Credential::None => {
            "pass the daemon's secret with --secret-file FILE, or a user's token with --token FILE".to_owned()
        }
        Credential::Secret { path, .. } => {
            format!(
                "the secret in {} is not the one that the daemon uses (by default DATA_DIR/secret); after a change of that file \
                 the daemon must reload it: `pkill -HUP -x presenced`",
                display_path(path)
            )
        }
        Credential::Token { .. } if status == 401 => {
            "a token is of one user; this needs the daemon's secret: --secret-file FILE".to_owned()
        }
        Credential::Token { path, .. } => format!(
            "the token in {} must be valid and belong to that user; requests about other users need --secret-file FILE",
            display_path(path)
        ),
    }
}

pub(crate) fn unreachable(target: &Target, why: &str) -> Failure {
    let message = format!(
        "can't reach {} ({}): {}",
        target.server.display(),
        target.found,
        escape(why)
    );
    let failure = Failure::unreachable(message);
    if target.server.is_loopback() {
        failure.next("start the daemon with `presenced`, or name another server with --server URL")
    } else {
        failure.next("check that presenced is running there, its --listen address, and the network")
    }
}

/// The daemon accepted a connection and then said nothing.
pub(crate) fn no_answer(target: &Target) -> Failure {
    Failure::unreachable(format_args!(
        "no answer from {} ({}) within {}",
        target.server.display(),
        target.found,
        time::length(target.timeout)
    ))
    .next(
        "something accepts connections there but doesn't answer: the daemon is stopped, hung or overloaded, or it isn't \
         presenced. Look at its process and its log; to wait longer, use --timeout",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_for_a_rejected_credential_fits_it() {
        let path = std::path::PathBuf::from("alice.token");
        let secret = Credential::Secret {
            path: path.clone(),
            secret: Secret::new("s".to_owned()),
            other: None,
        };
        assert!(credential_advice(&secret, 403).contains("-HUP"));
        let token = Credential::Token {
            path,
            token: Secret::new("t".to_owned()),
        };
        assert!(credential_advice(&token, 403).contains("alice.token"));
        let needs_secret = credential_advice(&token, 401);
        assert!(
            needs_secret.contains("--secret-file") && !needs_secret.contains("valid"),
            "{needs_secret}"
        );
    }
}
