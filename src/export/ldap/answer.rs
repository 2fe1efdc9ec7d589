//! What a result code of the other directory asks for (RFC 4511 appendix A).

use super::content::Content;
use crate::export::target::Fault;
use ldap3::LdapResult;

pub const SUCCESS: u32 = 0;
pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
pub const NO_SUCH_ATTRIBUTE: u32 = 16;
pub const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
pub const NO_SUCH_OBJECT: u32 = 32;
pub const NOT_ALLOWED_ON_NON_LEAF: u32 = 66;
pub const ENTRY_ALREADY_EXISTS: u32 = 68;
pub const ASSERTION_FAILED: u32 = 122;

/// The fault of a request that was answered with anything but success. `about` is what was sent: its
/// values do not belong into texts for the operator.
pub fn fault(result: &LdapResult, about: &Content) -> Fault {
    let text = || told(result, about);
    match result.rc {
        NO_SUCH_OBJECT => Fault::NotFound,
        ENTRY_ALREADY_EXISTS => Fault::Conflict(text()),
        // Who we are is at fault, and will be for every other object.
        7 | 8 | 13 | 48 | 49 | 50 | 123 => Fault::Closed(text()),
        // Nobody is there to work on it.
        51 | 52 => Fault::Unreachable(text()),
        // Another time, or once other entries have gone: errors of the moment, limits, subordinates
        // that are still there.
        1 | 3 | 4 | 11 | 53 | 66 | 80 => Fault::Busy { status: status(result.rc), retry_after: None },
        _ => Fault::Refused(text()),
    }
}

/// A bind that fails concerns all objects, unless the server is not ready.
pub fn bind_fault(result: &LdapResult) -> Fault {
    let text = told(result, &Content::default());
    match result.rc {
        1 | 3 | 51..=53 | 80 => Fault::Unreachable(text),
        _ => Fault::Closed(format!("the bind was refused: {text}")),
    }
}

fn status(code: u32) -> u16 {
    u16::try_from(code).unwrap_or(u16::MAX)
}

/// Code, name and what the server says, without any value that was sent.
fn told(result: &LdapResult, about: &Content) -> String {
    let name = NAMES.iter().find(|(code, _)| *code == result.rc).map_or("", |(_, name)| name);
    let head = format!("{} {name}", result.rc).trim_end().to_owned();
    let mut said = result.text.replace(char::is_control, " ").trim().to_owned();
    if said.is_empty() {
        return head;
    }
    let values = about.attributes().flat_map(|attribute| &attribute.values);
    let texts = values.filter_map(|value| std::str::from_utf8(value).ok()).chain([about.dn.as_str()]);
    let mut secret: Vec<&str> = texts.filter(|text| text.len() >= SHORTEST_SECRET && said.contains(text)).collect();
    // A value may be part of another.
    secret.sort_by_key(|text| std::cmp::Reverse(text.len()));
    // Names of classes are values too, but tell nobody anything.
    let classes: Vec<&[u8]> = about.get("objectClass").into_iter().flat_map(|c| &c.values).map(Vec::as_slice).collect();
    for text in secret.into_iter().filter(|text| !classes.contains(&text.as_bytes())) {
        said = said.replace(text, "…");
    }
    let end = said.char_indices().nth(LONGEST_TEXT).map_or(said.len(), |(at, _)| at);
    said.truncate(end);
    format!("{head}: {said}")
}

/// Shorter values are parts of ordinary words.
const SHORTEST_SECRET: usize = 3;
const LONGEST_TEXT: usize = 300;

const NAMES: [(u32, &str); 29] = [
    (1, "operationsError"),
    (2, "protocolError"),
    (3, "timeLimitExceeded"),
    (4, "sizeLimitExceeded"),
    (8, "strongerAuthRequired"),
    (10, "referral"),
    (11, "adminLimitExceeded"),
    (12, "unavailableCriticalExtension"),
    (13, "confidentialityRequired"),
    (16, "noSuchAttribute"),
    (17, "undefinedAttributeType"),
    (18, "inappropriateMatching"),
    (19, "constraintViolation"),
    (20, "attributeOrValueExists"),
    (21, "invalidAttributeSyntax"),
    (32, "noSuchObject"),
    (34, "invalidDNSyntax"),
    (48, "inappropriateAuthentication"),
    (49, "invalidCredentials"),
    (50, "insufficientAccessRights"),
    (51, "busy"),
    (52, "unavailable"),
    (53, "unwillingToPerform"),
    (64, "namingViolation"),
    (65, "objectClassViolation"),
    (66, "notAllowedOnNonLeaf"),
    (67, "notAllowedOnRDN"),
    (68, "entryAlreadyExists"),
    (80, "other"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::target::Remedy;

    fn result(rc: u32, text: &str) -> LdapResult {
        LdapResult { rc, matched: String::new(), text: text.to_owned(), refs: vec![], ctrls: vec![] }
    }

    #[test]
    fn each_code_has_its_remedy() {
        for (codes, remedy) in [
            (vec![8, 49, 50], Remedy::Repair),
            (vec![51, 52], Remedy::Pause),
            (vec![3, 11, 32, 53, 66, 80], Remedy::Later),
            (vec![10, 17, 19, 21, 64, 65, 68, 71], Remedy::Never),
        ] {
            for code in codes {
                assert_eq!(fault(&result(code, ""), &Content::default()).remedy(), remedy, "{code}");
            }
        }
    }

    #[test]
    fn texts_carry_no_values() {
        let mut about = Content::new("uid=amartin,ou=people,dc=down".to_owned());
        about.put("uid", "amartin");
        about.put("sn", "Martin");
        about.put("objectClass", "person");
        let said = "uid=amartin,ou=people,dc=down: object class 'person' has no 'cn', sn is 'Martin'";
        assert_eq!(
            fault(&result(65, said), &about),
            Fault::Refused("65 objectClassViolation: …: object class 'person' has no 'cn', sn is '…'".to_owned())
        );
        assert_eq!(fault(&result(19, ""), &about), Fault::Refused("19 constraintViolation".to_owned()));
    }
}
