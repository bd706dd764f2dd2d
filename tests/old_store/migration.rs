//! A store of version 0.1 becomes one of the present version: wherever that is interrupted, and while nodes of the earlier version
//! run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use provbroker::core::model::ids::NodeId;
use provbroker::store::embedded::Embedded;
use provbroker::store::{self, MigrationOptions, MigrationState, Options, Pace, Store, VERSION};

use crate::records;
use crate::support::broker::{Keep, run};
use crate::support::redis_server::RedisServer;
use crate::{Fixture, master};

const LEASE: Duration = Duration::from_secs(60);

/// Small pages, and nobody to wait for.
fn options() -> Options {
    let migration = MigrationOptions { page: 2, closing: Duration::ZERO, ..MigrationOptions::default() };
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
            let (keep, _folder) = Fixture::Dump.copy();
            let done = migrate(&*open(&keep).await, pieces).await;
            free(&keep).await;
            // What is there is read at every stage.
            let store = open(&keep).await;
            records::read(&*store, &known).await;
            assert!(migrate(&*store, usize::MAX).await);
            let status = store.schema().await.unwrap();
            assert_eq!((status.version, status.state), (VERSION, MigrationState::Done));
            records::read(&*store, &known).await;
            if done {
                return;
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
        records::read(&*stores[1], &known).await;
        assert!(migrate(&*stores[0], usize::MAX).await);
        assert_eq!(state().await, MigrationState::Done);
        for store in &stores {
            records::read(&**store, &known).await;
        }
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
