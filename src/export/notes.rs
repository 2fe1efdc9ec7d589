//! What a carrier must find again after a crash: a transaction that is open, a file whose import was
//! begun. One row of the target, durable before the request that it is about.

use super::target::Fault;
use crate::{
    directory::{Directory, Row},
    store::RecordKey,
};
use smol_str::SmolStr;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// The row of the target that no object has.
pub(super) const PLACE: Uuid = Uuid::max();

#[derive(Clone)]
pub struct Notes {
    directory: Arc<Directory>,
    target: SmolStr,
    text: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Notes {
    pub(super) fn new(directory: Arc<Directory>, target: SmolStr, text: Option<Vec<u8>>) -> Self {
        Notes { directory, target, text: Arc::new(Mutex::new(text)) }
    }

    /// What was noted last, by this process or an earlier one.
    pub fn load(&self) -> Option<Vec<u8>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns once the note is durable; `None` takes it away.
    pub async fn save(&self, text: Option<Vec<u8>>) -> Result<(), Fault> {
        let row: Row = (RecordKey::Link { target: self.target.clone(), object: PLACE }, text.clone());
        let saved = self.directory.save_rows(vec![row]).await;
        saved.map_err(|error| Fault::Unreachable(format!("the directory cannot write: {error}")))?;
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text;
        Ok(())
    }
}
