//! The seam between this node's sessions and the record that everyone sees. One implementation stands: [`local`], where
//! this node is alone and answers at once. The store and the sockets are not known here.

mod alone;

pub(crate) use alone::Alone as Cluster;
