//! Requests as sessions handle them. Unlike the wire crate's types these keep assertion values
//! and passwords as bytes, since neither need be UTF-8.

use crate::filter::Ast;
use ldap3_proto::proto::{LdapAddRequest, LdapCompareRequest, LdapModifyDNRequest, LdapModifyRequest};

/// One LDAPMessage from a client (RFC 4511 section 4.1.1).
#[derive(Debug)]
pub struct Message {
    pub id: i32,
    pub request: Request,
    pub controls: Vec<Control>,
    /// Bytes of the whole message.
    pub size: usize,
}

#[derive(Debug)]
pub enum Request {
    Bind { version: i64, name: String, auth: Auth },
    Unbind,
    Search(Box<SearchRequest>),
    Modify(LdapModifyRequest),
    Add(LdapAddRequest),
    Delete(String),
    ModifyDn(LdapModifyDNRequest),
    Compare(LdapCompareRequest),
    Abandon(i32),
    Extended { name: String, value: Option<Vec<u8>> },
}

pub enum Auth {
    Simple(Vec<u8>),
    Sasl { mechanism: String, credentials: Option<Vec<u8>> },
    Unknown,
}

impl std::fmt::Debug for Auth {
    /// Without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Auth::Simple(_) => f.write_str("simple"),
            Auth::Sasl { mechanism, .. } => write!(f, "SASL {mechanism}"),
            Auth::Unknown => f.write_str("unknown"),
        }
    }
}

#[derive(Debug)]
pub struct SearchRequest {
    pub base: String,
    pub scope: i64,
    /// derefAliases (RFC 4511 section 4.5.1.3).
    pub deref: i64,
    pub size_limit: i64,
    pub time_limit: i64,
    pub types_only: bool,
    pub filter: Ast,
    pub attrs: Vec<String>,
}

/// RFC 4511 section 4.1.11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub oid: String,
    pub critical: bool,
    pub value: Option<Vec<u8>>,
}

/// Which response a request gets, known even where the request itself is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bind,
    Unbind,
    Search,
    Modify,
    Add,
    Delete,
    ModifyDn,
    Compare,
    Abandon,
    Extended,
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::Bind,
        Kind::Unbind,
        Kind::Search,
        Kind::Modify,
        Kind::Add,
        Kind::Delete,
        Kind::ModifyDn,
        Kind::Compare,
        Kind::Abandon,
        Kind::Extended,
    ];

    /// As monitoring scripts know it.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Bind => "Bind",
            Kind::Unbind => "Unbind",
            Kind::Search => "Search",
            Kind::Modify => "Modify",
            Kind::Add => "Add",
            Kind::Delete => "Delete",
            Kind::ModifyDn => "Modrdn",
            Kind::Compare => "Compare",
            Kind::Abandon => "Abandon",
            Kind::Extended => "Extended",
        }
    }

    /// By the number of the application tag.
    pub fn by_tag(id: u64) -> Option<Self> {
        Some(match id {
            0 => Kind::Bind,
            2 => Kind::Unbind,
            3 => Kind::Search,
            6 => Kind::Modify,
            8 => Kind::Add,
            10 => Kind::Delete,
            12 => Kind::ModifyDn,
            14 => Kind::Compare,
            16 => Kind::Abandon,
            23 => Kind::Extended,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Bind => "bind",
            Kind::Unbind => "unbind",
            Kind::Search => "search",
            Kind::Modify => "modify",
            Kind::Add => "add",
            Kind::Delete => "delete",
            Kind::ModifyDn => "modifydn",
            Kind::Compare => "compare",
            Kind::Abandon => "abandon",
            Kind::Extended => "extended",
        }
    }
}

impl Request {
    pub fn kind(&self) -> Kind {
        match self {
            Request::Bind { .. } => Kind::Bind,
            Request::Unbind => Kind::Unbind,
            Request::Search(_) => Kind::Search,
            Request::Modify(_) => Kind::Modify,
            Request::Add(_) => Kind::Add,
            Request::Delete(_) => Kind::Delete,
            Request::ModifyDn(_) => Kind::ModifyDn,
            Request::Compare(_) => Kind::Compare,
            Request::Abandon(_) => Kind::Abandon,
            Request::Extended { .. } => Kind::Extended,
        }
    }
}
