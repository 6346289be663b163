//! The model keeps the contract.

use presence::replication::{Answer, Call, Question, Reply};
use presence::{CustomStatus, UserId};

use crate::contract::{ALL, Subject};
use crate::model::{Partition, Server};
use crate::{contract_ends, contract_lists};

struct Model {
    partition: Partition,
    server: Server,
}

impl Subject for Model {
    fn call(&mut self, call: &Call) -> Answer {
        self.partition.call(self.server, call)
    }

    fn ask(&mut self, question: Question) -> Reply {
        self.partition.ask(question)
    }

    fn restart(&mut self) {
        self.server.run += 1;
    }

    fn lose_state(&mut self) {
        self.partition.lose_state();
    }

    fn online(&mut self) -> Vec<UserId> {
        self.partition.online.iter().cloned().collect()
    }

    fn lose_lists(&mut self) {
        self.partition.online.clear();
        self.partition.custom.clear();
    }

    fn add_to_online(&mut self, user: &UserId) {
        self.partition.online.insert(user.clone());
    }

    fn fill(&mut self, is_full: bool) {
        self.server.is_full = is_full;
    }

    fn custom_status(&mut self, user: &UserId) -> Option<CustomStatus> {
        self.partition.custom.get(user).copied()
    }
}

#[test]
fn the_model_keeps_the_contract_of_the_scripts() {
    for (name, check) in ALL.into_iter().chain(contract_lists::ALL).chain(contract_ends::ALL) {
        println!("{name}");
        check(&mut Model {
            partition: Partition::default(),
            server: Server {
                micros: 1_800_000_000_000_000,
                run: 1,
                is_full: false,
            },
        });
    }
}
