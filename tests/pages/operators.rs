//! The pages of operators: what they change, and that nobody sees the data of others.

use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{DeviceKey, Secret};
use provbroker::store::{Entry, EntryRight};
use serde_json::json;

use crate::browser::Browser;
use crate::support::broker::{
    ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, Keep, OTHER, OTHER_PASSWORD, PASSWORD as OF_DOMAIN, with_broker,
};
use crate::support::peer::{Device, until};
use crate::support::rest::Operator;
use crate::support::secrets;
use crate::{PASSWORD, accounts};

pub const PHONE: &str = "0090334100d1";

/// Every page of a domain.
const OF_A_DOMAIN: [&str; 12] = [
    "",
    "/events",
    "/devices",
    "/devices?hw=0090334100d1",
    "/devices/0090334100d1",
    "/jobs",
    "/jobs/1",
    "/jobs/new?kind=ntp",
    "/categories",
    "/codes",
    "/entries",
    "/settings",
];

/// Every change within a domain.
const CHANGES: [&str; 16] = [
    "/devices/0090334100d1",
    "/devices/0090334100d1/remove",
    "/devices/0090334100d1/pages",
    "/jobs/new",
    "/jobs/update",
    "/jobs/builds",
    "/jobs/1/delete",
    "/categories",
    "/categories/delete",
    "/codes",
    "/codes/revoke",
    "/entries/again",
    "/settings/secret",
    "/settings/access",
    "/settings/delete",
    "/nowhere",
];

/// Pages that belong to no domain, and changes on them.
const OF_THE_INSTANCE: [&str; 2] = ["/ui/operator/unassigned", "/ui/operator/domains"];

pub fn desk(domain: &str) -> String {
    format!("/ui/operator/d/{domain}")
}

/// A phone that has entered the first domain.
pub async fn phone(broker: &Broker) -> Device {
    let rest = Operator::of(broker.addr, DOMAIN, OF_DOMAIN).await;
    let code = rest.done("POST", "/domains/example.com/codes", Some(json!({"category": CATEGORY}))).await;
    let code = code["code"].as_str().unwrap().to_owned();
    secrets::note(&code);
    let (mut device, password) = Device::enter(broker.addr, PHONE, &code).await;
    device.expect_admin_password(&password).await;
    until("the phone is listed", async || {
        let listed = rest.get("/domains/example.com/devices").await;
        listed["devices"][0]["online"] == true
    })
    .await;
    device
}

async fn a_day_of_work(broker: &Broker) {
    let _phone = phone(broker).await;
    let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
    let desk = desk(DOMAIN);
    assert_eq!(browser.get("/ui/operator").await.field("location"), Some(&*desk));
    let body = browser.page(&desk).await;
    assert!(body.contains("data-live=\"/ui/operator/d/example.com/events\""));
    assert!(browser.page(&format!("{desk}/devices?online=yes&product=ip")).await.contains(PHONE));
    assert!(!browser.page(&format!("{desk}/devices?online=no")).await.contains(PHONE));

    let device = format!("{desk}/devices/{PHONE}");
    let body = browser.page(&device).await;
    assert!(body.contains("Entered the domain") && body.contains("by code"), "{body}");
    let category = body.split("<select id=\"category\"").nth(1).unwrap().split("value=\"").nth(1).unwrap();
    let category = category.split('"').next().unwrap().to_owned();
    let fields = [("name", "<i>Reception</i>"), ("category", &*category)];
    let answer = browser.submit(&device, &device, &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let body = browser.page(&device).await;
    assert!(body.contains("&#60;i&#62;Reception") && !body.contains("<i>Reception"));

    let form = format!("{desk}/jobs/new?kind=ntp");
    let new = format!("{desk}/jobs/new");
    let answer = browser.submit(&form, &new, &[("kind", "ntp")]).await;
    assert!(answer.status == 422 && answer.body.contains("role=\"alert\""), "{}", answer.body);
    let answer = browser.submit(&form, &new, &[("kind", "ntp"), ("v.server", "ntp.example.org")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let job = answer.field("location").unwrap().split('?').next().unwrap().to_owned();
    assert!(browser.page(&job).await.contains("ntp.example.org"));
    let body = browser.page(&device).await;
    assert!(body.contains("ntp.example.org"), "what it would be sent: {body}");
    let answer = browser.submit(&job, &format!("{job}/delete"), &[]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(browser.get(&job).await.status, 404);

    let codes = format!("{desk}/codes");
    let answer = browser.submit(&codes, &codes, &[("category", CATEGORY), ("sip", "ben")]).await;
    assert!(answer.status == 200 && answer.body.contains("A new code:"), "{}", answer.body);
    let fresh = answer.body.split("name=\"code\" value=\"").nth(1).unwrap()[..12].to_owned();
    secrets::note(&fresh);
    let revoke = [("code", &*fresh), ("sip", "ben")];
    assert_eq!(browser.submit(&codes, &format!("{codes}/revoke"), &revoke).await.status, 303);
    assert!(!browser.page(&format!("{codes}?state=open")).await.contains(&fresh));

    let categories = format!("{desk}/categories");
    let answer = browser.submit(&categories, &categories, &[("category", "Meeting rooms")]).await;
    assert_eq!(answer.status, 303);
    assert!(browser.page(&categories).await.contains("Meeting rooms"));
    let answer = browser.submit(&categories, &categories, &[("category", "Meeting rooms")]).await;
    assert!(answer.status == 409 && answer.body.contains("Go back"), "{}", answer.body);
    let answer = browser.submit(&categories, &categories, &[("category", "Hall, left")]).await;
    assert!(answer.body.contains("has no comma"), "{}", answer.body);

    let settings = format!("{desk}/settings");
    let token = [("which", "token"), ("value", "a token of ten letters")];
    secrets::note("a token of ten letters");
    let answer = browser.submit(&settings, &format!("{settings}/secret"), &token).await;
    // What goes into an update script is shown once, for the categories for provisioning only.
    let base = format!("ws%3A%2F%2F127.0.0.1%3A{}%2Fexample.com%2Fdevices%2Fsysclients", broker.addr.port());
    let query = "%3Fdomain%3Dexample.com%26token%3Da%2520token%2520of%2520ten%2520letters%26category%3DDesk%2520phones";
    let line = format!("config change SYSCLIENT /sysadmin {base}{query}</pre>");
    let once = "&token=a%20token%20of%20ten%20letters&category=Desk%20phones</pre>";
    assert!(answer.status == 200 && answer.body.contains(&line), "{}", answer.body);
    assert!(answer.body.replace("&#38;", "&").contains(once), "{}", answer.body);
    assert!(!answer.body.contains("Storage%2520room"), "{}", answer.body);
    assert!(!browser.page(&settings).await.contains("a%20token"), "it is not shown again");

    let answer = browser.submit(&device, &format!("{device}/remove"), &[]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(browser.get(&device).await.status, 404);
    let audit = browser.page("/ui/operator/audit").await;
    for action in
        ["device.change", "job.make", "job.delete", "code.issue", "category.make", "domain.token", "device.remove"]
    {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    assert!(audit.contains(PHONE) && !audit.contains(&fresh) && !audit.contains("a token"), "{audit}");
}

/// The tick decides whether a device gets the administrative password of the domain, and the pages show which one has it.
#[test]
fn an_operator_chooses_who_gets_the_administrative_password() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let codes = format!("{}/codes", desk(DOMAIN));
        assert!(browser.page(&codes).await.contains("name=\"administrative\" checked"), "that is the default");
        let ticks = [(PHONE, Some("on")), ("0090334100d2", None)];
        for (id, tick) in ticks {
            let fields: Vec<_> = [Some(("category", CATEGORY)), tick.map(|tick| ("administrative", tick))]
                .into_iter()
                .flatten()
                .collect();
            let body = browser.submit(&codes, &codes, &fields).await.body;
            let code = body.split("name=\"code\" value=\"").nth(1).unwrap()[..12].to_owned();
            secrets::note(&code);
            let row = body.split("<tr>").find(|row| row.contains(&code)).unwrap();
            assert_eq!(row.contains(">administrative</span>"), tick.is_some(), "{row}");
            let (mut device, password) = Device::enter(broker.addr, id, &code).await;
            let admin_password = device.expect_admin_password(&password).await;
            assert_eq!(admin_password == ADMIN_PASSWORD, tick.is_some(), "{id}");
            for (language, hint) in
                [("en", "a random administrative password"), ("de", "ein zufälliges administratives")]
            {
                browser.language = language;
                let body = browser.page(&format!("{}/devices/{id}", desk(DOMAIN))).await;
                assert_eq!(body.contains(hint), tick.is_none(), "{id} {language}: {body}");
            }
            browser.language = "en";
        }
    });
}

#[test]
fn an_operator_does_a_day_of_work_embedded() {
    with_broker(&Keep::embedded(), accounts, a_day_of_work);
}

#[test]
fn an_operator_does_a_day_of_work_redis() {
    with_broker(&Keep::redis(), accounts, a_day_of_work);
}

/// Everybody without the right tries each page and each change: none succeeds, and no answer reveals anything.
#[test]
fn operators_see_and_change_only_their_own_data() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let _phone = phone(broker).await;
        let gives = Operator::of(broker.addr, DOMAIN, OF_DOMAIN).await;
        // Access applies to programs, not to pages.
        gives.done("PUT", "/domains/example.com/access", Some(json!({"domains": [OTHER]}))).await;
        let sees = Operator::of(broker.addr, OTHER, OTHER_PASSWORD).await;
        assert_eq!(sees.get("/domains/example.com/devices").await["devices"][0]["hwId"], PHONE);
        let before = gives.get("/domains/example.com").await;
        for (name, status) in [("stranger", 404), ("anna", 403), ("admin", 403), ("otto", 403)] {
            let mut browser = Browser::signed_in(broker.addr, name, PASSWORD).await;
            let token = browser.token("/ui/account").await;
            for rest in OF_A_DOMAIN {
                let target = format!("{}{rest}", desk(DOMAIN));
                let answer = browser.get(&target).await;
                assert_eq!(answer.status, status, "{name} {rest}");
                // The form for the language contains the present address.
                let body = answer.body.replace(&target, "");
                assert!(!body.contains(PHONE) && !body.contains(CATEGORY), "{name} {rest}");
            }
            for rest in CHANGES {
                let fields = [("token", &*token), ("name", "x"), ("category", "x"), ("which", "token"), ("value", "x")];
                let answer = browser.post(&format!("{}{rest}", desk(DOMAIN)), &fields).await;
                assert!(matches!(answer.status, 403 | 404), "{name} {rest}: {}", answer.status);
            }
            for page in OF_THE_INSTANCE {
                assert!(matches!(browser.get(page).await.status, 403 | 404), "{name} {page}");
                let fields = [("token", &*token), ("name", "new.example"), ("password", "x"), ("category", "x")];
                assert!(matches!(browser.post(page, &fields).await.status, 403 | 404), "{name} {page}");
            }
            if name != "stranger" {
                for page in ["/ui/operator", "/ui/operator/accounts", "/ui/operator/audit", "/ui/operator/events"] {
                    assert_eq!(browser.get(page).await.status, 403, "{name} {page}");
                }
            }
        }
        assert_eq!(gives.get("/domains/example.com").await, before);
        // Lists that every account of the role has show only its own part.
        let mut unassigned_device = Browser::signed_in(broker.addr, "stranger", PASSWORD).await;
        let list = unassigned_device.page("/ui/operator/accounts").await;
        assert!(list.contains("otto") && !list.contains("anna") && !list.contains(">root<"), "{list}");
        let audit = unassigned_device.page("/ui/operator/audit").await;
        assert!(audit.contains("otto") && !audit.contains("anna"), "{audit}");
        for (target, name) in [("/password", "anna"), ("/remove", "anna"), ("/password", "root"), ("/remove", "root")] {
            let fields = [("name", name), ("password", "a password of a thief")];
            let target = format!("/ui/operator/accounts{target}");
            let answer = unassigned_device.submit("/ui/operator/accounts", &target, &fields).await;
            assert_eq!(answer.status, 404, "{name}");
        }
        let fields = [("name", "mole"), ("password", "a password of a mole"), ("role", "operator"), ("domain", "")];
        let answer = unassigned_device.submit("/ui/operator/accounts", "/ui/operator/accounts", &fields).await;
        assert_eq!(answer.status, 303);
        let mut mole = Browser::signed_in(broker.addr, "mole", "a password of a mole").await;
        assert_eq!(mole.get("/ui/operator/unassigned").await.status, 404, "of that domain, not of the instance");
        let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        assert_eq!(anna.get("/ui/account").await.status, 200);
    });
}

#[test]
fn every_change_needs_the_token_of_a_page() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let _phone = phone(broker).await;
        let mut root = Browser::signed_in(broker.addr, "root", PASSWORD).await;
        let rest = CHANGES.iter().filter(|rest| **rest != "/nowhere").map(|rest| format!("{}{rest}", desk(DOMAIN)));
        let elsewhere = ["/ui/operator/unassigned", "/ui/operator/domains", "/ui/operator/accounts"];
        let accounts =
            ["/ui/operator/accounts/password", "/ui/operator/accounts/remove", "/ui/language", "/ui/sign-out"];
        for target in rest.chain(elsewhere.map(str::to_owned)).chain(accounts.map(str::to_owned)) {
            assert_eq!(root.post(&target, &[("token", "0"), ("name", DOMAIN)]).await.status, 403, "{target}");
        }
        assert!(root.page(&format!("{}/devices", desk(DOMAIN))).await.contains(PHONE));
    });
}

/// The figures are computed every few seconds; here the test sets them.
#[test]
fn a_storm_is_shown_while_it_lasts() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let device = phone(broker).await;
        let desk = desk(DOMAIN);
        let mut root = Browser::signed_in(broker.addr, "root", PASSWORD).await;
        for page in ["/ui/operator", &desk] {
            let body = root.page(page).await;
            assert!(body.contains("online, of 1 devices") && !body.contains("not yet back"), "{body}");
        }
        drop(device);
        let figure = |figure: &str, what: &str| {
            format!("<span class=\"figure\">{figure}</span><span class=\"what\">{what}</span>")
        };
        let away = figure("0", "online, of 1 devices");
        until("the phone is away", async || root.page(&desk).await.contains(&away)).await;
        for (language, missing, left, unknown) in [
            ("en", "known devices not yet back", "estimated time until all are back", "not known"),
            ("de", "bekannte Geräte noch nicht zurück", "geschätzte Zeit, bis alle zurück sind", "nicht bekannt"),
        ] {
            root.language = language;
            until("they are away", async || {
                broker.admission().record_totals(1_000, 0);
                broker.admission().record_totals(1_000, 700);
                let whole = root.page("/ui/operator").await;
                whole.contains(&figure("700", missing)) && whole.contains(&figure(unknown, left))
            })
            .await;
            until("some are back", async || {
                broker.admission().record_totals(1_000, 700);
                broker.admission().record_totals(1_000, 300);
                let (whole, own) = (root.page("/ui/operator").await, root.page(&desk).await);
                // A domain has its own number.
                let both = whole.contains(&figure("300", missing)) && own.contains(&figure("1", missing));
                both && [whole, own].iter().all(|body| body.contains(left) && !body.contains(unknown))
            })
            .await;
        }
        until("it is over", async || {
            broker.admission().record_totals(1_000, 0);
            !root.page(&desk).await.contains("noch nicht zurück")
        })
        .await;
    });
}

#[test]
fn an_operator_of_the_instance_makes_a_domain_with_its_accounts() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut root = Browser::signed_in(broker.addr, "root", PASSWORD).await;
        assert!(root.page("/ui/operator").await.contains("data-part=\"figures\""));
        let fields = [("name", "New.Example"), ("password", "password of the new one"), ("category", "Phones")];
        secrets::note("password of the new one");
        let comma = [fields[0], fields[1], ("category", "Hall, left")];
        let answer = root.submit("/ui/operator", "/ui/operator/domains", &comma).await;
        assert!(answer.body.contains("has no comma"), "{}", answer.body);
        let answer = root.submit("/ui/operator", "/ui/operator/domains", &fields).await;
        assert_eq!(answer.field("location"), Some("/ui/operator/d/new.example?done=1"), "{}", answer.body);
        assert!(root.page("/ui/operator/d/new.example/categories").await.contains("Phones"));
        assert_eq!(root.submit("/ui/operator", "/ui/operator/domains", &fields).await.status, 409);
        let account = [
            ("name", "nina"),
            ("password", "password of nina"),
            ("role", "operator"),
            ("domain", "new.example"),
            ("shown", "Nina"),
        ];
        secrets::note("password of nina");
        let answer = root.submit("/ui/operator/accounts", "/ui/operator/accounts", &account).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let mut nina = Browser::signed_in(broker.addr, "nina", "password of nina").await;
        assert_eq!(nina.get("/ui/operator").await.field("location"), Some("/ui/operator/d/new.example"));
        assert_eq!(nina.get(&desk(DOMAIN)).await.status, 404);
        let remove = [("name", "nina")];
        assert_eq!(root.submit("/ui/operator/accounts", "/ui/operator/accounts/remove", &remove).await.status, 303);
        assert_eq!(nina.get("/ui/account").await.status, 303, "the session has ended with the account");
        let wrong = [("name", "other.example")];
        let target = "/ui/operator/d/new.example/settings/delete";
        assert_eq!(root.submit("/ui/operator", target, &wrong).await.status, 409);
        assert_eq!(root.submit("/ui/operator", target, &[("name", "new.example")]).await.status, 303);
        assert_eq!(root.get("/ui/operator/d/new.example").await.status, 404);
        assert!(root.page("/ui/operator/audit").await.contains("domain.delete"));
        assert!(root.page("/ui/operator/unassigned").await.contains("There are no such devices"));
    });
}

#[test]
fn the_path_of_an_app_ip_is_set_on_the_page_of_an_app_platform() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let domains = broker.store().domains().await.unwrap();
        let domain = domains.iter().find(|domain| domain.name.as_str() == DOMAIN).unwrap();
        let category = domain.categories[0].id;
        for (id, platform) in [("0090334100d2", "APP_PLATFORM"), ("0090334100d3", "GW")] {
            let entry = Entry {
                key: DeviceKey::parse(id).unwrap(),
                domain: domain.name.clone(),
                category,
                right: EntryRight::Manual,
                password: Secret::new("device"),
                admin_password: None,
                name: None,
                facts: Facts { platform: platform.into(), ..Facts::default() },
            };
            broker.store().enter(&entry).await.unwrap();
        }
        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let at = |id: &str| format!("{}/devices/{id}", desk(DOMAIN));
        let category = category.0.to_string();
        let fields = |path| [("name", ""), ("app_ip", path), ("category", &*category)];
        let (platform, gateway) = (at("0090334100d2"), at("0090334100d3"));
        assert!(browser.page(&platform).await.contains("Path of the App IP"));
        assert!(!browser.page(&gateway).await.contains("Path of the App IP"));
        assert_eq!(browser.submit(&platform, &platform, &fields("/ip")).await.status, 303);
        assert!(browser.page(&platform).await.contains("name=\"app_ip\" value=\"ip/\""));
        // Unchanged fields are no change.
        assert_eq!(browser.submit(&platform, &platform, &fields("ip/")).await.status, 303);
        assert_eq!(browser.submit(&platform, &platform, &fields("ip/..")).await.status, 409);
        assert_eq!(browser.page("/ui/operator/audit").await.matches("device.app_ip").count(), 1);
        assert_eq!(browser.submit(&platform, &platform, &fields("")).await.status, 303);
        assert!(browser.page(&platform).await.contains("name=\"app_ip\" value=\"\""));
    });
}
