//! Who may come in: rates of client addresses for handshakes and failed logins. Trusted proxies are exempt; behind one
//! its clients' addresses count. Whether a credential is good is decided by `auth`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use parking_lot::Mutex;

use super::Place;
use super::address_limits::AddressLimits;
use super::metrics::ServerMetrics;
use super::problem::ApiError;
use crate::auth::{Auth, AuthError, Identity};
use crate::clock::Clock;
use crate::config::limits::Limits;

/// The door.
pub(crate) struct Door {
    auth: Arc<Auth>,
    clock: Arc<Clock>,
    handshakes: Mutex<AddressLimits>,
    failed_logins: Mutex<AddressLimits>,
    metrics: ServerMetrics,
}

impl Door {
    /// A door that has seen nobody yet.
    pub(crate) fn new(limits: &Limits, auth: Arc<Auth>, clock: Arc<Clock>, metrics: ServerMetrics) -> Self {
        Self {
            auth,
            clock,
            handshakes: Mutex::new(AddressLimits::new(limits.handshakes)),
            failed_logins: Mutex::new(AddressLimits::new(limits.failed_logins)),
            metrics,
        }
    }

    /// Counts a TCP connection that arrived.
    pub(super) fn admit_connection(&self, peer: IpAddr) -> Result<(), ApiError> {
        self.admit_handshake(peer)
    }

    /// Counts a WebSocket handshake. A connection without a proxy was counted when it was accepted, once.
    pub(crate) fn admit_upgrade(&self, peer: IpAddr, headers: &HeaderMap, place: Place) -> Result<(), ApiError> {
        if place == Place::First && !self.auth.is_trusted_proxy(peer) {
            return Ok(());
        }
        self.admit_handshake(self.auth.client_address(peer, headers))
    }

    /// Who is calling. An address that failed too often is refused before its credentials are looked at.
    pub(crate) fn authenticate(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        bearer_subprotocol: Option<&str>,
    ) -> Result<Identity, ApiError> {
        let address = self.auth.client_address(peer, headers);
        let limited = !self.auth.is_trusted_proxy(address);
        let now = self.clock.now();
        if limited {
            let allowed = self.failed_logins.lock().check(address, now.mono);
            allowed
                .map_err(|wait| self.too_often("failed_logins", wait, "too many failed logins from this address"))?;
        }
        let identity = self.auth.authenticate(peer, headers, bearer_subprotocol, now.wall);
        if limited && matches!(identity, Err(AuthError::Forbidden { .. })) {
            // Another login of this address may have failed meanwhile; this one is answered as what it is.
            let _ = self.failed_logins.lock().take(address, now.mono);
        }
        Ok(identity?)
    }

    fn admit_handshake(&self, address: IpAddr) -> Result<(), ApiError> {
        if self.auth.is_trusted_proxy(address) {
            return Ok(());
        }
        let taken = self.handshakes.lock().take(address, self.clock.mono());
        taken.map_err(|wait| self.too_often("handshakes", wait, "too many connections from this address"))
    }

    fn too_often(&self, limit: &'static str, wait: Duration, detail: &'static str) -> ApiError {
        self.metrics.count_limit(limit);
        ApiError::rate_limited(wait, detail)
    }
}
