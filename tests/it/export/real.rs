//! Against scim2-server, which we did not write. `VESTIBULE_TEST_SCIM2_SERVER` names its
//! executable; without it this test fails rather than pass unrun.

use super::{
    fake::{groups_of, people_of},
    world::{World, dn, person, scim_target},
};
use serde_json::{Map, Value, json};
use std::process::{Child, Command, Stdio};
use vestibule::{entry::ModKind, provisioning::State};

struct Server {
    child: Child,
    base_url: String,
    client: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TOKEN: &str = "tok1";

impl Server {
    async fn start() -> Self {
        let program = std::env::var("VESTIBULE_TEST_SCIM2_SERVER").expect(
            "VESTIBULE_TEST_SCIM2_SERVER must hold the path of scim2-server 0.8.3: pip install scim2-server==0.8.3",
        );
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(&program)
            .args(["--hostname", "127.0.0.1", "--port", &free.to_string(), "--bearer-token", TOKEN])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}"));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let server = Server { child, base_url: format!("http://127.0.0.1:{free}/v2"), client };
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while server.get("ServiceProviderConfig").await.is_none() {
            assert!(std::time::Instant::now() < limit, "scim2-server did not answer within 30 s");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        server
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let request = self.client.get(format!("{}/{path}", self.base_url)).bearer_auth(TOKEN);
        request.send().await.ok()?.json().await.ok()
    }

    async fn all(&self, collection: &str) -> Vec<Map<String, Value>> {
        let list = self.get(&format!("{collection}?count=1000")).await.unwrap();
        let resources = list.get("Resources").and_then(Value::as_array).cloned().unwrap_or_default();
        resources.into_iter().map(|r| r.as_object().unwrap().clone()).collect()
    }

    async fn user(&self, name: &str) -> Map<String, Value> {
        self.all("Users").await.into_iter().find(|u| u["userName"] == name).unwrap_or_else(|| panic!("no user {name}"))
    }
}

async fn equal(world: &World, server: &Server) {
    world.settled().await;
    let status = world.status();
    assert_eq!((status.failed, &status.last_error, &status.state), (0, &None, &State::Running));
    let (users, groups) = (server.all("Users").await, server.all("Groups").await);
    assert_eq!((people_of(&users), groups_of(&groups, &users)), (world.people(), world.groups()));
}

#[tokio::test]
async fn a_server_that_we_did_not_write_follows_the_directory() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let targets = vec![scim_target(&server.base_url, token_file)];
    let world = World::new(targets.clone()).await;
    let class: &[&str] = &["inetOrgPerson", "supannPerson", "eduPerson"];
    let full = world
        .add(
            person("full"),
            &[
                ("objectClass", class),
                ("uid", &["full"]),
                ("cn", &["Zoé \"Zette\" Martin"]),
                ("sn", &["Martin"]),
                ("givenName", &["Zoé"]),
                ("displayName", &["Zoé Martin"]),
                ("supannCivilite", &["Mme"]),
                ("title", &["Ingénieure"]),
                ("mail", &["z@x.example", "zoe@x.example"]),
                ("telephoneNumber", &["+33 3 53 01 10 00"]),
                ("mobile", &["+33 6 39 98 00 00"]),
                ("postalAddress", &["1 rue A$99000 Valmont"]),
                ("l", &["Valmont"]),
                ("postalCode", &["99000"]),
                ("labeledURI", &["https://x.example/zoe Page"]),
                ("preferredLanguage", &["fr"]),
                ("employeeNumber", &["42"]),
                ("o", &["UVAL"]),
                ("departmentNumber", &["D1"]),
                ("ou", &["DSI"]),
            ],
        )
        .await;
    for (uid, sn) in [("a", "Arc"), ("b", "Bois"), ("c", "Cerf"), ("d", "Dune")] {
        world.add_person(uid, sn).await;
    }
    world.add_group("équipe", &["a", "b", "c", "d", "full"]).await;
    equal(&world, &server).await;
    assert_eq!(world.state_of(full), Some(99));
    let sent = server.user("full").await;
    assert_eq!((&sent["active"], &sent["name"]["givenName"]), (&json!(true), &json!("Zoé")));
    let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert_eq!(sent[extension]["employeeNumber"], json!("42"));
    assert_eq!(sent["emails"].as_array().unwrap().len(), 2);

    // Values change, go and come; the extension too.
    world.replace(person("full"), "title", &[]).await;
    world.replace(person("full"), "mail", &["new@x.example"]).await;
    world.replace(person("full"), "departmentNumber", &[]).await;
    world.replace(person("full"), "telephoneNumber", &[]).await;
    world.replace(person("full"), "mobile", &[]).await;
    world.replace(person("full"), "manager", &[&person("a").to_string()]).await;
    world.replace(person("b"), "employeeNumber", &["7"]).await;
    world.replace(person("c"), "vestibuleLifecycle", &["I"]).await;
    world.rename(person("a"), "uid=aa", None).await;
    world.replace(person("full"), "manager", &[&person("aa").to_string()]).await;
    world.modify(dn("cn=équipe,ou=groups"), ModKind::Delete, "member", &[&person("b").to_string()]).await;
    world.delete(person("d")).await;
    equal(&world, &server).await;
    let sent = server.user("full").await;
    assert_eq!((sent.get("title"), sent.get("phoneNumbers")), (None, None));
    assert_eq!(sent["emails"][0]["value"], json!("new@x.example"));
    assert_eq!(sent[extension].get("department"), None);
    assert_eq!(sent[extension]["manager"]["value"], server.user("aa").await["id"]);
    assert_eq!(server.user("b").await[extension]["employeeNumber"], json!("7"));
    assert_eq!(server.user("c").await["active"], json!(false));

    // A restart sends nothing and loses nothing.
    let modified = server.user("full").await["meta"]["lastModified"].clone();
    let world = world.restart(targets).await;
    world.delete(dn("cn=équipe,ou=groups")).await;
    world.add_person("late", "Lys").await;
    equal(&world, &server).await;
    assert_eq!(server.user("full").await["meta"]["lastModified"], modified);
    world.stop().await;
}
