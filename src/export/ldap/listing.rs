//! All that the other directory has of one kind, page by page (RFC 2696).

use super::{Ldap, Options, answer, answer::SUCCESS, content::Content};
use crate::export::target::{Fault, Listed, Page, Remote, Resource};
use base64::{Engine, engine::general_purpose::STANDARD};
use ldap3::{
    LdapResult, Scope,
    controls::{Control, ControlType, PagedResults},
};
use std::time::Instant;

/// One page. A cookie is good on the connection that it came on; on another one the listing begins
/// anew and passes over what was listed before.
pub async fn page(ldap: &Ldap, resource: Resource, page: &Page) -> Result<Listed, Fault> {
    let (features, number) = ldap.connection.standing().await?;
    let went_on = page.cursor.as_deref().and_then(Cursor::read).filter(|c| c.connection == number);
    let skip = if went_on.is_some() { 0 } else { page.skip };
    let mut cookie = went_on.map(|cursor| cursor.cookie).unwrap_or_default();
    let mut passed = 0usize;
    loop {
        let (found, next) = portion(ldap, resource, features.paged, cookie).await?;
        let count = found.len();
        if passed + count > skip || next.is_none() {
            let objects: Vec<Remote> = found.into_iter().skip(skip.saturating_sub(passed)).collect();
            let seen = page.skip + objects.len();
            let next =
                next.map(|cookie| Page { skip: seen, cursor: Some(Cursor { connection: number, cookie }.written()) });
            return Ok(Listed { objects, next, total: None });
        }
        passed += count;
        cookie = next.unwrap_or_default();
    }
}

struct Cursor {
    connection: u64,
    cookie: Vec<u8>,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (connection, cookie) = text.split_once(':')?;
        Some(Cursor { connection: connection.parse().ok()?, cookie: STANDARD.decode(cookie).ok()? })
    }

    fn written(&self) -> String {
        format!("{}:{}", self.connection, STANDARD.encode(&self.cookie))
    }
}

/// As many entries as the server sends at once, and the cookie for the next.
async fn portion(
    ldap: &Ldap,
    resource: Resource,
    paged: bool,
    cookie: Vec<u8>,
) -> Result<(Vec<Remote>, Option<Vec<u8>>), Fault> {
    let Options { form, page, .. } = &ldap.options;
    let size = i32::try_from(*page).unwrap_or(i32::MAX);
    let controls = if paged { vec![PagedResults { size, cookie }.into()] } else { Vec::new() };
    let began = Instant::now();
    let base = ldap.base();
    let filter = form.filters.of(resource);
    let searched = ldap.connection.search((&base, Scope::Subtree, filter), ldap.wanted(), 0, controls).await;
    ldap.note("search", &base, &searched.as_ref().map(|(_, result)| result), Vec::new(), began);
    let (entries, result) = searched?;
    if result.rc != SUCCESS {
        return Err(answer::fault(&result, &Content::default()));
    }
    let found = entries.into_iter().map(|entry| ldap.remote(entry, resource)).collect::<Result<_, _>>()?;
    Ok((found, cookie_of(&result)))
}

fn cookie_of(result: &LdapResult) -> Option<Vec<u8>> {
    let control = result.ctrls.iter().find(|Control(kind, _)| matches!(kind, Some(ControlType::PagedResults)));
    control.map(|Control(_, raw)| raw.parse::<PagedResults>().cookie).filter(|cookie| !cookie.is_empty())
}
