//! The scripts on a real Redis do what the model does in the tests of `presence`: one suite for both.

use presence::replication::{Answer, Call, Question, Reply};
use presence::{CustomStatus, UserId};
use tokio::runtime::Runtime;

use super::contract::{self, Subject as Contract};
use super::subject::Subject;
use super::{contract_ends, contract_lists};

/// A real partition, waited for.
struct Scripts {
    runtime: Runtime,
    subject: Subject,
}

impl Contract for Scripts {
    fn call(&mut self, call: &Call) -> Answer {
        self.runtime.block_on(self.subject.call(call))
    }

    fn ask(&mut self, question: Question) -> Reply {
        self.runtime.block_on(self.subject.query(question))
    }

    fn restart(&mut self) {
        self.runtime.block_on(self.subject.restart());
    }

    fn lose_state(&mut self) {
        self.runtime.block_on(self.subject.lose_state());
    }

    fn online(&mut self) -> Vec<UserId> {
        let online = self.runtime.block_on(self.subject.online());
        let users = online.iter().map(|user| UserId::new(user));
        users.collect::<Result<_, _>>().expect("user ids")
    }

    fn lose_lists(&mut self) {
        let keys = ["DEL", "presence:{3}:online", "presence:{3}:custom-status"];
        self.runtime.block_on(self.subject.server().command(&keys));
    }

    fn add_to_online(&mut self, user: &UserId) {
        let words = ["SADD", "presence:{3}:online", user.as_str()];
        self.runtime.block_on(self.subject.server().command(&words));
    }

    fn fill(&mut self, is_full: bool) {
        let maxmemory = if is_full { "1" } else { "0" };
        let words = ["CONFIG", "SET", "maxmemory", maxmemory];
        self.runtime.block_on(self.subject.server().command(&words));
    }

    fn custom_status(&mut self, user: &UserId) -> Option<CustomStatus> {
        let all = self.runtime.block_on(self.subject.custom_statuses());
        all.get(user.as_str())
            .map(|custom| custom.parse().expect("a custom status"))
    }
}

#[test]
fn the_scripts_keep_the_contract_of_the_model() {
    for (name, check) in contract::ALL
        .into_iter()
        .chain(contract_lists::ALL)
        .chain(contract_ends::ALL)
    {
        println!("{name}");
        let runtime = Runtime::new().expect("a runtime");
        let subject = runtime.block_on(Subject::of_redis());
        check(&mut Scripts { runtime, subject });
    }
}
