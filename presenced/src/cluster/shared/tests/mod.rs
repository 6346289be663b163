//! The scripts and the connections on a real Redis.

mod faults;
mod nodes;
mod partition_contract;
mod partition_history;
mod redis_cluster;
pub(crate) mod server;
mod starts;
mod subject;
mod tls;
