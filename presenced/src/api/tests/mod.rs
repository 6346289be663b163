//! The API without sockets, on a real engine and store.

mod callers;
mod figures;
mod fixture;
mod pages;
mod requests;
mod users;
