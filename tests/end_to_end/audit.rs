//! Acts are on record: whatever changes something through the REST interface or an app stands in the audit log.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use provbroker::core::model::ids::DomainName;
use provbroker::store::MAX_AUDIT_ENTRIES;
use serde_json::{Value, json};

use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, OTHER, OTHER_PASSWORD, PASSWORD, with_broker};
use crate::support::peer::{Device, identify, until};
use crate::support::rest::Operator;
use crate::support::secrets;

const PHONE: &str = "0090334100b1";
const SHOP: &str = "shop.example";

/// Operations with a changing method that change nothing.
const READING: [&str; 2] = ["post /api/v1/token", "post /api/v1/domains/{domain}/devices/{hwId}/dry-run"];

/// Operations with files; `tests/offline` reads what the log says of them.
const WITH_FILES: [&str; 2] = ["post /api/v1/bundles", "post /api/v1/domains/{domain}/bundles"];

/// Calls each operation, and reads what the log says of it.
struct Round {
    root: Operator,
    called: BTreeSet<String>,
}

impl Round {
    /// `template` follows `/api/v1`; every `{…}` of it is replaced by the next of `at`.
    async fn does(&mut self, method: &str, template: &str, at: &[&str], body: Value, expected: (&str, &str)) -> Value {
        self.called.insert(format!("{} /api/v1{template}", method.to_lowercase()));
        let mut path = template.to_owned();
        for value in at {
            let (start, end) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(start..=end, value);
        }
        let answer = self.root.done(method, &path, Some(body).filter(|body| !body.is_null())).await;
        let newest = self.newest().await;
        let said = (newest["what"].as_str().unwrap(), newest["to"].as_str().unwrap());
        assert_eq!(said, expected, "{method} {template}");
        assert_eq!(
            (&newest["by"], &newest["who"], &newest["from"]),
            (&json!("instance"), &json!(""), &json!("127.0.0.1"))
        );
        answer
    }

    async fn newest(&self) -> Value {
        self.root.get("/audit?limit=1").await["entries"][0].clone()
    }
}

#[test]
fn every_operation_that_changes_something_is_on_record() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut round = Round { root: Operator::of_instance(broker.addr).await, called: BTreeSet::new() };
            let (nothing, domain) = (Value::Null, "/domains/{domain}");
            let shop = json!({"name": SHOP, "password": "password-of-the-shop",
            "categories": [{"name": CATEGORY, "provisioning": true}]});
            for secret in ["password-of-the-shop", "new-password-of-the-shop"] {
                secrets::note(secret);
            }
            let made = round.does("POST", "/domains", &[], shop, ("domain.make", SHOP)).await;
            let category = made["categories"][0]["id"].clone();
            let change = json!({"password": "new-password-of-the-shop"});
            round.does("PATCH", domain, &[SHOP], change, ("domain.password", SHOP)).await;
            let access = json!({"domains": [OTHER]});
            round.does("PUT", "/domains/{domain}/access", &[SHOP], access, ("domain.access", OTHER)).await;

            let (all, one) = ("/domains/{domain}/categories", "/domains/{domain}/categories/{category}");
            let lobby = json!({"name": "Lobby", "provisioning": true});
            let id = round.does("POST", all, &[SHOP], lobby, ("category.make", "Lobby")).await["id"].to_string();
            let hall = json!({"name": "Hall", "provisioning": true});
            round.does("PUT", one, &[SHOP, &id], hall, ("category.change", "Hall")).await;
            round.does("DELETE", one, &[SHOP, &id], nothing.clone(), ("category.delete", "Hall")).await;

            let (all, one) = ("/domains/{domain}/codes", "/domains/{domain}/codes/{code}");
            let wish = json!({"category": CATEGORY, "sip": "anna"});
            let code = round.does("POST", all, &[SHOP], wish, ("code.issue", "anna")).await["code"].clone();
            let code = code.as_str().unwrap();
            round.does("DELETE", one, &[SHOP, code], nothing.clone(), ("code.revoke", "anna")).await;

            let ntp = json!({"kind": "ntp", "values": {"server": "ntp.example.org"}});
            let job = round.root.done("POST", &format!("/domains/{SHOP}/config-jobs"), Some(ntp.clone())).await["id"]
                .to_string();
            round
                .does("DELETE", "/domains/{domain}/jobs/{job}", &[SHOP, &job], nothing.clone(), ("job.delete", &job))
                .await;
            let next = (job.parse::<u64>().unwrap() + 1).to_string();
            let made = format!("ntp {next}");
            round.does("POST", "/domains/{domain}/config-jobs", &[SHOP], ntp, ("job.make", &made)).await;
            let files = "https://files.example.org/fw/";
            let builds = json!({"baseUrl": files, "products": {"IP112": {"firmware": "136012"}}});
            round.does("PUT", "/domains/{domain}/builds", &[SHOP], builds, ("builds.set", files)).await;
            let made = format!("update {}", next.parse::<u64>().unwrap() + 1);
            round.does("POST", "/domains/{domain}/update-jobs", &[SHOP], json!({}), ("job.make", &made)).await;

            // They would send the phone something.
            for job in [&*next, made.rsplit(' ').next().unwrap()] {
                round.root.done("DELETE", &format!("/domains/{SHOP}/jobs/{job}"), None).await;
            }

            let rotated = round.root.get("/store").await["keys"]["current"].as_u64().unwrap() + 1;
            round.does("POST", "/keys/rotation", &[], nothing.clone(), ("key.rotate", &rotated.to_string())).await;

            let list = json!({"name": "Building 1", "category": CATEGORY, "users": [{"sip": "bob"}]});
            let all = "/domains/{domain}/rollouts";
            let id = round.does("POST", all, &[SHOP], list, ("rollout.begin", "Building 1")).await["id"].to_string();
            let one = "/domains/{domain}/rollouts/{id}";
            round.does("DELETE", one, &[SHOP, &id], nothing.clone(), ("rollout.remove", "Building 1")).await;

            devices(&mut round, broker, &category).await;
            round.does("DELETE", domain, &[SHOP], nothing, ("domain.delete", SHOP)).await;

            let document = round.root.get("/openapi.json").await;
            let paths = document["paths"].as_object().unwrap();
            for (path, methods) in paths {
                for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
                    let operation = format!("{method} {path}");
                    assert!(
                        READING.contains(&&*operation)
                            || WITH_FILES.contains(&&*operation)
                            || round.called.contains(&operation),
                        "{operation} is not tried here"
                    );
                }
            }
            let whole = round.root.get("/audit?limit=1000").await.to_string();
            for secret in ["password-of", code] {
                assert!(!whole.contains(secret), "{secret}");
            }
            assert!(!whole.contains("rest.call"), "{whole}");
        },
    );
}

/// The operations on devices.
async fn devices(round: &mut Round, broker: &Broker, category: &Value) {
    let nothing = Value::Null;
    let there = round.root.get(&format!("/domains/{OTHER}")).await["categories"][0]["id"].clone();
    let mut phone = Device::identified(broker.addr, &identify(PHONE)).await;
    phone.quiet().await;
    until("it is listed", async || {
        let page = round.root.get("/unassigned").await;
        page["devices"].as_array().unwrap().iter().any(|device| device["online"] == true)
    })
    .await;
    let assign = json!({"hwId": PHONE, "category": category});
    round.does("POST", "/domains/{domain}/devices", &[SHOP], assign, ("device.assign", PHONE)).await;
    phone.expect_password().await;
    let one = "/domains/{domain}/devices/{hwId}";
    online(&round.root, SHOP).await;
    round.does("PATCH", one, &[SHOP, PHONE], json!({"name": "Lobby"}), ("device.change", PHONE)).await;
    round.does("PATCH", one, &[SHOP, PHONE], json!({"appIpPath": ""}), ("device.app_ip", PHONE)).await;
    let before = round.newest().await;
    round.root.done("POST", &format!("/domains/{SHOP}/devices/{PHONE}/dry-run"), None).await;
    assert_eq!(round.newest().await, before, "nothing was changed");

    let (offers, offer) = ("/domains/{domain}/devices/{hwId}/offers", "/domains/{domain}/offers/{hwId}");
    let to = json!({"to": OTHER});
    round.does("POST", offers, &[SHOP, PHONE], to.clone(), ("device.offer", PHONE)).await;
    round.does("DELETE", offer, &[OTHER, PHONE], nothing.clone(), ("offer.refuse", PHONE)).await;
    round.does("POST", offers, &[SHOP, PHONE], to, ("device.offer", PHONE)).await;
    round.does("POST", offer, &[OTHER, PHONE], json!({"category": there}), ("offer.accept", PHONE)).await;
    phone.expect_password().await;
    online(&round.root, OTHER).await;
    let back = json!({"to": SHOP, "category": category});
    round.does("POST", "/domains/{domain}/devices/{hwId}/move", &[OTHER, PHONE], back, ("device.move", PHONE)).await;
    phone.expect_password().await;
    online(&round.root, SHOP).await;
    round.does("DELETE", one, &[SHOP, PHONE], nothing, ("device.remove", PHONE)).await;
}

async fn online(root: &Operator, domain: &str) {
    until("it is a member", async || {
        root.call("GET", &format!("/domains/{domain}/devices/{PHONE}"), None).await.1["online"] == true
    })
    .await;
}

#[test]
fn a_domain_sees_what_was_done_in_it_and_by_whom() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let root = Operator::of_instance(broker.addr).await;
            let own = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
            let other = Operator::of(broker.addr, OTHER, OTHER_PASSWORD).await;
            let lobby = json!({"name": "Lobby", "provisioning": true});
            own.done("POST", &format!("/domains/{DOMAIN}/categories"), Some(lobby.clone())).await;
            root.done("POST", &format!("/domains/{DOMAIN}/codes"), Some(json!({"category": CATEGORY}))).await;
            // Refused changes are no acts.
            own.refused(409, "POST", &format!("/domains/{DOMAIN}/categories"), Some(lobby)).await;
            own.refused(403, "DELETE", &format!("/domains/{DOMAIN}"), None).await;

            let seen = own.get("/audit").await["entries"].clone();
            let seen: Vec<_> = seen.as_array().unwrap().iter().map(|e| (&e["by"], &e["who"], &e["what"])).collect();
            let expected = [
                (&json!("instance"), &json!(""), &json!("code.issue")),
                (&json!("domain"), &json!(DOMAIN), &json!("category.make")),
            ];
            assert_eq!(seen, expected);
            assert_eq!(other.get("/audit").await["entries"], json!([]));
            other.refused(404, "GET", &format!("/audit?domain={DOMAIN}"), None).await;
            // Pages of one entry each.
            let first = own.get("/audit?limit=1").await;
            let second = own.get(&format!("/audit?limit=1&cursor={}", first["next"].as_str().unwrap())).await;
            assert_eq!(second["entries"][0]["what"], "category.make");
            own.refused(422, "GET", "/audit?cursor=x", None).await;

            // One with access to the domain sees nothing of its log.
            own.done("PUT", &format!("/domains/{DOMAIN}/access"), Some(json!({"domains": [OTHER]}))).await;
            other.refused(403, "GET", &format!("/audit?domain={DOMAIN}"), None).await;
        },
    );
}

#[test]
fn a_tenant_pushes_nothing_of_the_instance_out() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let root = Operator::of_instance(broker.addr).await;
            let code = json!({"category": CATEGORY, "sip": "of the instance"});
            root.done("POST", &format!("/domains/{OTHER}/codes"), Some(code)).await;
            let action = provbroker::core::model::accounts::AuditAction {
                who: DOMAIN.into(),
                what: "code.issue".into(),
                domain: DomainName::parse(DOMAIN).ok(),
                ..Default::default()
            };
            let store = broker.store();
            let flood = (0..=MAX_AUDIT_ENTRIES).map(|number| {
                let (action, mark) = (&action, format!("flood-{number:06}"));
                async move { store.append_audit(&mark, action).await.unwrap() }
            });
            futures_util::stream::iter(flood).buffer_unordered(64).collect::<Vec<()>>().await;
            let mut cursor = String::new();
            let mut found = false;
            for _ in 0..=MAX_AUDIT_ENTRIES / 1000 + 1 {
                let page = root.get(&format!("/audit?limit=1000{cursor}")).await;
                found |= page["entries"].as_array().unwrap().iter().any(|entry| entry["to"] == "of the instance");
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert!(found);
        },
    );
}
