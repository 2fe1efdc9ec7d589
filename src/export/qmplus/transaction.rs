//! One transaction from its checkpoint to its outcome, and what to do with one that was left.

use super::{
    QmPlus, Sending, UnderWay,
    api::{Failure, Phase, Queued},
    operations::{Entity, Operation, sort},
};
use crate::export::target::Fault;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tokio::time::Instant;
use uuid::Uuid;

/// What must be found again after a crash: the transaction, and what was in it when it was committed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Note {
    transaction: String,
    items: Vec<Noted>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noted {
    object: Uuid,
    checksum: Option<u32>,
    department: bool,
    external_id: String,
}

/// An operation and the object that it is for.
#[derive(Clone)]
pub(super) struct Item {
    object: Uuid,
    checksum: Option<u32>,
    operation: Operation,
}

/// Objects that failed, and why; all others of a transaction have succeeded.
type Outcomes = HashMap<Uuid, Fault>;

impl Item {
    pub(super) fn new(ready: &Sending, operation: Operation) -> Self {
        Item { object: ready.object, checksum: ready.checksum, operation }
    }

    fn noted(&self) -> Noted {
        Noted {
            object: self.object,
            checksum: self.checksum,
            department: self.operation.entity == Entity::Department,
            external_id: self.operation.external_id.clone(),
        }
    }
}

impl QmPlus {
    pub(super) async fn transact(&self, under_way: &mut UnderWay, mut items: Vec<Item>) -> Result<Outcomes, Fault> {
        sort(&mut items, |item| &item.operation);
        let transaction = self.api.checkpoint().await?;
        let mut note = Note { transaction, items: Vec::new() };
        self.note(&note).await?;
        under_way.unsettled = true;
        let mut refused = Outcomes::new();
        let queued = self.queue(&note.transaction, items, &mut refused).await?;
        if queued.is_empty() {
            // It has no operations and ends by itself.
            under_way.unsettled = false;
            return Ok(refused);
        }
        note.items = queued.iter().map(Item::noted).collect();
        self.note(&note).await?;
        let outcomes = self.finish(&note).await?;
        under_way.unsettled = false;
        refused.extend(outcomes);
        Ok(refused)
    }

    /// Queues page by page. A page that is refused as a whole is halved, until the object that the
    /// target does not take stands alone.
    async fn queue(&self, transaction: &str, items: Vec<Item>, refused: &mut Outcomes) -> Result<Vec<Item>, Fault> {
        let mut queued = Vec::with_capacity(items.len());
        let mut pages: Vec<Vec<Item>> = Vec::new();
        for same in items.chunk_by(|a, b| a.operation.entity == b.operation.entity) {
            pages.extend(same.chunks(self.options.page.max(1)).map(<[Item]>::to_vec));
        }
        pages.reverse();
        while let Some(mut page) = pages.pop() {
            let Some(first) = page.first() else { continue };
            let operations: Vec<Operation> = page.iter().map(|item| item.operation.clone()).collect();
            match self.api.queue(transaction, first.operation.entity, &operations).await? {
                Queued::All => queued.extend(page),
                Queued::NotOpen => {
                    return Err(Fault::Failed("the transaction ended before it was committed".to_owned()));
                }
                Queued::Refused(why) if page.len() == 1 => {
                    refused.insert(first.object, Fault::Refused(why));
                }
                Queued::Refused(_) => {
                    let second = page.split_off(page.len() / 2);
                    pages.push(second);
                    pages.push(page);
                }
            }
        }
        Ok(queued)
    }

    /// Commits, and waits for what comes of it. That a commit was not answered says nothing: the
    /// transaction's own state does.
    async fn finish(&self, note: &Note) -> Result<Outcomes, Fault> {
        let lost = match self.api.commit(&note.transaction).await {
            Ok(_) => None,
            Err(fault @ (Fault::Unreachable(_) | Fault::Busy { .. })) => Some(fault),
            Err(fault) => return Err(fault),
        };
        self.await_outcomes(note, lost).await
    }

    /// `lost`: why it is not known whether the commit has arrived.
    async fn await_outcomes(&self, note: &Note, lost: Option<Fault>) -> Result<Outcomes, Fault> {
        let until = Instant::now() + self.options.patience;
        loop {
            let Some(status) = self.api.status(&note.transaction).await? else {
                return Err(Fault::Failed("the target does not know its transaction any more".to_owned()));
            };
            match status.transaction_status {
                Phase::Completed => {
                    let failures = match status.failures.len() < status.failed_operations {
                        true => self.api.failures(&note.transaction).await?,
                        false => status.failures,
                    };
                    return Ok(outcomes(&note.items, &failures));
                }
                Phase::Failed => return Ok(all(&note.items, "the transaction failed as a whole")),
                // The commit has not arrived.
                Phase::Open if lost.is_some() => return Err(lost.unwrap_or(Fault::NotFound)),
                Phase::Open | Phase::Committed | Phase::Processing if Instant::now() < until => {}
                Phase::Open | Phase::Committed | Phase::Processing => {
                    return Err(Fault::Failed("the transaction is not through yet".to_owned()));
                }
            }
            tokio::time::sleep(self.options.poll).await;
        }
    }

    /// Looks what became of the noted transaction. Its outcome is kept for those who come again with
    /// the same document: they have been sent already.
    pub(super) async fn settle(&self, under_way: &mut UnderWay) -> Result<(), Fault> {
        let note: Option<Note> = self.notes.load().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(note) = note.filter(|note| under_way.unsettled && !note.items.is_empty()) {
            match self.api.status(&note.transaction).await?.map(|status| status.transaction_status) {
                // It has ended without an effect, or is forgotten: all is sent again.
                None | Some(Phase::Failed) => {}
                Some(phase) => {
                    tracing::info!(
                        transaction = note.transaction,
                        ?phase,
                        "the outcome of the last transaction is read"
                    );
                    let outcomes = match phase {
                        // Committed now, so that a commit that is still on its way cannot undo what comes after.
                        Phase::Open => self.finish(&note).await?,
                        _ => self.await_outcomes(&note, None).await?,
                    };
                    for item in &note.items {
                        let outcome = outcomes.get(&item.object).cloned();
                        under_way.earlier.keep(item.object, item.checksum, outcome.map_or(Ok(()), Err));
                    }
                }
            }
        }
        under_way.unsettled = false;
        Ok(())
    }

    /// Transactions of ours that no note tells of: those that the target works at are waited for; those
    /// that are open have no operations, since a note comes before them, and end by themselves.
    pub(super) async fn await_others(&self) -> Result<(), Fault> {
        let Some(user) = self.options.created_by.as_deref() else { return Ok(()) };
        let open = self.api.past(user, "OPEN").await?;
        if !open.is_empty() {
            tracing::info!(
                transactions = open.len(),
                "transactions of ours are open at the target and are left to end"
            );
        }
        let until = Instant::now() + self.options.patience;
        for phase in ["COMMITTED", "PROCESSING"] {
            while !self.api.past(user, phase).await?.is_empty() {
                if Instant::now() >= until {
                    return Err(Fault::Failed("another transaction of ours is not through yet".to_owned()));
                }
                tokio::time::sleep(self.options.poll).await;
            }
        }
        Ok(())
    }

    async fn note(&self, note: &Note) -> Result<(), Fault> {
        let text = serde_json::to_vec(note).map_err(|e| Fault::Refused(e.to_string()))?;
        self.notes.save(Some(text)).await
    }
}

fn all(items: &[Noted], why: &str) -> Outcomes {
    items.iter().map(|item| (item.object, Fault::Failed(why.to_owned()))).collect()
}

fn outcomes(items: &[Noted], failures: &[Failure]) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for failure in failures {
        let kind = failure.operation_type.as_deref().or(failure.entity_type.as_deref()).unwrap_or_default();
        let department = kind.to_ascii_uppercase().starts_with("DEP");
        let external_id = failure.external_id.as_deref().unwrap_or_default();
        let failed = items.iter().filter(|item| item.department == department && item.external_id == external_id);
        let before = outcomes.len();
        outcomes.extend(failed.map(|item| (item.object, fault(failure))));
        if outcomes.len() == before {
            // Somebody's, and it is not said whose: nobody counts as done.
            return all(items, "an operation failed that the target does not name");
        }
    }
    outcomes
}

/// What is wrong with the object itself waits for its change; what is missing may come.
fn fault(failure: &Failure) -> Fault {
    let kind = failure.error_type.as_deref().unwrap_or("no type");
    // What follows a colon is the value that was found wrong.
    let message = failure.error_message.as_deref().unwrap_or_default().split(':').next().unwrap_or_default();
    let text: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS).collect();
    let text = format!("{kind} {text}").trim().to_owned();
    match kind {
        "VALIDATION" | "DATA_FORMAT" | "DUPLICATE" | "PERMISSION" => Fault::Refused(text),
        _ => Fault::Failed(text),
    }
}

const MESSAGE_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(object: u128, department: bool, external_id: &str) -> Noted {
        Noted { object: Uuid::from_u128(object), checksum: None, department, external_id: external_id.to_owned() }
    }

    fn failure(kind: &str, id: &str, error: &str) -> Failure {
        Failure {
            operation_type: Some(kind.to_owned()),
            external_id: Some(id.to_owned()),
            error_type: Some(error.to_owned()),
            error_message: Some("Parent department not found: secret".to_owned()),
            ..Failure::default()
        }
    }

    #[test]
    fn failures_find_their_objects_and_keep_values_out() {
        let items = [noted(1, true, "a"), noted(2, false, "a"), noted(3, false, "b")];
        let found =
            outcomes(&items, &[failure("USER_CREATE", "a", "NOT_FOUND"), failure("USER_UPDATE", "b", "DUPLICATE")]);
        assert_eq!(
            found,
            HashMap::from([
                (Uuid::from_u128(2), Fault::Failed("NOT_FOUND Parent department not found".into())),
                (Uuid::from_u128(3), Fault::Refused("DUPLICATE Parent department not found".into())),
            ])
        );
        assert_eq!(outcomes(&items, &[failure("USER_CREATE", "", "SYSTEM")]).len(), 3);
        assert!(outcomes(&items, &[]).is_empty());
    }
}
