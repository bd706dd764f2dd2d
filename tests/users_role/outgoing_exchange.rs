//! Exchanges that the broker connects to over TLS, several nodes at one exchange, and users deleted there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use provbroker::config::{Config, Pbx};
use provbroker::core::model::hex;
use provbroker::core::model::ids::DeviceKey;
use provbroker::core::model::time::Tick;
use provbroker::core::model::users_role::{Person, PersonId, PhoneFacts, Progress, RequestId};
use provbroker::sim::exchange::machine::ExchangeSim;
use provbroker::sim::exchange::run::{ConnectionSource, Running};
use provbroker::store::Store;
use provbroker::users_role::{LinkStatus, UsersRole};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::exchange::{dial, machine, with_exchange};
use super::many::asked;
use super::world::*;
use crate::support::broker::{Broker, CATEGORY, Keep, run};
use crate::support::tls::{Certificate, Front};

/// Configures the broker to connect to this address.
fn towards(config: &mut Config, url: &str, trust: impl FnOnce(&mut Pbx)) {
    with_exchange(config);
    let exchange = &mut config.users.pbx.exchanges[0];
    exchange.url = url.into();
    trust(exchange);
}

async fn listening(sim: ExchangeSim) -> (Running, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pbx = Running::start(sim, ConnectionSource::Listen(listener)).unwrap();
    let address = pbx.address().unwrap();
    (pbx, address)
}

fn starts(keep: &Keep, files: &Files, url: &str, trust: impl FnOnce(&mut Pbx)) -> Broker {
    Broker::on(keep, |config| {
        with_users(config, files);
        towards(config, url, trust);
    })
}

async fn known(users_role: &UsersRole, sip: &str) -> Person {
    until("the users are known", async || users_role.user(&domain(), sip).await.ok().flatten()).await
}

async fn linked(users_role: &UsersRole) {
    until("Devices is there", async || {
        (users_role.status(&domain()).await.unwrap().devices == LinkStatus::Up).then_some(())
    })
    .await;
}

#[test]
fn an_exchange_is_reached_over_tls_and_only_the_right_one() {
    run(async {
        let mut sim = machine();
        let guid = sim.add_user("Anna Berg", "anna", Tick(0));
        let (pbx, plain) = listening(sim).await;
        let (certificate, other) = (Certificate::new(), Certificate::new());
        let front = Front::start(&certificate, plain).await;
        let url = format!("wss://localhost:{}/PBX0/APPS/websocket", front.addr.port());
        let fingerprint = |of: &Certificate| hex::encode(Sha256::digest(&of.der));

        for (authority, pinned) in
            [(other.chain(), String::new()), (std::path::PathBuf::new(), fingerprint(&other)), Default::default()]
        {
            let (keep, files, before) = (Keep::embedded(), Files::new(), front.failed());
            let broker = starts(&keep, &files, &url, |exchange| {
                exchange.authority = authority;
                exchange.fingerprint = pinned;
            });
            until("it was tried", async || (front.failed() > before).then_some(())).await;
            assert!(!broker.people().status(&domain()).await.unwrap().backend.up);
            assert!(pbx.with(|sim, _| sim.observed.messages.is_empty()), "no message over such a connection");
            broker.stop();
        }
        for (number, authority, pinned) in
            [(1, certificate.chain(), String::new()), (2, std::path::PathBuf::new(), fingerprint(&certificate))]
        {
            let (keep, files) = (Keep::embedded(), Files::new());
            let broker = starts(&keep, &files, &url, |exchange| {
                exchange.authority = authority;
                exchange.fingerprint = pinned;
            });
            let users_role = Arc::clone(broker.people());
            let anna = known(&users_role, "anna").await;
            linked(&users_role).await;
            let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
            let (key, phone, _events) = phone(number, broker.addr);
            type_code(&phone, request.code).await;
            follow(&users_role, &request.id, is_entered).await;
            assert_eq!(pbx.with(|sim, _| sim.observed.entered[&(guid.clone(), Box::from(key.as_str()))]), 1);
            drop(users_role);
            broker.stop();
        }
        assert_eq!(pbx.with(|sim, _| (sim.observed.logged_in, sim.observed.refused)), (2, 0));
    });
}

async fn cancelled(users_role: &UsersRole, id: &RequestId) {
    until("the code is taken back", async || {
        let now = users_role.request(&domain(), id).await.unwrap().unwrap();
        (now.progress == Progress::Cancelled).then_some(())
    })
    .await;
}

#[test]
fn a_user_who_is_deleted_at_the_exchange_has_no_open_code() {
    let (keep, files) = (Keep::embedded(), Files::new());
    let started = || {
        Broker::on(&keep, |config| {
            with_users(config, &files);
            with_exchange(config);
        })
    };
    let broker = started();
    run(async {
        let mut sim = machine();
        let guids = ["anna", "ben", "eva"].map(|sip| sim.add_user(sip, sip, Tick(0)));
        let pbx = Running::start(sim, dial(&broker)).unwrap();
        let users_role = Arc::clone(broker.people());
        let [anna, ben, eva] =
            [known(&users_role, "anna").await, known(&users_role, "ben").await, known(&users_role, "eva").await];
        linked(&users_role).await;
        let ask = async |of: &Person| users_role.add_phone(&domain(), of, CATEGORY, "phone").await.unwrap();
        let (first, second, third) = (ask(&anna).await, ask(&ben).await, ask(&eva).await);
        // A used code is not revoked.
        let used = ask(&anna).await;
        let (_, phone, _events) = phone(1, broker.addr);
        type_code(&phone, used.code).await;
        follow(&users_role, &used.id, is_entered).await;

        pbx.with(|sim, now| sim.delete(&guids[0], now));
        cancelled(&users_role, &first.id).await;
        assert!(broker.store().code_in(&domain(), first.code).await.unwrap().is_none(), "Devices does not know it");
        let progress =
            async |users_role: &UsersRole, id| users_role.request(&domain(), id).await.unwrap().unwrap().progress;
        assert_eq!(progress(&users_role, &used.id).await, Progress::Ready);
        assert_eq!(progress(&users_role, &second.id).await, Progress::Waiting);

        // A user is deleted while the broker is stopped.
        let mut sim = pbx.stop().await.unwrap();
        drop(users_role);
        broker.stop();
        sim.delete(&guids[1], Tick(0));
        let broker = started();
        let _pbx = Running::start(sim, dial(&broker)).unwrap();
        let users_role = Arc::clone(broker.people());
        cancelled(&users_role, &second.id).await;
        assert_eq!(progress(&users_role, &third.id).await, Progress::Waiting, "she is still there");
        assert!(broker.store().code_in(&domain(), third.code).await.unwrap().is_some());
    });
}

/// An entry order for a phone of this user, as a notice makes one.
async fn order(store: &dyn Store, guid: &str, number: u64) -> RequestId {
    let who = Person { guid: PersonId::parse(guid).unwrap(), ..person(&format!("user{number}")) };
    let request = asked(number, who, store.now().await.unwrap());
    store.put_requests(&domain(), std::slice::from_ref(&request)).await.unwrap();
    let phone = PhoneFacts {
        key: DeviceKey::parse(&format!("0090338{number:05x}")).unwrap(),
        name: None,
        product: "IP112".into(),
        version: "13r3".into(),
        port: None,
    };
    store.place_order(&domain(), request.code, &phone, Progress::Ready).await.unwrap();
    request.id
}

/// Both nodes are connected to the exchange and carry out orders, but only one changes something at a time; the locks
/// of a dead node expire.
#[test]
fn nodes_change_an_exchange_one_after_the_other() {
    const ORDERS: usize = 24;
    // Longer than the poll interval of orders.
    const DEAD: Duration = Duration::from_secs(4);
    let (keep, files) = (Keep::redis(), Files::new());
    run(async {
        let mut sim = machine();
        let users = |number| format!("user{number}");
        let guids: Vec<_> = (0..ORDERS).map(|number| sim.add_user(&users(number), &users(number), Tick(0))).collect();
        let (pbx, address) = listening(sim).await;
        let started = || {
            Broker::on(&keep, |config| {
                with_users(config, &files);
                towards(config, &format!("ws://{address}/PBX0/APPS/websocket"), |_| {});
                config.users.pbx.updates_per_second = 1_000;
                config.users.pbx.requests_per_second = 1_000;
                // So few that no node can take all of them at once.
                config.users.orders_at_once = ORDERS / 4;
            })
        };
        let (one, two) = (started(), started());
        for node in [&one, &two] {
            known(node.people(), "user0").await;
        }
        assert_eq!(pbx.with(|sim, _| sim.connections().len()), 2);

        // The slot is locked by a node that has just died.
        let store = one.store();
        assert!(store.lock("pbx/example.com/hq/slot", "a node that is dead", DEAD).await.unwrap());
        let began = tokio::time::Instant::now();
        for (number, guid) in (0..).zip(&guids) {
            order(&**store, guid, number).await;
        }
        let first = until("the slot is free again", async || {
            pbx.with(|sim, _| (!sim.observed.updates.is_empty()).then(tokio::time::Instant::now))
        })
        .await;
        assert!(first - began + Duration::from_millis(100) > DEAD, "{:?}", first - began);
        until("all are entered", async || (store.order_counts(&domain()).await.unwrap().waiting == 0).then_some(()))
            .await;
        let (entered, most, created) =
            pbx.with(|sim, _| (sim.observed.entered.clone(), sim.observed.most_updates, sim.observed.created));
        assert!(entered.values().all(|&times| times == 1) && entered.len() == ORDERS, "{entered:?}");
        assert_eq!((most, created), (1, 0));
    });
}
