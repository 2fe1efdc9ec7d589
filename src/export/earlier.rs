//! What an earlier delivery came to that could not say so: its outcome is for those objects that come
//! again as they were sent.

use super::target::Fault;
use std::collections::HashMap;
use uuid::Uuid;

#[derive(Debug, Default)]
pub struct Earlier {
    outcomes: HashMap<Uuid, (Option<u32>, Result<(), Fault>)>,
    /// Somebody has come for an outcome since the last delivery.
    asked: bool,
}

impl Earlier {
    /// `checksum` is that of the document; `None` stands for a removal.
    pub fn keep(&mut self, object: Uuid, checksum: Option<u32>, outcome: Result<(), Fault>) {
        self.outcomes.insert(object, (checksum, outcome));
    }

    /// The outcome, if the object was sent as it is now. It is told once: whoever comes a second time
    /// wants to be sent.
    pub fn take(&mut self, object: Uuid, checksum: Option<u32>) -> Option<Result<(), Fault>> {
        let (sent, outcome) = self.outcomes.remove(&object)?;
        self.asked = true;
        (sent == checksum).then_some(outcome)
    }

    /// A delivery is over. Those in doubt come first after a start: once none has come, who comes later
    /// has a reason of their own.
    pub fn close(&mut self) {
        if !std::mem::take(&mut self.asked) {
            self.outcomes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_once_to_who_is_as_it_was_sent() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let mut earlier = Earlier::default();
        for object in [a, b, c] {
            earlier.keep(object, Some(7), Ok(()));
        }
        assert_eq!((earlier.take(a, Some(7)), earlier.take(a, Some(7))), (Some(Ok(())), None));
        assert_eq!(earlier.take(b, Some(8)), None);
        earlier.close();
        earlier.close();
        assert_eq!(earlier.take(c, Some(7)), None);
    }
}
