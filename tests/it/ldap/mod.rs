//! The protocol, spoken to the real server by a client that we did not write and by bytes of our
//! own making.

mod bytes;
mod client;

use crate::support::{Home, Server};
use std::rc::Rc;
use tempfile::TempDir;

// Each test runs on a thread of its own, and its server ends with that thread.
thread_local! {
    static OWN: (Rc<Server>, TempDir) = {
        let folder = TempDir::new().unwrap();
        let limits = "{message_bytes_anonymous: 4096, message_bytes: 1048576, in_flight: 8}";
        let home = Home { limits, ..Home::new(folder.path()) };
        (Rc::new(home.start(&[])), folder)
    };
}

fn server() -> Rc<Server> {
    OWN.with(|(server, _)| Rc::clone(server))
}
