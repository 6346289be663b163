//! What every implementation of the store guarantees, by theme. Each test runs once for each implementation, on a database
//! of its own.

mod forgetting;
mod heartbeats;
mod identity;
mod marks;
mod outcomes;
mod present;
mod reports;
mod revocations;
mod rows;
mod statuses;
mod tombstones;
mod versions;

/// Runs these tests against every implementation. One that is missing in the list is reported as dead code.
macro_rules! on_every_backend {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::store::tests::fixture::Backend::sqlite()).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::store::tests::fixture::Backend::postgres()).await;
                }
            )*
        }
    };
}
use on_every_backend;
