//! The backend `pbx`, with a simulated exchange for each of the two domains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use provbroker::core::model::ids::{DomainName, Secret};
use provbroker::core::model::time::Tick;
use provbroker::core::protocol::json::{Object, Value};
use provbroker::core::session::exchange::inbound::InboundSettings;
use provbroker::core::session::exchange::settings::Settings;
use provbroker::lifecycle::Shutdown;
use provbroker::sim::exchange::machine::{ExchangeSim, Identity};
use provbroker::sim::exchange::run::{ConnectionSource, Running};
use provbroker::sim::exchange::switches::Switches;
use provbroker::store::{self, Options, Store};
use provbroker::users_role::backend::Backend;
use provbroker::users_role::backend::exchange::{Dial, ExchangeBackend, ExchangeSettings, Trust};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::world::*;

/// A backend that dials its exchanges.
pub struct ExchangeFixture {
    backend: Arc<ExchangeBackend>,
    /// The exchange of [`domain`], or its machine while it is stopped.
    pbx: Option<Running>,
    machine: Option<ExchangeSim>,
    address: SocketAddr,
    _other: Running,
    shutdown: Shutdown,
    _folder: TempDir,
}

fn machine(domain: &str) -> ExchangeSim {
    let identity = Identity {
        domain: domain.into(),
        pbx: "hq".into(),
        object: "users".into(),
        password: Secret::new("Simulator1"),
    };
    let mut sim = ExchangeSim::new(identity, Switches { fragments: true, extra_members: true, ..Switches::default() });
    for (sip, name, groups, _) in USERS.iter().filter(|user| user.3 == domain) {
        let guid = sim.add_user(name, sip, Tick(0));
        let (template, node) = groups.split_once('|').unwrap_or((groups, "root"));
        let object = sim.objects.get_mut(&guid).unwrap();
        for (member, value) in [("config", template), ("node", node)] {
            object.set(member, &Value::String(value.into()));
        }
    }
    sim
}

async fn listen(address: SocketAddr) -> (ConnectionSource, SocketAddr) {
    // The port of a stopped exchange may be busy for a moment.
    loop {
        if let Ok(listener) = TcpListener::bind(address).await {
            let address = listener.local_addr().unwrap();
            return (ConnectionSource::Listen(listener), address);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn settings(domain: DomainName, address: SocketAddr) -> ExchangeSettings {
    ExchangeSettings {
        system: domain.as_str().into(),
        domain,
        pbx: "hq".into(),
        object: "users".into(),
        password: Secret::new("Simulator1"),
        dial: Some(Dial { url: format!("ws://{address}/PBX0/APPS/websocket"), trust: Trust::Public }),
        traffic: Settings::default(),
    }
}

impl ExchangeFixture {
    async fn until(&self, is_so: impl Fn(&ExchangeBackend) -> bool) {
        let wait = async {
            while !is_so(&self.backend) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    }

    async fn mirror_is_complete(&self) {
        let complete = |domain: &DomainName| self.backend.status(domain).why.is_none();
        self.until(|_| complete(&domain()) && complete(&other_domain())).await;
    }
}

impl Drop for ExchangeFixture {
    fn drop(&mut self) {
        self.shutdown.drain();
    }
}

impl Fixture for ExchangeFixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("embedded:{}", folder.path().join("store.redb").display());
        let store: Arc<dyn Store> =
            store::connect(&url, &store::MasterKeys::default(), &Options::default()).await.unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (here, address) = listen(any).await;
        let (there, other_address) = listen(any).await;
        let pbx = Running::start(machine("example.com"), here).unwrap();
        let other = Running::start(machine("other.example"), there).unwrap();
        let all_settings = vec![settings(domain(), address), settings(other_domain(), other_address)];
        let inbound = InboundSettings {
            domain: "example.com".into(),
            instance: "users".into(),
            build: "1".into(),
            passwords: Vec::new(),
            check_names: true,
        };
        let shutdown = Shutdown::new();
        let backend = Arc::new(ExchangeBackend::start(all_settings, inbound, &store, &shutdown));
        let fixture =
            Self { backend, pbx: Some(pbx), machine: None, address, _other: other, shutdown, _folder: folder };
        fixture.mirror_is_complete().await;
        fixture
    }

    fn backend(&self) -> Arc<dyn Backend> {
        self.backend.clone()
    }

    async fn entered(&self) -> Vec<(String, String)> {
        let pbx = self.pbx.as_ref().unwrap();
        let mut all = pbx.with(|sim, _| {
            assert_eq!(sim.observed.created, 0);
            assert!(sim.observed.most_updates <= 1);
            let of = |sip: Box<str>, devices: Vec<_>| {
                devices.into_iter().map(move |hw: String| (sip.to_string(), hw)).collect::<Vec<_>>()
            };
            let hardware = |object: &provbroker::sim::exchange::objects::ExchangeObject| {
                object.devices().iter().map(|entry| entry.hw().to_owned()).collect()
            };
            sim.objects.all().flat_map(|object| of(object.text("h323"), hardware(object))).collect::<Vec<_>>()
        });
        all.sort_unstable();
        all
    }

    async fn away(&mut self, away: bool) {
        if away {
            self.machine = self.pbx.take().unwrap().stop().await;
            self.until(|backend| !backend.status(&domain()).up).await;
        } else {
            let (again, _) = listen(self.address).await;
            self.pbx = Some(Running::start(self.machine.take().unwrap(), again).unwrap());
            self.mirror_is_complete().await;
        }
    }
}

#[tokio::test]
async fn whole_entries_are_written() {
    let f = ExchangeFixture::start().await;
    let backend = f.backend();
    backend.enter(&order(&*backend, 1, "anna", 1).await).await.unwrap();
    let update = f.pbx.as_ref().unwrap().with(|sim, _| sim.observed.updates[0].clone());
    let update = Object::parse(update.as_bytes()).unwrap();
    let members: Vec<&str> = update.members().map(|(name, _)| name).collect();
    assert_eq!(members, ["mt", "api", "src", "guid", "devices"]);
    let expected = format!(r#"[{{"hw":"{}","text":"IP112","app":"phone","tls":true,"trusted":true}}]"#, key(1));
    assert_eq!(update.get("devices").unwrap().canonical(), expected);
}
