//! A small LDAP client for our own command line: binds, sends LDIF records with several under
//! way, reads a whole tree.

use super::codec::Broken;
use crate::entry::{
    ModKind,
    ldif::{Record, RecordKind},
};
use anyhow::{Context, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use ldap3_proto::{
    LdapCodec,
    proto::{
        LdapAddRequest, LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapFilter, LdapModify, LdapModifyDNRequest,
        LdapModifyRequest, LdapModifyType, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode,
        LdapSearchRequest, LdapSearchScope,
    },
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{collections::VecDeque, path::Path, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::codec::Framed;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct Client {
    framed: Framed<Box<dyn Stream>, LdapCodec>,
    next_id: i32,
    /// Ids that have no answer yet, in the order they were sent.
    waiting: VecDeque<i32>,
}

/// The answer to one record that was sent.
pub struct Reply {
    /// Its place among those that waited.
    pub order: usize,
    pub code: i64,
    pub message: String,
}

/// An entry with its attributes.
pub type Found = (String, Vec<(String, Vec<Vec<u8>>)>);

/// Which entries have all of these values; without any, the entry named as the base.
#[derive(Clone, Debug)]
pub struct Question {
    pub base: String,
    pub keys: Vec<(smol_str::SmolStr, String)>,
}

impl Question {
    /// Entries asked for: enough to tell that there are several.
    pub const MOST: usize = 3;

    /// As a filter in text form (RFC 4515).
    pub fn filter(&self) -> String {
        let escaped = |value: &str| -> String {
            let plain = |c: char| !matches!(c, '(' | ')' | '*' | '\\' | '\0');
            value.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\{:02x}", c as u32) }).collect()
        };
        match self.keys.is_empty() {
            true => "(objectClass=*)".to_owned(),
            false => {
                let parts: Vec<_> = self.keys.iter().map(|(n, v)| format!("({n}={})", escaped(v))).collect();
                format!("(&{})", parts.concat())
            }
        }
    }

    fn request(&self, attrs: &[&str]) -> LdapOp {
        let equal = |(name, value): &(smol_str::SmolStr, String)| LdapFilter::Equality(name.to_string(), value.clone());
        let (scope, filter) = match self.keys.is_empty() {
            true => (LdapSearchScope::Base, LdapFilter::Present("objectClass".to_owned())),
            false => (LdapSearchScope::Subtree, LdapFilter::And(self.keys.iter().map(equal).collect())),
        };
        LdapOp::SearchRequest(LdapSearchRequest {
            base: self.base.clone(),
            scope,
            aliases: LdapDerefAliases::Never,
            sizelimit: Question::MOST as i32,
            timelimit: 0,
            typesonly: false,
            filter,
            attrs: attrs.iter().map(|a| (*a).to_owned()).collect(),
        })
    }
}

/// Requests under way; servers commonly allow more.
const WINDOW: usize = 32;
const MAX_MESSAGE: usize = 64 << 20;

impl Client {
    /// `ldap://host:port` or `ldaps://host:port`.
    pub async fn connect(url: &str, ca: Option<&Path>) -> anyhow::Result<Self> {
        let parsed = url::Url::parse(url).context("expected ldap://host:port or ldaps://host:port")?;
        let host = parsed.host_str().ok_or_else(|| anyhow!("the URL has no host"))?.to_owned();
        let (tls, default) = match parsed.scheme() {
            "ldap" => (false, 389),
            "ldaps" => (true, 636),
            other => bail!("scheme {other} is not ldap or ldaps"),
        };
        let socket = TcpStream::connect((host.as_str(), parsed.port().unwrap_or(default))).await?;
        socket.set_nodelay(true)?;
        let stream: Box<dyn Stream> = if tls { Box::new(start_tls(socket, host, ca).await?) } else { Box::new(socket) };
        Ok(Client {
            framed: Framed::new(stream, LdapCodec::new(Some(MAX_MESSAGE), None)),
            next_id: 1,
            waiting: VecDeque::new(),
        })
    }

    pub fn window(&self) -> usize {
        WINDOW
    }

    pub async fn bind(&mut self, dn: &str, password: &str) -> anyhow::Result<()> {
        let cred = LdapBindCred::Simple(password.to_owned());
        self.post(LdapOp::BindRequest(LdapBindRequest { version: 3, dn: dn.to_owned(), cred })).await?;
        let reply = self.next_reply().await?;
        if reply.code != 0 {
            bail!("result {}: {}", reply.code, reply.message);
        }
        Ok(())
    }

    pub async fn unbind(mut self) -> anyhow::Result<()> {
        self.post(LdapOp::UnbindRequest).await
    }

    /// Sends the operation of a record without waiting for the answer.
    pub async fn send(&mut self, record: &Record) -> anyhow::Result<()> {
        let attribute = |(name, values): &(smol_str::SmolStr, Vec<Vec<u8>>)| LdapPartialAttribute {
            atype: name.to_string(),
            vals: values.clone(),
        };
        let dn = record.dn.clone();
        let op = match &record.kind {
            RecordKind::Add(attrs) => {
                LdapOp::AddRequest(LdapAddRequest { dn, attributes: attrs.iter().map(attribute).collect() })
            }
            RecordKind::Delete => LdapOp::DelRequest(dn),
            RecordKind::Modify(changes) => {
                let change = |(kind, name, values): &(ModKind, smol_str::SmolStr, Vec<Vec<u8>>)| LdapModify {
                    operation: match kind {
                        ModKind::Add => LdapModifyType::Add,
                        ModKind::Delete => LdapModifyType::Delete,
                        ModKind::Replace => LdapModifyType::Replace,
                        ModKind::Increment => LdapModifyType::Increment,
                    },
                    modification: LdapPartialAttribute { atype: name.to_string(), vals: values.clone() },
                };
                LdapOp::ModifyRequest(LdapModifyRequest { dn, changes: changes.iter().map(change).collect() })
            }
            RecordKind::Rename { new_rdn, delete_old, new_superior } => LdapOp::ModifyDNRequest(LdapModifyDNRequest {
                dn,
                newrdn: new_rdn.clone(),
                deleteoldrdn: *delete_old,
                new_superior: new_superior.clone(),
            }),
        };
        self.post(op).await
    }

    pub async fn next_reply(&mut self) -> anyhow::Result<Reply> {
        let message = self.receive().await?;
        let result = match message.op {
            LdapOp::BindResponse(response) => response.res,
            LdapOp::AddResponse(result)
            | LdapOp::DelResponse(result)
            | LdapOp::ModifyResponse(result)
            | LdapOp::ModifyDNResponse(result)
            | LdapOp::SearchResultDone(result) => result,
            LdapOp::ExtendedResponse(response) => bail!("the server ends the connection: {}", response.res.message),
            _ => bail!("an answer of an unexpected kind"),
        };
        let order = self
            .waiting
            .iter()
            .position(|id| *id == message.msgid)
            .ok_or_else(|| anyhow!("an answer to nothing that was asked"))?;
        self.waiting.remove(order);
        let LdapResult { code, message, .. } = result;
        Ok(Reply { order, code: code as i64, message })
    }

    /// The entries that answer each of the questions, which are asked several at a time. A name that
    /// is not there has no answer.
    pub async fn find(&mut self, questions: &[Question], attrs: &[&str]) -> anyhow::Result<Vec<Vec<Found>>> {
        let mut answers: Vec<Vec<Found>> = questions.iter().map(|_| Vec::new()).collect();
        // Message ids count up, so that the first tells the question.
        let mut asked: VecDeque<(i32, usize)> = VecDeque::new();
        let mut next = questions.iter().enumerate();
        loop {
            while asked.len() < WINDOW {
                let Some((at, question)) = next.next() else { break };
                asked.push_back((self.next_id, at));
                self.post(question.request(attrs)).await?;
            }
            if asked.is_empty() {
                self.waiting.clear();
                return Ok(answers);
            }
            let LdapMsg { msgid, op, .. } = self.receive().await?;
            let place = asked.iter().position(|(id, _)| *id == msgid).context("an answer to nothing that was asked")?;
            match op {
                LdapOp::SearchResultEntry(entry) => {
                    let attrs = entry.attributes.into_iter().map(|a| (a.atype, a.vals)).collect();
                    let at = asked.get(place).map_or(0, |(_, at)| *at);
                    answers.get_mut(at).into_iter().for_each(|list| list.push((entry.dn.clone(), Vec::clone(&attrs))));
                }
                LdapOp::SearchResultDone(result) => {
                    asked.remove(place);
                    match result.code {
                        LdapResultCode::Success | LdapResultCode::NoSuchObject | LdapResultCode::SizeLimitExceeded => {}
                        code => bail!("result {}: {}", code as i64, result.message),
                    }
                }
                _ => {}
            }
        }
    }

    /// Calls `each` with every entry below `base`, as the server sends them.
    pub async fn search_all(
        &mut self,
        base: &str,
        further: &[&str],
        mut each: impl FnMut(&str, &[(String, Vec<Vec<u8>>)]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.post(LdapOp::SearchRequest(LdapSearchRequest {
            base: base.to_owned(),
            scope: LdapSearchScope::Subtree,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: LdapFilter::Present("objectClass".to_owned()),
            attrs: std::iter::once(&"*").chain(further).map(ToString::to_string).collect(),
        }))
        .await?;
        loop {
            match self.receive().await?.op {
                LdapOp::SearchResultEntry(entry) => {
                    let attrs: Vec<_> = entry.attributes.into_iter().map(|a| (a.atype, a.vals)).collect();
                    each(&entry.dn, &attrs)?;
                }
                LdapOp::SearchResultDone(result) if result.code == LdapResultCode::Success => return Ok(()),
                LdapOp::SearchResultDone(result) => bail!("result {}: {}", result.code as i64, result.message),
                _ => {}
            }
        }
    }

    async fn post(&mut self, op: LdapOp) -> anyhow::Result<()> {
        let msgid = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.waiting.push_back(msgid);
        self.framed.send(LdapMsg { msgid, op, ctrl: Vec::new() }).await.context("sending")
    }

    async fn receive(&mut self) -> anyhow::Result<LdapMsg> {
        match self.framed.next().await {
            Some(message) => message.context("receiving"),
            None => Err(Broken::NotLdap).context("the server closed the connection"),
        }
    }
}

async fn start_tls(
    socket: TcpStream,
    host: String,
    ca: Option<&Path>,
) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = ca.ok_or_else(|| anyhow!("ldaps needs --ca"))?;
    for certificate in CertificateDer::pem_file_iter(ca).with_context(|| ca.display().to_string())? {
        roots.add(certificate.with_context(|| ca.display().to_string())?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host).context("the host is no name for TLS")?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await?)
}
