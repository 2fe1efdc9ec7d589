//! Extended operations: who am I (RFC 4532), password modify (RFC 3062), and the frame of others.

use super::{Call, Done, bind, transaction, write};
use crate::{
    access::Identity,
    auth,
    directory::{Error, Op},
    dn::Dn,
    entry::{ModKind, ber},
    ldap::{
        decode,
        message::Kind,
        reply::Reply,
        result::{self, Code, LdapResult},
        rootdse,
    },
};
use secrecy::ExposeSecret;
use smol_str::SmolStr;

pub async fn extended(call: &Call, name: &str, value: Option<Vec<u8>>) -> Done {
    match name {
        // RFC 4532 section 2.1.
        rootdse::WHO_AM_I if value.is_some() => {
            let result = result::result(Code::ProtocolError, "who am I takes no value");
            respond(call, &result, None, "who am I")
        }
        rootdse::WHO_AM_I => respond(call, &result::success(), Some(call.identity.authzid().as_bytes()), "who am I"),
        rootdse::PASSWORD_MODIFY => match password_modify(call, value.as_deref()).await {
            Ok(generated) => respond(call, &result::success(), generated.as_deref(), "password modify"),
            Err(result) => respond(call, &result, None, "password modify"),
        },
        rootdse::START_TRANSACTION => transaction::start(call),
        rootdse::END_TRANSACTION => transaction::end(call, value.as_deref()).await,
        other => {
            let text = format!("extended operation {other} is not supported");
            call.answer(Kind::Extended, result::result(Code::ProtocolError, text), other.chars().take(64).collect())
        }
    }
}

pub fn respond(call: &Call, result: &LdapResult, value: Option<&[u8]>, detail: &str) -> Done {
    call.outbox.send(call.id, &Reply::extended(result, None, value));
    call.done(Kind::Extended, result.code, 0, detail.to_owned())
}

/// The message id in a Cancel request (RFC 3909 section 2.1).
pub fn cancelled_id(value: &[u8]) -> Option<i32> {
    let [id] = <[_; 1]>::try_from(decode::sequence(decode::whole(value, 2)?)?).ok()?;
    i32::try_from(decode::integer(id)?).ok()
}

/// PasswdModifyRequestValue (RFC 3062 section 2).
#[derive(Default)]
struct Asked {
    user: Option<String>,
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

/// The value of the response: a generated password, if one was.
async fn password_modify(call: &Call, value: Option<&[u8]>) -> Result<Option<Vec<u8>>, LdapResult> {
    let refuse = |code, text: &str| Err(result::result(code, text));
    let Some(asked) = parse(value.unwrap_or_default()) else {
        return refuse(Code::ProtocolError, "malformed password modify request");
    };
    if *call.identity == Identity::Anonymous {
        return refuse(Code::UnwillingToPerform, "bind before changing a password");
    }
    let user = asked.user.unwrap_or_else(|| call.identity.dn().to_owned());
    let dn = user.strip_prefix("dn:").unwrap_or(&user);
    let dn = Dn::parse(dn).map_err(|e| result::of(&Error::from(e)))?;
    let directory = &call.shared.options.directory;
    let snapshot = directory.read();
    if snapshot.schema.dn_key(&dn) == call.shared.options.admin.key {
        return refuse(Code::UnwillingToPerform, "the administrator's password is set in the configuration");
    }
    let generated = asked.new.is_none().then(auth::generate);
    let new = match (&generated, asked.new) {
        (Some(secret), _) => secret.expose_secret().as_bytes().to_vec(),
        (None, new) => new.unwrap_or_default(),
    };
    if new.is_empty() {
        return refuse(Code::ConstraintViolation, "userPassword: a password must not be empty");
    }
    let changes = vec![(ModKind::Replace, SmolStr::new_static("userPassword"), vec![new])];
    let op = Op::Modify { dn, changes };
    // The right first: else anyone could try passwords of others here.
    let grants = directory.access.grants(&call.identity);
    op.may_be_tried(&snapshot, &grants, &directory.limits).map_err(|error| result::of(&error))?;
    if let (Some(old), Op::Modify { dn, .. }) = (asked.old, &op) {
        let hashes = bind::stored_hashes(&snapshot, dn);
        if !bind::verify(call, old, hashes).await {
            return refuse(Code::InvalidCredentials, "the old password is not right");
        }
    }
    write::submit(call, op).await.map_err(|error| result::of(&error))?;
    Ok(generated.map(|secret| {
        let mut inner = Vec::new();
        ber::push_element(&mut inner, 0x80, secret.expose_secret().as_bytes());
        let mut out = Vec::new();
        ber::push_element(&mut out, ber::SEQUENCE, &inner);
        out
    }))
}

fn parse(value: &[u8]) -> Option<Asked> {
    let mut asked = Asked::default();
    if value.is_empty() {
        return Some(asked);
    }
    let mut reader = ber::Reader::new(value);
    let whole = reader.next_element()??;
    if whole.tag != ber::SEQUENCE || reader.next_element().is_some() {
        return None;
    }
    let mut inner = ber::Reader::at(value, whole.content);
    while let Some(part) = inner.next_element() {
        let part = part?;
        let bytes = value.get(part.content)?.to_vec();
        match part.tag {
            0x80 => asked.user = Some(String::from_utf8(bytes).ok()?),
            0x81 => asked.old = Some(bytes),
            0x82 => asked.new = Some(bytes),
            _ => return None,
        }
    }
    Some(asked)
}
