//! The custom statuses of the database that are to be listed for other services, for all partitions together: one pass over the
//! table serves those that ask at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::ChosenPage;
use presence::{CustomStatus, UserId};

use crate::cluster::Shared;
use crate::engine::Engine;
use crate::store::ListedRow;

/// Users that are read together.
const READ_TOGETHER_MAX: usize = 512;
/// Custom statuses of one partition that are listed together: four calls.
const LISTED_TOGETHER_MIN: usize = 256;
/// How long to wait after the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What partitions asked for. At most one request of each.
#[derive(Default)]
pub(in crate::engine) struct ChosenRequests {
    waiting: Mutex<BTreeMap<u16, ChosenRequest>>,
    /// Held by whoever reads for all.
    reading: tokio::sync::Mutex<()>,
}

struct ChosenRequest {
    /// What was read for it so far.
    page: ChosenPage,
    /// Whether the rows that are being read are for it: not if it came while they were, which were chosen before it began.
    is_read_for: bool,
}

impl ChosenRequests {
    fn ask(&self, number: u16, page: ChosenPage) {
        let request = ChosenRequest {
            page,
            is_read_for: false,
        };
        self.waiting.lock().insert(number, request);
    }

    /// All that wait are read for from here on, after whom the one that is the farthest behind is; none if nobody waits.
    fn begin(&self) -> Option<Option<UserId>> {
        let mut waiting = self.waiting.lock();
        for request in waiting.values_mut() {
            request.is_read_for = true;
        }
        waiting.values().map(|request| request.page.next.clone()).min()
    }

    /// Reads for all while the result lives.
    #[cfg(test)]
    pub(super) async fn begin_reading(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    fn is_waiting(&self, number: u16, pass: u64) -> bool {
        let waiting = self.waiting.lock();
        waiting.get(&number).is_some_and(|request| request.page.pass == pass)
    }

    /// What was read since [`Self::begin`], for all that waited then and are no farther. `is_last` if there are no more users.
    fn add(&self, rows: Vec<ListedRow>, is_last: bool, number_of: impl Fn(&UserId) -> u16) {
        let mut waiting = self.waiting.lock();
        let read_to = rows.last().map(|(user, _)| user.clone());
        let mut found: BTreeMap<u16, Vec<(UserId, CustomStatus)>> = BTreeMap::new();
        for (user, row) in rows {
            if let Ok(row) = row {
                let users = found.entry(number_of(&user)).or_default();
                users.push((user, row.durable.preference.custom));
            }
        }
        for (number, request) in waiting.iter_mut() {
            let page = &mut request.page;
            if !request.is_read_for || !is_last && page.next > read_to {
                continue;
            }
            let users = found.remove(number).unwrap_or_default();
            let after = page.next.as_ref();
            let is_new = |user: &UserId| after < Some(user);
            page.users.extend(users.into_iter().filter(|(user, _)| is_new(user)));
            page.next = page.next.take().max(read_to.clone());
        }
    }

    /// The requests that have enough, and those that nobody waits for any more.
    fn take_done(&self, is_last: bool, is_listing: impl Fn(u16, u64) -> bool) -> Vec<(u16, ChosenPage)> {
        let mut waiting = self.waiting.lock();
        let is_done = |number: &u16, request: &mut ChosenRequest| {
            let page = &request.page;
            let is_read = is_last && request.is_read_for;
            is_read || page.users.len() >= LISTED_TOGETHER_MIN || !is_listing(*number, page.pass)
        };
        let done = waiting.extract_if(.., is_done);
        done.map(|(number, request)| match is_last && request.is_read_for {
            true => (
                number,
                ChosenPage {
                    next: None,
                    ..request.page
                },
            ),
            false => (number, request.page),
        })
        .collect()
    }
}

impl Engine {
    /// Some users of a partition who have another custom status than ONLINE, to be listed for other services.
    pub(super) async fn load_chosen(&self, shared: &Shared, number: u16, pass: u64, after: Option<UserId>) {
        let requests = &self.chosen_requests;
        let page = ChosenPage {
            pass,
            users: Vec::new(),
            next: after,
        };
        requests.ask(number, page);
        let _reading = requests.reading.lock().await;
        let mut has_failed = false;
        // Whoever read before may have served it.
        while requests.is_waiting(number, pass)
            && let Some(after) = requests.begin()
        {
            match self
                .persistence
                .store
                .load_chosen(after.as_ref(), READ_TOGETHER_MAX)
                .await
            {
                Ok(rows) => {
                    let is_last = rows.len() < READ_TOGETHER_MAX;
                    requests.add(rows, is_last, |user| shared.number_of(user));
                    self.tell_chosen(shared, is_last);
                }
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::warn!(%error, "the custom statuses in the database can't be read yet");
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                    self.tell_chosen(shared, false);
                }
            }
        }
    }

    fn tell_chosen(&self, shared: &Shared, is_last: bool) {
        let is_listing = |number, pass| shared.partition(number).machine().is_listing(pass);
        for (number, page) in self.chosen_requests.take_done(is_last, is_listing) {
            let partition = shared.partition(number);
            partition.tell(move |machine, input| machine.handle_chosen(input, page));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Row;

    fn user(number: u16) -> UserId {
        UserId::new(&format!("user-{number:04}")).expect("a user id")
    }

    fn row(number: u16) -> ListedRow {
        (user(number), Ok(Row::default()))
    }

    /// Users with even numbers are in partition 0.
    fn number_of(user: &UserId) -> u16 {
        let digits = user.as_str().trim_start_matches("user-");
        digits.parse::<u16>().expect("a number") % 2
    }

    fn ask(requests: &ChosenRequests, number: u16, after: Option<UserId>) {
        let page = ChosenPage {
            pass: 1,
            users: Vec::new(),
            next: after,
        };
        requests.ask(number, page);
    }

    fn users_of(page: &ChosenPage) -> Vec<UserId> {
        page.users.iter().map(|(user, _)| user.clone()).collect()
    }

    #[test]
    fn one_pass_serves_all_partitions_that_asked() {
        let requests = ChosenRequests::default();
        ask(&requests, 0, None);
        ask(&requests, 1, Some(user(2)));
        assert_eq!(requests.begin(), Some(None));
        requests.add((0..4).map(row).collect(), false, number_of);
        assert_eq!(requests.take_done(false, |_, _| true), []);
        assert_eq!(requests.begin(), Some(Some(user(3))), "both are as far");
        requests.add((4..6).map(row).collect(), true, number_of);
        let done = requests.take_done(true, |_, _| true);
        let all: Vec<_> = done.iter().map(|(number, page)| (*number, users_of(page))).collect();
        assert_eq!(
            all,
            [(0, vec![user(0), user(2), user(4)]), (1, vec![user(3), user(5)])],
            "what a partition had before is not read again"
        );
        assert!(done.iter().all(|(_, page)| page.next.is_none()));
        assert_eq!(requests.begin(), None);
    }

    #[test]
    fn a_partition_that_asks_during_a_read_is_read_for_from_its_own_place() {
        let requests = ChosenRequests::default();
        ask(&requests, 0, Some(user(3)));
        assert_eq!(requests.begin(), Some(Some(user(3))));
        ask(&requests, 1, None);
        requests.add((4..8).map(row).collect(), true, number_of);
        let done = requests.take_done(true, |_, _| true);
        let all: Vec<_> = done.iter().map(|(number, page)| (*number, users_of(page))).collect();
        assert_eq!(all, [(0, vec![user(4), user(6)])]);
        assert_eq!(
            requests.begin(),
            Some(None),
            "those before are read, and all from there on"
        );
        requests.add((0..8).map(row).collect(), true, number_of);
        let done = requests.take_done(true, |_, _| true);
        let all: Vec<_> = done.iter().map(|(number, page)| (*number, users_of(page))).collect();
        assert_eq!(all, [(1, vec![user(1), user(3), user(5), user(7)])]);
    }

    #[test]
    fn a_partition_that_has_enough_goes_on_from_there() {
        let requests = ChosenRequests::default();
        ask(&requests, 0, None);
        ask(&requests, 1, None);
        let end = u16::try_from(2 * LISTED_TOGETHER_MIN).expect("small");
        assert_eq!(requests.begin(), Some(None));
        requests.add((0..end).step_by(2).map(row).collect(), false, number_of);
        let done = requests.take_done(false, |_, _| true);
        let [(0, page)] = done.as_slice() else {
            panic!("{done:?}")
        };
        assert_eq!(
            (page.users.len(), &page.next),
            (LISTED_TOGETHER_MIN, &Some(user(end - 2)))
        );
        assert!(requests.is_waiting(1, 1));
        let is_listing = |_, pass| pass != 1;
        assert_eq!(requests.take_done(false, is_listing).len(), 1, "nobody waits for it");
    }
}
