//! Admission control: rate limits per client address for handshakes and failed logins. Trusted proxies are exempt; behind
//! one, its clients' addresses count. Whether a credential is valid is decided by `auth`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use parking_lot::Mutex;
use presence::wire::error_code::Code;
use presence::{SlidingWindow, SystemWall, TokenBucket};

use super::address_limits::AddressLimits;
use super::metrics::ServerMetrics;
use super::problem::ApiError;
use super::{ConnectionPermit, RequestOrder};
use crate::auth::{Auth, AuthError, CallerIdentity, LimitedClient, NodeRequest};
use crate::clock::Clock;
use crate::exceeded_limit::Limit;
use crate::limits::CurrentLimits;

/// Admission control of all listeners.
pub(crate) struct Admission {
    limits: Arc<CurrentLimits>,
    auth: Arc<Auth>,
    clock: Arc<Clock>,
    handshakes: Mutex<AddressLimits<TokenBucket>>,
    failed_logins: Mutex<AddressLimits<SlidingWindow>>,
    metrics: ServerMetrics,
}

impl Admission {
    /// No address has used anything of its limits.
    pub(crate) fn new(limits: Arc<CurrentLimits>, auth: Arc<Auth>, clock: Arc<Clock>, metrics: ServerMetrics) -> Self {
        Self {
            limits,
            auth,
            clock,
            handshakes: Mutex::new(AddressLimits::new()),
            failed_logins: Mutex::new(AddressLimits::new()),
            metrics,
        }
    }

    /// Counts an accepted TCP connection as a handshake of its peer.
    pub(super) fn admit_connection(&self, peer: IpAddr) -> Result<(), ApiError> {
        match self.auth.is_trusted_proxy(peer) {
            true => Ok(()),
            false => self.admit_handshake(peer),
        }
    }

    /// The address under which a connection of this peer is counted; none for a trusted proxy, whose clients are counted.
    pub(super) fn limited_address(&self, peer: IpAddr) -> Option<IpAddr> {
        (!self.auth.is_trusted_proxy(peer)).then_some(peer)
    }

    /// The connection becomes a WebSocket of the client, if the client's address may have another one.
    pub(crate) fn admit_websocket(
        &self,
        permit: &ConnectionPermit,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let client = self.auth.client(peer, headers);
        let address = (!client.is_exempt).then_some(client.address);
        permit
            .become_websocket(address)
            .map_err(|limit| self.at_capacity(limit))
    }

    /// A limit on open connections is reached.
    pub(super) fn at_capacity(&self, limit: Limit) -> ApiError {
        self.metrics.count_limit(limit);
        ApiError::new(Code::AtCapacity, limit.text())
    }

    /// Counts a WebSocket handshake. The first request of a connection without a proxy was counted when it was accepted.
    pub(crate) fn admit_upgrade(&self, peer: IpAddr, headers: &HeaderMap, order: RequestOrder) -> Result<(), ApiError> {
        if order == RequestOrder::First && !self.auth.is_trusted_proxy(peer) {
            return Ok(());
        }
        let client = self.auth.client(peer, headers);
        match client.is_exempt {
            true => Ok(()),
            false => self.admit_handshake(client.address),
        }
    }

    /// Authenticates a request. An address with too many failed logins is rejected before its credentials are checked.
    pub(crate) fn authenticate(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        bearer_subprotocol: Option<&str>,
    ) -> Result<CallerIdentity, ApiError> {
        self.limit_failures(peer, headers, |now| {
            self.auth.authenticate(peer, headers, bearer_subprotocol, now)
        })
    }

    /// Authenticates another node of the cluster, with the same limit.
    pub(crate) fn authenticate_node(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        request: NodeRequest<'_>,
    ) -> Result<(), ApiError> {
        self.limit_failures(peer, headers, |_| self.auth.authenticate_node(headers, request))
    }

    fn limit_failures<T>(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        authenticate: impl FnOnce(SystemWall) -> Result<T, AuthError>,
    ) -> Result<T, ApiError> {
        let LimitedClient { address, is_exempt } = self.auth.client(peer, headers);
        let limited = !is_exempt;
        let now = self.clock.read();
        if limited {
            let rate = self.limits.load().failed_logins;
            let allowed = self.failed_logins.lock().check(rate, address, now.mono);
            allowed.map_err(|wait| self.rate_limited(Limit::FailedLogins, wait))?;
        }
        let identity = authenticate(now.system);
        if limited && matches!(identity, Err(AuthError::Forbidden { .. })) {
            // The limit may be exceeded by now, through another login; this one still gets its own error.
            let rate = self.limits.load().failed_logins;
            let _ = self.failed_logins.lock().take(rate, address, now.mono);
        }
        Ok(identity?)
    }

    fn admit_handshake(&self, address: IpAddr) -> Result<(), ApiError> {
        let rate = self.limits.load().handshakes;
        let taken = self.handshakes.lock().take(rate, address, self.clock.mono());
        taken.map_err(|wait| self.rate_limited(Limit::Handshakes, wait))
    }

    fn rate_limited(&self, limit: Limit, wait: Duration) -> ApiError {
        self.metrics.count_limit(limit);
        ApiError::rate_limited(wait, limit).counted()
    }
}
