//! The header that a load balancer puts in front of a connection to say whose it is (the PROXY
//! protocol of HAProxy, versions 1 and 2). Taken from addresses of the configuration only, since
//! whoever sends it can name any client; such an address has to send it.

use crate::limits::PROXY_HEADER;
use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The addresses of load balancers.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// From networks such as `10.0.0.0/8` and single addresses; `Err` is what is neither.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        let network = |text: &String| match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>().map_err(|_| text.clone()),
        };
        list.iter().map(network).collect::<Result<_, _>>().map(Proxies)
    }

    pub fn contain(&self, address: IpAddr) -> bool {
        // On a socket for both families, addresses of version 4 come in the form of version 6.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header is longer than {PROXY_HEADER} bytes")]
    TooLong,
    #[error("the PROXY header did not come in time")]
    Late,
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Reads the header and not a byte more. `None` where the balancer speaks for itself.
pub async fn read<S: AsyncRead + Unpin>(socket: &mut S, limit: Duration) -> Result<Option<SocketAddr>, Fault> {
    let bytes = tokio::time::timeout(limit, whole(socket)).await.map_err(|_| Fault::Late)??;
    let client = |ip: IpAddr, port: u16| Some(SocketAddr::new(ip, port));
    match HeaderResult::parse(&bytes) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(a) => client(a.source_address.into(), a.source_port),
            v1::Addresses::Tcp6(a) => client(a.source_address.into(), a.source_port),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(a)) => client(a.source_address.into(), a.source_port),
            (v2::Command::Proxy, v2::Addresses::IPv6(a)) => client(a.source_address.into(), a.source_port),
            // Its own health checks; local sockets and what has no address.
            (v2::Command::Local, _) | (_, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(Fault::Malformed),
    }
}

async fn whole<S: AsyncRead + Unpin>(socket: &mut S) -> Result<Vec<u8>, Fault> {
    // Both versions are longer than this.
    let mut bytes = vec![0; v2::PROTOCOL_PREFIX.len()];
    socket.read_exact(&mut bytes).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        let mut rest = [0; 4];
        socket.read_exact(&mut rest).await?;
        bytes.extend(rest);
        let [_, _, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > PROXY_HEADER {
            return Err(Fault::TooLong);
        }
        let mut rest = vec![0; length];
        socket.read_exact(&mut rest).await?;
        bytes.extend(rest);
        return Ok(bytes);
    }
    if !bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(Fault::Absent);
    }
    // A line without its length in front: byte by byte, or what follows it would be taken, too.
    while !bytes.ends_with(b"\n") {
        if bytes.len() >= LONGEST_LINE {
            return Err(Fault::Malformed);
        }
        bytes.push(socket.read_u8().await?);
    }
    Ok(bytes)
}

/// Of version 1, with its end (proxy-protocol.txt section 2.1).
const LONGEST_LINE: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, Vec<u8>) {
        let mut stream = bytes;
        let found = read(&mut stream, Duration::from_secs(10)).await.map_err(|e| e.to_string());
        (found, stream.to_vec())
    }

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = v2::PROTOCOL_PREFIX.to_vec();
        bytes.extend([0x20 | command, family, 0, body.len() as u8]);
        bytes.extend(body);
        bytes.extend(b"LDAP");
        bytes
    }

    #[tokio::test]
    async fn headers_of_both_versions_are_read_and_nothing_behind_them() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 0x85];
        let six: Vec<u8> = [[0x20; 16], [1; 16]].concat().into_iter().chain([0x12, 0x34, 1, 0x85]).collect();
        // With a type-length-value behind the addresses.
        let more = [&four[..], &[4, 0, 1, 9]].concat();
        for (bytes, client) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 389\r\nLDAP".to_vec(), Some("192.0.2.7:4660")),
            (b"PROXY TCP6 2001:db8::7 ::1 4660 389\r\nLDAP".to_vec(), Some("[2001:db8::7]:4660")),
            (b"PROXY UNKNOWN\r\nLDAP".to_vec(), None),
            (version_2(1, 0x11, &four), Some("192.0.2.7:4660")),
            (version_2(1, 0x11, &more), Some("192.0.2.7:4660")),
            (version_2(1, 0x21, &six), Some("[2020:2020:2020:2020:2020:2020:2020:2020]:4660")),
            (version_2(0, 0x11, &four), None),
            (version_2(0, 0x00, b""), None),
        ] {
            let client = client.map(|text| text.parse().unwrap());
            assert_eq!(read_all(&bytes).await, (Ok(client), b"LDAP".to_vec()), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_told() {
        let mut long = v2::PROTOCOL_PREFIX.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        for (bytes, fault) in [
            (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00".to_vec(), Fault::Absent),
            (b"PROXY NONSENSE\r\n".to_vec(), Fault::Malformed),
            (b"PROXY TCP4 1.2.3.4 x 1 2\r\n".to_vec(), Fault::Malformed),
            ([&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(), Fault::Malformed),
            (version_2(1, 0x11, b"short"), Fault::Malformed),
            (long, Fault::TooLong),
        ] {
            assert_eq!(read_all(&bytes).await.0, Err(fault.to_string()), "{bytes:?}");
        }
        assert!(read_all(b"PROXY TCP4 1.2").await.0.is_err());
    }

    #[test]
    fn networks_and_addresses() {
        let list = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"].map(str::to_owned);
        let proxies = Proxies::parse(&list).unwrap();
        for (address, is) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(proxies.contain(address.parse().unwrap()), is, "{address}");
        }
        assert_eq!(Proxies::parse(&["nowhere/8".to_owned()]).unwrap_err(), "nowhere/8");
    }
}
