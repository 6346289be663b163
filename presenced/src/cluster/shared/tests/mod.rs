//! The scripts and the connections on a real Redis.

#[path = "../../../../../presence/tests/replication/contract.rs"]
mod contract;
#[path = "../../../../../presence/tests/replication/contract_lists.rs"]
mod contract_lists;
mod faults;
mod looks;
mod nodes;
mod partition_contract;
mod partition_history;
mod redis_cluster;
mod scripts_contract;
pub(crate) mod server;
mod starts;
mod subject;
mod tls;
