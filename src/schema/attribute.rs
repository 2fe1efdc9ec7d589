//! Attribute types and attribute descriptions (RFC 4512 sections 2.5 and 4.1.2).

use super::{matching::Rule, syntax::Syntax};
use smol_str::SmolStr;

/// Index of an attribute type in the schema. Valid for the schema that made it only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrId(u16);

impl AttrId {
    pub(super) fn new(index: usize) -> Self {
        AttrId(index as u16)
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// RFC 4512 section 4.1.2 `usage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
pub enum Usage {
    #[default]
    #[serde(rename = "userApplications")]
    UserApplications,
    #[serde(rename = "directoryOperation")]
    DirectoryOperation,
    #[serde(rename = "distributedOperation")]
    DistributedOperation,
    #[serde(rename = "dSAOperation")]
    DsaOperation,
}

/// One attribute type, with everything inherited from its superior filled in.
#[derive(Debug)]
pub struct Attribute {
    pub name: SmolStr,
    pub aliases: Vec<SmolStr>,
    pub oid: SmolStr,
    pub desc: String,
    pub obsolete: bool,
    pub sup: Option<AttrId>,
    pub equality: Option<&'static Rule>,
    pub ordering: Option<&'static Rule>,
    pub substr: Option<&'static Rule>,
    pub syntax: Syntax,
    pub length: Option<u32>,
    pub single_value: bool,
    pub no_user_modification: bool,
    pub usage: Usage,
    /// Itself and all subtypes, itself first.
    pub with_subtypes: Vec<AttrId>,
    /// The rules and syntax that the definition itself names, for the subschema entry.
    pub own: Own,
}

/// What the definition says itself, before inheritance.
#[derive(Debug, Default)]
pub struct Own {
    pub equality: bool,
    pub ordering: bool,
    pub substr: bool,
    pub syntax: bool,
}

impl Attribute {
    pub fn is_operational(&self) -> bool {
        self.usage != Usage::UserApplications
    }
}

/// An attribute type with its options, which are lower-case, sorted, without duplicates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrDesc {
    pub id: AttrId,
    pub options: SmolStr,
}

/// Bytes of all options of one description.
const MAX_OPTIONS: usize = 256;

impl AttrDesc {
    pub fn plain(id: AttrId) -> Self {
        AttrDesc { id, options: SmolStr::default() }
    }

    /// `options` as they stand after the first `;`. `None` if one is malformed.
    pub(super) fn with_options(id: AttrId, options: &str) -> Option<Self> {
        if options.len() > MAX_OPTIONS {
            return None;
        }
        let lower = options.to_ascii_lowercase();
        let mut parts: Vec<&str> = lower.split(';').collect();
        let ok = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !parts.iter().all(ok) {
            return None;
        }
        parts.sort_unstable();
        parts.dedup();
        Some(AttrDesc { id, options: SmolStr::new(parts.join(";")) })
    }

    /// True if `self` asked for covers `held`: every option asked is held
    /// (RFC 4512 section 2.5.2). Types are compared by the caller.
    pub fn options_cover(&self, held: &str) -> bool {
        self.options.is_empty() || self.options.split(';').all(|asked| held.split(';').any(|h| covers(asked, h)))
    }

    /// True if an option is a language range (RFC 3866 section 2.2), which can be asked for but
    /// names no value.
    pub fn has_range(&self) -> bool {
        self.options.split(';').any(is_range)
    }
}

fn is_range(option: &str) -> bool {
    option.starts_with("lang-") && option.ends_with('-')
}

/// The range `lang-fr-` covers `lang-fr` and every tag that begins with `lang-fr-`; `lang-` covers
/// all languages (RFC 3866 section 2.2).
fn covers(asked: &str, held: &str) -> bool {
    held == asked || is_range(asked) && (held.starts_with(asked) || asked.strip_suffix('-') == Some(held))
}

/// An attribute description with its values, as requests and drafts hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    pub desc: AttrDesc,
    pub values: Vec<Vec<u8>>,
}
