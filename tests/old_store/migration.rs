//! A store of version 0.1 becomes one of the present version: wherever that is interrupted, and while nodes of the earlier version
//! run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use provbroker::core::model::device::{CodeState, Facts, Requester};
use provbroker::core::model::ids::{CategoryId, Code, DeviceKey, NodeId, Secret};
use provbroker::core::model::timeline::{Subject, TimelineEvent};
use provbroker::core::model::users_role::Progress;
use provbroker::store::embedded::Embedded;
use provbroker::store::{
    self, CodeRecord, Entered, Entry, EntryRight, MigrationOptions, MigrationState, Options, Pace, PutCode, Store,
    VERSION,
};
use serde_json::Value;

use crate::raw_store::{dump, shows};
use crate::records;
use crate::support::broker::{Keep, run};
use crate::support::redis_server::RedisServer;
use crate::{Fixture, code_of, domain, master};

const LEASE: Duration = Duration::from_secs(60);

/// Pages of which a store of the fixtures has several, and nobody to wait for.
fn options() -> Options {
    let migration = MigrationOptions { page: 20, closing: Duration::ZERO, ..MigrationOptions::default() };
    Options { deadline: Duration::from_secs(20), migration, ..Options::default() }
}

async fn open(keep: &Keep) -> Arc<dyn Store> {
    store::connect(&keep.url(), &master(), &options()).await.unwrap()
}

/// Performs the migration, or so many pieces of it. True if it is done.
async fn migrate(store: &dyn Store, pieces: usize) -> bool {
    for _ in 0..pieces {
        match store.migrate().await.unwrap() {
            Pace::Done => return true,
            Pace::Again => {}
            Pace::Later => panic!("nobody is waited for: {:?}", store.schema().await.unwrap()),
        }
    }
    false
}

#[test]
fn a_file_is_migrated_wherever_it_was_interrupted() {
    let known = Fixture::File.known();
    for last in 1.. {
        let (keep, _folder) = Fixture::File.copy();
        let Keep::Embedded(dir) = &keep else { unreachable!("the fixture in a file") };
        let path = dir.path().join("store.redb");
        let ends = move |page| assert!(page < last, "the process ends here");
        let migration = MigrationOptions { after_page: Some(Arc::new(ends)), ..options().migration };
        let interrupted = catch_unwind(AssertUnwindSafe(|| {
            Embedded::open(&path, &master(), &Options { migration, ..options() }).unwrap();
        }));
        run(async {
            let store = open(&keep).await;
            assert_eq!(store.schema().await.unwrap().version, VERSION);
            records::read(&*store, &known).await;
        });
        if interrupted.is_ok() {
            assert!(last > VERSION.into(), "each step has a page");
            return;
        }
    }
}

#[test]
fn a_redis_is_migrated_wherever_it_was_interrupted() {
    let known = Fixture::Dump.known();
    run(async {
        for pieces in 1.. {
            // Everything is read at every stage, and after the migration that goes on from there.
            for goes_on in [false, true] {
                let (keep, _folder) = Fixture::Dump.copy();
                let done = migrate(&*open(&keep).await, pieces).await;
                free(&keep).await;
                let store = open(&keep).await;
                if goes_on {
                    assert!(migrate(&*store, usize::MAX).await);
                    let status = store.schema().await.unwrap();
                    assert_eq!((status.version, status.state), (VERSION, MigrationState::Done));
                }
                records::read(&*store, &known).await;
                if done {
                    return;
                }
            }
        }
    });
}

fn server(keep: &Keep) -> &RedisServer {
    match keep {
        Keep::Redis(server) => server,
        Keep::Embedded(_) => unreachable!("these stores are on Redis"),
    }
}

/// Keeps the lease of a node of the program of before, or ends it.
async fn older_node(keep: &Keep, lives: bool) {
    let mut line = server(keep).connection().await;
    let mut pipe = redis::pipe();
    pipe.hset("pb:members", "older", 0).ignore();
    if lives {
        pipe.pset_ex("pb:node:older", 1, 60_000).ignore()
    } else {
        pipe.del("pb:node:older").ignore()
    };
    pipe.exec_async(&mut line).await.unwrap();
}

/// Lets the lock of a process end that is gone.
async fn free(keep: &Keep) {
    let mut line = server(keep).connection().await;
    redis::cmd("DEL").arg("pb:lock:schema").exec_async(&mut line).await.unwrap();
}

async fn key_check(keep: &Keep) -> String {
    let mut line = server(keep).connection().await;
    redis::cmd("GET").arg("pb:keycheck").query_async(&mut line).await.unwrap()
}

#[test]
fn nodes_of_both_versions_run_side_by_side() {
    let known = Fixture::Dump.known();
    let (keep, _folder) = Fixture::Dump.copy();
    run(async {
        let of_before = key_check(&keep).await;
        older_node(&keep, true).await;
        let stores = [open(&keep).await, open(&keep).await];
        let [first, second] = [NodeId::new("first"), NodeId::new("second")];
        let renew = async || {
            for (store, node) in stores.iter().zip([&first, &second]) {
                store.renew_lease(node, LEASE).await.unwrap();
                store.publish_member_count(node, 0).await.unwrap();
            }
        };
        let state = async || stores[0].schema().await.unwrap().state;
        renew().await;
        assert_eq!(stores[0].migrate().await.unwrap(), Pace::Later);
        assert_eq!(state().await, MigrationState::WaitingForNodes(vec![NodeId::new("older")]));
        assert_eq!(key_check(&keep).await, of_before, "an older node can be started again");

        older_node(&keep, false).await;
        assert_eq!(stores[0].migrate().await.unwrap(), Pace::Again);
        assert_eq!(state().await, MigrationState::Closing);
        assert_ne!(key_check(&keep).await, of_before, "an older program is refused");
        // One that had checked its key just before: the door is opened again.
        older_node(&keep, true).await;
        assert_eq!(stores[0].migrate().await.unwrap(), Pace::Later);
        assert_eq!(key_check(&keep).await, of_before);
        assert_eq!(stores[1].schema().await.unwrap().version, 0);
        older_node(&keep, false).await;

        assert_eq!(stores[0].migrate().await.unwrap(), Pace::Again, "closed");
        assert_eq!(stores[1].migrate().await.unwrap(), Pace::Later, "it is the turn of the other node");
        assert_eq!(stores[0].migrate().await.unwrap(), Pace::Again, "moving");
        // Nothing is changed until each live node has said that it writes the new form.
        for _ in 0..3 {
            assert_eq!(stores[0].migrate().await.unwrap(), Pace::Later);
            assert!(matches!(state().await, MigrationState::WaitingForNodes(nodes) if nodes.len() == 2));
        }
        renew().await;
        assert!(matches!(state().await, MigrationState::WaitingForNodes(_)), "they follow now, and say so next time");
        renew().await;
        assert!(migrate(&*stores[0], usize::MAX).await);
        assert_eq!(state().await, MigrationState::Done);
        records::read(&*stores[1], &known).await;
    });
}

/// A node whose lease had ended has not followed, and may have written the old form after its place was passed.
#[test]
fn a_node_that_was_away_makes_the_steps_run_again() {
    let (keep, _folder) = Fixture::Dump.copy();
    run(async {
        let (away, other) = (open(&keep).await, open(&keep).await);
        assert!(migrate(&*other, usize::MAX).await);
        let node = NodeId::new("away");
        away.renew_lease(&node, LEASE).await.unwrap();
        away.publish_member_count(&node, 0).await.unwrap();
        drop(other);
        free(&keep).await;
        assert_eq!(away.migrate().await.unwrap(), Pace::Later);
        assert!(matches!(away.schema().await.unwrap().state, MigrationState::WaitingForNodes(_)));
        away.renew_lease(&node, LEASE).await.unwrap();
        assert!(migrate(&*away, usize::MAX).await);
    });
}

#[test]
fn a_store_of_a_newer_version_is_refused_in_one_line() {
    run(async {
        let keep = Keep::redis();
        drop(open(&keep).await);
        let mut line = server(&keep).connection().await;
        redis::cmd("HSET").arg("pb:schema").arg("version").arg(VERSION + 1).exec_async(&mut line).await.unwrap();
        let refused = store::connect(&keep.url(), &master(), &options()).await.err().unwrap().to_string();
        assert!(refused.contains("start a newer one") && refused.lines().count() == 1, "{refused}");
    });
}

/// Everything that is there, on Redis names and values, of a file all bytes.
async fn everything(keep: &Keep) -> Vec<u8> {
    match keep {
        Keep::Embedded(dir) => std::fs::read(dir.path().join("store.redb")).unwrap(),
        Keep::Redis(server) => dump(&mut server.connection().await).await,
    }
}

fn codes(known: &Value) -> Vec<Code> {
    known["codes"].as_object().unwrap().values().map(|code| Code::parse(code.as_str().unwrap()).unwrap()).collect()
}

/// When the keys that are named by codes end, by what is in front of the code.
async fn ends(keep: &Keep) -> BTreeMap<String, Vec<i64>> {
    let mut line = server(keep).connection().await;
    let mut ends = BTreeMap::<String, Vec<i64>>::new();
    for key in redis::cmd("KEYS").arg("pb:*").query_async::<Vec<String>>(&mut line).await.unwrap() {
        let Some((kind, name)) = key.rsplit_once(':') else { continue };
        let of_code =
            Code::parse(name).is_ok() || name.len() == 64 && !kind.starts_with("pb:dir") && !kind.contains("web");
        if of_code && !kind.ends_with("device") {
            let end = redis::cmd("PEXPIRETIME").arg(&key).query_async(&mut line).await.unwrap();
            ends.entry(kind.to_owned()).or_default().push(end);
        }
    }
    for ends in ends.values_mut() {
        ends.sort_unstable();
    }
    ends
}

fn no_code_is_readable_after_the_migration(fixture: Fixture) {
    let (known, (keep, _folder)) = (fixture.known(), fixture.copy());
    run(async {
        let before = everything(&keep).await;
        assert!(codes(&known).into_iter().filter(|code| shows(&before, *code)).count() > 8, "they were");
        let on_redis = matches!(keep, Keep::Redis(_));
        let ended = if on_redis { ends(&keep).await } else { BTreeMap::new() };
        let store = &*open(&keep).await;
        assert!(migrate(store, usize::MAX).await);
        let hidden = async |when: &str| {
            let all = everything(&keep).await;
            for code in codes(&known) {
                assert!(!shows(&all, code), "{when}: {}", code.expose());
            }
        };
        hidden("after the migration").await;
        if on_redis {
            assert!(ended.len() > 5, "{ended:?}");
            assert_eq!(ends(&keep).await, ended, "validities stay as they are");
        }
        // Everything goes on with these codes.
        let code = |name: &str| code_of(&known, name);
        let listed = store.codes(&domain(), None, 100).await.unwrap();
        assert!(listed.iter().any(|listing| listing.code.code == code("open")));
        for name in ["anna", "open", "revoked"] {
            let steps = store.timeline(&domain(), &Subject::Code(code(name))).await.unwrap();
            assert_eq!(steps[0].event, TimelineEvent::Issued, "{name}");
        }
        let request = store.request_with_code(&domain(), code("waiting")).await.unwrap().unwrap();
        assert_eq!((request.id.clone(), request.code), (crate::request_of(&known, "waiting"), code("waiting")));
        assert!(store.deposit(&domain(), &crate::key_of(&known, "pending")).await.unwrap());
        let notices = store.take(&domain(), &NodeId::new("n"), LEASE, 100, &[]).await.unwrap();
        assert!(notices.iter().any(|notice| notice.code == code("pending")));
        store.settle(&domain(), &[code("pending")]).await.unwrap();
        assert!(store.revoke_code(&domain(), code("waiting")).await.unwrap());
        assert!(store.advance_request(&request, Progress::Waiting, Progress::Cancelled).await.unwrap());
        assert!(store.forget_request(&request).await.unwrap());
        assert!(store.find_code(code("waiting")).await.unwrap().is_none());
        hidden("later").await;
    });
}

mod codes_in {
    #[test]
    fn file() {
        super::no_code_is_readable_after_the_migration(crate::Fixture::File);
    }

    #[test]
    fn dump() {
        super::no_code_is_readable_after_the_migration(crate::Fixture::Dump);
    }
}

/// While nodes of before may run, they have to find new codes. After that the codes go on under their new names.
#[test]
fn codes_are_in_clear_until_the_older_nodes_are_gone() {
    let (keep, _folder) = Fixture::Dump.copy();
    run(async {
        let store = &*open(&keep).await;
        let code = |number: u64| Code::from_number(402_817_000_000 + number).unwrap();
        let now = store.now().await.unwrap();
        let new = |number| CodeRecord {
            code: code(number),
            domain: domain(),
            category: CategoryId(1),
            sip: None,
            requester: Requester { app: "users".into(), sip: "users".into() },
            holder: None,
            rollout: false,
            administrative: false,
            valid_until: now + LEASE,
        };
        let entry = |number: u64, code| Entry {
            key: DeviceKey::parse(&format!("0090334000{number:02}")).unwrap(),
            domain: domain(),
            category: CategoryId(1),
            right: EntryRight::Code(code),
            password: Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT"),
            admin_password: None,
            name: None,
            facts: Facts::default(),
        };
        for number in 0..4 {
            assert_eq!(store.put_code(&new(number), u64::MAX).await.unwrap(), PutCode::Kept);
            store.append_step(&domain(), &[Subject::Code(code(number))], &TimelineEvent::Issued).await.unwrap();
        }
        let mut line = server(&keep).connection().await;
        for key in [format!("pb:code:{}", code(0).expose()), format!("pb:{{example.com}}:code:{}", code(0).expose())] {
            assert!(redis::cmd("EXISTS").arg(&key).query_async::<bool>(&mut line).await.unwrap(), "{key}");
        }
        assert!(matches!(store.enter(&entry(1, code(1))).await.unwrap(), Entered::In(_)));
        // The first pieces close the store to programs of before; from then on the new form is written.
        while !migrate(store, 1).await {
            let found = store.find_code(code(2)).await.unwrap().unwrap();
            assert_eq!((found.code, found.state), (code(2), CodeState::Open));
        }
        // The device that has not proved itself comes again with its code, one of an earlier time with a new one.
        for (number, code) in [(1, code(1)), (2, code(2)), (1, code(3))] {
            assert!(matches!(store.enter(&entry(number, code)).await.unwrap(), Entered::In(_)));
        }
        let notices = store.take(&domain(), &NodeId::new("n"), LEASE, 100, &[]).await.unwrap();
        assert!(notices.iter().any(|notice| notice.code == code(1)));
        assert_eq!(store.timeline(&domain(), &Subject::Code(code(1))).await.unwrap().len(), 1);
        let all = everything(&keep).await;
        assert!((0..4).all(|number| !shows(&all, code(number))));
    });
}
