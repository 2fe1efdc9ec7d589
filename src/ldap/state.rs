//! What one connection keeps between its requests: open transactions and searches that are read
//! in pages, searches that wait for changes.

use super::ops::{Pages, Standing, Transactions};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub struct State {
    transactions: Mutex<Transactions>,
    pages: Mutex<Pages>,
    standing: Mutex<Standing>,
}

impl State {
    pub fn transactions(&self) -> MutexGuard<'_, Transactions> {
        // Each change of it is whole before a panic can come.
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
