//! What no well-behaved client sends.

use super::server;
use crate::support::{ADMIN, PASSWORD, SUFFIX, wire::*};

const NOTICE: &str = "1.3.6.1.4.1.1466.20036";
const PROTOCOL_ERROR: u8 = 2;
const EXTENDED: u8 = 0x78;

fn wire() -> Wire {
    Wire::connect(&server().ldap)
}

fn admin() -> Wire {
    let mut wire = wire();
    assert_eq!(wire.ask(&bind(1, ADMIN, PASSWORD.as_bytes())).code(), 0);
    wire
}

/// Bytes that are no LDAP: a notice of disconnection under id 0, then the close (RFC 4511 4.1.1).
#[test]
fn broken_frames_get_a_notice_and_the_close() {
    let cases: [(&str, Vec<u8>); 8] = [
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no sequence", ber(0x31, &int(1))),
        ("no message id", ber(0x30, &text(b"x"))),
        ("a message id alone", ber(0x30, &int(1))),
        ("a negative id", message(-1, ber(0x42, b""))),
        ("an inner length past the end", vec![0x30, 0x05, 0x02, 0x01, 0x01, 0x60, 0x7f]),
        ("an operation that is a response", message(7, ber(0x61, &join(&[ber(0x0a, &[0]), text(b""), text(b"")])))),
        ("an unknown operation", message(7, ber(0x7e, b""))),
    ];
    for (what, bytes) in cases {
        let mut wire = wire();
        wire.send(&bytes);
        let rest = wire.rest();
        assert_eq!(rest.len(), 1, "{what}: {rest:?}");
        assert_eq!((rest[0].id, rest[0].tag, rest[0].code()), (0, EXTENDED, PROTOCOL_ERROR), "{what}");
        assert!(rest[0].has(NOTICE), "{what}");
    }
}

/// The frame is good, a value in it is not: the answer comes under its id and the session goes on.
#[test]
fn bad_values_are_answered_under_their_id() {
    let not_utf8 = b"cn=\xff";
    let cases: [(&str, Vec<u8>, u8); 9] = [
        ("a delete of no UTF-8", message(7, ber(0x4a, not_utf8)), 0x6b),
        ("a search base of no UTF-8", search(7, not_utf8, 0, present()), 0x65),
        ("a scope that is none", search(7, b"", 9, present()), 0x65),
        ("a filter that is none", search(7, b"", 0, ber(0x8f, b"x")), 0x65),
        ("a filter of the wrong class", search(7, b"", 0, text(b"x")), 0x65),
        ("a filter not of two", search(7, b"", 0, ber(0xa2, &join(&[present(), present()]))), 0x65),
        ("an empty substring filter", search(7, b"", 0, ber(0xa4, &join(&[text(b"cn"), ber(0x30, b"")]))), 0x65),
        ("a bind name of no UTF-8", message(7, ber(0x60, &join(&[int(3), text(not_utf8), ber(0x80, b"x")]))), 0x61),
        ("an add without attributes", message(7, ber(0x68, &text(b"cn=x"))), 0x69),
    ];
    let mut faults = Vec::new();
    for (what, bytes, tag) in cases {
        let mut wire = admin();
        let answer = wire.ask(&bytes);
        if (answer.id, answer.tag, answer.code()) != (7, tag, PROTOCOL_ERROR) {
            faults.push(format!("{what}: {answer:?}"));
            continue;
        }
        assert_eq!(wire.ask(&who_am_i(8)).code(), 0, "{what}: the session goes on");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_filter_nested_too_deeply() {
    let mut filter = present();
    for _ in 0..200 {
        filter = ber(0xa2, &filter);
    }
    let mut wire = wire();
    let answer = wire.ask(&search(7, b"", 0, filter));
    // Refused as a value or as a frame, but never by a crash.
    assert_eq!(answer.code(), PROTOCOL_ERROR);
    assert_eq!(Wire::connect(&server().ldap).ask(&who_am_i(1)).code(), 0);
}

#[test]
fn a_message_over_the_limit() {
    for (mut wire, size) in [(wire(), 5_000), (admin(), 1_100_000)] {
        // The header alone is enough: the server does not wait for what it would not take.
        let length = (size as u32).to_be_bytes();
        wire.send(&[&[0x30, 0x84][..], &length].concat());
        let rest = wire.rest();
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!((rest[0].id, rest[0].tag), (0, EXTENDED));
        assert!(rest[0].has(NOTICE));
    }
}

#[test]
fn a_bigger_message_is_taken_after_a_bind() {
    let padded =
        |id| search(id, b"", 0, ber(0xa1, &join(&[present(), ber(0xa3, &join(&[text(b"cn"), text(&[b'x'; 6000])]))])));
    let mut wire = admin();
    wire.send(&padded(2));
    let answers: Vec<_> = (0..2).map(|_| wire.next().unwrap()).collect();
    assert_eq!((answers[0].tag, answers[1].tag, answers[1].code()), (0x64, 0x65, 0));
}

#[test]
fn one_byte_at_a_time() {
    let mut wire = wire();
    for byte in who_am_i(5) {
        wire.send(&[byte]);
    }
    let answer = wire.next().unwrap();
    assert_eq!((answer.id, answer.tag, answer.code()), (5, EXTENDED, 0));
}

/// Lengths need not be in the shortest form (RFC 4511 5.1).
#[test]
fn long_forms_of_lengths() {
    let inner = [&[0x02, 0x82, 0x00, 0x01, 0x09][..], &ber(0x77, &ber(0x80, b"1.3.6.1.4.1.4203.1.11.3"))].concat();
    let bytes = [&[0x30, 0x83, 0x00, 0x00, inner.len() as u8][..], &inner].concat();
    let answer = wire().ask(&bytes);
    assert_eq!((answer.id, answer.code()), (9, 0));
}

/// More requests at once than the server runs at a time: each is answered, once, under its id.
#[test]
fn pipelined_requests() {
    let mut wire = admin();
    let ids = 10..210;
    let all: Vec<u8> = ids.clone().flat_map(|id| search(id, SUFFIX.as_bytes(), 0, present())).collect();
    wire.send(&all);
    let (mut entries, mut results) = (Vec::new(), Vec::new());
    while results.len() < ids.len() {
        let answer = wire.next().expect("an answer");
        match answer.tag {
            0x64 => entries.push(answer.id),
            _ => {
                assert_eq!((answer.tag, answer.code()), (0x65, 0));
                assert!(entries.contains(&answer.id), "an entry comes before its result");
                results.push(answer.id);
            }
        }
    }
    entries.sort_unstable();
    results.sort_unstable();
    assert_eq!(entries, ids.clone().collect::<Vec<_>>());
    assert_eq!(results, entries);
}

/// A bind waits for what came before it and comes before what follows (RFC 4511 4.2.1).
#[test]
fn a_bind_is_a_barrier() {
    let mut wire = wire();
    let mut bytes = Vec::new();
    for round in 0..20 {
        let id = 1 + round * 4;
        bytes.extend(bind(id, ADMIN, PASSWORD.as_bytes()));
        bytes.extend(who_am_i(id + 1));
        bytes.extend(bind(id + 2, "", b""));
        bytes.extend(who_am_i(id + 3));
    }
    wire.send(&bytes);
    let mut bound = 0;
    for _ in 0..80 {
        let answer = wire.next().unwrap();
        assert_eq!(answer.code(), 0);
        if answer.tag == EXTENDED {
            assert_eq!(answer.has(ADMIN), answer.id % 4 == 2, "{answer:?}");
            bound += usize::from(answer.has(ADMIN));
        }
    }
    assert_eq!(bound, 20);
}

#[test]
fn a_failed_bind_makes_anonymous() {
    let mut wire = admin();
    assert_eq!(wire.ask(&bind(2, ADMIN, b"wrong")).code(), 49);
    assert!(!wire.ask(&who_am_i(3)).has(ADMIN));
    assert_eq!(wire.ask(&bind(4, ADMIN, PASSWORD.as_bytes())).code(), 0);
    assert_eq!(wire.ask(&bind(5, ADMIN, b"")).code(), 53);
    assert!(!wire.ask(&who_am_i(6)).has(ADMIN));
}

#[test]
fn a_password_that_is_not_utf8() {
    let mut wire = wire();
    assert_eq!(wire.ask(&bind(1, ADMIN, b"\xff\xfe\x00")).code(), 49);
    let password = b"caf\xe9\x00\xff";
    let dn = "uid=bytes,ou=people,dc=example,dc=org";
    let attribute = |name: &str, value: &[u8]| ber(0x30, &join(&[text(name.as_bytes()), ber(0x31, &text(value))]));
    let attributes = join(&[
        attribute("objectClass", b"inetOrgPerson"),
        attribute("cn", b"Bytes"),
        attribute("sn", b"Bytes"),
        attribute("userPassword", password),
    ]);
    let add = message(2, ber(0x68, &join(&[text(dn.as_bytes()), ber(0x30, &attributes)])));
    let answer = admin().ask(&add);
    assert_eq!((answer.tag, answer.code()), (0x69, 0), "{answer:?}");
    assert_eq!(wire.ask(&bind(3, dn, password)).code(), 0);
    assert!(wire.ask(&who_am_i(4)).has(dn));
    assert_eq!(wire.ask(&bind(5, dn, b"caf\xe9\x00\xfe")).code(), 49);
}

#[test]
fn an_assertion_value_that_is_not_utf8() {
    let filter = ber(0xa3, &join(&[text(b"cn"), text(b"\xff\xfe")]));
    let mut wire = admin();
    let answer = wire.ask(&search(2, SUFFIX.as_bytes(), 2, filter));
    // It matches nothing; it is no error (RFC 4511 4.5.1.7).
    assert_eq!((answer.tag, answer.code()), (0x65, 0));
}

#[test]
fn other_versions_and_mechanisms() {
    let with = |version, auth: Vec<u8>| message(1, ber(0x60, &join(&[int(version), text(b""), auth])));
    assert_eq!(wire().ask(&with(2, ber(0x80, b""))).code(), PROTOCOL_ERROR);
    assert_eq!(wire().ask(&with(4, ber(0x80, b""))).code(), PROTOCOL_ERROR);
    assert_eq!(wire().ask(&with(3, ber(0xa3, &text(b"GSSAPI")))).code(), 7);
    assert_eq!(wire().ask(&with(3, ber(0x89, b"x"))).code(), 7);
}

#[test]
fn unbind_closes_without_an_answer() {
    let mut wire = admin();
    wire.send(&unbind(2));
    assert_eq!(wire.rest(), []);
}

#[test]
fn controls_that_are_malformed() {
    let op = ber(0x4a, b"cn=x");
    let bytes = ber(0x30, &join(&[int(7), op, ber(0xa0, &ber(0x30, &int(1)))]));
    let answer = admin().ask(&bytes);
    assert_eq!((answer.id, answer.tag, answer.code()), (7, 0x6b, PROTOCOL_ERROR));
}

/// A critical control on requests without a response is no reason to answer (RFC 4511 4.1.11).
#[test]
fn a_critical_control_on_abandon_and_unbind() {
    let control = ber(0xa0, &ber(0x30, &join(&[text(b"1.2.3.4"), ber(0x01, &[0xff])])));
    let mut wire = admin();
    wire.send(&ber(0x30, &join(&[int(7), ber(0x50, &[9]), control.clone()])));
    let answer = wire.ask(&who_am_i(8));
    assert_eq!((answer.id, answer.code()), (8, 0));
    wire.send(&ber(0x30, &join(&[int(9), ber(0x42, b""), control])));
    assert_eq!(wire.rest(), []);
}

/// A client that goes away in the middle of a request takes nobody with it.
#[test]
fn clients_that_vanish() {
    for _ in 0..20 {
        let mut wire = admin();
        wire.send(&search(2, SUFFIX.as_bytes(), 2, present()));
        wire.send(&[0x30, 0x84]);
        drop(wire);
    }
    assert_eq!(admin().ask(&who_am_i(2)).code(), 0);
}

/// Bytes after StartTLS in the same packet would be taken for protected ones: they are not.
#[test]
fn nothing_in_clear_passes_a_start_tls() {
    let mut wire = wire();
    let start = message(1, ber(0x77, &ber(0x80, b"1.3.6.1.4.1.1466.20037")));
    wire.send(&[start, who_am_i(2)].concat());
    let answers = wire.rest();
    assert_eq!(answers[0].id, 1);
    assert!(answers.iter().all(|a| a.id != 2), "{answers:?}");
}
