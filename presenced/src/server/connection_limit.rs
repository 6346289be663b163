//! The limits on open connections: of all, of one client address, and of those that nobody authenticated on. A permit is
//! acquired before a connection's first byte is read and released when its last holder drops it: the HTTP task, or the
//! WebSocket it was upgraded to.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use presence::Mono;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::ConnectionBounds;
use super::address_key::AddressKey;
use crate::exceeded_limit::Limit;

/// Counts open connections up to their bounds.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    places: Mutex<Places>,
    shown: Gauge,
}

#[derive(Debug)]
struct Places {
    bounds: ConnectionBounds,
    open: usize,
    /// Those that are no WebSockets.
    http: usize,
    by_address: HashMap<AddressKey, usize>,
    /// Those on which nobody authenticated, oldest first.
    strangers: BTreeMap<u64, Stranger>,
    next_number: u64,
}

#[derive(Debug)]
struct Stranger {
    since: Mono,
    evicted: Arc<Notify>,
}

/// What a permit counts as.
#[derive(Debug)]
struct HeldPlaces {
    is_http: bool,
    address: Option<AddressKey>,
    /// Tells that the place is given to another; none once it can't be, as that of a WebSocket.
    evicted: Option<Arc<Notify>>,
}

/// One connection's permit. Shared as `Arc<ConnectionPermit>` in every request's extensions; released when the last is
/// dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connection_limit: Arc<ConnectionLimit>,
    number: u64,
    held: Mutex<HeldPlaces>,
    is_authenticated: AtomicBool,
}

impl ConnectionLimit {
    /// Nothing is open; the gauge `shown` follows how many connections are.
    pub(crate) fn new(bounds: ConnectionBounds, shown: Gauge) -> Arc<Self> {
        Arc::new(Self {
            places: Mutex::new(Places {
                bounds,
                open: 0,
                http: 0,
                by_address: HashMap::new(),
                strangers: BTreeMap::new(),
                next_number: 0,
            }),
            shown,
        })
    }

    /// A permit, unless a limit is reached. `address` is that of the client; none if it is not limited.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        now: Mono,
    ) -> Result<Arc<ConnectionPermit>, Limit> {
        let mut places = self.places.lock();
        let bounds = places.bounds;
        let address = address.map(AddressKey::of);
        if !places.has_room_for(address) {
            return Err(Limit::ConnectionsPerAddress);
        }
        let is_full = places.open >= bounds.max || places.http >= bounds.max - bounds.kept_for_websockets;
        let is_evicted = (is_full || places.strangers.len() >= bounds.unauthenticated) && places.evict(now);
        if is_full && !is_evicted {
            return Err(Limit::Connections);
        }
        // An evicted connection is about to be dropped: its files are of those that the limit leaves to the daemon.
        places.open += 1;
        places.http += 1;
        places.take_address(address);
        let number = places.next_number;
        places.next_number += 1;
        let evicted = Arc::new(Notify::new());
        let stranger = Stranger {
            since: now,
            evicted: Arc::clone(&evicted),
        };
        places.strangers.insert(number, stranger);
        drop(places);
        self.shown.inc();
        Ok(Arc::new(ConnectionPermit {
            connection_limit: Arc::clone(self),
            number,
            held: Mutex::new(HeldPlaces {
                is_http: true,
                address,
                evicted: Some(evicted),
            }),
            is_authenticated: AtomicBool::new(false),
        }))
    }

    /// Has these bounds take effect. What is open stays, also if it is more than they allow.
    pub(crate) fn set_bounds(&self, bounds: ConnectionBounds) {
        self.places.lock().bounds = bounds;
    }

    pub(crate) fn bounds(&self) -> ConnectionBounds {
        self.places.lock().bounds
    }

    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.places.lock().open
    }

    /// How many are no WebSockets, and on how many nobody authenticated.
    #[cfg(test)]
    pub(crate) fn http_and_strangers(&self) -> (usize, usize) {
        let places = self.places.lock();
        (places.http, places.strangers.len())
    }
}

impl Places {
    fn has_room_for(&self, address: Option<AddressKey>) -> bool {
        let held = address.and_then(|address| self.by_address.get(&address));
        held.is_none_or(|held| *held < self.bounds.per_address)
    }

    fn take_address(&mut self, address: Option<AddressKey>) {
        if let Some(address) = address {
            *self.by_address.entry(address).or_default() += 1;
        }
    }

    fn release_address(&mut self, address: Option<AddressKey>) {
        let Some(address) = address else { return };
        if let Some(held) = self.by_address.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// Ends the oldest connection on which nobody authenticated, if it is old enough. Whether there was one.
    fn evict(&mut self, now: Mono) -> bool {
        let age = self.bounds.unauthenticated_age;
        let is_old = |stranger: &Stranger| now.since(stranger.since) >= age;
        if !self
            .strangers
            .first_key_value()
            .is_some_and(|(_, oldest)| is_old(oldest))
        {
            return false;
        }
        if let Some((_, stranger)) = self.strangers.pop_first() {
            stranger.evicted.notify_one();
        }
        true
    }
}

impl ConnectionPermit {
    /// Somebody authenticated on the connection: its place is not given to another.
    pub(crate) fn note_authenticated(&self) {
        if !self.is_authenticated.swap(true, Ordering::Relaxed) {
            self.connection_limit.places.lock().strangers.remove(&self.number);
        }
    }

    /// The connection becomes a WebSocket. `address` is that of the client behind a proxy, unless it was counted before or is
    /// not limited.
    pub(crate) fn become_websocket(&self, address: Option<IpAddr>) -> Result<(), Limit> {
        let mut held = self.held.lock();
        let mut places = self.connection_limit.places.lock();
        if held.address.is_none() {
            let address = address.map(AddressKey::of);
            if !places.has_room_for(address) {
                return Err(Limit::ConnectionsPerAddress);
            }
            places.take_address(address);
            held.address = address;
        }
        if std::mem::replace(&mut held.is_http, false) {
            places.http -= 1;
        }
        held.evicted = None;
        Ok(())
    }

    /// Waits until the connection's place is given to another.
    pub(super) async fn evicted(&self) {
        let evicted = self.held.lock().evicted.clone();
        match evicted {
            Some(evicted) => evicted.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let held = self.held.get_mut();
        let mut places = self.connection_limit.places.lock();
        places.strangers.remove(&self.number);
        places.open -= 1;
        places.http -= usize::from(held.is_http);
        places.release_address(held.address);
        drop(places);
        self.connection_limit.shown.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: ConnectionBounds = ConnectionBounds {
        max: 8,
        kept_for_websockets: 2,
        per_address: 3,
        unauthenticated: 4,
        unauthenticated_age: Duration::from_secs(5),
    };

    fn limit(bounds: ConnectionBounds) -> Arc<ConnectionLimit> {
        ConnectionLimit::new(bounds, Gauge::default())
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn is_evicted(permit: &ConnectionPermit) -> bool {
        let mut waiting = std::pin::pin!(permit.evicted());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        waiting.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn a_permit_is_free_again_once_its_last_holder_drops_it() {
        let connection_limit = limit(ConnectionBounds::only(2));
        let acquire = || connection_limit.acquire(address(1), at(0));
        let (first, second) = (acquire().unwrap(), acquire().unwrap());
        assert!(acquire().is_err());
        let travelling = Arc::clone(&second);
        drop(second);
        assert!(acquire().is_err(), "an upgraded connection still holds it");
        drop(travelling);
        assert!(acquire().is_ok());
        drop(first);
        assert_eq!(connection_limit.open(), 0);
        assert!(connection_limit.places.lock().by_address.is_empty());
        assert!(connection_limit.places.lock().strangers.is_empty());
    }

    #[test]
    fn lower_bounds_end_nothing_and_refuse_what_comes() {
        let connection_limit = limit(ConnectionBounds::only(4));
        let acquire = |address| connection_limit.acquire(address, at(0));
        let open: Vec<_> = (0..3).map(|_| acquire(address(1)).unwrap()).collect();
        connection_limit.set_bounds(ConnectionBounds {
            per_address: 2,
            ..ConnectionBounds::only(4)
        });
        assert_eq!(acquire(address(1)).unwrap_err(), Limit::ConnectionsPerAddress);
        connection_limit.set_bounds(ConnectionBounds::only(2));
        assert_eq!(acquire(address(2)).unwrap_err(), Limit::Connections);
        assert!(!open.iter().any(|one| is_evicted(one)));
        connection_limit.set_bounds(ConnectionBounds::only(5));
        assert!(acquire(address(2)).is_ok());
    }

    #[test]
    fn strangers_that_hold_every_place_give_way_to_others() {
        let connection_limit = limit(ConnectionBounds {
            unauthenticated: 100,
            ..BOUNDS
        });
        let strangers: Vec<_> = (0..6)
            .map(|index| connection_limit.acquire(address(index), at(0)).unwrap())
            .collect();
        assert_eq!(
            connection_limit.acquire(None, at(4)).unwrap_err(),
            Limit::Connections,
            "any may still be a handshake"
        );
        let user = connection_limit.acquire(None, at(5)).unwrap();
        assert!(is_evicted(&strangers[0]) && !strangers[1..].iter().any(|one| is_evicted(one)));
        user.note_authenticated();
        let another = connection_limit.acquire(None, at(6)).unwrap();
        assert!(is_evicted(&strangers[1]) && !is_evicted(&user));
        drop((user, another, strangers));
        assert_eq!(connection_limit.open(), 0);
    }

    #[test]
    fn beyond_their_bound_each_stranger_replaces_the_oldest() {
        let connection_limit = limit(BOUNDS);
        let mut strangers = Vec::new();
        for index in 0..4 {
            strangers.push(connection_limit.acquire(address(index), at(0)).unwrap());
        }
        strangers[0].note_authenticated();
        strangers.push(connection_limit.acquire(address(5), at(10)).unwrap());
        assert!(
            !strangers.iter().any(|one| is_evicted(one)),
            "one of four is none any more"
        );
        strangers.push(connection_limit.acquire(address(6), at(11)).unwrap());
        let evicted: Vec<_> = strangers.iter().map(|one| is_evicted(one)).collect();
        assert_eq!(evicted, [false, true, false, false, false, false]);
    }

    #[test]
    fn places_kept_for_websockets_are_not_taken_by_http() {
        let connection_limit = limit(BOUNDS);
        let acquire = || connection_limit.acquire(None, at(0));
        let http: Vec<_> = (0..6).map(|_| acquire().unwrap()).collect();
        http.iter().for_each(|one| one.note_authenticated());
        assert_eq!(acquire().unwrap_err(), Limit::Connections);
        http[0].become_websocket(None).unwrap();
        http[0].become_websocket(None).unwrap();
        let next = acquire().unwrap();
        assert!(acquire().is_err());
        next.become_websocket(None).unwrap();
        let last = acquire().unwrap();
        last.become_websocket(None).unwrap();
        assert_eq!(acquire().unwrap_err(), Limit::Connections, "all places are taken");
        drop((http, next, last));
        assert_eq!((connection_limit.open(), connection_limit.places.lock().http), (0, 0));
    }

    #[test]
    fn one_address_has_a_bound_and_others_have_room() {
        let connection_limit = limit(BOUNDS);
        let acquire = |address| connection_limit.acquire(address, at(0));
        let held: Vec<_> = (0..3).map(|_| acquire(address(1)).unwrap()).collect();
        assert_eq!(acquire(address(1)).unwrap_err(), Limit::ConnectionsPerAddress);
        assert!(acquire(address(2)).is_ok());
        drop(held);
        assert!(acquire(address(1)).is_ok());
    }

    #[test]
    fn a_client_behind_a_proxy_is_bounded_once_it_is_a_websocket() {
        let connection_limit = limit(BOUNDS);
        let acquire = || connection_limit.acquire(None, at(0)).unwrap();
        let (mut held, refused) = (Vec::new(), acquire());
        for _ in 0..3 {
            held.push(acquire());
            held.last().unwrap().become_websocket(address(1)).unwrap();
        }
        assert_eq!(refused.become_websocket(address(1)), Err(Limit::ConnectionsPerAddress));
        held.pop();
        assert_eq!(refused.become_websocket(address(1)), Ok(()));
        assert_eq!(refused.become_websocket(address(1)), Ok(()), "counted once");
        held.push(acquire());
        assert_eq!(held[2].become_websocket(address(1)), Err(Limit::ConnectionsPerAddress));
    }
}
