//! One registration through the core and the actors, to be counted in instructions: `make bench`.
//!
//! The node with its actors, the embedded store in a file, the WebSocket and the sessions are real; the sockets are
//! pipes in memory, and one thread does everything, so that two runs count nearly the same. Accepting and HTTP are
//! not counted; the device is, it computes the same digests.
//!
//! `registration N` registers N times and prints no times. The cost of one registration is the difference between two
//! runs, divided by the difference of their numbers (`benches/count.py`).

// A benchmark fails at the first unexpected result.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use provbroker::app::Broker;
use provbroker::config::{Category, Config, Domain, Role};
use provbroker::connection::handle::ConnectionHandle;
use provbroker::connection::socket::{Opening, run};
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{DomainName, HardwareId, Secret};
use provbroker::core::policy::limits::SourceKey;
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode};
use provbroker::core::protocol::sysclient::auth::device_digest;
use provbroker::core::protocol::sysclient::frame::{FromDevice, FromServer, decode_from_server};
use provbroker::core::session::device::query::Query;
use provbroker::device::actor::DeviceActor;
use provbroker::lifecycle::Shutdown;
use provbroker::metrics::Peer;
use provbroker::node::Node;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DEVICES: usize = 10;
const QUERY: &str = "domain=example.com&token=token&category=phones";

/// Size of a pipe in bytes; more than any message here.
const PIPE: usize = 4096;

struct Device {
    identify: Identify,
    password: Secret,
}

impl Device {
    fn new(number: usize) -> Self {
        let text = |text: &str| -> Box<str> { text.into() };
        let facts = Facts {
            product: text("IP112"),
            version: text("13r3 sr9 [13.6012/136012/300]"),
            platform: text("PHONE"),
            fw_build: Some(text("136012")),
            bc_build: Some(text("136012")),
            major: Some(text("13r3")),
            fw: Some(text("ip112.bin")),
            bc: Some(text("boot112.bin")),
            ..Facts::default()
        };
        let id = HardwareId::parse(&format!("00903341{number:04x}")).unwrap();
        let identify = Identify { id, facts, code: OfferedCode::None, digest: None };
        Self { identify, password: Secret::default() }
    }

    /// Becomes a member and disconnects.
    async fn register(&mut self, node: &Arc<Node>) {
        let (mut pipe, far) = duplex(PIPE);
        let source = SourceKey::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let slot = node.connections().admit(Peer::Device, source).expect("a place");
        let (conn, bounds) = (slot.conn, node.devices().bounds);
        let line = ConnectionHandle::with_slot(bounds.longest, slot);
        let phone = DeviceActor::new(Arc::clone(node.devices()), conn, source, Query::read(QUERY), line.clone());
        let connection = actix_rt::spawn(run(far, Opening::default(), phone, line, bounds));
        self.identify.digest = None;
        self.send(&mut pipe).await;
        loop {
            match decode_from_server(&receive(&mut pipe).await.into()).unwrap() {
                FromServer::Password(password) => self.password = password,
                FromServer::Challenge(challenge) => {
                    let Facts { product, version, .. } = &self.identify.facts;
                    let id = self.identify.id.as_str();
                    self.identify.digest = Some(device_digest(id, product, version, &challenge, &self.password).into());
                    self.send(&mut pipe).await;
                }
                // The last message: after automatic provisioning one is always sent.
                FromServer::AdminPassword { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        drop(pipe);
        connection.await.unwrap();
    }

    /// Sends its identify in one frame with a mask of zeros.
    async fn send(&self, pipe: &mut DuplexStream) {
        let message = FromDevice::Identify(Box::new(self.identify.clone())).encode();
        let mut frame = vec![0x82, 0xfe];
        frame.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(message);
        pipe.write_all(&frame).await.unwrap();
    }
}

async fn receive(pipe: &mut DuplexStream) -> Vec<u8> {
    let mut head = [0; 2];
    pipe.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], 0x82, "a binary message in one frame");
    let length = match head[1] {
        126 => usize::from(pipe.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut message = vec![0; length];
    pipe.read_exact(&mut message).await.unwrap();
    message
}

fn config(folder: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.server.roles = [Role::Directory, Role::Devices].into();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.server.listen, config.server.ops_listen) = (free, free);
    config.server.workers = 1;
    config.store.url = format!("embedded:{}", folder.join("store.redb").display()).parse().unwrap();
    // Instrumentation slows everything down.
    config.store.deadline = std::time::Duration::from_secs(30);
    config.domains = vec![Domain {
        name: DomainName::parse("example.com").unwrap(),
        password: Secret::new("password"),
        admin_password: Secret::default(),
        auto_token: Secret::new("token"),
        categories: vec![Category { name: "phones".into(), provisioning: true }],
    }];
    config
}

fn main() {
    // The benchmark runner adds arguments of its own.
    let times: usize = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100);
    let folder = tempfile::tempdir().unwrap();
    actix_rt::System::new().block_on(async {
        let broker = Broker::start(config(folder.path()), Shutdown::new()).await.unwrap();
        let mut devices: Vec<_> = (0..DEVICES).map(Device::new).collect();
        for device in &mut devices {
            // The first registration enters and proves the new password.
            device.register(broker.node()).await;
            device.register(broker.node()).await;
        }
        for number in 0..times {
            devices[number % DEVICES].register(broker.node()).await;
        }
        println!("{times} registrations");
    });
}
