//! Answers on their way out. Operations append whole messages; the session writes what has
//! gathered in one go. An operation with much to say waits while the client does not read.

use super::reply::Reply;
use bytes::BytesMut;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Outbox {
    bytes: Mutex<BytesMut>,
    /// Something was appended.
    filled: Notify,
    /// Something was taken.
    drained: Notify,
    /// Nobody listens any more.
    discarded: AtomicBool,
}

/// Above this an operation waits before it appends more.
const HIGH_WATER: usize = 256 << 10;

impl Outbox {
    /// Appends bytes that are whole messages.
    pub fn push(&self, message: &[u8]) {
        if self.discarded.load(Ordering::Acquire) {
            return;
        }
        self.lock().extend_from_slice(message);
        self.filled.notify_one();
    }

    pub fn send(&self, id: i32, reply: &Reply) {
        let mut message = Vec::new();
        reply.encode(&mut message, id);
        self.push(&message);
    }

    /// All that has gathered.
    pub fn take(&self) -> BytesMut {
        let bytes = std::mem::take(&mut *self.lock());
        self.drained.notify_waiters();
        bytes
    }

    /// From now on everything is thrown away, and nothing waits for room.
    pub fn discard(&self) {
        self.discarded.store(true, Ordering::Release);
        drop(self.take());
    }

    /// True while the client has to read before it may ask for more.
    pub fn is_full(&self) -> bool {
        self.lock().len() >= HIGH_WATER
    }

    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Waits until the client has read enough.
    pub async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if !self.is_full() || self.discarded.load(Ordering::Acquire) {
                return;
            }
            drained.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BytesMut> {
        // Appending whole messages leaves nothing half done behind a panic.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
