//! What an earlier delivery came to that could not say so: its outcome is for those objects that come
//! again as they were sent.

use super::target::Fault;
use std::collections::HashMap;
use uuid::Uuid;

#[derive(Debug, Default)]
pub struct Earlier(HashMap<Uuid, (Option<u32>, Result<(), Fault>)>);

impl Earlier {
    /// `checksum` is that of the document; `None` stands for a removal.
    pub fn keep(&mut self, object: Uuid, checksum: Option<u32>, outcome: Result<(), Fault>) {
        self.0.insert(object, (checksum, outcome));
    }

    /// The outcome, if the object was sent as it is now. It is told once: whoever comes a second time
    /// wants to be sent.
    pub fn take(&mut self, object: Uuid, checksum: Option<u32>) -> Option<Result<(), Fault>> {
        let (sent, outcome) = self.0.remove(&object)?;
        (sent == checksum).then_some(outcome)
    }
}
