//! What every check is given: the server, what is known of it, and makers of devices, apps and codes.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::app::{App, Login};
use super::crypto::hex;
use super::device::{Device, phone, with};
use super::finding::{Findings, Step, Transcript, Unexpected, ensure};
use super::target::{PATIENCE, Target, random};

/// Where the server is and what may be known of it.
#[derive(Args)]
pub struct Given {
    #[arg(
        long,
        help = "Address of the Devices instance, such as wss://HOST/DOMAIN/devices",
        required_unless_present = "list"
    )]
    pub url: Option<String>,
    /// Domain inside Devices in which devices and codes are made
    #[arg(long, required_unless_present = "list")]
    pub domain: Option<String>,
    /// Password of that domain
    #[arg(long, env = "CONFORMANCE_PASSWORD", hide_env_values = true, required_unless_present = "list")]
    pub password: Option<String>,
    /// Category for provisioning [default: the first one for phones]
    #[arg(long)]
    pub category: Option<String>,
    /// Token of automatic provisioning of that domain
    #[arg(long, env = "CONFORMANCE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    #[arg(
        long,
        help = "Address that phones ask, such as http://HOST/init; the code of Devices must be known there",
        value_name = "URL"
    )]
    pub init_url: Option<String>,
    /// A second domain of the same server
    #[arg(long, requires = "other_password")]
    pub other_domain: Option<String>,
    /// Password of the second domain
    #[arg(long, env = "CONFORMANCE_OTHER_PASSWORD", hide_env_values = true)]
    pub other_password: Option<String>,
    /// App name of the log-ins
    #[arg(long, default_value = "innovaphone-devices")]
    pub app: String,
    /// First six digits of the MAC addresses of the devices
    #[arg(long, default_value = "02c0de", value_parser = oui)]
    pub oui: String,
    /// PEM file with the certificates to trust
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Accept every certificate
    #[arg(long, conflicts_with = "tls_ca")]
    pub insecure: bool,
}

fn oui(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(digits.to_ascii_lowercase())
    } else {
        Err("six hex digits, please".into())
    }
}

/// What a check needs beyond address, domain and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A token of automatic provisioning.
    Token,
    /// The address that phones ask.
    InitUrl,
    /// A second domain.
    OtherDomain,
}

/// The server under test.
pub struct Kit {
    /// The instance.
    pub target: Target,
    /// The address that phones ask.
    pub init: Option<Target>,
    /// The domain.
    pub domain: String,
    /// Its password.
    pub password: String,
    /// Category for provisioning.
    pub category: String,
    /// Number of the domain.
    pub domain_id: Value,
    /// Whether the domain hands out its administrative password.
    pub deploys: bool,
    /// Token of automatic provisioning.
    pub token: Option<String>,
    other: Option<(String, String)>,
    app: String,
    oui: String,
    run: String,
    ids: Cell<u8>,
    texts: Cell<u32>,
    /// The devices that have been made.
    pub made: RefCell<Vec<String>>,
}

impl Kit {
    /// Looks at the server. An error means that nothing can be judged.
    pub async fn new(given: &Given) -> anyhow::Result<Self> {
        let parse = |url: &str| Target::parse(url, given.tls_ca.as_deref(), given.insecure);
        let mut kit = Self {
            target: parse(given.url.as_deref().context("--url is missing")?)?,
            init: given.init_url.as_deref().map(parse).transpose()?,
            domain: given.domain.clone().context("--domain is missing")?,
            password: given.password.clone().context("--password is missing")?,
            category: String::new(),
            domain_id: Value::Null,
            deploys: false,
            token: given.token.clone(),
            other: given.other_domain.clone().zip(given.other_password.clone()),
            app: given.app.clone(),
            oui: given.oui.clone(),
            run: hex(&random::<2>()?),
            ids: Cell::default(),
            texts: Cell::default(),
            made: RefCell::default(),
        };
        kit.look(given.category.as_deref()).await.map_err(|what| anyhow::anyhow!("{what}"))?;
        Ok(kit)
    }

    async fn look(&mut self, category: Option<&str>) -> Step {
        let log = Transcript::default();
        let mut app = self.app(&log).await?;
        let asked = json!({"mt": "GetProvisioningCategories", "type": "PHONE"});
        let mut categories = app.list(asked, "categories").await?;
        if categories.is_empty() {
            categories = app.list(json!({"mt": "GetProvisioningCategories"}), "categories").await?;
        }
        let named = |name: &str| categories.iter().find(|its| its["name"] == name);
        let found = match category {
            Some(name) => named(name).ok_or_else(|| Unexpected(format!("no category {name} for provisioning")))?,
            None => categories.first().ok_or("the domain has no category for provisioning")?,
        };
        found["name"].as_str().unwrap_or_default().clone_into(&mut self.category);
        self.domain_id = found["domainId"].clone();
        let domains = app.list(json!({"mt": "GetDomains"}), "domains").await?;
        let domain = domains.iter().find(|its| its["id"] == self.domain_id);
        self.deploys = domain.is_some_and(|its| its["deployAdminPasswords"] == true);
        Ok(())
    }

    /// Why something that a check needs is missing.
    pub fn missing(&self, need: Need) -> Option<&'static str> {
        let (there, reason) = match need {
            Need::Token => (self.token.is_some(), "needs --token"),
            Need::InitUrl => (self.init.is_some(), "needs --init-url"),
            Need::OtherDomain => (self.other.is_some(), "needs --other-domain"),
        };
        (!there).then_some(reason)
    }

    /// A hardware identifier that nobody has.
    pub fn id(&self) -> String {
        let number = self.ids.get();
        // There are far fewer than 256 devices in a run.
        self.ids.set(number.wrapping_add(1));
        let id = format!("{}{}{number:02x}", self.oui, self.run);
        self.made.borrow_mut().push(id.clone());
        id
    }

    /// A text that no other run has.
    pub fn unique(&self, what: &str) -> String {
        let number = self.texts.get();
        self.texts.set(number.wrapping_add(1));
        format!("{what}-{}-{number}", self.run)
    }

    /// The right log-in, under a name of its own: notices of other checks are not for it.
    pub fn login(&self) -> Login {
        Login {
            app: self.app.clone(),
            domain: self.domain.clone(),
            sip: self.unique("conformance"),
            info: None,
            password: self.password.clone(),
        }
    }

    /// A connection of an app that has not logged in.
    pub async fn stranger(&self, log: &Transcript) -> Step<App> {
        App::open(&self.target, log, &self.target.path).await
    }

    /// A logged-in app.
    pub async fn app(&self, log: &Transcript) -> Step<App> {
        self.app_with(log, &self.login()).await
    }

    /// An app with this log-in.
    pub async fn app_with(&self, log: &Transcript, login: &Login) -> Step<App> {
        let mut app = self.stranger(log).await?;
        let (_, result) = app.try_login(login).await?;
        ensure(result["ok"] == true, || format!("the log-in is refused: {result}"))?;
        Ok(app)
    }

    /// An app of the second domain.
    pub async fn other_app(&self, log: &Transcript) -> Step<App> {
        let (domain, password) = self.other.clone().ok_or("no second domain")?;
        self.app_with(log, &Login { domain, password, ..self.login() }).await
    }

    /// A code.
    pub async fn code(&self, app: &mut App) -> Step<String> {
        self.code_with(app, json!({})).await
    }

    /// A code that was asked for with further members.
    pub async fn code_with(&self, app: &mut App, members: Value) -> Step<String> {
        let asked = with(json!({"mt": "GetProvisioningCode", "category": self.category}), members);
        let answer = app.request(asked).await?;
        Ok(answer["code"].as_str().ok_or_else(|| Unexpected(format!("no code: {answer}")))?.to_owned())
    }

    /// A new phone that has entered with a code: its identify, connection and password.
    pub async fn enter(&self, app: &mut App, log: &Transcript) -> Step<Member> {
        let identify = phone(&self.id());
        self.enter_as(app, log, identify).await
    }

    /// The same with this identify.
    pub async fn enter_as(&self, app: &mut App, log: &Transcript, identify: Value) -> Step<Member> {
        let code = self.code(app).await?;
        let mut device =
            Device::identified(&self.target, log, &with(identify.clone(), json!({"provisioningCode": code}))).await?;
        let password = device.expect_password().await?;
        Ok(Member { identify, device, password, code })
    }

    /// A member whose work is done and whose notice has come.
    pub async fn settled(&self, app: &mut App, log: &Transcript, identify: Value) -> Step<Member> {
        let mut member = self.enter_as(app, log, identify).await?;
        let code = member.code.clone();
        alongside(&mut member.device, app.notice("DeviceProvisioned", |notice| notice["code"] == code.as_str()))
            .await?;
        Ok(member)
    }

    /// The session key of an app.
    pub async fn key(&self, app: &mut App) -> Step<String> {
        let answer = app.request(json!({"mt": "GetLoginInfo"})).await?;
        Ok(answer["key"].as_str().ok_or("GetLoginInfoResult without a key")?.to_owned())
    }
}

/// A device that has entered.
pub struct Member {
    /// Its identify, without code and digest.
    pub identify: Value,
    /// Its connection.
    pub device: Device,
    /// Its password.
    pub password: String,
    /// The code it has entered with.
    pub code: String,
}

impl Member {
    /// Its hardware identifier.
    pub fn id(&self) -> &str {
        self.identify["id"].as_str().unwrap_or_default()
    }
}

/// Waits for something while the device carries out what it is told.
pub async fn alongside<T>(device: &mut Device, what: impl Future<Output = Step<T>>) -> Step<T> {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            biased;
            result = &mut what => return result,
            message = device.next(PATIENCE + Duration::from_secs(5)) => {
                message?;
            }
        }
    }
}

/// A check of some rules.
pub struct Check {
    /// The rules that it judges.
    pub rules: &'static [&'static str],
    /// What it needs.
    pub needs: &'static [Need],
    /// The check itself.
    pub run: for<'a> fn(&'a Kit, &'a mut Findings) -> futures_util::future::LocalBoxFuture<'a, Step>,
}

/// A check, with what it needs.
macro_rules! check {
    ($function:ident, $rules:expr) => {
        check!($function, $rules, [])
    };
    ($function:ident, $rules:expr, $needs:expr) => {
        $crate::conformance::kit::Check {
            rules: &$rules,
            needs: &$needs,
            run: |kit, findings| Box::pin($function(kit, findings)),
        }
    };
}
pub(super) use check;
