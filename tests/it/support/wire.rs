//! LDAP by hand: bytes of our own making, for what no well-behaved client sends.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// One BER element.
pub fn ber(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n @ 0..=127 => out.push(n as u8),
        n => {
            out.push(0x84);
            out.extend((n as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

pub fn int(value: i32) -> Vec<u8> {
    ber(0x02, &value.to_be_bytes())
}

pub fn text(value: &[u8]) -> Vec<u8> {
    ber(0x04, value)
}

/// LDAPMessage.
pub fn message(id: i32, op: Vec<u8>) -> Vec<u8> {
    ber(0x30, &join(&[int(id), op]))
}

pub fn bind(id: i32, name: &str, password: &[u8]) -> Vec<u8> {
    message(id, ber(0x60, &join(&[int(3), text(name.as_bytes()), ber(0x80, password)])))
}

pub fn unbind(id: i32) -> Vec<u8> {
    message(id, ber(0x42, b""))
}

pub fn who_am_i(id: i32) -> Vec<u8> {
    message(id, ber(0x77, &ber(0x80, b"1.3.6.1.4.1.4203.1.11.3")))
}

/// `(objectClass=*)`.
pub fn present() -> Vec<u8> {
    ber(0x87, b"objectClass")
}

pub fn search(id: i32, base: &[u8], scope: u8, filter: Vec<u8>) -> Vec<u8> {
    let limits = [ber(0x0a, &[scope]), ber(0x0a, &[0]), int(0), int(0), ber(0x01, &[0])].concat();
    let attributes = ber(0x30, &text(b"1.1"));
    message(id, ber(0x63, &join(&[text(base), limits, filter, attributes])))
}

/// A response: message id, tag of the operation, its content.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub id: i32,
    pub tag: u8,
    pub content: Vec<u8>,
}

impl Response {
    /// The result code; search entries have none.
    pub fn code(&self) -> u8 {
        assert_eq!(self.content[0], 0x0a, "{self:?}");
        self.content[2]
    }

    pub fn has(&self, part: &str) -> bool {
        self.content.windows(part.len()).any(|w| w == part.as_bytes())
    }
}

pub struct Wire(pub TcpStream);

impl Wire {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Wire(stream)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next response; `None` when the server has closed.
    pub fn next(&mut self) -> Option<Response> {
        let (tag, body) = self.element()?;
        assert_eq!(tag, 0x30);
        let mut rest = body.as_slice();
        let (_, id) = part(&mut rest);
        let (tag, content) = part(&mut rest);
        let id = id.iter().fold(0, |n, b| (n << 8) | i32::from(*b));
        Some(Response { id, tag, content })
    }

    pub fn ask(&mut self, bytes: &[u8]) -> Response {
        self.send(bytes);
        self.next().expect("an answer, not a close")
    }

    /// Whatever still comes, until the close.
    pub fn rest(&mut self) -> Vec<Response> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn element(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return None,
            Err(e) => panic!("{e}"),
        }
        let length = match head[1] {
            n @ 0..=127 => usize::from(n),
            n => {
                let mut long = vec![0; usize::from(n & 0x7f)];
                self.0.read_exact(&mut long).unwrap();
                long.iter().fold(0, |n, b| (n << 8) | usize::from(*b))
            }
        };
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Some((head[0], body))
    }
}

fn part(bytes: &mut &[u8]) -> (u8, Vec<u8>) {
    let (tag, first) = (bytes[0], bytes[1]);
    let long = if first < 128 { 0 } else { usize::from(first & 0x7f) };
    let length = match long {
        0 => usize::from(first),
        n => bytes[2..2 + n].iter().fold(0, |n, b| (n << 8) | usize::from(*b)),
    };
    let content = bytes[2 + long..2 + long + length].to_vec();
    *bytes = &bytes[2 + long + length..];
    (tag, content)
}
