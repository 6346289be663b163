//! The part of the model that is about what other services read.

use std::collections::BTreeMap;

use presence::replication::{Answer, Content, Incarnation, ListOutcome, ListedCustom, Listing, State};
use presence::{CustomStatus, Revision, UserId};

use crate::model::{Partition, ScriptRule, Server};

impl Partition {
    /// Whether other services read as many users as there should be.
    pub(crate) fn is_counted(&self) -> bool {
        let is_present = |bytes: &[u8]| State::decode(bytes).is_ok_and(|state| state.is_present());
        let present = self.state.values().filter(|(_, bytes)| is_present(bytes)).count();
        present == self.online.len() && self.custom_count == Some(self.custom.len())
    }

    pub(crate) fn set_custom(&mut self, user: &UserId, custom: Option<CustomStatus>) {
        let before = self.custom.len();
        let new = self.new_custom.as_mut().map(|(_, list)| list);
        for list in [Some(&mut self.custom), new].into_iter().flatten() {
            match custom {
                Some(custom) => list.insert(user.clone(), custom),
                None => list.remove(user),
            };
        }
        let after = self.custom.len();
        self.custom_count = self.custom_count.map(|count| (count + after).saturating_sub(before));
    }

    pub(crate) fn tick(&mut self, server: Server, content: Content) -> Answer {
        let id = self.next(server, Revision::NEVER);
        self.append(id, content);
        let lister = self.new_custom.as_ref().map(|(by, _)| *by);
        Answer::Ticked {
            time: server.time(),
            revision: id,
            listed_present: self.online.len() as u64,
            listed_custom: match lister.filter(|by| self.registrations.contains_key(by)) {
                Some(by) => ListedCustom::UnderWay(by),
                None if self.custom_count == Some(self.custom.len()) => ListedCustom::Complete,
                None => ListedCustom::Incomplete,
            },
        }
    }

    pub(crate) fn list(&mut self, server: Server, by: Incarnation, listing: &Listing) -> ListOutcome {
        let lister = self.new_custom.as_ref().map(|(by, _)| *by);
        match listing {
            Listing::Present(users) => {
                for (user, revision, is_present) in users {
                    match self.state.get(user).is_some_and(|(stored, _)| stored == revision) {
                        true if *is_present && server.is_full => {}
                        true if *is_present => drop(self.online.insert(user.clone())),
                        true => drop(self.online.remove(user)),
                        false => {}
                    }
                }
                ListOutcome::Done
            }
            Listing::Strangers { place } => self.remove_strangers(*place),
            Listing::Begin => {
                let is_others = lister.is_some_and(|other| other != by && self.registrations.contains_key(&other));
                if is_others {
                    return ListOutcome::Refused;
                }
                if server.is_full {
                    return ListOutcome::Full;
                }
                self.new_custom = Some((by, BTreeMap::new()));
                ListOutcome::Begun(self.head)
            }
            _ if lister != Some(by) => ListOutcome::Refused,
            Listing::Custom { read_to, .. } if *read_to < self.dropped && self.without != Some(ScriptRule::ReadTo) => {
                ListOutcome::Behind
            }
            Listing::Custom { .. } if server.is_full => {
                self.new_custom = None;
                ListOutcome::Full
            }
            Listing::Custom { users, .. } => {
                for (user, base, custom) in users {
                    let stored = self.state.get(user).map(|(stored, _)| *stored);
                    if let (true, Some((_, list))) = (stored == *base, &mut self.new_custom) {
                        list.insert(user.clone(), *custom);
                    }
                }
                ListOutcome::Done
            }
            Listing::Complete => {
                self.custom = self.new_custom.take().map(|(_, list)| list).unwrap_or_default();
                self.custom_count = Some(self.custom.len());
                ListOutcome::Done
            }
        }
    }

    /// Three members at a time, as `SSCAN` goes through a set.
    fn remove_strangers(&mut self, place: u64) -> ListOutcome {
        let from = usize::try_from(place).unwrap();
        let some: Vec<UserId> = self.online.iter().skip(from).take(3).cloned().collect();
        let count = some.len();
        let strangers = some.into_iter().filter(|user| !self.state.contains_key(user));
        let strangers: Vec<UserId> = strangers.collect();
        for user in &strangers {
            self.online.remove(user);
        }
        match count < 3 {
            true => ListOutcome::Done,
            false => ListOutcome::GoesOn(place + (3 - strangers.len()) as u64),
        }
    }
}
