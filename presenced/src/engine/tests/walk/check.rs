//! Where the daemon and the model are compared.

use presence::Status;
use presence::wire::record::{Record, Viewer};

use super::world::{Faults, USERS, WallClock, World};
use crate::engine::ListRequest;
use crate::engine::tests::fixture::user;

impl World {
    /// Every user in memory is as the model has it, and whoever is present is in memory.
    pub(super) fn check_users(&mut self) {
        for name in USERS {
            let engine = &self.daemon().engine;
            let found = engine
                .users
                .find(&user(name))
                .map(|entry| (engine.record_of(&entry, Viewer::Internal), entry.changed_at()));
            match found {
                Some((record, changed_at)) => {
                    self.check_record(&record);
                    let model = self.model(name);
                    model.changed_at = model.changed_at.max(changed_at);
                }
                None => assert!(
                    !self.models[name].is_present(self.mono()),
                    "{name} is present, and not in memory"
                ),
            }
        }
    }

    fn check_record(&mut self, record: &Record) {
        let mono = self.mono();
        let is_right = self.wall_clock == WallClock::Right;
        let name = record.user_id.as_str();
        let model = self.models.get_mut(name).expect("a user");
        let view = model.view(mono);
        let sessions = u32::try_from(view.sessions).expect("a few");
        assert_eq!(
            (
                record.status,
                record.reason,
                record.custom_status,
                record.sessions,
                record.degraded
            ),
            (
                view.status,
                Some(view.reason),
                Some(view.custom),
                Some(sessions),
                model.is_degraded
            ),
            "{name}"
        );
        let times = (record.last_seen, record.last_active);
        assert!(record.last_active <= record.last_seen, "{name}: {times:?}");
        if !model.is_degraded {
            assert!(
                !is_right || times == (view.last_seen, view.last_active),
                "{name}: {times:?}, not {view:?}"
            );
            assert!(
                times.0 >= model.times.0 && times.1 >= model.times.1,
                "{name}: times went back from {:?} to {times:?}",
                model.times
            );
            model.times = times;
        }
        assert!(
            record.revision >= model.told,
            "{name}: told {:?} after {:?}",
            record.revision,
            model.told
        );
        model.told = model.told.max(record.revision);
    }

    /// Whoever watches knows the truth once everything is delivered.
    pub(super) fn check_watchers(&mut self) {
        for index in 0..self.watchers.len() {
            let position = self.position();
            self.watchers[index].read(position);
            let told: Vec<_> = self.watchers[index]
                .told()
                .map(|(name, told)| (name.to_owned(), told))
                .collect();
            for (name, told) in told {
                let model = self.model(&name);
                model.told = model.told.max(told);
            }
            if !self.watchers[index].is_connected() {
                continue;
            }
            for name in USERS {
                let Some(shown) = self.watchers[index].shows(name) else {
                    continue;
                };
                if self.is_held(name) {
                    continue;
                }
                let model = &self.models[name];
                let view = model.view(self.mono());
                // A listing of everyone leaves out users that are OFFLINE, whatever else is to be said of them.
                let if_present =
                    |is_degraded, custom| (view.status != Status::Offline).then_some((is_degraded, custom));
                assert_eq!(
                    (shown.status, if_present(shown.is_degraded, shown.custom)),
                    (view.status, if_present(model.is_degraded, view.custom)),
                    "{name} as watcher {index} shows it, at {:?}",
                    shown.revision
                );
            }
        }
    }

    /// The user changes faster than changes are told, and the last one is told when the limit allows.
    fn is_held(&self, name: &str) -> bool {
        let entry = self.daemon().engine.users.find(&user(name));
        entry.is_some_and(|entry| entry.state.profile().is_publication_pending())
    }

    /// What is asked for over REST.
    pub(super) async fn check_query(&mut self, name: &'static str) {
        let is_in_memory = self.daemon().engine.is_in_memory(&user(name));
        let record = self.daemon().engine.record(&user(name), Viewer::Internal).await;
        match record {
            Ok(record) => self.check_record(&record),
            Err(error) => assert!(self.faults == Faults::Reads && !is_in_memory, "{error}"),
        }
        let request = ListRequest {
            limit: 10,
            ..ListRequest::default()
        };
        let page = self.daemon().engine.list(&request);
        let listed: Vec<&str> = page.users.iter().map(|record| record.user_id.as_str()).collect();
        let mono = self.mono();
        let is_present = |name: &&str| self.models[name].view(mono).status != Status::Offline;
        let present: Vec<&str> = USERS.into_iter().filter(is_present).collect();
        assert_eq!(listed, present);
        assert_eq!(page.counts.total(), present.len() as u64);
    }

    /// What was acknowledged is on disk. Statuses and times are there once everything is written.
    pub(super) async fn check_disk(&mut self, is_all_written: bool) {
        let mono = self.mono();
        for name in USERS {
            let row = self.daemon().stored(name).await.unwrap_or_default();
            let view = self.models[name].durable(mono);
            assert_eq!(row.durable.preference.custom, view.custom, "{name}");
            let stored = row.durable.reports.len();
            let held = self.models[name].reports(mono);
            assert!(
                if is_all_written { stored == held } else { stored >= held },
                "{name}: {stored} reports on disk, {held} hold"
            );
            let engine = &self.daemon().engine;
            let Some(record) = engine
                .users
                .find(&user(name))
                .map(|entry| engine.record_of(&entry, Viewer::Internal))
            else {
                continue;
            };
            if is_all_written && !self.models[name].is_degraded {
                assert_eq!(
                    (row.status, row.since, row.connected_on.len()),
                    (record.status, record.since, self.models[name].places(mono)),
                    "{name}"
                );
            }
        }
    }
}
