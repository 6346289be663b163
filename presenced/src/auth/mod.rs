//! STUB, to be replaced by the real module at the merge: just enough for the REST tests to run.
#![expect(missing_docs, reason = "stub")]

use std::net::IpAddr;

use axum::http::HeaderMap;
use presence::wire::code::Code;
use presence::{UserId, Wall};

pub(crate) struct Identity {
    pub(crate) internal: bool,
    pub(crate) user: Option<UserId>,
    #[expect(dead_code, reason = "stub")]
    pub(crate) expires: Option<Wall>,
}

#[derive(Debug, thiserror::Error)]
#[expect(dead_code, reason = "stub")]
pub(crate) enum AuthError {
    #[error("no credential")]
    Unauthenticated,
    #[error("{detail}")]
    Forbidden { detail: String },
    #[error("{detail}")]
    InvalidHeader { detail: String },
    #[error("x-user-id is no user id")]
    InvalidUserId,
    #[error("no user")]
    MissingUser,
    #[error("not a host of this daemon")]
    Misdirected,
}

impl AuthError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden { .. } => Code::Forbidden,
            Self::InvalidHeader { .. } => Code::InvalidHeader,
            Self::InvalidUserId => Code::InvalidUserId,
            Self::MissingUser => Code::MissingUser,
            Self::Misdirected => Code::MisdirectedRequest,
        }
    }
}

pub(crate) struct Origin;

pub(crate) struct Auth {
    pub(crate) trusted: Vec<IpAddr>,
}

impl Auth {
    pub(crate) fn authenticate(
        &self,
        _peer: IpAddr,
        headers: &HeaderMap,
        _bearer_subprotocol: Option<&str>,
        _now: Wall,
    ) -> Result<Identity, AuthError> {
        let forbidden = || AuthError::Forbidden {
            detail: "a bad credential".into(),
        };
        let internal = match headers.get("x-secret-token") {
            None => false,
            Some(value) if value == "test-secret" => true,
            Some(_) => return Err(forbidden()),
        };
        let mut user = None;
        if let Some(value) = headers.get("x-user-id").filter(|_| internal) {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| AuthError::InvalidUserId)?;
            user = Some(UserId::new(text).map_err(|_| AuthError::InvalidUserId)?);
        }
        if let Some(value) = headers.get("authorization") {
            let name = value
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix("Bearer token-of-"));
            user = Some(UserId::new(name.ok_or_else(forbidden)?).map_err(|_| forbidden())?);
        }
        if !internal && user.is_none() {
            return Err(AuthError::Unauthenticated);
        }
        Ok(Identity {
            internal,
            user,
            expires: None,
        })
    }

    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded = headers
            .get("x-forwarded-for")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        match forwarded {
            Some(address) if self.is_trusted_proxy(peer) => address,
            _ => peer,
        }
    }

    pub(crate) fn is_trusted_proxy(&self, addr: IpAddr) -> bool {
        self.trusted.contains(&addr)
    }

    pub(crate) fn check_host(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let host = headers.get("host").and_then(|value| value.to_str().ok()).unwrap_or("");
        match host.starts_with("127.0.0.1") || host.starts_with("localhost") {
            true => Ok(()),
            false => Err(AuthError::Misdirected),
        }
    }

    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<Origin>, AuthError> {
        match headers.get("origin") {
            None => Ok(None),
            Some(origin) if origin == "https://app.example" => Ok(Some(Origin)),
            Some(_) => Err(AuthError::Forbidden {
                detail: "this origin is not allowed".into(),
            }),
        }
    }
}
