//! An exchange as the backend: it connects to the broker, and phones are entered there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use provbroker::clock::Stopwatch;
use provbroker::config::{BackendKind, Config, Pbx};
use provbroker::core::model::ids::Secret;
use provbroker::core::model::time::Tick;
use provbroker::core::model::users_role::{Person, PersonId};
use provbroker::sim::exchange::machine::{ExchangeSim, Identity};
use provbroker::sim::exchange::run::{ConnectionSource, Running};
use provbroker::sim::exchange::switches::Switches;
use provbroker::users_role::LinkStatus;

use super::many::{NOTICES, key, with_notices};
use super::world::*;
use crate::support::app::App;
use crate::support::broker::{Broker, Keep, PASSWORD as PASSWORD_OF_DOMAIN, run};
use crate::support::raw::LOCALHOST;
use crate::support::secrets;

const PASSWORD: &str = "Simulator1637";

pub fn machine() -> ExchangeSim {
    let identity = Identity {
        domain: "example.com".into(),
        pbx: "hq".into(),
        object: "users".into(),
        password: Secret::new(PASSWORD),
    };
    ExchangeSim::new(identity, Switches { fragments: true, ..Switches::default() })
}

pub fn with_exchange(config: &mut Config) {
    secrets::note(PASSWORD);
    config.users.backend = BackendKind::Pbx;
    config.users.pbx.exchanges = vec![Pbx {
        domain: domain(),
        system: String::new(),
        pbx: "hq".into(),
        object: "users".into(),
        password: Secret::new(PASSWORD),
        url: String::new(),
        authority: std::path::PathBuf::new(),
        fingerprint: String::new(),
    }];
}

pub fn dial(broker: &Broker) -> ConnectionSource {
    ConnectionSource::Dial { url: format!("ws://{}/example.com/users", broker.addr), again: Duration::from_millis(100) }
}

#[test]
fn a_phone_is_entered_at_the_exchange_that_connects() {
    let keep = Keep::embedded();
    let files = Files::new();
    let broker = Broker::on(&keep, |config| {
        with_users(config, &files);
        with_exchange(config);
    });
    let users_role = Arc::clone(broker.people());
    run(async {
        let mut sim = machine();
        let guid = sim.add_user("Anna Berg", "anna", Tick(0));
        let pbx = Running::start(sim, dial(&broker)).unwrap();
        let anna = until("the users are known", async || users_role.user(&domain(), "anna").await.ok().flatten()).await;
        assert_eq!((anna.guid.as_str(), &*anna.name), (&*guid, "Anna Berg"));
        until("Devices is there", async || {
            (users_role.status(&domain()).await.unwrap().devices == LinkStatus::Up).then_some(())
        })
        .await;
        let request = users_role.add_phone(&domain(), &anna, "Desk phones", "phone").await.unwrap();
        let (key, phone, _events) = phone(1, broker.addr);
        type_code(&phone, request.code).await;
        follow(&users_role, &request.id, is_entered).await;
        let entered = pbx.with(|sim, _| (sim.observed.entered.clone(), sim.observed.created));
        let expected = [((guid, Box::from(key.as_str())), 1)];
        assert_eq!(entered, (expected.into(), 0));
    });
}

#[test]
fn whoever_does_not_know_the_password_is_nobody() {
    let keep = Keep::embedded();
    let files = Files::new();
    let broker = Broker::on(&keep, |config| {
        with_users(config, &files);
        with_exchange(config);
    });
    run(async {
        let mut sim = machine();
        sim.identity.password = Secret::new("wrong");
        let pbx = Running::start(sim, dial(&broker)).unwrap();
        until("it was refused", async || pbx.with(|sim, _| (sim.observed.refused >= 2).then_some(()))).await;
        assert!(pbx.with(|sim, _| sim.observed.logged_in == 0 && sim.observed.count("ReplicateStart") == 0));
        assert!(!broker.people().status(&domain()).await.unwrap().backend.up);
    });
}

/// The rates are raised. What remains is the wait of one second per order, and the back-off of the mirror when the
/// exchange restarts repeatedly.
#[test]
#[ignore = "measured: has the machine for itself"]
fn ten_thousand_notices_reach_a_pbx_that_is_restarted_twice() {
    let mut sim = machine();
    let guids: Vec<Box<str>> = (0..NOTICES)
        .map(|number| sim.add_user(&format!("User {number:05}"), &format!("user{number}"), Tick(0)))
        .collect();
    let who = |number: u64| Person {
        guid: PersonId::parse(&guids[usize::try_from(number).unwrap()]).unwrap(),
        ..person(&format!("user{number}"))
    };
    let left: Mutex<Option<ExchangeSim>> = Mutex::new(None);
    let restarts: Mutex<Vec<Duration>> = Mutex::default();
    let all = usize::try_from(NOTICES).unwrap();
    let (handled, took) = with_notices(
        who,
        |config| {
            with_exchange(config);
            config.users.orders_at_once = 2_000;
            config.users.order_timeout = Duration::from_secs(300);
            config.users.pbx.updates_per_second = 1_000_000;
            config.users.pbx.requests_per_second = 1_000_000;
        },
        &Keep::embedded(),
        async |broker| {
            let began = tokio::time::Instant::now();
            let mut pbx = Running::start(sim, dial(broker)).unwrap();
            let entered = |pbx: &Running| pbx.with(|sim, _| sim.observed.entered.len());
            for part in [all / 4, all / 2] {
                while entered(&pbx) < part {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                restarts.lock().unwrap().push(began.elapsed());
                let machine = pbx.stop().await.unwrap();
                pbx = Running::start(machine, dial(broker)).unwrap();
            }
            while entered(&pbx) < all {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Orders are compared before they count as done.
            let store = broker.store();
            while store.order_counts(&domain()).await.unwrap().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            *left.lock().unwrap() = pbx.stop().await;
        },
    );
    let sim = left.into_inner().unwrap().unwrap();
    let expected: std::collections::BTreeMap<_, _> = guids
        .iter()
        .zip(0..NOTICES)
        .map(|(guid, number)| ((guid.clone(), Box::from(key(number).as_str())), 1))
        .collect();
    assert_eq!(sim.observed.entered, expected, "each exactly once");
    assert_eq!((sim.observed.created, sim.observed.most_updates), (0, 1));
    eprintln!(
        "{NOTICES} notices stored after {handled:?}, all entered at the exchange after {took:?} with restarts after {:?}; {} changes",
        restarts.into_inner().unwrap(),
        sim.observed.updates.len()
    );
}

/// Somebody guesses the password of the app object, on connections that were opened before, from the address of the
/// exchange: no more than the free ones are compared, and neither apps nor the exchange that is connected notice.
#[test]
fn guessing_at_the_users_instance_delays_nobody_else() {
    const FREE: usize = 10;
    let keep = Keep::embedded();
    let files = Files::new();
    let broker = Broker::on(&keep, |config| {
        with_users(config, &files);
        with_exchange(config);
    });
    let users_role = Arc::clone(broker.people());
    run(async {
        let mut sim = machine();
        sim.add_user("Anna Berg", "anna", Tick(0));
        let _pbx = Running::start(sim, dial(&broker)).unwrap();
        until("the users are known", async || users_role.user(&domain(), "anna").await.ok().flatten()).await;
        let mut guessing = Vec::new();
        for _ in 0..60 {
            guessing.push(App::open_at(LOCALHOST, broker.addr, "/example.com/users").await.unwrap());
        }
        let watch = Stopwatch::start();
        let mut guesses: FuturesUnordered<_> =
            guessing.iter_mut().map(|app| app.try_login_or_close("users", "guessed.example", "a guess")).collect();
        let mut compared = 0;
        while compared < FREE {
            compared += usize::from(guesses.next().await.unwrap().is_ok());
        }
        let mut app = App::open(broker.addr).await;
        let served = async {
            assert_eq!(app.try_login("users", "example.com", "", PASSWORD_OF_DOMAIN).await["ok"], true);
            users_role.user(&domain(), "anna").await.unwrap()
        };
        let mut served = std::pin::pin!(served);
        loop {
            tokio::select! {
                biased;
                found = &mut served => {
                    assert!(found.is_some());
                    break;
                }
                Some(answer) = guesses.next() => compared += usize::from(answer.is_ok()),
            }
        }
        let most = FREE + 1 + usize::try_from(watch.elapsed().as_secs()).unwrap();
        assert!(compared <= most, "{compared} in {:?}", watch.elapsed());
    });
}
