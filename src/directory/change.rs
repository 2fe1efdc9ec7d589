//! What the journal keeps of a change: which entry, by whom, and enough to do the same elsewhere.
//! What is in a record's content is made in `directory/content`.

use super::content::Content;
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

/// One journal record; its number is its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub time: Timestamp,
    pub actor: SmolStr,
    pub uuid: Uuid,
    /// The name after the change; before it for a delete.
    pub dn: String,
    pub kind: ChangeKind,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    Add,
    /// The attributes that changed.
    Modify(Vec<SmolStr>),
    Delete,
    Rename {
        old_dn: String,
    },
    /// Only the state moved.
    State {
        from: i32,
        to: i32,
    },
}

/// The form of the first release: without content.
#[derive(Deserialize)]
struct First {
    time: Timestamp,
    actor: SmolStr,
    uuid: Uuid,
    dn: String,
    kind: ChangeKind,
}

const FIRST: u8 = 1;
const VERSION: u8 = 2;

impl Change {
    /// The record, and behind it the attribute list of a new entry as it is.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        if let Ok(bytes) = postcard::to_stdvec(self) {
            out.extend(bytes);
        }
        if let Content::Entry { attributes } = &self.content {
            out.extend_from_slice(attributes);
        }
        out
    }

    /// `None` if a later release wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [FIRST, rest @ ..] => {
                let First { time, actor, uuid, dn, kind } = postcard::from_bytes(rest).ok()?;
                Some(Change { time, actor, uuid, dn, kind, content: Content::Unrecorded })
            }
            [VERSION, rest @ ..] => {
                let (mut change, rest) = postcard::take_from_bytes::<Change>(rest).ok()?;
                if let Content::Entry { attributes } = &mut change.content {
                    *attributes = rest.to_vec();
                }
                Some(change)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::ModKind;

    fn change(kind: ChangeKind, content: Content) -> Change {
        Change {
            time: Timestamp(1_700_000_000_000_001),
            actor: "cn=admin".into(),
            uuid: Uuid::from_u128(7),
            dn: "uid=a,dc=x".to_owned(),
            kind,
            content,
        }
    }

    #[test]
    fn every_content_reads_back() {
        let modified = vec![
            (ModKind::Add, SmolStr::new("member"), vec![b"uid=b,dc=x".to_vec()]),
            (ModKind::Delete, SmolStr::new("mail;lang-fr"), vec![]),
        ];
        for one in [
            change(ChangeKind::Add, Content::Entry { attributes: vec![0x30, 3, 4, 1, 0] }),
            change(ChangeKind::Modify(vec!["member".into()]), Content::Modifications(modified)),
            change(ChangeKind::Rename { old_dn: "uid=z,dc=x".to_owned() }, Content::Rename { delete_old: true }),
            change(ChangeKind::Delete, Content::Delete),
            change(ChangeKind::State { from: 1, to: 99 }, Content::Unrecorded),
        ] {
            assert_eq!(Change::decode(&one.encode()).as_ref(), Some(&one));
        }
    }

    /// Bytes that the first release wrote; never to be made anew.
    #[test]
    fn records_of_the_first_release_are_read() {
        let modify = b"\x01\x82\x80\xf2\x81\x83\x89\x85\x06\x08cn=admin\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\
            \x0auid=a,dc=x\x01\x01\x04mail";
        let expected = change(ChangeKind::Modify(vec!["mail".into()]), Content::Unrecorded);
        assert_eq!(Change::decode(modify), Some(expected));
    }

    #[test]
    fn a_later_version_is_not_read() {
        assert_eq!(Change::decode(&[VERSION + 1, 0]), None);
        assert_eq!(Change::decode(&[]), None);
    }
}
