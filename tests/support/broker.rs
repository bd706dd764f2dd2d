//! A whole broker in this process, in a thread of its own and on free ports of the loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use provbroker::admission::controller::AdmissionController;
use provbroker::config::{Category, Config, Domain, Role};
use provbroker::core::model::ids::{DomainName, Secret};
use provbroker::lifecycle::Shutdown;
use provbroker::store::Store;
use provbroker::users_role::UsersRole;
use tempfile::TempDir;

use super::redis_server::RedisServer;
use super::secrets;

/// Path of the instance.
pub const INSTANCE: &str = "/example.com/devices";
/// The domain that most tests use: it has an administrative password, a token and two categories.
pub const DOMAIN: &str = "example.com";
pub const PASSWORD: &str = "password-of-example-com";
pub const ADMIN_PASSWORD: &str = "administrative of example";
pub const TOKEN: &str = "token#of-example+com";
/// Query of automatic provisioning into that domain; the `+` is a plus sign.
pub const QUERY: &str = "domain=Example.com&token=token%23of-example+com&category=Desk%20phones";
pub const CATEGORY: &str = "Desk phones";
/// A category of it that is not marked for provisioning.
pub const STORAGE: &str = "Storage room";
/// A domain with neither administrative password nor token.
pub const OTHER: &str = "other.example";
pub const OTHER_PASSWORD: &str = "password-of-other-example";
pub const INSTANCE_PASSWORD: &str = "password-of-the-instance";

/// Where a broker keeps what it remembers; goes away with this.
pub enum Keep {
    Embedded(TempDir),
    Redis(RedisServer),
}

impl Keep {
    /// The store of a broker; deleted when dropped.
    pub fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    /// A `redis-server` of its own.
    pub fn redis() -> Self {
        Self::Redis(RedisServer::start(&[]))
    }

    /// Waits until nobody has the file open: threads of a stopped broker may still be ending.
    pub fn wait_until_free(&self) {
        let Self::Embedded(dir) = self else { return };
        let Ok(file) = std::fs::File::open(dir.path().join("store.redb")) else { return };
        file.lock().unwrap();
        file.unlock().unwrap();
    }

    /// Value of `store.url`.
    pub fn url(&self) -> String {
        match self {
            Self::Embedded(dir) => format!("embedded:{}", dir.path().join("store.redb").display()),
            Self::Redis(server) => server.url(),
        }
    }
}

/// A configuration on free ports with the domains above.
pub fn config(store_url: &str) -> Config {
    let category = |name: &str, provisioning| Category { name: name.into(), provisioning };
    let domain = |name, password, admin_password, auto_token, categories| Domain {
        name: DomainName::parse(name).unwrap(),
        password: Secret::new(password),
        admin_password: Secret::new(admin_password),
        auto_token: Secret::new(auto_token),
        categories,
    };
    let mut config = Config::default();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.server.listen, config.server.ops_listen) = (free, free);
    config.server.public_url = format!("http://{free}");
    config.server.workers = 1;
    // Our own Users role would take the notices that these tests expect.
    config.server.roles = [Role::Directory, Role::Devices].into();
    config.store.url = store_url.parse().unwrap();
    config.instance.password = Secret::new(INSTANCE_PASSWORD);
    config.domains = vec![
        domain(DOMAIN, PASSWORD, ADMIN_PASSWORD, TOKEN, vec![category(CATEGORY, true), category(STORAGE, false)]),
        domain(OTHER, OTHER_PASSWORD, "", "", vec![category(CATEGORY, true)]),
    ];
    // Hashing passwords takes time, and most tests need no pages.
    config.accounts = Vec::new();
    // Many tests run at once on two cores; slowness is not tested here.
    config.store.deadline = std::time::Duration::from_secs(2);
    config.lifecycle.drain_wait = std::time::Duration::ZERO;
    for secret in [PASSWORD, ADMIN_PASSWORD, TOKEN, "token%23of-example", OTHER_PASSWORD, INSTANCE_PASSWORD] {
        secrets::note(secret);
    }
    config
}

/// A running broker; stopped when dropped.
pub struct Broker {
    /// The public listener.
    pub addr: SocketAddr,
    /// The operations listener.
    pub ops: SocketAddr,
    shutdown: Shutdown,
    store: Option<Arc<dyn Store>>,
    admission: Arc<AdmissionController>,
    people: Option<Arc<UsersRole>>,
    thread: Option<JoinHandle<()>>,
    log_from: usize,
}

impl Broker {
    /// Starts a broker and waits until it serves.
    pub fn start(config: Config) -> Self {
        secrets::listen();
        let log_from = secrets::log_length();
        let (tell, told) = mpsc::channel();
        let shutdown = Shutdown::new();
        let its = shutdown.clone();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let broker = provbroker::app::Broker::start(config, its).await.expect("the broker starts");
                let node = broker.node();
                let parts = (Arc::clone(node.store()), Arc::clone(node.admission()), broker.users_role().cloned());
                tell.send((broker.public, broker.ops, parts)).unwrap();
                broker.finished().await.expect("the broker ends well");
            });
        });
        let Ok((addr, ops, (store, admission, people))) = told.recv() else {
            std::panic::resume_unwind(thread.join().expect_err("it has told nothing"));
        };
        Self { addr, ops, shutdown, store: Some(store), admission, people, thread: Some(thread), log_from }
    }

    /// A broker on `keep` with a changed configuration.
    pub fn on(keep: &Keep, change: impl FnOnce(&mut Config)) -> Self {
        keep.wait_until_free();
        let mut config = config(&keep.url());
        change(&mut config);
        Self::start(config)
    }

    /// Its store, to check what the protocols do not show.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().expect("there until the drop")
    }

    /// Its admission control, for taking places away.
    pub fn admission(&self) -> &AdmissionController {
        &self.admission
    }

    /// Its Users role.
    pub fn people(&self) -> &Arc<UsersRole> {
        self.people.as_ref().expect("this broker plays the Users role")
    }

    /// Starts draining, as SIGTERM does.
    pub fn drain(&self) {
        self.shutdown.drain();
    }

    /// Stops it and waits for its end.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shutdown.drain();
        self.store = None;
        self.people = None;
        let ended = self.thread.take().expect("dropped once").join();
        if !std::thread::panicking() {
            ended.expect("the thread of the broker ends well");
            secrets::none_in_log(self.log_from);
        }
    }
}

/// Runs an asynchronous test on this thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Runs a test against a broker on `keep`.
pub fn with_broker(keep: &Keep, change: impl FnOnce(&mut provbroker::config::Config), test: impl AsyncFnOnce(&Broker)) {
    let broker = Broker::on(keep, change);
    run(test(&broker));
}
