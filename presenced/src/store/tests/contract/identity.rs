//! Nodes that share a database know it by its identity.

use super::on_every_backend;
use crate::store::tests::fixture::Backend;

on_every_backend! {
    an_identity_is_the_same_for_every_start,
    two_databases_have_two_identities,
}

async fn an_identity_is_the_same_for_every_start(backend: Backend) {
    let (store, startup) = backend.start();
    let identity = startup.identity;
    assert!(
        identity.len() == 32 && identity.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{identity}"
    );
    store.close();
    let (node, startup) = backend.start_node();
    assert_eq!(startup.identity, identity);
    node.close();
    assert_eq!(backend.start().1.identity, identity);
}

async fn two_databases_have_two_identities(backend: Backend) {
    let another = backend.another();
    assert_ne!(backend.start().1.identity, another.start().1.identity);
}
