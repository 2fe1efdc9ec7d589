//! Reconciliation: everything that a target has, held against the directory. What is found is
//! written down as events of a batch; it is repaired only when somebody says so.

pub mod batch;
pub mod compare;
pub mod event;
pub mod files;
