//! The scripts and the connections on a real Redis.

#[path = "../../../../../presence/tests/replication/contract.rs"]
mod contract;
#[path = "../../../../../presence/tests/replication/contract_ends.rs"]
mod contract_ends;
#[path = "../../../../../presence/tests/replication/contract_lists.rs"]
mod contract_lists;
mod faults;
mod looks;
mod lookups;
mod nodes;
mod partition_contract;
mod partition_history;
#[expect(clippy::duplicate_mod, unreachable_pub, reason = "shared with other tests")]
#[path = "../../../../../tests/src/ports.rs"]
mod ports;
mod redis_cluster;
mod scripts_contract;
pub(crate) mod server;
mod starts;
mod subject;
mod tls;
