//! What is really in Redis: every validity is a TTL, no secret is readable, and any point of a crash heals.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use provbroker::core::model::device::{CodeState, Device};
use provbroker::core::model::ids::{CategoryId, DeviceId, Secret};
use provbroker::core::model::timeline::{Subject, TimelineEvent};
use provbroker::core::model::work::Work;
use provbroker::core::policy::jobs::builds::BuildList;
use provbroker::store::{
    CodeRecord, Contact, Deleted, DomainChange, Entered, Entry, EntryRight, Listed, NewDomain, NewListing, Offer,
    PortClaim, PutCategory, Remembered, RolloutRow, Store, TicketKey,
};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::fixture::*;
use crate::redis_server::RedisServer;

const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

async fn keys_with(line: &mut MultiplexedConnection, part: &str) -> Vec<String> {
    line.keys(format!("*{part}*")).await.unwrap()
}

/// Milliseconds of TTL, and the test itself may have taken some.
async fn assert_ttl(line: &mut MultiplexedConnection, key: &str, expected: i64) {
    let ttl: i64 = line.pttl(key).await.unwrap();
    assert!(ttl <= expected && ttl > expected - 30_000, "{key}: {ttl}, not {expected}");
}

/// The real end, not a moved clock: the keys are gone although nobody asked for them.
#[tokio::test]
async fn after_its_validity_nothing_is_left_of_a_code() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    let mut watch = f.server.connection().await;
    put(store, code(1), &domain()).await;
    let mut keys = keys_with(&mut line, "code:").await;
    assert_eq!(keys.len(), 2);
    assert!(keys[0].rsplit(':').next() == keys[1].rsplit(':').next(), "{keys:?}");
    put(store, code(2), &domain()).await;
    keys.sort();
    for key in &keys {
        assert_ttl(&mut line, key, 600_000).await;
    }
    let ends: Vec<i64> = vec![line.pexpire_time(&keys[0]).await.unwrap(), line.pexpire_time(&keys[1]).await.unwrap()];
    let promised = store.find_code(code(1)).await.unwrap().unwrap().valid_until.0;
    assert!(ends.iter().all(|end| u64::try_from(*end).unwrap() == promised), "exactly the end that was promised");
    f.advance(VALID).await;
    let left: usize = watch.exists(&keys).await.unwrap();
    assert_eq!(left, 0);
    assert!(keys_with(&mut line, "code:").await.is_empty());
    let counters: Vec<String> = line.keys("pb:{example.com}:open:*").await.unwrap();
    assert!(counters.is_empty(), "{counters:?}");
}

#[tokio::test]
async fn every_validity_is_a_ttl() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    let rollout = CodeRecord { rollout: true, ..new_code(store, code(1), &domain()).await };
    store.put_code(&rollout, 10).await.unwrap();
    enter(store, &device(1), &domain(), code(1)).await;
    // All keys of the code end with its name.
    let pointers: Vec<String> = line.keys("pb:code:*").await.unwrap();
    let c = pointers[0].strip_prefix("pb:code:").unwrap().to_owned();
    assert_ttl(&mut line, &format!("pb:code:{c}"), 600_000).await;
    assert_ttl(&mut line, &format!("pb:{{example.com}}:window:{c}"), 600_000).await;
    assert_ttl(&mut line, &format!("pb:{{example.com}}:code:{c}"), KEPT_MS).await;
    let owner: i64 = line.pttl(format!("pb:owner:{}", device(1))).await.unwrap();
    assert_eq!(owner, -1, "a complete entry lasts");
    f.advance(DAY).await;
    store.deposit(&domain(), &device(1)).await.unwrap();
    assert_ttl(&mut line, &format!("pb:{{example.com}}:mail:{c}"), KEPT_MS - 24 * 3600 * 1000).await;
    store.take(&domain(), &node("n1"), Duration::from_secs(45), 10, &[]).await.unwrap();
    assert_ttl(&mut line, &format!("pb:{{example.com}}:lease:{c}"), 45_000).await;
    store.renew_lease(&node("n1"), Duration::from_secs(30)).await.unwrap();
    assert_ttl(&mut line, "pb:node:n1", 30_000).await;
    store.publish_member_count(&node("n1"), 1).await.unwrap();
    assert_ttl(&mut line, "pb:members", 3_600_000).await;
    store.report_wrong("token", "r1", 2).await.unwrap();
    assert_ttl(&mut line, "pb:attempts:{attempts}:wrong:token", 60_000).await;
    store.take_decisions("token", 1, 10).await.unwrap();
    let rest: i64 = line.pttl("pb:attempts:{attempts}:decisions:token").await.unwrap();
    assert!(rest <= 1000 && rest != -1, "{rest}");
    store.record_misdirected(&domain(), "Old", &device(2)).await.unwrap();
    assert_ttl(&mut line, "pb:{example.com}:misdirected", 24 * 3600 * 1000).await;
    store.record_unassigned(&device(2), &facts("IP112"), source(1), DAY).await.unwrap();
    assert_ttl(&mut line, &format!("pb:unassigned:{{unassigned}}:device:{}", device(2)), 24 * 3600 * 1000).await;
    for index in ["devices", "ends"] {
        assert_ttl(&mut line, &format!("pb:unassigned:{{unassigned}}:{index}"), 24 * 3600 * 1000).await;
    }
    store.offer(&other_domain(), &Offer { key: device(1), from: domain() }, DAY).await.unwrap();
    assert_ttl(&mut line, &format!("pb:{{other.example}}:offer:{}", device(1)), 24 * 3600 * 1000).await;
    assert_ttl(&mut line, "pb:{other.example}:offers", 24 * 3600 * 1000).await;

    let Listed::Until(ends) = store.put_listing(&listing(code(2)), 10).await.unwrap() else { panic!("not listed") };
    let keys: Vec<String> = line.keys("pb:dir:{dir}:code:*").await.unwrap();
    let end: i64 = line.pexpire_time(&keys[0]).await.unwrap();
    assert_eq!(u64::try_from(end).unwrap(), ends.0);
    let contact = Contact { mac: "009033a1b2c3".into(), ..Contact::default() };
    store.record_contact(&contact, Some(code(2)), source(1)).await.unwrap();
    assert_ttl(&mut line, "pb:dir:{dir}:phone:009033a1b2c3", KEPT_MS).await;
    let entered: Vec<String> = line.keys("pb:dir:{dir}:entered:*").await.unwrap();
    assert_ttl(&mut line, &entered[0], 600_000).await;
    store.remove_listing(code(2), "c1").await.unwrap();
    assert!(!line.exists::<_, bool>(&entered[0]).await.unwrap(), "it ends with the code");
}

#[tokio::test]
async fn no_secret_is_readable() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    let auto =
        Entry { admin_password: Some(Secret::new("hunter2-own")), ..entry(device(1), &domain(), EntryRight::Auto) };
    inside(store.enter(&auto).await.unwrap());
    store
        .ensure_domain(&NewDomain {
            name: domain(),
            password: Secret::new("hunter2-app"),
            admin_password: Secret::new("hunter2-admin"),
            auto_token: Secret::new("hunter2-token"),
            categories: Vec::new(),
        })
        .await
        .unwrap();
    store
        .put_listing(&NewListing { url: "wss://hunter2.example/sysclients".into(), ..listing(code(1)) }, 10)
        .await
        .unwrap();
    let answer = Remembered { body: "b".into(), code: code(1), valid_until: store.now().await.unwrap() };
    store.remember_answer("c1", "k1", &answer).await.unwrap();
    let contact = Contact { mac: "009033a1b2c3".into(), ..Contact::default() };
    store.record_contact(&contact, Some(code(1)), source(1)).await.unwrap();
    let all = String::from_utf8_lossy(&dump(&mut line).await).into_owned();
    assert!(all.contains("009033a1b2c3") && all.contains("IP112"), "the dump is of this store");
    for secret in ["hunter2", auto.password.expose(), code(1).expose(), MASTER] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    // Of a phone, exactly the documented items.
    let phone: HashMap<String, String> = line.hgetall("pb:dir:{dir}:phone:009033a1b2c3").await.unwrap();
    assert_eq!(phone.len(), 2);
    assert_eq!(serde_json::from_str::<Contact>(&phone["contact"]).unwrap(), contact);
    assert!(phone["first"].parse::<u64>().unwrap() > 1_700_000_000_000);
}

/// What cannot be read is named without the code, also if its text quotes one.
#[tokio::test]
async fn an_error_names_no_code() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    notice(store, 1).await;
    put(store, code(2), &domain()).await;
    for place in ["code", "mail"] {
        for key in line.keys::<_, Vec<String>>(format!("pb:{{example.com}}:{place}:*")).await.unwrap() {
            let _: () = line.hset(key, "about", format!("\"{}\"", code(1).expose())).await.unwrap();
        }
    }
    let errors = [
        store.find_code(code(2)).await.unwrap_err(),
        store.code_in(&domain(), code(1)).await.unwrap_err(),
        store.codes(&domain(), None, 10).await.unwrap_err(),
        store.take(&domain(), &node("n1"), MINUTE, 10, &[]).await.unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("unreadable") && text.contains("example.com"), "{text}");
        assert!(!shows(text.as_bytes(), code(1)) && !shows(text.as_bytes(), code(2)), "{text}");
    }
}

/// The process died after the device's record was written and before the ownership was made to last.
#[tokio::test]
async fn a_claim_that_died_half_way_is_completed_by_the_device() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    put(store, code(1), &domain()).await;
    let first = enter(store, &device(1), &domain(), code(1)).await;
    let owner = format!("pb:owner:{}", device(1));
    // The reservation has run out …
    let _: () = line.del(&owner).await.unwrap();
    assert!(store.find_device(&device(1)).await.unwrap().is_none());
    assert_eq!(enter(store, &device(1), &domain(), code(1)).await.id, first.id);
    assert!(store.find_device(&device(1)).await.unwrap().is_some());
    // … or not yet.
    let _: () = line.pexpire(&owner, 60_000).await.unwrap();
    enter(store, &device(1), &domain(), code(1)).await;
    f.advance(MINUTE).await;
    assert!(store.find_device(&device(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_claim_that_died_half_way_is_delivered_all_the_same() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    let _: () = line.del(format!("pb:owner:{}", device(1))).await.unwrap();
    f.advance(15 * MINUTE).await;
    assert_eq!(store.deposit_overdue(&domain(), 15 * MINUTE).await.unwrap(), 1);
    f.advance(DAY).await;
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().domain, domain());
}

#[tokio::test]
async fn a_claim_that_died_half_way_does_not_take_a_device_from_another_domain() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    put(store, code(1), &domain()).await;
    put(store, code(2), &other_domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    let _: () = line.del(format!("pb:owner:{}", device(1))).await.unwrap();
    let member = enter(store, &device(1), &other_domain(), code(2)).await;
    let back = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&back).await.unwrap(), Entered::OwnedElsewhere));
    // What it left behind is dropped, and the code is open again.
    assert!(!store.deposit(&domain(), &device(1)).await.unwrap());
    assert_eq!(store.deposit_overdue(&domain(), Duration::ZERO).await.unwrap(), 0);
    assert_eq!(store.depth(&domain()).await.unwrap(), 0);
    assert_eq!(store.find_code(code(1)).await.unwrap().unwrap().state, CodeState::Open);
    let records: Vec<String> = line.keys("pb:{example.com}:code:*").await.unwrap();
    assert_ttl(&mut line, &records[0], 600_000).await;
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap(), member);
    enter(store, &device(2), &domain(), code(1)).await;
}

/// The process died after the record was written in the new domain, before the ownership changed hands.
#[tokio::test]
async fn a_move_that_died_half_way_has_moved_nothing() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    let old = format!("pb:{{example.com}}:device:{}", device(1));
    let record: Vec<u8> = redis::cmd("DUMP").arg(&old).query_async(&mut line).await.unwrap();
    inside(store.transfer(&domain(), &entry(device(1), &other_domain(), EntryRight::Manual)).await.unwrap());
    // As it was before: the record is back in the old domain, and the ownership, too.
    let _: () = redis::cmd("RESTORE").arg(&old).arg(0).arg(record).query_async(&mut line).await.unwrap();
    let _: () = line.zadd("pb:{example.com}:devices", device(1).as_str(), 1).await.unwrap();
    let _: () = line.set(format!("pb:owner:{}", device(1)), "example.com").await.unwrap();
    let listed = async |of| store.devices(&of, DeviceId(0), 10).await.unwrap().len();
    assert_eq!((listed(domain()).await, listed(other_domain()).await), (1, 0));
    // A record that is as young as this may be of a move that is under way.
    assert_eq!(store.device_count(&other_domain()).await.unwrap(), 1);
    let age = |key: String| {
        let mut line = line.clone();
        async move { line.hset::<_, _, _, ()>(key, "entered", 1).await.unwrap() }
    };
    age(format!("pb:{{other.example}}:device:{}", device(1))).await;
    assert_eq!((listed(domain()).await, listed(other_domain()).await), (1, 0));
    assert_eq!(store.device_count(&other_domain()).await.unwrap(), 0, "what was left behind is cleaned up");
    inside(store.transfer(&domain(), &entry(device(1), &other_domain(), EntryRight::Manual)).await.unwrap());
    assert_eq!((listed(domain()).await, listed(other_domain()).await), (0, 1));
}

/// The process died after the ownership had changed hands, before the old record was dropped.
#[tokio::test]
async fn what_a_move_left_behind_is_invisible() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    store.deposit(&domain(), &device(1)).await.unwrap();
    let _: () = line.set(format!("pb:owner:{}", device(1)), "other.example").await.unwrap();
    assert!(store.devices(&domain(), DeviceId(0), 10).await.unwrap().is_empty());
    assert!(store.find_device(&device(1)).await.unwrap().is_none());
}

/// A server in cluster mode refuses a command whose keys are of different slots.
#[tokio::test]
async fn each_step_stays_in_one_slot() {
    let server = RedisServer::start(&["--cluster-enabled", "yes"]);
    let mut line = server.connection().await;
    let _: () = redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).query_async(&mut line).await.unwrap();
    let serving = async {
        while !redis::cmd("CLUSTER")
            .arg("INFO")
            .query_async::<String>(&mut line)
            .await
            .unwrap()
            .contains("cluster_state:ok")
        {}
    };
    tokio::time::timeout(Duration::from_secs(20), serving).await.expect("the cluster serves");
    let f = OnRedis::with(server).await;
    let store = &**f.store();
    use_everything(store).await;
}

/// The index of devices decides there.
#[tokio::test]
async fn what_devices_belong_to_stays() {
    let f = OnRedis::start().await;
    let mut line = f.server.connection().await;
    let index = async |device: &Device| {
        let index = format!("pb:{{{}}}:devices", device.domain);
        let _: () = line.zadd(index, device.key.as_str(), device.id.0).await.unwrap();
    };
    crate::domains::what_devices_belong_to_stays(&f, index).await;
}

#[tokio::test]
async fn what_devices_belong_to_stays_in_the_file() {
    crate::domains::what_devices_belong_to_stays(&OnFile::start().await, async |_: &Device| {}).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_domain() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    store.create_domain(&crate::domains::new_domain("example.com")).await.unwrap().unwrap();
    let category = store.domains().await.unwrap()[0].categories[0].id;
    store.add_job(&domain(), &crate::jobs::config_job(Some(category), "hunter2")).await.unwrap().unwrap();
    store.set_builds(&domain(), &BuildList::default()).await.unwrap();
    notice(store, 1).await;
    put(store, code(2), &domain()).await;
    assert!(store.remove(&domain(), &device(1)).await.unwrap());
    let _: () = line.del("pb:{example.com}:devices").await.unwrap();
    assert!(!String::from_utf8_lossy(&dump(&mut line).await).contains("hunter2"), "a job is sealed");
    assert!(keys_with(&mut line, "{example.com}").await.len() > 5);
    // A node that died behind the first step is no harm: the next attempt goes on.
    for part in ["domain", "jobs", "builds"] {
        let _: () = line.del(format!("pb:{{example.com}}:{part}")).await.unwrap();
    }
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::Gone);
    assert!(keys_with(&mut line, "{example.com}").await.is_empty());
    let names: HashMap<String, u64> = line.hgetall("pb:domains").await.unwrap();
    assert_eq!(names, HashMap::from([("/last".into(), 1)]));
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::Unknown);
}

/// Every operation once, each on a path that writes.
async fn use_everything(store: &dyn Store) {
    let new = NewDomain {
        name: domain(),
        password: Secret::new("a"),
        admin_password: Secret::default(),
        auto_token: Secret::default(),
        categories: vec![("Phones".into(), true)],
    };
    let made = store.ensure_domain(&new).await.unwrap();
    assert_eq!(store.domains().await.unwrap(), std::slice::from_ref(&made));
    for number in 1..5 {
        put(store, code(number), &domain()).await;
    }
    assert_eq!(store.codes(&domain(), None, 10).await.unwrap().len(), 4);
    assert!(store.revoke_code(&domain(), code(4)).await.unwrap());
    let rollout = store.begin_rollout(&domain(), "All", CategoryId(3), 1).await.unwrap();
    let valid_until = store.now().await.unwrap() + DAY;
    let row = RolloutRow { sip: "ann".into(), name: None, code: code(3), valid_until };
    assert!(store.add_rollout_rows(&domain(), rollout.id, 0, &[row]).await.unwrap());
    assert_eq!(store.rollout_rows(&domain(), rollout.id, 0, 1).await.unwrap().unwrap().len(), 1);
    assert_eq!(store.rollouts(&domain()).await.unwrap().len(), 1);
    assert!(store.remove_rollout(&domain(), rollout.id).await.unwrap());
    let subjects = [Subject::Device(device(1)), Subject::Code(code(1))];
    store.append_step(&domain(), &subjects, &TimelineEvent::Issued).await.unwrap();
    assert_eq!(store.timeline(&domain(), &subjects[0]).await.unwrap().len(), 1);
    enter(store, &device(1), &domain(), code(1)).await;
    let entered = enter(store, &device(1), &domain(), code(2)).await;
    store.hold_code(&domain(), code(2), &node("n9")).await.unwrap();
    store.confirm(&domain(), &device(1), &entered.password).await.unwrap();
    store.refresh(&domain(), &device(1), &facts("IP222")).await.unwrap();
    assert_eq!(store.claim_port(&domain(), &device(1), "TEL1", code(3)).await.unwrap(), PortClaim::Recorded);
    assert_eq!(store.deposit_overdue(&domain(), Duration::ZERO).await.unwrap(), 1);
    assert!(!store.deposit(&domain(), &device(1)).await.unwrap());
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.publish_member_count(&node("n1"), 1).await.unwrap();
    store.publish_member_count(&node("dead"), 1).await.unwrap();
    assert_eq!(store.figures().await.unwrap().online, 1);
    let taken = store.take(&domain(), &node("n1"), MINUTE, 10, &[]).await.unwrap();
    let codes: Vec<_> = taken.iter().map(|notice| notice.code).collect();
    assert_eq!(codes.len(), 3);
    store.release(&domain(), &node("n1"), &codes).await.unwrap();
    store.settle(&domain(), &codes).await.unwrap();
    assert_eq!(store.depth(&domain()).await.unwrap(), 0);
    store.attach(&domain(), &device(1), &at("n1", 1)).await.unwrap();
    assert!(store.whereabouts(&domain(), &device(1)).await.unwrap().is_some());
    store.detach(&domain(), &device(1), &at("n1", 1)).await.unwrap();
    store.end_lease(&node("n1")).await.unwrap();
    store.record_unassigned(&device(3), &facts("IP112"), source(1), DAY).await.unwrap();
    assert!(store.attach_unassigned(&device(3), &at("n1", 2), DAY).await.unwrap());
    assert_eq!(store.unassigned_devices(DeviceId(0), 10).await.unwrap().len(), 1);
    assert_eq!(store.unassigned_count().await.unwrap(), 1);
    store.detach_unassigned(&device(3), &at("n1", 2)).await.unwrap();
    assert!(store.unassigned_device(&device(3)).await.unwrap().is_some());
    assert!(store.forget_unassigned(&device(3)).await.unwrap());
    assert!(store.rename(&domain(), &device(1), Some("Lobby")).await.unwrap());
    assert!(store.recategorise(&domain(), &device(1), CategoryId(4)).await.unwrap());
    let path = provbroker::core::model::app_ip_path::AppIpPath::parse("ip").unwrap();
    assert!(store.set_app_ip(&domain(), &device(1), Some(&path)).await.unwrap());
    store.keep_work(&domain(), &device(1), &Work { entry: entered.entered, ..Work::default() }).await.unwrap();
    assert_eq!(store.ports(&domain(), &device(1)).await.unwrap(), Some(vec!["TEL1".into()]));
    assert!(store.remove_port(&domain(), &device(1), "TEL1").await.unwrap());
    assert_eq!(store.devices(&domain(), DeviceId(0), 10).await.unwrap().len(), 1);
    assert_eq!(store.device_count(&domain()).await.unwrap(), 1);
    store.offer(&other_domain(), &Offer { key: device(1), from: domain() }, DAY).await.unwrap();
    assert_eq!(store.offers(&other_domain()).await.unwrap().len(), 1);
    assert!(store.end_offer(&other_domain(), &device(1)).await.unwrap());
    for (from, to) in [(domain(), other_domain()), (other_domain(), domain())] {
        inside(store.transfer(&from, &entry(device(1), &to, EntryRight::Manual)).await.unwrap());
    }
    assert!(store.remove(&domain(), &device(1)).await.unwrap());
    store.put_listing(&listing(code(8)), 10).await.unwrap();
    let contact = Contact { mac: "009033a1b2c3".into(), ..Contact::default() };
    assert!(store.record_contact(&contact, Some(code(8)), source(1)).await.unwrap().first);
    assert!(store.find_listing(code(8)).await.unwrap().is_some());
    assert_eq!(store.open_listings().await.unwrap(), 1);
    assert!(store.remove_listing(code(8), "c1").await.unwrap());
    let key = TicketKey { name: [1; 16], secret: [2; 32], age: Duration::ZERO };
    assert_eq!(store.ticket_keys(&key, DAY, DAY).await.unwrap().len(), 1);
    store.ping().await.unwrap();
    assert_eq!(store.report_wrong("token", "r1", 2).await.unwrap(), 2);
    assert_eq!(store.take_decisions("token", 1, 10).await.unwrap(), 1);
    store.record_misdirected(&domain(), "Old", &device(3)).await.unwrap();
    assert_eq!(store.misdirected(&domain()).await.unwrap().len(), 1);

    let category = made.categories[0].id;
    let kept = store.put_category(&domain(), Some(category), "Desk phones", true).await.unwrap();
    assert!(matches!(kept, PutCategory::Kept(_)));
    let job = store.add_job(&domain(), &crate::jobs::config_job(None, "x")).await.unwrap().unwrap();
    assert!(store.remove_job(&domain(), job.id).await.unwrap());
    assert!(store.set_builds(&domain(), &BuildList::default()).await.unwrap());
    let change = DomainChange { access_gained: vec![other_domain()], ..DomainChange::default() };
    assert!(store.change_domain(&domain(), &change).await.unwrap());
    store.create_domain(&crate::domains::new_domain("other.example")).await.unwrap().unwrap();
    assert_eq!(store.delete_category(&domain(), category).await.unwrap(), Deleted::Gone);
    assert_eq!(store.delete_domain(&other_domain()).await.unwrap(), Deleted::Gone);
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::Gone);
}

#[tokio::test]
async fn the_file_does_everything_once_too() {
    let f = OnFile::start().await;
    let store = Arc::clone(f.store());
    use_everything(&*store).await;
}
