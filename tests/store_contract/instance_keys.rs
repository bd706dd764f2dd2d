//! The key ring: what opens it, and how its generations are replaced.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use provbroker::core::model::ids::Secret;
use provbroker::store::{
    self, KeySource, MasterKeys, MigrationOptions, OpenError, Options, Pace, Rotation, Store, TicketKey,
};
use redis::AsyncCommands as _;

use crate::accounts::{account, name};
use crate::domains::created;
use crate::fixture::*;
use crate::jobs::config_job;
use crate::redis_server::RedisServer;

/// Where a store is; goes away with this.
enum Place {
    File(tempfile::TempDir),
    Redis(RedisServer),
}

impl Place {
    fn both() -> [Self; 2] {
        [Self::File(tempfile::tempdir().unwrap()), Self::Redis(RedisServer::start(&[]))]
    }

    fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("embedded:{}", folder.path().join("store.redb").display()),
            Self::Redis(server) => server.url(),
        }
    }

    async fn try_open(&self, keys: &MasterKeys) -> Result<Arc<dyn Store>, OpenError> {
        // Small pages, and nothing is kept longer than needed.
        let migration = MigrationOptions { page: 3, retire: Duration::ZERO, ..MigrationOptions::default() };
        store::connect(&self.url(), keys, &Options { migration, ..patient() }).await
    }

    async fn open(&self, keys: &MasterKeys) -> Arc<dyn Store> {
        self.try_open(keys).await.unwrap()
    }

    /// Lets the lock of a process end that is gone.
    async fn free(&self) {
        if let Self::Redis(server) = self {
            let _: () = server.connection().await.del("pb:lock:schema").await.unwrap();
        }
    }
}

fn keys(master: &str, previous: &[&str], password: &str) -> MasterKeys {
    let previous = previous.iter().map(|key| Secret::new(*key)).collect();
    MasterKeys { master: Secret::new(master), previous, password: Secret::new(password) }
}

const TICKET: TicketKey = TicketKey { name: [7; 16], secret: [8; 32], age: Duration::ZERO };

/// Everything that is sealed.
async fn fill(store: &dyn Store) {
    created(store).await;
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    store.add_job(&domain(), &config_job(None, "time.example.org")).await.unwrap().unwrap();
    store.put_account(&account("anna", "hash of anna"), false).await.unwrap();
    store.put_listing(&listing(code(2)), 10).await.unwrap();
    store.ticket_keys(&TICKET, MINUTE, DAY).await.unwrap();
}

async fn is_readable(store: &dyn Store) {
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().password, entry_password());
    assert_eq!(store.jobs(&domain()).await.unwrap().len(), 1);
    assert_eq!(store.account(&name("anna")).await.unwrap().unwrap().hash.expose(), "hash of anna");
    assert_eq!(store.find_listing(code(2)).await.unwrap().as_deref(), Some(&*listing(code(2)).url));
    let tickets = store.ticket_keys(&TICKET, DAY, DAY).await.unwrap();
    assert_eq!(tickets.iter().map(|key| key.secret).collect::<Vec<_>>(), [TICKET.secret]);
    assert_eq!(store.domains().await.unwrap().len(), 1);
}

fn entry_password() -> Secret {
    entry(device(1), &domain(), provbroker::store::EntryRight::Code(code(1))).password
}

#[tokio::test]
async fn generations_are_replaced_wherever_that_is_interrupted() {
    for place in Place::both() {
        let master = keys("master", &[], "");
        let store = place.open(&master).await;
        fill(&*store).await;
        let signed = store.sealer().sign("token", "anna");
        assert_eq!(store.rotate_instance_key().await.unwrap(), Rotation::Begun(2));
        assert_eq!(store.rotate_instance_key().await.unwrap(), Rotation::UnderWay);
        drop(store);
        let mut pieces = 0;
        loop {
            place.free().await;
            let store = place.open(&master).await;
            is_readable(&*store).await;
            if store.migrate().await.unwrap() == Pace::Done {
                break;
            }
            assert!(store.sealer().is_signature("token", "anna", &signed) || store.instance_keys().await.unwrap().done);
            pieces += 1;
            assert!(pieces < 200, "{:?}", store.instance_keys().await.unwrap());
        }
        assert!(pieces > 3, "several pages: {pieces}");
        let store = place.open(&master).await;
        let status = store.instance_keys().await.unwrap();
        assert!(status.done && status.resealed >= 6, "{status:?}");
        assert_eq!((status.current, status.earlier, status.next), (2, vec![], None));
        assert!(!store.sealer().is_signature("token", "anna", &signed), "the generation that signed it is gone");
        is_readable(&*store).await;
        assert_eq!(store.rotate_instance_key().await.unwrap(), Rotation::Begun(3));
    }
}

#[tokio::test]
async fn the_master_key_is_replaced() {
    for place in Place::both() {
        let store = place.open(&keys("one", &[], "")).await;
        fill(&*store).await;
        drop(store);
        let refused = place.try_open(&keys("two", &["three"], "")).await.err().unwrap();
        assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused}");
        assert!(refused.to_string().contains("security.previous_keys"), "{refused}");
        assert_eq!(refused.to_string().lines().count(), 1);
        is_readable(&*place.open(&keys("two", &["zero", "one"], "")).await).await;
        let store = place.open(&keys("two", &[], "")).await;
        assert_eq!(store.instance_keys().await.unwrap().locked_by, KeySource::MasterKey);
        is_readable(&*store).await;
        drop(store);
        assert!(place.try_open(&keys("one", &[], "")).await.is_err());
    }
}

#[tokio::test]
async fn another_instance_password_leaves_a_file_readable() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::File(tempfile::tempdir().unwrap());
    let Place::File(folder) = &place else { unreachable!("in a file") };
    let store = place.open(&keys("", &[], "password")).await;
    assert_eq!(store.instance_keys().await.unwrap().locked_by, KeySource::File);
    fill(&*store).await;
    drop(store);
    is_readable(&*place.open(&keys("", &[], "another password")).await).await;

    let file = folder.path().join("store.redb.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read(&file).unwrap();
    let refused = async || {
        let refused = place.try_open(&keys("", &[], "password")).await.err().unwrap().to_string();
        assert!(refused.contains("store.redb.key") && refused.lines().count() == 1, "{refused}");
        refused
    };
    std::fs::remove_file(&file).unwrap();
    assert!(refused().await.contains("missing"));
    assert!(!file.exists(), "no other key is made for a store that has one");
    // That of another store, and half of one.
    let other = Place::File(tempfile::tempdir().unwrap());
    drop(other.open(&keys("", &[], "password")).await);
    let Place::File(elsewhere) = &other else { unreachable!("in a file") };
    std::fs::copy(elsewhere.path().join("store.redb.key"), &file).unwrap();
    assert!(refused().await.contains("another store"));
    std::fs::write(&file, &kept[..40]).unwrap();
    assert!(refused().await.contains("damaged"));
    // A master key that is set later takes over, and the file is not needed any more.
    std::fs::write(&file, &kept).unwrap();
    drop(place.open(&keys("master", &[], "password")).await);
    std::fs::remove_file(&file).unwrap();
    is_readable(&*place.open(&keys("master", &[], "password")).await).await;
    // And back.
    is_readable(&*place.open(&keys("", &["master"], "password")).await).await;
    is_readable(&*place.open(&keys("", &[], "third password")).await).await;
}

#[tokio::test]
async fn on_redis_the_password_of_before_opens_once_more() {
    let place = Place::Redis(RedisServer::start(&[]));
    let store = place.open(&keys("", &[], "password")).await;
    assert_eq!(store.instance_keys().await.unwrap().locked_by, KeySource::InstancePassword);
    fill(&*store).await;
    let refused = place.try_open(&keys("", &[], "changed")).await.err().unwrap();
    assert!(refused.to_string().contains("security.previous_keys"), "{refused}");
    is_readable(&*place.open(&keys("", &["password"], "changed")).await).await;
    is_readable(&*place.open(&keys("", &[], "changed")).await).await;
    is_readable(&*store).await;
}

#[tokio::test]
async fn nodes_that_start_at_once_have_one_key() {
    let place = Place::Redis(RedisServer::start(&[]));
    let master = keys("master", &[], "");
    let stores = join_all((0..6).map(|_| place.open(&master))).await;
    let sealed = stores[0].sealer().seal("place", "letmein");
    for store in &stores {
        assert_eq!(store.sealer().open("place", &sealed).unwrap().expose(), "letmein");
        assert_eq!(store.sealer().hash("code", "1"), stores[0].sealer().hash("code", "1"));
    }
}

#[tokio::test]
async fn a_generation_seals_when_all_live_nodes_know_it() {
    let place = Place::Redis(RedisServer::start(&[]));
    let master = keys("master", &[], "");
    let (one, two) = (place.open(&master).await, place.open(&master).await);
    let renew = async |store: &Arc<dyn Store>, name| {
        store.renew_lease(&node(name), MINUTE).await.unwrap();
        store.publish_member_count(&node(name), 0).await.unwrap();
    };
    renew(&one, "one").await;
    renew(&two, "two").await;
    assert_eq!(one.rotate_instance_key().await.unwrap(), Rotation::Begun(2));
    // Follows now, and says so with its next renewal.
    renew(&one, "one").await;
    renew(&two, "two").await;
    assert_eq!(one.migrate().await.unwrap(), Pace::Later);
    let status = one.instance_keys().await.unwrap();
    assert_eq!((status.current, status.next, status.waiting), (1, Some(2), vec![node("two")]));
    assert_eq!(one.sealer().seal("place", "x")[0], 1, "the other node could not open anything else");
    renew(&two, "two").await;
    assert_eq!(one.migrate().await.unwrap(), Pace::Later);
    let sealed = one.sealer().seal("place", "x");
    assert_eq!(sealed[0], 2);
    assert_eq!(two.sealer().open("place", &sealed).unwrap().expose(), "x");
}
