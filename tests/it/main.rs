//! Integration tests: the library and the server from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod career;
mod crash;
mod export;
mod floors;
mod follow;
mod groups;
mod ldap;
mod model;
mod states;
mod support;
mod trim;
