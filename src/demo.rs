//! `provbroker demo`: demonstrates provisioning in a few seconds over real sockets, and checks each step.
//!
//! Starts a broker, a Users client and four simulated phones, and prints the observed events with their times. An
//! expected event that does not happen in time ends the demonstration with an error.

mod operator;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::app::Broker;
use crate::clock::Stopwatch;
use crate::config::{Category, Config, Domain, Role};
use crate::core::model::ids::{Code, DomainName, HardwareId, Secret};
use crate::core::protocol::script::encode::auto_provisioning_url;
use crate::core::session::app::client::{Login, Notice};
use crate::lifecycle::Shutdown;
use crate::random;
use crate::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use crate::sim::transport;
use crate::sim::users::{Users, UsersEvent, UsersOptions};

/// Time limit of each step.
const PATIENCE: Duration = Duration::from_secs(20);

/// The simulated phones use shorter times than real ones, so that the demonstration is fast.
const MINUTE: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_millis(300);

const CATEGORY: &str = "Desk phones";

/// Options of `provbroker demo`.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Store instead of an embedded one in a temporary folder.
    pub store: Option<String>,
}

/// Runs the demonstration.
pub fn run(options: DemoOptions) -> anyhow::Result<()> {
    actix_rt::System::new().block_on(demonstrate(options))
}

async fn demonstrate(options: DemoOptions) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("temporary folder")?;
    let tenant = Tenant::new();
    let config = config(&options, folder.path(), &tenant)?;
    let store = config.store.url.describe();
    let shutdown = Shutdown::new();
    let broker = Broker::start(config, shutdown.clone()).await?;
    let public = broker.public;
    let running = actix_rt::spawn(broker.finished());

    let mut log = StepLog { watch: Stopwatch::start(), steps: 0 };
    println!("A broker serves on http://{public}, with its store in {store}.");
    println!("It has one tenant, {}, with the category \"{CATEGORY}\".", tenant.name);
    let scene = Scene { base: format!("{public}/example.com/devices"), init: format!("http://{public}/init"), tenant };
    scene.with_users_online(&mut log).await?;
    scene.with_users_away(&mut log).await?;
    scene.without_code(&mut log).await?;
    scene.with_jobs(&mut log).await?;

    shutdown.drain();
    running.await.context("broker")??;
    println!("\nAll {} steps were observed on the wire.", log.steps);
    Ok(())
}

/// The tenant of this demonstration. Its random name keeps it apart from other tenants in the same store.
struct Tenant {
    name: DomainName,
    password: Secret,
    admin_password: Secret,
    token: Secret,
}

impl Tenant {
    fn new() -> Self {
        let name = format!("demo-{}.example", random::digits(8));
        // Digits and letters make a valid name.
        let name = DomainName::parse(&name).unwrap_or_else(|_| unreachable!("{name}"));
        let secret = || random::letters_and_digits(15);
        // With a character that must be encoded in the address.
        let token = Secret::new(format!("{}#1", secret().expose()));
        Self { name, password: secret(), admin_password: secret(), token }
    }
}

fn config(options: &DemoOptions, folder: &Path, tenant: &Tenant) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.server.roles = [Role::Directory, Role::Devices].into();
    config.server.public_url = "http://127.0.0.1:0".into();
    config.server.listen.set_port(0);
    config.server.ops_listen.set_port(0);
    let url = options.store.clone().unwrap_or_else(|| format!("embedded:{}", folder.join("demo.redb").display()));
    config.store.url = url.parse().map_err(|why| anyhow::anyhow!("--store: {why}"))?;
    config.accounts = Vec::new();
    config.domains = vec![Domain {
        name: tenant.name.clone(),
        password: tenant.password.clone(),
        admin_password: tenant.admin_password.clone(),
        auto_token: tenant.token.clone(),
        categories: vec![Category { name: CATEGORY.into(), provisioning: true }],
    }];
    Ok(config)
}

fn heading(number: u8, title: &str) {
    println!("\n{number}. {title}");
}

/// Prints the steps with their times, and counts them.
struct StepLog {
    watch: Stopwatch,
    steps: u32,
}

impl StepLog {
    fn print(&mut self, who: &str, what: &str) {
        self.steps += 1;
        println!("{:>9.3} s  {who:<9}{what}", self.watch.elapsed().as_secs_f64());
    }

    /// Waits for the event that `pick` selects, and prints it as a step.
    async fn expect<E, T>(
        &mut self,
        who: &str,
        events: &mut Receiver<E>,
        what: &str,
        mut pick: impl FnMut(E) -> Option<T>,
    ) -> anyhow::Result<T> {
        let find = async {
            while let Some(event) = events.recv().await {
                if let Some(found) = pick(event) {
                    return Some(found);
                }
            }
            None
        };
        match timeout(PATIENCE, find).await {
            Ok(Some(found)) => {
                self.print(who, what);
                Ok(found)
            }
            Ok(None) => bail!("{who} ended before this step: {what}"),
            Err(_) => bail!("not observed within {} s: {who} {what}", PATIENCE.as_secs()),
        }
    }
}

/// Selects events that match a pattern.
macro_rules! event {
    ($pattern:pat) => {
        |event| matches!(event, $pattern).then_some(())
    };
}

struct Scene {
    base: String,
    init: String,
    tenant: Tenant,
}

impl Scene {
    async fn with_users_online(&self, log: &mut StepLog) -> anyhow::Result<()> {
        heading(1, "A person adds a phone, and Users is online.");
        let (users, mut seen) = self.users(log).await?;
        let code = self.code(log, &users, "anna").await?;
        let (phone, mut events) = self.phone_with_code(log, code).await?;
        self.notice(log, &mut seen, code, &phone.0).await?;

        phone.1.kill_connection().await;
        log.expect("phone", &mut events, "has lost its connection and reconnects", event!(PhoneEvent::Connected(_)))
            .await?;
        let what = "answers the challenge with its stored password";
        log.expect("phone", &mut events, what, event!(PhoneEvent::ChallengeAnswered)).await?;
        log.expect("phone", &mut events, "is a member again", event!(PhoneEvent::Member(_))).await?;
        phone.1.stop().await;
        users.stop().await;
        Ok(())
    }

    async fn with_users_away(&self, log: &mut StepLog) -> anyhow::Result<()> {
        heading(
            2,
            "A person adds a phone, and Users is offline when the phone uses the code. The broker keeps the notice.",
        );
        let (users, _) = self.users(log).await?;
        let code = self.code(log, &users, "ben").await?;
        users.stop().await;
        log.print("Users", "disconnects");
        let (phone, _events) = self.phone_with_code(log, code).await?;
        let (users, mut seen) = self.users(log).await?;
        self.notice(log, &mut seen, code, &phone.0).await?;
        phone.1.stop().await;
        users.stop().await;
        Ok(())
    }

    async fn without_code(&self, log: &mut StepLog) -> anyhow::Result<()> {
        heading(3, "A phone has the address for automatic provisioning. Nobody types a code.");
        let base = format!("ws://{}/sysclients", self.base);
        let address = auto_provisioning_url(&base, self.tenant.name.as_str(), &self.tenant.token, CATEGORY);
        let mut options = phone_options()?;
        options.sysadmin = Some(address.expose().into());
        let (phone, mut events) = Phone::start(options, transport::http_client()?)?;
        self.enters(log, &mut events, false).await?;
        let random = log
            .expect("phone", &mut events, "receives a random administrative password", |event| match event {
                PhoneEvent::AdminPasswordReceived(password) => Some(password),
                _ => None,
            })
            .await?;
        ensure!(random != self.tenant.admin_password, "a phone without code received the password of the tenant");
        phone.stop().await;
        Ok(())
    }

    async fn users(&self, log: &mut StepLog) -> anyhow::Result<(Users, Receiver<UsersEvent>)> {
        let login = Login {
            app: "innovaphone-devices-api".into(),
            domain: self.tenant.name.as_str().into(),
            sip: "users".into(),
            guid: "".into(),
            dn: "Users".into(),
            password: self.tenant.password.clone(),
        };
        let url = format!("ws://{}/innovaphone-devices-api", self.base);
        let (users, mut events) = Users::start(UsersOptions::new(url, login));
        log.expect("Users", &mut events, "logs in to the broker", event!(UsersEvent::Ready(_))).await?;
        Ok((users, events))
    }

    async fn code(&self, log: &mut StepLog, users: &Users, sip: &str) -> anyhow::Result<Code> {
        let categories = users.categories(Some("PHONE")).await.context("categories")?;
        ensure!(categories.iter().any(|c| &*c.name == CATEGORY), "the category is not offered");
        log.print("Users", "receives the provisioning categories");
        let (code, _) = users.code(CATEGORY, Some(sip), false).await.context("code")?;
        // Printing the code is safe: it is useless when this process has ended.
        log.print("Users", &format!("requests a code for {sip}: {}", code.expose()));
        Ok(code)
    }

    /// Starts a factory-new phone and waits until it has entered with `code`.
    async fn phone_with_code(
        &self,
        log: &mut StepLog,
        code: Code,
    ) -> anyhow::Result<((HardwareId, Phone), Receiver<PhoneEvent>)> {
        let mut options = phone_options()?;
        options.init_url = Some(self.init.clone());
        let id = options.id.clone();
        let (phone, mut events) = Phone::start(options, transport::http_client()?)?;
        let asks = format!("{} is connected to the network and requests /init", id.as_str());
        log.expect("phone", &mut events, &asks, event!(PhoneEvent::ScriptAsked { code: false, .. })).await?;
        log.expect("phone", &mut events, "shows the form for the code", event!(PhoneEvent::FormShown)).await?;
        phone.type_code(code).await;
        let what = "gets the code typed in, and requests /init with it";
        log.expect("phone", &mut events, what, event!(PhoneEvent::ScriptAsked { code: true, .. })).await?;
        let what = "receives the address of its Devices service";
        log.expect("phone", &mut events, what, event!(PhoneEvent::AddressReceived(Some(_)))).await?;
        self.enters(log, &mut events, true).await?;
        let what = "receives a random administrative password, because the code was not made by an administrator";
        let received = log
            .expect("phone", &mut events, what, |event| match event {
                PhoneEvent::AdminPasswordReceived(password) => Some(password),
                _ => None,
            })
            .await?;
        ensure!(received != self.tenant.admin_password, "a phone of Users received the password of the tenant");
        Ok(((id, phone), events))
    }

    async fn enters(
        &self,
        log: &mut StepLog,
        events: &mut Receiver<PhoneEvent>,
        with_code: bool,
    ) -> anyhow::Result<()> {
        log.expect("phone", events, "connects to Devices", event!(PhoneEvent::Connected(_))).await?;
        let what = if with_code { "sends its identify with the code" } else { "sends its identify without a code" };
        let identified = |event| matches!(event, PhoneEvent::IdentifySent { code } if code == with_code).then_some(());
        log.expect("phone", events, what, identified).await?;
        let what = format!("has entered {} and stores its new device password", self.tenant.name);
        log.expect("phone", events, &what, event!(PhoneEvent::PasswordReceived(_))).await
    }

    async fn notice(
        &self,
        log: &mut StepLog,
        seen: &mut Receiver<UsersEvent>,
        code: Code,
        id: &HardwareId,
    ) -> anyhow::Result<String> {
        let what = format!("receives the notice: the code was used by {}", id.as_str());
        // Unsettled notices are sent again, so a notice of an earlier code may come first.
        let Notice { device, asked, .. } = log
            .expect("Users", seen, &what, |event| match event {
                UsersEvent::Notice(notice) => (notice.code == code).then_some(notice),
                _ => None,
            })
            .await?;
        ensure!(*device.hw_id == *id.as_str(), "the notice names another device");
        ensure!(!asked, "Users had to ask for the notice");
        Ok(device.version.into())
    }
}

fn phone_options() -> anyhow::Result<PhoneOptions> {
    let id = HardwareId::parse(&format!("009033{}", random::digits(6)))?;
    Ok(PhoneOptions { minute: MINUTE, reconnect: RECONNECT, restart: RECONNECT, ..PhoneOptions::new(id) })
}
