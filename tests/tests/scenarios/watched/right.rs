//! What must be so after a fault, and must have been so meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::wait::{timed, wait_until};
use presence_tests::{DEADLINE, Rest};
use serde_json::Value;

use super::{ANSWERED_WITHIN, NAMES, PARTITIONS, Watched, epochs};
use crate::scene::all_is_well;
use crate::stored::all_are_stored;

/// Once a fault is over, all is right within this time.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);
/// How much of one core a node takes at most while Redis fails.
const CORE_MAX: f64 = 0.2;

impl Watched<'_> {
    /// The fault ended just now: within 10 s all is right on all nodes, and in the set for other services.
    pub(crate) async fn is_right_again(&self) {
        let ((), took) = timed(self.until_right()).await;
        assert!(took <= RIGHT_WITHIN, "right after {took:?}");
    }

    async fn until_right(&self) {
        let rests = self.rests();
        wait_until("no node says that it may be out of date", async || {
            for rest in &rests {
                let ready = rest.get("/readyz").await;
                if ready.status != 200 || ready.body["warnings"].to_string().contains("Redis") {
                    return None;
                }
            }
            Some(())
        })
        .await;
        self.recorders.all_show(&self.left, Status::Offline, DEADLINE).await;
        self.recorders.all_show(&self.came, Status::Online, DEADLINE).await;
        let undisturbed: Vec<_> = self.undisturbed.iter().map(|(user, _)| user).collect();
        let shown = Status::DoNotDisturb;
        self.recorders.all_show(&undisturbed, shown, DEADLINE).await;
        self.until_the_same(&rests).await;
        self.until_online_is_exact().await;
        self.until_all_is_stored().await;
    }

    /// Each user is the same on all nodes, byte for byte, and none is in doubt.
    async fn until_the_same(&self, rests: &[Rest]) {
        let users = self.all();
        let mut differ: Vec<usize> = (0..users.len()).collect();
        wait_until("all users are the same on all nodes", async || {
            let mut all = Vec::new();
            for rest in rests {
                all.push(records(rest, &users).await);
            }
            differ.retain(|user| {
                let [first, others @ ..] = all.as_slice() else {
                    return true;
                };
                let first = &first[*user];
                let is_in_doubt = first["stale"] == true || first["degraded"] == true;
                is_in_doubt || others.iter().any(|records| records[*user] != *first)
            });
            differ.is_empty().then_some(())
        })
        .await;
    }

    /// The set for other services has those who are present.
    async fn until_online_is_exact(&self) {
        let keys: Vec<String> = (0..PARTITIONS)
            .map(|number| format!("presence:{{{number}}}:online"))
            .collect();
        let command: Vec<&str> = std::iter::once("SUNION")
            .chain(keys.iter().map(String::as_str))
            .collect();
        let undisturbed = self.undisturbed.iter().map(|(user, _)| user);
        let present = self.present.iter().chain(&self.came).chain(undisturbed);
        let present: BTreeSet<&str> = present.map(String::as_str).collect();
        wait_until("the set of those who are present is exact", async || {
            let members = self.cluster.ask(&command).await;
            (members.split_whitespace().collect::<BTreeSet<_>>() == present).then_some(())
        })
        .await;
    }

    /// The cluster's state has who is present, the list for other services what they have set, and the database has the rest.
    async fn until_all_is_stored(&self) {
        all_are_stored(&self.cluster, self.postgres, &self.all()).await;
        let mut undisturbed: Vec<_> = self
            .undisturbed
            .iter()
            .map(|(user, _)| (user.as_str(), "DO_NOT_DISTURB"))
            .collect();
        undisturbed.sort_unstable();
        self.cluster.custom_statuses_are(&undisturbed).await;
    }

    /// Nobody who stayed or moved was told or shown to be away since the fault began, nor is for some quiet after it; every
    /// request was answered in time, and no node was restarted or busy.
    pub(crate) async fn made_no_event(&self) {
        self.took_little_time();
        all_is_well(&self.recorders, &self.cluster.nodes(), &self.all()).await;
        let now = self.recorders.now();
        self.recorders.no_change(&self.present, self.begun);
        self.were_undisturbed();
        self.are_present_since_they_were_reported().await;
        self.cursors_lead_to_the_truth().await;
        match self.redis_failed_until {
            Some(until) => self.recorders.were_stale_once(self.redis_failed, until).await,
            None => self.recorders.are_current(self.begun).await,
        }
        for poller in &self.pollers {
            poller.was_answered_but_for(&[]);
            poller.never(&self.present, Status::Offline, self.begun, now);
            let longest = poller.latencies(self.begun, now).pop().unwrap();
            assert!(longest <= ANSWERED_WITHIN, "an answer took {longest:?}");
        }
    }

    /// Each node told once that they set DO_NOT_DISTURB, and nothing else of them.
    fn were_undisturbed(&self) {
        for (user, set) in &self.undisturbed {
            let changes = self.recorders.changes(user, self.begun);
            let is_right = changes.iter().all(|change| change.to == Status::DoNotDisturb);
            let expected = if *set >= self.begun { NAMES.len() } else { 0 };
            assert!(is_right && changes.len() == expected, "{changes:#?}");
        }
    }

    /// All nodes say what the one said that took the report, whichever offered it first.
    async fn are_present_since_they_were_reported(&self) {
        for reported in &self.reported {
            let user = reported.user_id.as_str().to_owned();
            for rest in &self.rests() {
                let told = parsed(records(rest, std::slice::from_ref(&user)).await);
                assert_eq!(told[0].since, reported.since, "{told:?}, after {reported:?}");
            }
        }
    }

    /// Whoever resumes on any node has the truth, and is told alone what is new if Redis has lost nothing since the cursor was
    /// given. A cursor that was given while nodes were out of date does not resume.
    async fn cursors_lead_to_the_truth(&self) {
        let users = self.all();
        let has_lost_nothing = epochs(&self.cluster) == self.epochs;
        for (name, node) in NAMES.iter().zip(self.cluster.nodes()) {
            let truth = parsed(records(&node.rest(), &users).await);
            for (cursors, resume) in [(&self.cursors, has_lost_nothing), (&self.cursors_of_outage, false)] {
                for cursor in cursors {
                    cursor.leads_to_the_truth((name, node), &truth, resume).await;
                }
            }
        }
    }

    /// No node was restarted, or busy since the fault began.
    pub(super) fn took_little_time(&self) {
        let period = self.recorders.now() - self.begun;
        for ((before, taken_before), (after, taken)) in self.processes.iter().zip(self.processes()) {
            assert_eq!(*before, after, "a node was restarted");
            let share = (taken - *taken_before).as_secs_f64() / period.as_secs_f64();
            assert!(share < CORE_MAX, "{share:.3} of a core over {period:?}");
        }
    }
}

/// What a node answers of these users, but for `now`.
pub(super) async fn records(rest: &Rest, users: &[String]) -> Vec<Value> {
    let mut answer: Value = rest.query(users).await.ok();
    serde_json::from_value(answer["users"].take()).unwrap()
}

fn parsed(records: Vec<Value>) -> Vec<Record> {
    let parsed = records.into_iter().map(serde_json::from_value);
    parsed.map(Result::unwrap).collect()
}
