//! What the REST interface does not show of the fixtures, record by record.

use std::collections::BTreeSet;
use std::time::Duration;

use provbroker::core::model::accounts::{AccountName, Role};
use provbroker::core::model::device::{CodeState, Requester, Way};
use provbroker::core::model::ids::{Code, NodeId, RolloutId};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::users_role::{EntryState, PersonId, Progress, Trouble};
use provbroker::store::{Contact, SessionHash, Store, TicketKey};
use serde_json::{Value, json};

use crate::support::crypto::sha256_hex;
use crate::{DAY, code_of, domain, key_of, request_of, second};

pub async fn read(store: &dyn Store, known: &Value) {
    figures(store, known).await;
    domains(store).await;
    devices(store, known).await;
    mailbox(store, known).await;
    accounts(store, known).await;
    people(store, known).await;
    directory(store, known).await;
}

async fn figures(store: &dyn Store, known: &Value) {
    let totals = store.figures().await.unwrap();
    let devices = known["devices"].as_object().unwrap().len() as u64 - 1;
    assert_eq!((totals.devices, totals.online, totals.notices), (devices, 0, 4));
    // Of those of long validity one is of the operators' roll-out, and two of that of the Users role.
    assert_eq!((totals.short_codes, totals.rollout_codes), (2, 3));
}

async fn domains(store: &dyn Store) {
    let all = store.domains().await.unwrap();
    let [first, other] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&first.name, &other.name), (&domain(), &second()));
    assert_eq!(first.password.expose(), "password-of-example-com");
    assert_eq!(first.admin_password.expose(), "administrative-of-example");
    assert_eq!(first.auto_token.expose(), "token of example.com");
    assert_eq!(other.password.expose(), "password-of-second-example");
    assert!(other.admin_password.is_empty() && other.auto_token.is_empty());
    assert!(first.access_to.is_empty() && first.revision > 5);
    assert_eq!(other.access_to, [domain()]);
    let categories: Vec<_> = first.categories.iter().map(|one| (&*one.name, one.provisioning)).collect();
    let made = [("Desk phones", true), ("Meeting rooms", true), ("Store room", false), ("Reception", false)];
    assert_eq!(categories, made);

    let jobs = store.jobs(&domain()).await.unwrap();
    let jobs: Vec<Value> = jobs.iter().map(|job| serde_json::to_value(job).unwrap()).collect();
    assert_eq!(jobs.len(), 4);
    assert_eq!(jobs[0]["task"]["config"]["values"], json!({"server": "ntp.example.org", "interval": 60}));
    assert_eq!(jobs[1]["category"], first.categories[0].id.0);
    assert_eq!(jobs[1]["task"]["config"]["values"]["password"], "password-of-the-registration");
    assert_eq!(jobs[2]["task"]["update"]["builds"]["baseUrl"], "https://ap.example.org/fw/136044/");
    let hours = json!({"allow": [22, 23, 0], "utcOffset": 60});
    assert_eq!(jobs[3]["task"]["update"]["hours"], hours);
    assert_eq!(jobs[3]["task"]["update"]["builds"]["products"]["IP411"]["firmwareFile"], "ip411-lab.bin");
    let builds = serde_json::to_value(store.builds(&domain()).await.unwrap().unwrap()).unwrap();
    assert_eq!(builds["products"]["IP112"], json!({"firmware": "136044", "bootcode": "136044"}));
    assert_eq!(store.builds(&second()).await.unwrap(), None);
}

async fn devices(store: &dyn Store, known: &Value) {
    for (name, device) in known["devices"].as_object().unwrap() {
        let key = key_of(known, name);
        let Some(found) = store.find_device(&key).await.unwrap() else {
            assert_eq!(name, "unassigned");
            continue;
        };
        assert_eq!(found.key, key, "{name}");
        let of = if name == "gateway" { second() } else { domain() };
        // Three have not come back since they have entered.
        let tentative = ["gateway", "assigned", "phone"].contains(&name.as_str());
        assert_eq!((&found.domain, found.tentative), (&of, tentative), "{name}");
        let password = if name == "phone" { &known["phone"]["memory"]["password"] } else { &device["password"] };
        assert_eq!(found.password.expose(), password.as_str().unwrap(), "{name}");
        let way = match name.as_str() {
            "automatic" => Way::Auto,
            "assigned" => Way::Manual,
            _ => Way::Code,
        };
        assert_eq!((found.way, found.admin_password.is_some()), (way, name == "automatic"), "{name}");
        let code = known["codes"].get(match name.as_str() {
            "updated" => "rollout used",
            "gateway" => "mailed",
            name => name,
        });
        let code = code.map(|code| Code::parse(code.as_str().unwrap()).unwrap());
        // That of an entry whose password is proved is not asked for any more.
        let entry_code = code.filter(|_| found.tentative || name == "pending");
        assert_eq!((found.entry_code, found.pending), (entry_code, code.filter(|_| name == "pending")), "{name}");
        assert_eq!(found.name.as_deref(), (name == "updated").then_some("Meeting room 1"));
        assert_eq!(found.facts.name.as_deref(), (name == "assigned").then_some("Of its own"));
        assert_eq!(found.work.entry, found.entered, "{name}");
        let work = serde_json::to_value(&found.work).unwrap();
        let states: Vec<_> = work["configs"].as_array().into_iter().flatten().map(|one| &one["state"]).collect();
        let (update, configs, cleaned) = match name.as_str() {
            "updated" => (json!("done"), 1, Some(json!("done"))),
            "pending" => (work["update"]["state"].clone(), 0, None),
            "gateway" => (Value::Null, 1, None),
            "automatic" | "assigned" => (Value::Null, 2, None),
            _ => (Value::Null, 2, Some(json!("done"))),
        };
        assert_eq!(work["update"]["state"], update, "{name}: {work}");
        assert_eq!(states, vec![&json!("done"); configs], "{name}: {work}");
        assert_eq!(work["cleanUp"].get("state").or(work["clean_up"].get("state")), cleaned.as_ref(), "{name}: {work}");
        if name == "pending" {
            assert!(work["update"]["state"]["failed"].is_string() && work["update"]["attempts"] == 1, "{work}");
        }
    }
    let gateway = store.find_device(&key_of(known, "gateway")).await.unwrap().unwrap();
    assert!(gateway.facts.other && gateway.facts.fxs);
    assert_eq!(store.ports(&second(), &gateway.key).await.unwrap(), Some(vec!["TEL1".into()]));
    let anna = store.find_device(&key_of(known, "anna")).await.unwrap().unwrap().facts;
    let texts = [anna.fw_build, anna.bc_build, anna.major, anna.fw, anna.bc].map(|text| text.unwrap());
    assert_eq!(texts.each_ref().map(|text| &**text), ["136012", "136012", "13r3", "ip112.bin", "boot112.bin"]);
    let [interface] = &anna.eth_ifs[..] else { panic!("{:?}", anna.eth_ifs) };
    assert_eq!((interface.ipv4.as_deref(), interface.ipv6.as_deref()), (Some("192.0.2.17"), Some("2001:db8::17")));

    let unassigned = store.unassigned_device(&key_of(known, "unassigned")).await.unwrap().unwrap();
    assert!(unassigned.at.is_none() && unassigned.device.facts.mini && unassigned.device.facts.pbx_active);
    assert_eq!(store.unassigned_count().await.unwrap(), 1);
    let offers = store.offers(&second()).await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!((&offers[0].key, &offers[0].from), (&key_of(known, "updated"), &domain()));
}

async fn mailbox(store: &dyn Store, known: &Value) {
    assert_eq!((store.depth(&domain()).await.unwrap(), store.depth(&second()).await.unwrap()), (2, 2));
    let code = store.code_in(&second(), code_of(known, "mailed")).await.unwrap().unwrap();
    let holder = code.holder.map(|node| node.to_string()).unwrap_or_default();
    assert!(code.sip.as_deref() == Some("hans") && holder.starts_with("node-1-"), "{holder}");
    assert_eq!(code.state, CodeState::Used { by: key_of(known, "gateway"), port: None });
    let taken = store.take(&second(), &NodeId::new("n2"), Duration::from_secs(60), 10, &[]).await.unwrap();
    let find = |name: &str| taken.iter().find(|notice| notice.code == code_of(known, name)).unwrap();
    let (app, by_hand) = (find("mailed"), find("port"));
    assert_eq!((&app.device, app.port.as_deref()), (&key_of(known, "gateway"), None));
    assert_eq!(app.requester, Requester { app: "users".into(), sip: "users".into() });
    assert_eq!((by_hand.port.as_deref(), &by_hand.holder), (Some("TEL1"), &None));
    store.settle(&second(), &[app.code, by_hand.code]).await.unwrap();
    assert_eq!(store.depth(&second()).await.unwrap(), 0);
    // The notice that is owed.
    assert!(store.deposit(&domain(), &key_of(known, "pending")).await.unwrap());
    let taken = store.take(&domain(), &NodeId::new("n2"), Duration::from_secs(60), 10, &[]).await.unwrap();
    let codes: BTreeSet<Code> = taken.iter().map(|notice| notice.code).collect();
    assert_eq!(codes, ["rollout used", "phone", "pending"].map(|name| code_of(known, name)).into());
}

async fn accounts(store: &dyn Store, known: &Value) {
    let all = store.accounts().await.unwrap();
    let found: Vec<_> = all
        .iter()
        .map(|one| (one.identity.account.as_str(), one.identity.role, one.identity.domain.as_ref()))
        .collect();
    let here = Some(domain());
    let here = here.as_ref();
    assert_eq!(
        found,
        [
            ("anna", Role::Person, here),
            ("clerk", Role::Rollout, here),
            ("eva", Role::Person, here),
            ("operator", Role::Operator, None),
            ("otto", Role::Person, here),
        ]
    );
    assert!(all.iter().all(|one| one.hash.expose().starts_with("$argon2id$")));
    assert_eq!((&*all[0].identity.shown, &*all[0].identity.sip), ("anna of the fixtures", "anna"));
    // It was kept under a hash of before, or is by now under one of today.
    let mut session = None;
    for hash in SessionHash::all(&store.sealer(), known["session"].as_str().unwrap()) {
        session = session.or(store.use_session(&hash, None).await.unwrap());
    }
    let session = session.unwrap();
    assert_eq!((session.identity, &*session.browser), (all[0].identity.clone(), "Browser of the fixtures"));
    assert!(session.began.0 <= session.seen.0 && session.seen.0 < session.ends.0);
    let anna = AccountName::parse("anna").unwrap();
    assert_eq!(store.sessions_of(&anna).await.unwrap().len(), 1);

    let done = store.audit_entries(None, None, 100).await.unwrap();
    let said: Vec<_> = done.iter().map(|one| (&*one.action.who, &*one.action.what, &*one.action.to)).collect();
    for deed in [
        ("anna", "phone.add", "Desk phones"),
        ("anna", "phone.cancel", "Desk phones"),
        ("clerk", "rollout.begin", "New building"),
        ("operator", "category.make", "Reception"),
        ("operator", "accounts.password", "otto"),
    ] {
        assert!(said.contains(&deed), "{deed:?} in {said:?}");
    }
    assert!(done.is_sorted_by(|one, next| one.at >= next.at));
    let of_domain = store.audit_entries(Some(&domain()), None, 100).await.unwrap();
    assert!(of_domain.len() > 5 && of_domain.iter().all(|one| one.action.domain == Some(domain())));
    assert!(store.audit_entries(Some(&second()), None, 100).await.unwrap().is_empty());

    let fresh = TicketKey { name: [1; 16], secret: [2; 32], age: Duration::ZERO };
    let tickets = store.ticket_keys(&fresh, 3650 * DAY, 3650 * DAY).await.unwrap();
    assert!(tickets.len() == 1 && tickets[0] != fresh, "{tickets:?}");
}

async fn people(store: &dyn Store, known: &Value) {
    let request = async |name: &str| store.phone_request(&domain(), &request_of(known, name)).await.unwrap().unwrap();
    for (name, progress, entry) in [
        ("anna", Progress::Ready, EntryState::Done),
        ("otto", Progress::Ready, EntryState::Waiting),
        ("eva", Progress::Ready, EntryState::Failed(Trouble::Refused)),
        ("waiting", Progress::Waiting, EntryState::None),
        ("cancelled", Progress::Cancelled, EntryState::None),
    ] {
        let found = request(name).await;
        assert_eq!((found.progress, found.entry), (progress, entry), "{name}");
        assert_eq!((&*found.category, &*found.app, found.rollout), ("Desk phones", "phone", None), "{name}");
        assert_eq!(found.code, code_of(known, name));
        assert_eq!(found.valid_until.0 / 1000, (found.asked + Duration::from_secs(600)).0 / 1000, "{name}");
        let key = known["devices"].get(name).map(|_| key_of(known, name));
        assert_eq!(found.phone.as_ref().map(|phone| &phone.key), key.as_ref(), "{name}");
        if let Some(phone) = found.phone {
            assert_eq!((&*phone.product, &*phone.version), ("IP112", "13r3 sr9 [13.6012/136012/300]"));
        }
    }
    let anna = request("anna").await;
    assert_eq!(
        (&anna.person, &*anna.sip, &*anna.name),
        (&PersonId::parse("guid-of-anna").unwrap(), "anna", "Anna Berg")
    );
    let all = store.requests_of(&domain(), &anna.person).await.unwrap();
    let ids: Vec<_> = all.iter().map(|one| one.id.clone()).collect();
    assert_eq!(ids, ["cancelled", "waiting", "anna"].map(|name| request_of(known, name)));
    assert_eq!(store.request_with_code(&domain(), anna.code).await.unwrap(), Some(anna.clone()));
    assert_eq!(store.codes_without_phone(&domain(), UnixMillis(0), 10).await.unwrap().len(), 3);

    let counts = store.order_counts(&domain()).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (1, 1));
    let dead = store.failed_orders(&domain(), 0, 10).await.unwrap();
    let [dead] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!(
        (&dead.order.id, dead.trouble, &*dead.why),
        (&request_of(known, "eva"), Trouble::Refused, "receiver answered 400")
    );
    assert!(store.retry_order(&domain(), &dead.order.id).await.unwrap());
    let due = store.take_orders(&domain(), Duration::from_secs(60), 10).await.unwrap();
    let [order] = &due[..] else { panic!("{due:?}") };
    assert_eq!((&order.id, &order.person), (&dead.order.id, &PersonId::parse("guid-of-eva").unwrap()));
    assert_eq!(order.phone.key, key_of(known, "eva"));

    let id = RolloutId(known["rollout"].as_u64().unwrap());
    let rollouts = store.users_role_rollouts(&domain()).await.unwrap();
    let [rollout] = &rollouts[..] else { panic!("{rollouts:?}") };
    assert_eq!(
        (rollout.id, &*rollout.name, &*rollout.category, &*rollout.app),
        (id, "New building", "Desk phones", "phone")
    );
    assert_eq!((rollout.users, rollout.rows, rollout.made, rollout.registered), (2, 2, 2, 0));
    let rows = store.users_role_rollout_rows(&domain(), id, 0, 10).await.unwrap().unwrap();
    let of: Vec<_> = rows.iter().map(|row| (row.number, row.person.as_str(), &*row.sip, &*row.name)).collect();
    assert_eq!(of, [(0, "guid-of-otto", "otto", "Otto Kraft"), (1, "guid-of-eva", "eva", "Eva Lang")]);
    assert!(rows.iter().all(|row| row.request.as_ref().is_some_and(|request| request.rollout == Some(id))));
}

async fn directory(store: &dyn Store, known: &Value) {
    let address = "wss://devices.example.org/example.com/devices/sysclients";
    let code = code_of(known, "directory");
    assert_eq!(store.find_listing(code).await.unwrap().as_deref(), Some(address));
    let here = format!("ws://127.0.0.1:{}/example.com/devices/sysclients", known["port"]);
    assert_eq!(store.find_listing(code_of(known, "open")).await.unwrap(), Some(here));
    let credential = sha256_hex("credential of the fixtures");
    let answer = store.remembered_answer(&credential, "key-1").await.unwrap().unwrap();
    assert_eq!(answer.code, code);
    let contact = Contact { mac: "009033a000e0".into(), ..Contact::default() };
    assert!(!store.record_contact(&contact, None, None).await.unwrap().first, "it is not the first");
    assert!(store.open_listings().await.unwrap() > 3);
    assert!(store.remove_listing(code, &credential).await.unwrap());
}
