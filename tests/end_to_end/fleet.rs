//! Devices as operators see them, the orders that operators give, and what the devices then receive.

use std::collections::BTreeSet;

use provbroker::core::model::ids::{DeviceKey, DomainName};
use provbroker::core::model::work::{Progress, State, Work};
use provbroker::store::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::support::broker::{
    ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, Keep, OTHER, OTHER_PASSWORD, PASSWORD, QUERY, STORAGE, run,
};
use crate::support::peer::{Device, guarded, identify, until};
use crate::support::rest::Operator;

const PHONE: &str = "0090334100e1";

/// Number of a category.
async fn category(broker: &Broker, domain: &str, name: &str) -> u64 {
    let domains = broker.store().domains().await.unwrap();
    let domain = domains.iter().find(|d| d.name.as_str() == domain).unwrap();
    domain.category(name).unwrap().id.0
}

fn hw_ids(page: &Value) -> Vec<String> {
    page["devices"].as_array().unwrap().iter().map(|d| d["hwId"].as_str().unwrap().to_owned()).collect()
}

/// Connects without belonging to a domain, and waits until an operator sees the device.
async fn waiting(broker: &Broker, operator: &Operator, id: &str) -> Device {
    let mut phone = Device::identified(broker.addr, &identify(id)).await;
    phone.quiet().await;
    seen_waiting(operator, id).await;
    phone
}

async fn seen_waiting(operator: &Operator, id: &str) {
    until("the device is in the list of unassigned ones", async || {
        let page = operator.get("/unassigned").await;
        page["devices"].as_array().unwrap().iter().any(|d| d["hwId"] == id && d["online"] == true)
    })
    .await;
}

async fn online(operator: &Operator, domain: &str, id: &str) {
    until("the device is online", async || {
        operator.get(&format!("/domains/{domain}/devices/{id}")).await["online"] == true
    })
    .await;
}

/// Puts an unassigned device into a domain; returns its password.
async fn assigned(broker: &Broker, operator: &Operator, phone: &mut Device, id: &str, domain: &str) -> String {
    let body = json!({"hwId": id, "category": category(broker, domain, CATEGORY).await});
    let device = operator.done("POST", &format!("/domains/{domain}/devices"), Some(body)).await;
    assert_eq!((&device["hwId"], &device["domain"], &device["way"]), (&json!(id), &json!(domain), &json!("manual")));
    phone.expect_password().await
}

on_each_store!(an_unassigned_device_is_put_into_a_domain, |_| {}, async |broker: &Broker| {
    let operator = Operator::of_instance(broker.addr).await;
    let mut phone = waiting(broker, &operator, PHONE).await;
    let password = assigned(broker, &operator, &mut phone, PHONE, DOMAIN).await;
    assert_eq!(phone.expect_admin_password(&password).await, ADMIN_PASSWORD, "entered by hand: that of the domain");
    online(&operator, DOMAIN, PHONE).await;
    assert!(hw_ids(&operator.get("/unassigned").await).is_empty());
    let device = operator.get(&format!("/domains/{DOMAIN}/devices/{PHONE}")).await;
    assert_eq!((&device["confirmed"], &device["category"]["name"]), (&json!(false), &json!(CATEGORY)));
    assert_eq!((&device["product"], &device["type"]), (&json!("IP112"), &json!("PHONE")));
    phone.leave().await;
    let mut back = Device::come_back(broker.addr, PHONE, &password).await;
    assert_eq!(back.expect_admin_password(&password).await, ADMIN_PASSWORD);
    back.quiet().await;
    until("its password is confirmed", async || {
        operator.get(&format!("/domains/{DOMAIN}/devices/{PHONE}")).await["confirmed"] == true
    })
    .await;
});

on_each_store!(only_a_waiting_device_is_put_into_a_domain, |_| {}, async |broker: &Broker| {
    let operator = Operator::of_instance(broker.addr).await;
    let assign = async |id: &str, category: u64, status: u16| {
        let body = json!({"hwId": id, "category": category});
        operator.refused(status, "POST", &format!("/domains/{OTHER}/devices"), Some(body)).await
    };
    let desk = category(broker, OTHER, CATEGORY).await;
    assert!(assign(PHONE, desk, 409).await.contains("not online"));
    let mut phone = waiting(broker, &operator, PHONE).await;
    assign(PHONE, category(broker, DOMAIN, STORAGE).await, 409).await;
    phone.quiet().await;
    assigned(broker, &operator, &mut phone, PHONE, DOMAIN).await;
    assert!(assign(PHONE, desk, 409).await.contains(DOMAIN));
    let domain = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    domain.refused(403, "GET", "/unassigned", None).await;
    let body = json!({"hwId": "x", "category": 1});
    domain.refused(403, "POST", &format!("/domains/{DOMAIN}/devices"), Some(body)).await;
    // A device that has disconnected stays in the list, but cannot be assigned.
    let gone = waiting(broker, &operator, "0090334100e2").await;
    gone.leave().await;
    until("it is offline", async || operator.get("/unassigned").await["devices"][0]["online"] == false).await;
    assert!(assign("0090334100e2", desk, 409).await.contains("not online"));
});

on_each_store!(a_removed_device_is_unassigned_when_it_comes_back, |_| {}, async |broker: &Broker| {
    let operator = Operator::of_instance(broker.addr).await;
    let mut phone = waiting(broker, &operator, PHONE).await;
    assigned(broker, &operator, &mut phone, PHONE, OTHER).await;
    online(&operator, OTHER, PHONE).await;
    let own = Operator::of(broker.addr, OTHER, OTHER_PASSWORD).await;
    own.done("DELETE", &format!("/domains/{OTHER}/devices/{PHONE}"), None).await;
    phone.expect_close(1000).await;
    own.refused(404, "GET", &format!("/domains/{OTHER}/devices/{PHONE}"), None).await;
    own.refused(404, "DELETE", &format!("/domains/{OTHER}/devices/{PHONE}"), None).await;
    assert!(hw_ids(&own.get(&format!("/domains/{OTHER}/devices")).await).is_empty());
    let mut back = waiting(broker, &operator, PHONE).await;
    // Assigned again.
    assigned(broker, &operator, &mut back, PHONE, DOMAIN).await;
});

// A gateway that entered by the token has a random password. It gets the one of the domain when it is removed and added
// by hand, or when it enters by a code made by hand.
on_each_store!(
    a_gateway_that_entered_by_itself_gets_the_password_of_the_domain_by_hand,
    |_| {},
    async |broker: &Broker| {
        let operator = Operator::of_instance(broker.addr).await;
        let mut facts = identify(PHONE);
        facts["platform"] = json!({"type": "GW", "fxs": false});
        let by_itself = async |facts: &Value| {
            let mut gateway = Device::connect(broker.addr, QUERY).await;
            gateway.identify(facts).await;
            let password = gateway.expect_password().await;
            assert_ne!(gateway.expect_admin_password(&password).await, ADMIN_PASSWORD);
            online(&operator, DOMAIN, PHONE).await;
            gateway
        };
        let at = format!("/domains/{DOMAIN}/devices/{PHONE}");
        let mut gateway = by_itself(&facts).await;
        operator.done("DELETE", &at, None).await;
        gateway.expect_close(1000).await;
        // With the address that leads into the domain it would be back by itself, with a random password.
        let mut gateway = by_itself(&facts).await;
        operator.done("DELETE", &at, None).await;
        gateway.expect_close(1000).await;
        let mut gateway = Device::identified(broker.addr, &facts).await;
        gateway.quiet().await;
        seen_waiting(&operator, PHONE).await;
        let password = assigned(broker, &operator, &mut gateway, PHONE, DOMAIN).await;
        assert_eq!(gateway.expect_admin_password(&password).await, ADMIN_PASSWORD, "added by hand");
        online(&operator, DOMAIN, PHONE).await;
        operator.done("DELETE", &at, None).await;
        gateway.expect_close(1000).await;

        // The code is entered in the installation pages of the gateway, which keeps its address.
        let mut gateway = by_itself(&facts).await;
        let made =
            operator.done("POST", &format!("/domains/{DOMAIN}/codes"), Some(json!({"category": CATEGORY}))).await;
        let code = made["code"].as_str().unwrap();
        crate::support::secrets::note(code);
        facts["provisioningCode"] = json!(code);
        gateway.identify(&facts).await;
        let password = gateway.expect_password().await;
        assert_eq!(gateway.expect_admin_password(&password).await, ADMIN_PASSWORD, "a code made by hand");
        assert_eq!(operator.get(&at).await["way"], "code");
    }
);

on_each_store!(a_device_moves_with_the_consent_of_both, |_| {}, async |broker: &Broker| {
    let operator = Operator::of_instance(broker.addr).await;
    let (from, to) =
        (Operator::of(broker.addr, OTHER, OTHER_PASSWORD).await, Operator::of(broker.addr, DOMAIN, PASSWORD).await);
    let mut phone = waiting(broker, &operator, PHONE).await;
    let old = assigned(broker, &operator, &mut phone, PHONE, OTHER).await;
    online(&operator, OTHER, PHONE).await;
    let number = operator.get(&format!("/domains/{OTHER}/devices/{PHONE}")).await["id"].clone();
    let storage = category(broker, DOMAIN, STORAGE).await;
    let at_once = json!({"to": DOMAIN, "category": storage});
    from.refused(403, "POST", &format!("/domains/{OTHER}/devices/{PHONE}/move"), Some(at_once)).await;
    let accept = json!({"category": storage});
    let offer_path = format!("/domains/{DOMAIN}/offers/{PHONE}");
    to.refused(404, "POST", &offer_path, Some(accept.clone())).await;

    let offer = async |to: &str| {
        from.done("POST", &format!("/domains/{OTHER}/devices/{PHONE}/offers"), Some(json!({"to": to}))).await
    };
    offer("no-such.example").await;
    offer(DOMAIN).await;
    let offers = to.get(&format!("/domains/{DOMAIN}/offers")).await;
    assert_eq!(offers["offers"][0]["from"], OTHER);
    to.done("DELETE", &offer_path, None).await;
    to.refused(404, "POST", &offer_path, Some(accept.clone())).await;
    phone.quiet().await;

    offer(DOMAIN).await;
    to.refused(409, "POST", &offer_path, Some(json!({"category": 999_999}))).await;
    let moved = to.done("POST", &offer_path, Some(accept.clone())).await;
    assert_eq!((&moved["id"], &moved["category"]["name"]), (&number, &json!(STORAGE)));
    let new = phone.expect_password().await;
    assert_ne!(new, old);
    assert_eq!(phone.expect_admin_password(&new).await, ADMIN_PASSWORD);
    online(&to, DOMAIN, PHONE).await;
    assert_eq!(hw_ids(&to.get(&format!("/domains/{DOMAIN}/devices")).await), [PHONE]);
    assert!(hw_ids(&from.get(&format!("/domains/{OTHER}/devices")).await).is_empty());
    from.refused(404, "GET", &format!("/domains/{OTHER}/devices/{PHONE}"), None).await;
    assert_eq!(to.get(&format!("/domains/{DOMAIN}/offers")).await["offers"], json!([]));
    // Its old domain no longer has it online, and its new password is valid.
    let (key, old_domain) = (DeviceKey::parse(PHONE).unwrap(), DomainName::parse(OTHER).unwrap());
    assert!(broker.store().whereabouts(&old_domain, &key).await.unwrap().is_none());
    phone.leave().await;
    until("it is offline", async || to.get(&format!("/domains/{DOMAIN}/devices/{PHONE}")).await["online"] == false)
        .await;
    // Offline, so it could not be given another password.
    let back = json!({"to": OTHER, "category": category(broker, OTHER, CATEGORY).await});
    let path = format!("/domains/{DOMAIN}/devices/{PHONE}/move");
    assert!(operator.refused(409, "POST", &path, Some(back.clone())).await.contains("not online"));
    let mut phone = Device::come_back(broker.addr, PHONE, &new).await;
    phone.expect_admin_password(&new).await;
    phone.quiet().await;
    // An operator of both domains moves it at once.
    operator.done("POST", &path, Some(back)).await;
    assert_ne!(phone.expect_password().await, new);
    phone.quiet().await;
    online(&operator, OTHER, PHONE).await;
});

on_each_store!(a_device_of_another_domain_does_not_exist, |_| {}, async |broker: &Broker| {
    let operator = Operator::of_instance(broker.addr).await;
    let mut phone = waiting(broker, &operator, PHONE).await;
    assigned(broker, &operator, &mut phone, PHONE, OTHER).await;
    let unassigned_device = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let accept = json!({"category": 1});
    let calls = [
        ("GET", "/devices", None),
        ("GET", "/devices/ID", None),
        ("PATCH", "/devices/ID", Some(json!({"name": "x"}))),
        ("DELETE", "/devices/ID", None),
        ("POST", "/devices/ID/move", Some(json!({"to": DOMAIN, "category": 1}))),
        ("POST", "/devices/ID/offers", Some(json!({"to": DOMAIN}))),
        ("GET", "/offers", None),
        ("POST", "/offers/ID", Some(accept.clone())),
        ("DELETE", "/offers/ID", None),
        ("GET", "/outcomes", None),
    ];
    for (method, path, body) in calls {
        let path = path.replace("ID", PHONE);
        // Under the other domain: as if there were no such domain.
        let theirs = unassigned_device.refused(404, method, &format!("/domains/{OTHER}{path}"), body.clone()).await;
        let none =
            unassigned_device.refused(404, method, &format!("/domains/no-such.example{path}"), body.clone()).await;
        assert_eq!(theirs, none, "{method} {path}");
        // Under its own domain: as if there were no such device.
        if path.contains(PHONE) {
            let theirs =
                unassigned_device.refused(404, method, &format!("/domains/{DOMAIN}{path}"), body.clone()).await;
            let unknown = path.replace(PHONE, "0090334100ff");
            let none = unassigned_device.refused(404, method, &format!("/domains/{DOMAIN}{unknown}"), body).await;
            assert_eq!(theirs, none, "{method} {path}");
        }
    }
    phone.quiet().await;
    assert_eq!(operator.get(&format!("/domains/{OTHER}/devices/{PHONE}")).await["domain"], OTHER);
});

#[test]
fn an_operator_at_one_node_orders_for_a_device_at_the_other() {
    let keep = Keep::redis();
    let (one, two) = (Broker::on(&keep, |_| {}), Broker::on(&keep, |_| {}));
    run(async {
        let operator = Operator::of_instance(one.addr).await;
        let mut phone = Device::identified(two.addr, &identify(PHONE)).await;
        seen_waiting(&operator, PHONE).await;
        let password = assigned(&one, &operator, &mut phone, PHONE, DOMAIN).await;
        phone.expect_admin_password(&password).await;
        online(&operator, DOMAIN, PHONE).await;
        let to = json!({"to": OTHER, "category": category(&one, OTHER, CATEGORY).await});
        operator.done("POST", &format!("/domains/{DOMAIN}/devices/{PHONE}/move"), Some(to)).await;
        assert_ne!(phone.expect_password().await, password);
        online(&operator, OTHER, PHONE).await;
        operator.done("DELETE", &format!("/domains/{OTHER}/devices/{PHONE}"), None).await;
        phone.expect_close(1000).await;
        waiting(&two, &operator, PHONE).await;
    });
}

on_each_store!(pages_of_a_list_give_every_device_once, |_| {}, async |broker: &Broker| {
    const DEVICES: usize = 23;
    let operator = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let mut phones = Vec::new();
    for number in 0..DEVICES {
        let mut phone = Device::connect(broker.addr, QUERY).await;
        let mut identify = identify(&format!("00903342{number:04x}"));
        if number % 2 == 0 {
            identify["platform"]["type"] = "GW".into();
            identify["product"] = "IP411".into();
        }
        phone.identify(&identify).await;
        phone.expect_password().await;
        phones.push(phone);
    }
    let listed = async |query: &str, limit: usize| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = operator.get(&format!("/domains/{DOMAIN}/devices?limit={limit}{query}{cursor}")).await;
            assert!(page["devices"].as_array().unwrap().len() <= limit);
            seen.extend(hw_ids(&page));
            let Some(next) = page["next"].as_str() else { return seen };
            cursor = format!("&cursor={next}");
        }
    };
    for limit in [1, 5, DEVICES, 1000] {
        let seen = listed("", limit).await;
        assert_eq!((seen.len(), BTreeSet::from_iter(&seen).len()), (DEVICES, DEVICES), "{limit} at a time");
    }
    assert_eq!(listed("&type=GW", 5).await.len(), 12);
    assert_eq!(listed("&product=p41", 5).await.len(), 12);
    assert_eq!(listed("&type=DECT", 5).await.len(), 0);
    assert_eq!(listed("&hwIds=009033420001,00-90-33-42-00-02,nobody", 5).await, ["009033420001", "009033420002"]);
    let desk = category(broker, DOMAIN, CATEGORY).await;
    assert_eq!(listed(&format!("&category={desk}"), 5).await.len(), DEVICES);
    phones.pop().unwrap().leave().await;
    until("one is offline", async || listed("&online=false", 5).await.len() == 1).await;
    assert_eq!(listed("&online=true", 5).await.len(), DEVICES - 1);
    for query in ["limit=0", "limit=1001", "cursor=zz", "colour=red"] {
        let (status, _) = operator.call("GET", &format!("/domains/{DOMAIN}/devices?{query}"), None).await;
        assert!(status == 400 || status == 422, "{query}: {status}");
    }
});

on_each_store!(a_dry_run_shows_what_would_be_sent_and_sends_nothing, |_| {}, async |broker: &Broker| {
    let operator = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let at = format!("/domains/{DOMAIN}");
    let mut phone = Device::connect(broker.addr, QUERY).await;
    phone.identify(&identify(PHONE)).await;
    phone.expect_password().await;
    let dry_run = format!("{at}/devices/{PHONE}/dry-run");
    let nothing = json!({"update": [], "configs": [], "items": [], "cleanUp": []});
    assert_eq!(operator.done("POST", &dry_run, None).await, nothing);
    // Of another category: it is only displayed, so no job can be under way.
    let storage = category(broker, DOMAIN, STORAGE).await;
    let ntp = json!({"kind": "ntp", "category": storage, "values": {"server": "192.0.2.9"}});
    let ntp = operator.done("POST", &format!("{at}/config-jobs"), Some(ntp)).await["id"].clone();
    let values = json!({"server": "ldap.example", "base": "dc=example", "user": "reader", "password": "of-the-reader"});
    let ldap = json!({"kind": "ldap", "category": storage, "values": values});
    operator.done("POST", &format!("{at}/config-jobs"), Some(ldap)).await;
    let builds = json!({"baseUrl": "http://fw.example/", "products": {"IP112": {"firmware": "136044"}}});
    let update = json!({"category": storage, "builds": builds});
    operator.done("POST", &format!("{at}/update-jobs"), Some(update)).await;
    assert_eq!(operator.done("POST", &dry_run, None).await, nothing);

    phone.leave().await;
    until("it is offline", async || operator.get(&format!("{at}/devices/{PHONE}")).await["online"] == false).await;
    operator.done("PATCH", &format!("{at}/devices/{PHONE}"), Some(json!({"category": storage}))).await;
    let shown = operator.done("POST", &dry_run, None).await;
    assert_eq!(
        shown["update"],
        json!(["mod cmd UP0 prot http://fw.example/ip112.bin ser 136044", "iresetn"]),
        "{shown}"
    );
    let configs = shown["configs"].as_array().unwrap();
    assert_eq!(configs.len(), 2, "{shown}");
    assert_eq!(configs[0], json!({"kind": "ntp", "job": ntp, "lines": ["config change NTP0 /addr 192.0.2.9"]}));
    assert!(configs[1]["lines"][0].as_str().unwrap().contains("/pwd hidden"), "{shown}");
    assert_eq!((&shown["items"], &shown["cleanUp"]), (&json!([]), &json!([])));
    assert_eq!(operator.get(&format!("{at}/outcomes")).await["devices"], json!([]));

    let other = Operator::of(broker.addr, OTHER, OTHER_PASSWORD).await;
    other.refused(404, "POST", &dry_run, None).await;
    other.refused(404, "POST", &format!("/domains/{OTHER}/devices/{PHONE}/dry-run"), None).await;
});

on_each_store!(names_categories_and_outcomes, |_| {}, async |broker: &Broker| {
    let operator = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let mut phone = Device::connect(broker.addr, QUERY).await;
    phone.identify(&identify(PHONE)).await;
    phone.expect_password().await;
    let path = format!("/domains/{DOMAIN}/devices/{PHONE}");
    let storage = category(broker, DOMAIN, STORAGE).await;
    operator.done("PATCH", &path, Some(json!({"name": "Lobby"}))).await;
    operator.done("PATCH", &path, Some(json!({"category": storage}))).await;
    let device = operator.get(&path).await;
    assert_eq!((&device["name"], &device["category"]["id"]), (&json!("Lobby"), &json!(storage)));
    operator.refused(409, "PATCH", &path, Some(json!({"category": 999_999}))).await;
    operator.refused(422, "PATCH", &path, Some(json!({"name": "a\nb"}))).await;
    operator.refused(400, "PATCH", &path, Some(json!({"nam": "x"}))).await;
    operator.done("PATCH", &path, Some(json!({"name": ""}))).await;
    assert_eq!(operator.get(&path).await["name"], Value::Null);

    assert_eq!(operator.get(&format!("/domains/{DOMAIN}/outcomes")).await["devices"], json!([]));
    let (key, domain) = (DeviceKey::parse(PHONE).unwrap(), DomainName::parse(DOMAIN).unwrap());
    let entry = broker.store().find_device(&key).await.unwrap().unwrap().entered;
    let failed = Progress {
        job: Some(provbroker::core::model::ids::JobId(7)),
        attempts: 3,
        at: entry,
        state: State::Failed("no answer".into()),
    };
    let work = Work { entry, update: Some(failed), ..Work::default() };
    broker.store().keep_work(&domain, &key, &work).await.unwrap();
    let expected = json!([{"what": "update", "job": 7, "attempts": 3, "at": entry.seconds(), "state": "failed", "reason": "no answer"}]);
    assert_eq!(operator.get(&path).await["work"], expected);
    let outcomes = operator.get(&format!("/domains/{DOMAIN}/outcomes?job=7")).await;
    assert_eq!((&outcomes["devices"][0]["hwId"], &outcomes["devices"][0]["work"]), (&json!(PHONE), &expected));
    assert_eq!(operator.get(&format!("/domains/{DOMAIN}/outcomes?job=8")).await["devices"], json!([]));
});

/// The next signal that `wanted` returns a value for.
async fn signal<T>(signals: &mut Receiver<Signal>, what: &str, wanted: impl Fn(&Signal) -> Option<T>) -> T {
    guarded(what, async {
        loop {
            if let Some(found) = wanted(&signals.recv().await.expect("the bus")) {
                return found;
            }
        }
    })
    .await
}

on_each_store!(every_node_is_told_what_has_changed, |_| {}, async |broker: &Broker| {
    let operator = Operator::of_instance(broker.addr).await;
    let (key, domain) = (DeviceKey::parse(PHONE).unwrap(), DomainName::parse(OTHER).unwrap());
    let mut signals = broker.store().subscribe();
    let mut unassigned_devices = broker.store().subscribe();
    let changed = |signal: &Signal| match signal {
        Signal::Changed { domain: of, keys } if *of == domain && keys.contains(&key) => Some(()),
        _ => None,
    };
    let of_unassigned = |signal: &Signal| (*signal == Signal::UnassignedChanged).then_some(());
    let mut phone = waiting(broker, &operator, PHONE).await;
    signal(&mut unassigned_devices, "it has come", of_unassigned).await;
    assigned(broker, &operator, &mut phone, PHONE, OTHER).await;
    signal(&mut unassigned_devices, "it is unassigned no more", of_unassigned).await;
    signal(&mut signals, "it has entered", changed).await;
    online(&operator, OTHER, PHONE).await;

    let mut signals = broker.store().subscribe();
    let mut newer = identify(PHONE);
    newer["version"] = "14r1".into();
    phone.identify(&newer).await;
    // Signals about its entry may arrive late: a signal only announces a change, the record has the data.
    let path = format!("/domains/{OTHER}/devices/{PHONE}");
    loop {
        signal(&mut signals, "it says something new of itself", changed).await;
        if operator.get(&path).await["version"] == "14r1" {
            break;
        }
    }
    operator.done("PATCH", &path, Some(json!({"name": "Lobby"}))).await;
    signal(&mut signals, "it has a name", changed).await;
    operator.done("DELETE", &path, None).await;
    let gone = signal(&mut signals, "it is gone", |signal| match signal {
        Signal::Gone { domain: of, device } if *of == domain => Some(device.clone()),
        _ => None,
    })
    .await;
    assert_eq!((gone.key, &*gone.facts.version), (key.clone(), "14r1"));
});

on_each_store!(many_changes_are_told_at_once, |_| {}, async |broker: &Broker| {
    const DEVICES: usize = 60;
    let mut signals = broker.store().subscribe();
    let began = tokio::time::Instant::now();
    let mut phones = Vec::new();
    for number in 0..DEVICES {
        let mut phone = Device::connect(broker.addr, QUERY).await;
        phone.identify(&identify(&format!("00903343{number:04x}"))).await;
        phone.expect_password().await;
        phones.push(phone);
    }
    let (mut told, mut seen) = (0, BTreeSet::new());
    while seen.len() < DEVICES {
        let keys = signal(&mut signals, "the others", |signal| match signal {
            Signal::Changed { keys, .. } => Some(keys.clone()),
            _ => None,
        });
        seen.extend(keys.await);
        told += 1;
    }
    // The first one at once, then one a second; fewer on a slow machine.
    assert!(told <= began.elapsed().as_secs() + 2, "{told} signals in {:?}", began.elapsed());
});
