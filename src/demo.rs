//! `provbroker demo`: the whole story in a few seconds, over real sockets, each step checked.
//!
//! Starts a broker, a Users client and four simulated phones, and prints what was seen on the wire as a timeline. A step that
//! is not seen in time ends the demonstration with an error.

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

/// Every step has to be seen within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// The simulated phones are more impatient than true ones, so that nobody has to wait.
const MINUTE: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_millis(300);

const CATEGORY: &str = "Desk phones";

/// Options of `provbroker demo`.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Store instead of an embedded one in a temporary folder.
    pub store: Option<String>,
}

/// Plays the demonstration.
pub fn run(options: DemoOptions) -> anyhow::Result<()> {
    actix_rt::System::new().block_on(play(options))
}

async fn play(options: DemoOptions) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("temporary folder")?;
    let tenant = Tenant::new();
    let config = config(&options, folder.path(), &tenant)?;
    let place = config.store.url.describe();
    let shutdown = Shutdown::new();
    let broker = Broker::start(config, shutdown.clone()).await?;
    let public = broker.public;
    let running = actix_rt::spawn(broker.finished());

    let mut story = DemoRun { watch: Stopwatch::start(), steps: 0 };
    println!("A broker serves on http://{public}, with its store in {place}.");
    println!("It has one tenant, {}, with the category \"{CATEGORY}\".", tenant.name);
    let stage = Stage { base: format!("{public}/example.com/devices"), init: format!("http://{public}/init"), tenant };
    stage.with_users_online(&mut story).await?;
    stage.with_users_away(&mut story).await?;
    stage.without_code(&mut story).await?;
    stage.with_jobs(&mut story).await?;

    shutdown.drain();
    running.await.context("broker")??;
    println!("\nAll {} steps were seen on the wire.", story.steps);
    Ok(())
}

/// The tenant of this demonstration. It has a name of its own, so that a store that is used otherwise is not disturbed.
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
        // With a character that has to be encoded on its way through the address.
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

fn chapter(number: u8, title: &str) {
    println!("\n{number}. {title}");
}

/// The timeline.
struct DemoRun {
    watch: Stopwatch,
    steps: u32,
}

impl DemoRun {
    fn tell(&mut self, who: &str, what: &str) {
        self.steps += 1;
        println!("{:>9.3} s  {who:<9}{what}", self.watch.elapsed().as_secs_f64());
    }

    /// Waits until `pick` finds what it looks for among the events, and tells it.
    async fn see<E, T>(
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
                self.tell(who, what);
                Ok(found)
            }
            Ok(None) => bail!("{who} ended before this was seen: {what}"),
            Err(_) => bail!("not seen within {} s: {who} {what}", PATIENCE.as_secs()),
        }
    }
}

/// One event of a phone, without its details.
macro_rules! is {
    ($pattern:pat) => {
        |event| matches!(event, $pattern).then_some(())
    };
}

struct Stage {
    base: String,
    init: String,
    tenant: Tenant,
}

impl Stage {
    async fn with_users_online(&self, story: &mut DemoRun) -> anyhow::Result<()> {
        chapter(1, "A person adds a phone, and Users is online.");
        let (users, mut seen) = self.users(story).await?;
        let code = self.code(story, &users, "anna").await?;
        let (phone, mut events) = self.phone_with_code(story, code).await?;
        self.notice(story, &mut seen, code, &phone.0).await?;

        phone.1.kill_connection().await;
        story
            .see("phone", &mut events, "lost its connection and is connected again", is!(PhoneEvent::Connected(_)))
            .await?;
        let what = "is challenged and proves who it is with the password that it kept";
        story.see("phone", &mut events, what, is!(PhoneEvent::ChallengeAnswered)).await?;
        story.see("phone", &mut events, "is a member again", is!(PhoneEvent::Member(_))).await?;
        phone.1.stop().await;
        users.stop().await;
        Ok(())
    }

    async fn with_users_away(&self, story: &mut DemoRun) -> anyhow::Result<()> {
        chapter(
            2,
            "A person adds a phone, and Users is away when the phone takes the code. The broker keeps the notice.",
        );
        let (users, _) = self.users(story).await?;
        let code = self.code(story, &users, "ben").await?;
        users.stop().await;
        story.tell("Users", "goes away");
        let (phone, _events) = self.phone_with_code(story, code).await?;
        let (users, mut seen) = self.users(story).await?;
        self.notice(story, &mut seen, code, &phone.0).await?;
        phone.1.stop().await;
        users.stop().await;
        Ok(())
    }

    async fn without_code(&self, story: &mut DemoRun) -> anyhow::Result<()> {
        chapter(3, "A phone was delivered with the address for automatic provisioning. Nobody types anything.");
        let base = format!("ws://{}/sysclients", self.base);
        let address = auto_provisioning_url(&base, self.tenant.name.as_str(), &self.tenant.token, CATEGORY);
        let mut options = phone_options()?;
        options.sysadmin = Some(address.expose().into());
        let (phone, mut events) = Phone::start(options, transport::http_client()?)?;
        self.enters(story, &mut events, false).await?;
        let random = story
            .see("phone", &mut events, "is handed a random administrative password of its own", |event| match event {
                PhoneEvent::AdminPasswordReceived(password) => Some(password),
                _ => None,
            })
            .await?;
        ensure!(random != self.tenant.admin_password, "the password of the tenant went to a phone without code");
        phone.stop().await;
        Ok(())
    }

    async fn users(&self, story: &mut DemoRun) -> anyhow::Result<(Users, Receiver<UsersEvent>)> {
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
        story.see("Users", &mut events, "logs in to the broker", is!(UsersEvent::Ready(_))).await?;
        Ok((users, events))
    }

    async fn code(&self, story: &mut DemoRun, users: &Users, sip: &str) -> anyhow::Result<Code> {
        let categories = users.categories(Some("PHONE")).await.context("categories")?;
        ensure!(categories.iter().any(|c| &*c.name == CATEGORY), "the category is not offered");
        story.tell("Users", "is told the provisioning categories");
        let (code, _) = users.code(CATEGORY, Some(sip), false).await.context("code")?;
        // It is worth nothing any more when this process has ended.
        story.tell("Users", &format!("asks for a code for {sip}: {}", code.expose()));
        Ok(code)
    }

    /// A phone fresh from the box, until it has entered with `code`.
    async fn phone_with_code(
        &self,
        story: &mut DemoRun,
        code: Code,
    ) -> anyhow::Result<((HardwareId, Phone), Receiver<PhoneEvent>)> {
        let mut options = phone_options()?;
        options.init_url = Some(self.init.clone());
        let id = options.id.clone();
        let (phone, mut events) = Phone::start(options, transport::http_client()?)?;
        let asks = format!("{} is connected to the network and asks /init", id.as_str());
        story.see("phone", &mut events, &asks, is!(PhoneEvent::ScriptAsked { code: false, .. })).await?;
        story.see("phone", &mut events, "shows the form for the code", is!(PhoneEvent::FormShown)).await?;
        phone.type_code(code).await;
        let what = "is given the code, and asks /init with it";
        story.see("phone", &mut events, what, is!(PhoneEvent::ScriptAsked { code: true, .. })).await?;
        let what = "is told the address of its Devices service";
        story.see("phone", &mut events, what, is!(PhoneEvent::AddressReceived(Some(_)))).await?;
        self.enters(story, &mut events, true).await?;
        let what = "is handed the administrative password of the tenant";
        let handed = story
            .see("phone", &mut events, what, |event| match event {
                PhoneEvent::AdminPasswordReceived(password) => Some(password),
                _ => None,
            })
            .await?;
        ensure!(handed == self.tenant.admin_password, "the administrative password is not that of the tenant");
        Ok(((id, phone), events))
    }

    async fn enters(
        &self,
        story: &mut DemoRun,
        events: &mut Receiver<PhoneEvent>,
        with_code: bool,
    ) -> anyhow::Result<()> {
        story.see("phone", events, "connects to Devices", is!(PhoneEvent::Connected(_))).await?;
        let what = if with_code { "identifies itself and shows the code" } else { "identifies itself, without a code" };
        let identified = |event| matches!(event, PhoneEvent::IdentifySent { code } if code == with_code).then_some(());
        story.see("phone", events, what, identified).await?;
        let what = format!("has entered {} and keeps its new device password", self.tenant.name);
        story.see("phone", events, &what, is!(PhoneEvent::PasswordReceived(_))).await
    }

    async fn notice(
        &self,
        story: &mut DemoRun,
        seen: &mut Receiver<UsersEvent>,
        code: Code,
        id: &HardwareId,
    ) -> anyhow::Result<String> {
        let what = format!("is told: this code was taken by {}", id.as_str());
        // A notice that was not settled comes again, so that of an earlier code may come before.
        let Notice { device, asked, .. } = story
            .see("Users", seen, &what, |event| match event {
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
