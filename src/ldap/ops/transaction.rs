//! Transactions (RFC 5805): updates that name one are kept aside, and at its end all of them are
//! submitted as one, or none is.

use super::{
    Call, Done, extended,
    write::{self, Shown},
};
use crate::{
    access::Identity,
    directory::{Op, Terms, Update},
    entry::ber,
    ldap::{
        message::Request,
        reply::{self, Reply},
        result::{self, Code, LdapResult},
        rootdse,
    },
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// The open transactions of one connection.
#[derive(Default)]
pub struct Transactions {
    open: HashMap<Vec<u8>, Transaction>,
    started: u64,
}

#[derive(Default)]
struct Transaction {
    updates: Vec<Kept>,
    /// Bytes of their messages.
    bytes: usize,
    /// Their share of what all transactions of the server may hold.
    held: Vec<OwnedSemaphorePermit>,
    /// The first update that was refused: without it the others are not wanted.
    refused: Option<i32>,
}

/// An update as it was asked for. Not the call itself: that would keep the connection alive, and
/// all that came with the request.
struct Kept {
    message: i32,
    identity: Arc<Identity>,
    op: Op,
    terms: Terms,
    shown: Shown,
}

impl Transactions {
    /// Forgets all, as a bind does; answers their identifiers.
    pub fn abort(&mut self) -> Vec<Vec<u8>> {
        self.open.drain().map(|(id, _)| id).collect()
    }
}

/// Start Transaction (RFC 5805 section 2.1).
pub fn start(call: &Call) -> Done {
    if *call.identity == Identity::Anonymous {
        let refused = result::result(Code::UnwillingToPerform, "bind before starting a transaction");
        return extended::respond(call, &refused, None, "start transaction");
    }
    let mut transactions = call.state.transactions();
    if transactions.open.len() >= call.shared.options.limits.transactions {
        let refused = result::result(Code::Busy, "too many transactions are open on this connection");
        return extended::respond(call, &refused, None, "start transaction");
    }
    transactions.started += 1;
    let id = transactions.started.to_string().into_bytes();
    transactions.open.insert(id.clone(), Transaction::default());
    extended::respond(call, &result::success(), Some(&id), "start transaction")
}

/// Keeps an update for the end of its transaction. It is answered at once: success says no more
/// than that it was understood (RFC 5805 section 2.2).
pub fn keep(call: Call, id: &[u8], request: Request, size: usize) -> Done {
    let kind = request.kind();
    let (op, name) = write::op(request);
    let limits = &call.shared.options.limits;
    let mut transactions = call.state.transactions();
    let Some(transaction) = transactions.open.get_mut(id) else {
        return call.answer(kind, result::result(Code::UnwillingToPerform, "no such transaction is open"), name);
    };
    transaction.bytes += size;
    let full = transaction.updates.len() >= limits.transaction_updates || transaction.bytes > limits.transaction_bytes;
    let permits = u32::try_from(size).unwrap_or(u32::MAX);
    let room = Arc::clone(&call.shared.transactions).try_acquire_many_owned(permits);
    let refusal = match (op, room) {
        _ if call.controls.no_op => {
            result::result(Code::UnwillingToPerform, "an update that does nothing has no place in a transaction")
        }
        (Err(error), _) => result::of(&error),
        (Ok(_), _) if full => {
            result::result(Code::AdminLimitExceeded, "the transaction is larger than the server allows")
        }
        (Ok(_), Err(_)) => {
            result::result(Code::Busy, "the transactions of all clients are larger than the server allows")
        }
        (Ok(op), Ok(room)) => {
            let identity = Arc::clone(&call.identity);
            let (terms, shown) = (write::terms(&call), Shown::of(&call.controls));
            transaction.updates.push(Kept { message: call.id, identity, op, terms, shown });
            transaction.held.push(room);
            return call.answer(kind, result::success(), name);
        }
    };
    transaction.refused.get_or_insert(call.id);
    transaction.updates.clear();
    transaction.held.clear();
    call.answer(kind, refusal, name)
}

/// End Transaction (RFC 5805 section 2.3).
pub async fn end(call: &Call, value: Option<&[u8]>) -> Done {
    const DETAIL: &str = "end transaction";
    let Some((commit, id)) = value.and_then(parse) else {
        let refused = result::result(Code::ProtocolError, "malformed end of a transaction");
        return extended::respond(call, &refused, None, DETAIL);
    };
    let Some(transaction) = call.state.transactions().open.remove(&id) else {
        let refused = result::result(Code::UnwillingToPerform, "no such transaction is open");
        return extended::respond(call, &refused, None, DETAIL);
    };
    if !commit {
        return extended::respond(call, &result::success(), None, DETAIL);
    }
    if let Some(message) = transaction.refused {
        let text = "an update of the transaction was refused; nothing was done";
        let refused = result::result(Code::UnwillingToPerform, text);
        return extended::respond(call, &refused, Some(&failed_at(message)), DETAIL);
    }
    match settle(call, transaction.updates).await {
        Ok(controls) => extended::respond(call, &result::success(), controls.as_deref(), DETAIL),
        Err((message, refused)) => extended::respond(call, &refused, Some(&failed_at(message)), DETAIL),
    }
}

/// All of the updates, or the message that was the reason for none.
async fn settle(call: &Call, kept: Vec<Kept>) -> Result<Option<Vec<u8>>, (i32, LdapResult)> {
    let directory = &call.shared.options.directory;
    let mut updates = Vec::with_capacity(kept.len());
    let mut asked = Vec::with_capacity(kept.len());
    for Kept { message, identity, op, terms, shown } in kept {
        let prepared = write::prepare(&call.shared, &identity, op).await;
        let op = prepared.map_err(|error| (message, result::of(&error)))?;
        updates.push(Update { identity: Identity::clone(&identity), op, terms });
        asked.push((message, identity, shown));
    }
    if updates.is_empty() {
        return Ok(None);
    }
    let outcomes = directory.submit_all(updates).await.map_err(|refused| {
        let message = asked.get(refused.at).map_or(call.id, |(message, ..)| *message);
        (message, result::of(&refused.error))
    })?;
    let mut list = Vec::new();
    for ((message, identity, shown), outcome) in asked.iter().zip(&outcomes) {
        let controls = shown.controls(directory, identity, outcome);
        if !controls.is_empty() {
            let mut one = Vec::new();
            reply::push_number(&mut one, ber::INTEGER, i64::from(*message));
            ber::push_element(&mut one, ber::SEQUENCE, &reply::control_list(&controls));
            ber::push_element(&mut list, ber::SEQUENCE, &one);
        }
    }
    Ok((!list.is_empty()).then(|| response(None, &list)))
}

/// TxnEndRes with the message whose update failed.
fn failed_at(message: i32) -> Vec<u8> {
    response(Some(message), &[])
}

fn response(message: Option<i32>, controls: &[u8]) -> Vec<u8> {
    let mut inner = Vec::new();
    if let Some(message) = message {
        reply::push_number(&mut inner, ber::INTEGER, i64::from(message));
    }
    if !controls.is_empty() {
        ber::push_element(&mut inner, ber::SEQUENCE, controls);
    }
    let mut out = Vec::new();
    ber::push_element(&mut out, ber::SEQUENCE, &inner);
    out
}

/// TxnEndReq: whether to commit, and what.
fn parse(value: &[u8]) -> Option<(bool, Vec<u8>)> {
    let mut reader = ber::Reader::new(value);
    let whole = reader.next_element()?.filter(|e| e.tag == ber::SEQUENCE)?;
    let mut commit = true;
    let mut inner = ber::Reader::at(value, whole.content);
    while let Some(part) = inner.next_element() {
        let part = part?;
        let content = value.get(part.content)?;
        match part.tag {
            ber::BOOLEAN => commit = content.first().is_some_and(|b| *b != 0),
            ber::OCTET_STRING => return Some((commit, content.to_vec())),
            _ => return None,
        }
    }
    None
}

/// Tells the client that its transactions are gone (RFC 5805 section 2.4).
pub fn aborted(id: &[u8], why: &str) -> Reply {
    Reply::extended(&result::result(Code::OperationsError, why), Some(rootdse::ABORTED_TRANSACTION), Some(id))
}
