//! The Rust client crate `ldap3`.

use super::server;
use crate::support::{ADMIN, PASSWORD, SUFFIX};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchEntry, controls::RawControl, exop::WhoAmI};
use std::{collections::HashSet, time::Duration};

fn set(values: &[&str]) -> HashSet<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

fn person(uid: &str) -> (String, Vec<(String, HashSet<String>)>) {
    let attrs = [("objectClass", "inetOrgPerson"), ("uid", uid), ("cn", "Client"), ("sn", "Test")];
    let attrs = attrs.iter().map(|(n, v)| ((*n).to_owned(), set(&[v]))).collect();
    (format!("uid={uid},ou=people,{SUFFIX}"), attrs)
}

async fn add(ldap: &mut Ldap, uid: &str) -> String {
    let (dn, attrs) = person(uid);
    ldap.add(&dn, attrs).await.unwrap().success().unwrap();
    dn
}

async fn read(ldap: &mut Ldap, dn: &str, attr: &str) -> Vec<String> {
    let found = ldap.search(dn, Scope::Base, "(objectClass=*)", vec![attr]).await.unwrap();
    let (entries, _) = found.success().unwrap();
    let entry = SearchEntry::construct(entries.into_iter().next().unwrap());
    entry.attrs.into_iter().find(|(name, _)| name == attr).map(|(_, values)| values).unwrap_or_default()
}

#[tokio::test]
async fn add_modify_rename_compare_delete() {
    let mut ldap = server().admin().await;
    let dn = add(&mut ldap, "client1").await;
    let changes = vec![
        Mod::Delete("sn".to_owned(), HashSet::new()),
        Mod::Add("sn".to_owned(), set(&["Néw"])),
        Mod::Replace("mail".to_owned(), set(&["a@example.org"])),
    ];
    ldap.modify(&dn, changes).await.unwrap().success().unwrap();
    assert_eq!(read(&mut ldap, &dn, "sn").await, ["Néw"]);
    assert!(ldap.compare(&dn, "sn", "néw").await.unwrap().equal().unwrap());
    ldap.modifydn(&dn, "uid=client1b", true, None).await.unwrap().success().unwrap();
    let dn = format!("uid=client1b,ou=people,{SUFFIX}");
    assert_eq!(read(&mut ldap, &dn, "uid").await, ["client1b"]);
    ldap.delete(&dn).await.unwrap().success().unwrap();
    assert_eq!(ldap.delete(&dn).await.unwrap().rc, 32);
}

#[tokio::test]
async fn who_am_i_and_controls() {
    let mut ldap = server().admin().await;
    let (exop, _) = ldap.extended(WhoAmI).await.unwrap().success().unwrap();
    assert_eq!(exop.val.unwrap(), format!("dn:{ADMIN}").into_bytes());
    let critical = RawControl { ctype: "1.2.3.4".to_owned(), crit: true, val: None };
    let found = ldap.with_controls(critical).search(SUFFIX, Scope::Base, "(objectClass=*)", vec!["1.1"]).await.unwrap();
    assert_eq!(found.1.rc, 12);
}

#[tokio::test]
async fn many_operations_on_one_connection() {
    let ldap = server().admin().await;
    let mut tasks = Vec::new();
    for n in 0..40 {
        let mut ldap = ldap.clone();
        tasks.push(tokio::spawn(async move {
            let dn = add(&mut ldap, &format!("many{n}")).await;
            let title = format!("title {n}");
            ldap.modify(&dn, vec![Mod::Replace("title", HashSet::from([title.as_str()]))])
                .await
                .unwrap()
                .success()
                .unwrap();
            assert_eq!(read(&mut ldap, &dn, "title").await, [title]);
            ldap.delete(&dn).await.unwrap().success().unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_search_that_is_abandoned() {
    let mut ldap = server().admin().await;
    let mut stream = ldap.streaming_search(SUFFIX, Scope::Subtree, "(objectClass=*)", vec!["*"]).await.unwrap();
    assert!(stream.next().await.unwrap().is_some());
    let id = stream.ldap_handle().last_id();
    ldap.abandon(id).await.unwrap();
    assert_eq!(read(&mut ldap, SUFFIX, "dc").await, ["example"]);
}

/// What is acknowledged on one connection is seen by a search that starts afterwards on another.
#[tokio::test]
async fn an_acknowledged_write_is_seen_by_all() {
    let (mut writer, mut reader) = (server().admin().await, server().admin().await);
    let dn = add(&mut writer, "seen").await;
    for n in 0..50 {
        let value = n.to_string();
        let change = Mod::Replace("employeeNumber", HashSet::from([value.as_str()]));
        writer.modify(&dn, vec![change]).await.unwrap().success().unwrap();
        assert_eq!(read(&mut reader, &dn, "employeeNumber").await, [value]);
    }
    writer.delete(&dn).await.unwrap().success().unwrap();
}

/// Increments from many connections at one time: none is lost.
#[tokio::test]
async fn concurrent_increments() {
    let mut ldap = server().admin().await;
    let (dn, mut attrs) = person("counter");
    attrs[0].1.insert("schacPersonalCharacteristics".to_owned());
    attrs.push(("schacGender".to_owned(), set(&["0"])));
    let dn = dn.replace("ou=people,", "");
    ldap.add(&dn, attrs).await.unwrap().success().unwrap();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (mut ldap, dn) = (server().admin().await, dn.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                ldap.modify(&dn, vec![Mod::Increment("schacGender", "1")]).await.unwrap().success().unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(read(&mut ldap, &dn, "schacGender").await, ["80"]);
    ldap.delete(&dn).await.unwrap().success().unwrap();
}

/// Two connections add the same name at one time: one of them does.
#[tokio::test]
async fn concurrent_adds_of_one_name() {
    for round in 0..10 {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let mut ldap = server().admin().await;
            let (dn, attrs) = person(&format!("same{round}"));
            tasks.push(tokio::spawn(async move { ldap.add(&dn, attrs).await.unwrap().rc }));
        }
        let mut codes = Vec::new();
        for task in tasks {
            codes.push(task.await.unwrap());
        }
        codes.sort_unstable();
        assert_eq!(codes, [0, 68, 68, 68]);
    }
}

#[tokio::test]
async fn start_tls_and_ldaps() {
    for (url, start_tls) in
        [(format!("ldap://{}", server().ldap), true), (format!("ldaps://{}", server().ldaps), false)]
    {
        let settings = LdapConnSettings::new()
            .set_conn_timeout(Duration::from_secs(20))
            .set_starttls(start_tls)
            .set_no_tls_verify(true);
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await.unwrap();
        ldap3::drive!(connection);
        ldap.simple_bind(ADMIN, PASSWORD).await.unwrap().success().unwrap();
        assert_eq!(read(&mut ldap, SUFFIX, "dc").await, ["example"], "{url}");
        ldap.unbind().await.unwrap();
    }
}
