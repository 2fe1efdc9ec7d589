//! The bytes of one connection: what has come and is not yet a message, what is to go out and is
//! not yet written. Every wait here can be dropped without losing a byte.

use super::outbox::Outbox;
use bytes::{Buf, BytesMut};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

pub struct Pipe<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    pub incoming: BytesMut,
    outgoing: BytesMut,
    /// A TLS stream may hold some of what was written back until it is flushed.
    unflushed: bool,
    /// When the client last took something.
    progress: Instant,
    write_limit: Duration,
}

/// What a wait ended with.
pub enum Event {
    /// Bytes went out, or came in.
    Moved,
    /// The client has nothing more to say; it may still listen.
    Ended,
    /// The client is gone, or does not read.
    Lost,
}

const READ_BUFFER: usize = 8 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    pub fn new(stream: S, write_limit: Duration) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Pipe {
            reader,
            writer,
            incoming: BytesMut::with_capacity(READ_BUFFER),
            outgoing: BytesMut::new(),
            unflushed: false,
            progress: Instant::now(),
            write_limit,
        }
    }

    /// Takes what operations have said since, if all that came before is written.
    pub fn load(&mut self, outbox: &Outbox) {
        if self.outgoing.is_empty() {
            self.outgoing = outbox.take();
            if !self.unflushed {
                self.progress = Instant::now();
            }
        }
    }

    /// True if every byte that was loaded is out.
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty() && !self.unflushed
    }

    /// Writes what waits and, if `may_read`, reads what comes; returns after the first progress.
    pub async fn next(&mut self, may_read: bool) -> Event {
        let deadline = (self.progress + self.write_limit).into();
        let drained = self.is_drained();
        tokio::select! {
            biased;
            sent = send(&mut self.writer, &self.outgoing), if !drained => match sent {
                Ok(Sent::Bytes(n)) if n > 0 => {
                    self.outgoing.advance(n);
                    self.unflushed = true;
                    self.progress = Instant::now();
                    Event::Moved
                }
                Ok(Sent::Flushed) => {
                    self.unflushed = false;
                    Event::Moved
                }
                _ => Event::Lost,
            },
            () = tokio::time::sleep_until(deadline), if !drained => Event::Lost,
            read = self.reader.read_buf(&mut self.incoming), if may_read => match read {
                Ok(0) => Event::Ended,
                Ok(_) => Event::Moved,
                Err(_) => Event::Lost,
            },
            () = std::future::pending(), if drained && !may_read => Event::Lost,
        }
    }

    /// Writes everything; false if the client does not take it.
    pub async fn drain(&mut self, outbox: &Outbox) -> bool {
        loop {
            self.load(outbox);
            if self.is_drained() {
                return true;
            }
            if let Event::Lost = self.next(false).await {
                return false;
            }
        }
    }

    pub async fn shutdown(&mut self) {
        // The peer may have closed already; then there is nothing to shut down.
        let _ = self.writer.shutdown().await;
    }

    /// The stream again, without the bytes that came after the last message: in front of a TLS
    /// handshake they would be a stranger's words inside the secured session.
    pub fn into_stream(self) -> S {
        self.reader.unsplit(self.writer)
    }
}

enum Sent {
    Bytes(usize),
    Flushed,
}

/// Writes some of what waits or, if nothing does, flushes.
async fn send<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> std::io::Result<Sent> {
    if bytes.is_empty() {
        writer.flush().await.map(|()| Sent::Flushed)
    } else {
        writer.write(bytes).await.map(Sent::Bytes)
    }
}
