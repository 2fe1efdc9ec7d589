//! Reconciliation: everything that a target has, held against the directory. What is found is
//! written down as events of a batch; it is repaired only when somebody says so.
//!
//! ```text
//! order (worker) -> run: list -> compare (whose) -> judge (what differs) -> files (events, header)
//!                        stale -> read once more
//!                        repair -> mend (worker): queue in doubt
//! ```

pub mod batch;
pub mod compare;
pub mod event;
pub mod files;
mod judge;
mod order;
mod pull;
mod run;

pub use files::Folder;
pub use run::Mend;
