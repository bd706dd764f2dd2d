//! A tenant actor that panics is replaced, and its members rejoin; requests reach their device. Everything is real but
//! the network: the sockets are pipes in memory, and the store is a file.

use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Handler, Message};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::admission::controller::{AdmissionController, AdmissionLimits};
use crate::attempts::{AttemptRules, AttemptService};
use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::socket::{Bounds, Opening, run};
use crate::connection::table::{Capacity, ConnectionTable};
use crate::core::model::device::Facts;
use crate::core::model::ids::{ConnId, DeviceKey, DomainName, HardwareId, NodeId, Secret};
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::policy::limits::SourceKey;
use crate::core::protocol::frame_guard::DataKind;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::auth::device_digest;
use crate::core::protocol::sysclient::frame::{DeviceEvent, FromDevice, FromServer, ServerEvent, decode_from_server};
use crate::core::protocol::sysclient::tunnel::Failure;
use crate::core::session::app::event::Settings;
use crate::core::session::app::rights::Instance;
use crate::core::session::app::settling::SettleTimes;
use crate::core::session::device::event::{Settings as PhoneSettings, TunnelRequest};
use crate::core::session::device::query::Query;
use crate::device::actor::DeviceActor;
use crate::device::tunnel::{FetchError, Fetched, fetch};
use crate::directory::{DirectoryService, DirectorySettings, LocalDirectory};
use crate::node::{Node, NodeParts, NodeSettings};
use crate::registration::{CodeLimits, RegistrationService};
use crate::store::{self, NewDomain, Store};
use crate::tenant::actor::TenantActor;
use crate::tenant_cache::Tenants;

const ADDRESS: &str = "ws://127.0.0.1/example.com/devices/sysclients";
const QUERY: &str = "domain=example.com&token=t&category=Desk%20phones";

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("for the test");
    }
}

fn domain() -> DomainName {
    DomainName::parse("example.com").unwrap()
}

async fn node(folder: &std::path::Path) -> Arc<Node> {
    let url = format!("embedded:{}", folder.join("store.redb").display());
    let store = store::connect(&url, &store::MasterKeys::default(), &store::Options::default()).await.unwrap();
    let new = NewDomain {
        name: domain(),
        password: Secret::new("p"),
        admin_password: Secret::default(),
        auto_token: Secret::new("t"),
        categories: vec![("Desk phones".into(), true)],
    };
    store.ensure_domain(&new).await.unwrap();
    let id = NodeId::new("node");
    store.renew_lease(&id, Duration::from_secs(600)).await.unwrap();
    let tenants = Arc::new(Tenants::new(Arc::clone(&store)));
    let attempts = Arc::new(AttemptService::new(Arc::clone(&store) as _, AttemptRules::default(), clock::now));
    Node::start(NodeParts {
        id: id.clone(),
        registration: registration(&store, &tenants, &attempts),
        attempts,
        tenants,
        store,
        connections: ConnectionTable::new(Capacity {
            connections: 9,
            unproven_memory: 1 << 20,
            unassigned_per_source: 9,
            unassigned: 9,
        }),
        admission: AdmissionController::new(limits()),
        settings: NodeSettings {
            device: PhoneSettings::default(),
            retry: RetryPolicy::default(),
            device_bounds: bounds(),
            app_bounds: bounds(),
            notice_window: 9,
            notice_after: Duration::from_secs(900),
            instance: Instance { domain: domain(), name: "devices".into(), password: Secret::new("i") },
            app: Settings {
                domain: "example.com".into(),
                instance: "devices".into(),
                release: "13r3".into(),
                passthrough: "http://127.0.0.1/example.com/devices/passthrough/".into(),
                build_mark: "00".into(),
                login_timeout: Duration::from_secs(60),
                requests_per_second: 50,
                fetches: 8,
                codes_per_second: 500,
                announces_search: false,
                ping_every: Duration::ZERO,
                patience: SettleTimes { answer_within: Duration::from_secs(30), stay_open: Duration::from_secs(5) },
                longest_before: 1000,
                longest_after: 1000,
            },
        },
    })
}

fn limits() -> AdmissionLimits {
    AdmissionLimits {
        registrations: 9,
        handshakes: 9,
        waiting: 9,
        longest: Duration::from_secs(20),
        target: Duration::from_millis(200),
        memory: 0,
        reserve: 0,
    }
}

fn registration(
    store: &Arc<dyn Store>,
    tenants: &Arc<Tenants>,
    attempt_service: &Arc<AttemptService>,
) -> RegistrationService {
    let listings: Arc<dyn store::DirectoryRecords> = Arc::clone(store) as _;
    let service = Arc::new(DirectoryService::new(listings, DirectorySettings::default()).unwrap());
    let directory = Arc::new(LocalDirectory::new(service, ADDRESS).unwrap());
    let limits = CodeLimits { max_open: 9, max_open_rollout: 9, keep_unassigned: Duration::from_secs(60) };
    RegistrationService::new(Arc::clone(store), Arc::clone(tenants), directory, Arc::clone(attempt_service), limits)
}

const fn bounds() -> Bounds {
    let second = Duration::from_secs(1);
    Bounds { speech: DataKind::Binary, longest: 65_545, window: 65_536, write_timeout: second, linger: second }
}

/// A device at the other end of a pipe.
struct Device(WebSocketStream<DuplexStream>);

impl Device {
    async fn connect(node: &Arc<Node>, conn: u64) -> Self {
        let (near, far) = tokio::io::duplex(4096);
        let handle = ConnectionHandle::new(65_545);
        let source = SourceKey::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let device =
            DeviceActor::new(Arc::clone(node.devices()), ConnId(conn), source, Query::read(QUERY), handle.clone());
        actix_rt::spawn(run(far, Opening::default(), device, handle, bounds()));
        Self(WebSocketStream::from_raw_socket(near, Role::Client, None).await)
    }

    async fn identify(&mut self, digest: Option<Box<str>>) {
        let id = HardwareId::parse("00903341a0b1").unwrap();
        let facts =
            Facts { product: "IP112".into(), version: "1".into(), platform: "PHONE".into(), ..Facts::default() };
        let identify = FromDevice::Identify(Box::new(Identify { id, facts, code: OfferedCode::None, digest }));
        self.0.send(tungstenite::Message::binary(identify.encode())).await.unwrap();
    }

    /// The next message; fails if none comes within a minute.
    async fn message(&mut self) -> tungstenite::Message {
        tokio::time::timeout(Duration::from_secs(60), self.0.next()).await.unwrap().unwrap().unwrap()
    }

    async fn next(&mut self) -> FromServer {
        match self.message().await {
            tungstenite::Message::Binary(bytes) => decode_from_server(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Serves one request with these pieces, up to the shutdown. The request.
    async fn serve(&mut self, pieces: &[&'static str]) -> bytes::Bytes {
        let (mut request, mut pieces) = (bytes::Bytes::new(), pieces.iter());
        loop {
            let FromServer::Tunnel { session, event } = self.next().await else { panic!("no tunnel message") };
            let answer = match event {
                ServerEvent::Send(bytes) => {
                    request = bytes;
                    DeviceEvent::SendResult
                }
                ServerEvent::Receive(_) => DeviceEvent::ReceiveResult((*pieces.next().unwrap()).into()),
                ServerEvent::Shutdown => DeviceEvent::Shutdown,
            };
            let over = answer == DeviceEvent::Shutdown;
            let message = FromDevice::Tunnel { session, event: answer }.encode();
            self.0.send(tungstenite::Message::binary(message)).await.unwrap();
            if over {
                return request;
            }
        }
    }

    async fn close_code(&mut self) -> u16 {
        match self.message().await {
            tungstenite::Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn members_rejoin_a_domain_that_was_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut first = Device::connect(&node, 1).await;
    first.identify(None).await;
    let FromServer::Password(password) = first.next().await else { panic!("no password") };
    let FromServer::AdminPassword { .. } = first.next().await else { panic!("no administrative password") };

    let before = node.directory().find(&domain()).await.unwrap();
    assert!(before.send(Panic).await.is_err());
    let after = node.directory().find(&domain()).await.unwrap();
    assert!(before != after && after.connected());

    // Only a domain that knows the first connection can close it when a second one has authenticated.
    let mut second = Device::connect(&node, 2).await;
    second.identify(None).await;
    let FromServer::Challenge(challenge) = second.next().await else { panic!("no challenge") };
    let digest = device_digest("00903341a0b1", "IP112", "1", &challenge, &password);
    second.identify(Some(digest.into())).await;
    assert_eq!(first.close_code().await, 1000);
}

#[actix_web::test]
async fn an_answer_is_fetched_from_a_member() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let key = DeviceKey::parse("00903341a0b1").unwrap();
    let home = domain();
    let get = |most| fetch(node.directory(), &home, key.clone(), TunnelRequest::get("/log.txt"), most);
    assert_eq!(get(9).await, Err(FetchError::Offline));

    let mut device = Device::connect(&node, 1).await;
    device.identify(None).await;
    let FromServer::Password(_) = device.next().await else { panic!("no password") };
    let FromServer::AdminPassword { .. } = device.next().await else { panic!("no administrative password") };
    while node.directory().member(&domain(), key.clone()).await.is_none() {
        actix_rt::task::yield_now().await;
    }

    let pieces = ["HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nabc", "def"];
    let (fetched, request) = tokio::join!(get(6), device.serve(&pieces));
    assert_eq!(request, "GET /log.txt HTTP/1.1\r\nHost: device\r\n\r\n");
    let whole = Fetched { status: 404, content_type: Some("text/plain".into()), body: "abcdef".into() };
    assert_eq!(fetched, Ok(whole));

    // Too long, whether it is announced or not; the device is told at once that nobody wants the rest.
    assert_eq!(tokio::join!(get(5), device.serve(&pieces[..1])).0, Err(FetchError::TooLarge));
    let unannounced = ["HTTP/1.1 200 OK\r\n\r\nabc", "def"];
    assert_eq!(tokio::join!(get(5), device.serve(&unannounced)).0, Err(FetchError::TooLarge));

    let cut = ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc", ""];
    assert_eq!(tokio::join!(get(9), device.serve(&cut)).0, Err(FetchError::Failed(Failure::Cut)));
    let lost = async {
        device.next().await;
        drop(device);
    };
    assert_eq!(tokio::join!(get(9), lost).0, Err(FetchError::Offline));
}
