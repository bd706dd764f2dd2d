//! Keys of `[pages]`, `[pages.oidc]` and `[[accounts]]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::section::section;
use super::values::{Retired, humantime_text};
use crate::core::model::accounts::{AccountName, Identity, Role};
use crate::core::model::ids::{DomainName, Secret};

/// Delivered password of the sample accounts; accepted if only this machine reaches the service.
pub const DEFAULT_ACCOUNT_PASSWORD: &str = "change-me-too";

section! {
    /// `[pages]`
    Pages {
        /// Serve the pages below `/ui/`.
        enabled: bool = true,
        /// A session that is not used for this long ends.
        #[serde(with = "humantime_text")]
        session_idle: Duration = Duration::from_secs(2 * 3600),
        /// A session ends after this long at the latest.
        #[serde(with = "humantime_text")]
        session_max: Duration = Duration::from_secs(12 * 3600),
        /// Until 0.1: wrong passwords per account.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        attempts: Retired = Retired::default(),
        /// Requests to Devices that one person may cause within ten seconds.
        questions_per_person: u32 = 24,
        /// Listener for devices' own pages; port 0: a free port.
        device_listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        /// Address of that listener for browsers; empty: its own address, if browsers of the pages can reach it.
        device_url: String = String::new(),
        /// How long a device's own pages can be used after they were opened.
        #[serde(with = "humantime_text")]
        device_open: Duration = Duration::from_secs(10 * 60),
        /// Accounts of this installation may sign in.
        local_accounts: bool = true,
        /// Sign-in at an OpenID provider.
        oidc: Oidc = Oidc::default(),
    }
}

section! {
    /// `[pages.oidc]`
    Oidc {
        /// Issuer of the provider, exactly as in its metadata; empty: no provider.
        issuer: String = String::new(),
        /// Client id of this service at the provider.
        client_id: String = String::new(),
        /// Client secret; empty: a public client.
        client_secret: Secret = Secret::default(),
        /// Name of the provider on the button "Sign in with …"; empty: its host.
        name: String = String::new(),
        /// Scopes to request.
        scopes: Vec<String> = ["openid", "profile", "email"].map(String::from).to_vec(),
        /// Claim with the stable identifier of a user.
        account_claim: String = "sub".into(),
        /// Claim with the displayed name.
        name_claim: String = "name".into(),
        /// Claim with the SIP name.
        sip_claim: String = "preferred_username".into(),
        /// Domain of all users.
        domain: String = String::new(),
        /// Claim with the domain.
        domain_claim: String = String::new(),
        /// Take the domain from the e-mail address, if the provider has verified it.
        domain_of_email: bool = false,
        /// Claim with roles or groups; empty: all users are persons.
        role_claim: String = String::new(),
        /// Values that make a person; empty: all users without another role.
        persons: Vec<String> = Vec::new(),
        /// Values that make a roll-out administrator.
        rollout: Vec<String> = Vec::new(),
        /// Values that make an operator of the domain.
        operators: Vec<String> = Vec::new(),
        /// Values that make an operator of the whole instance.
        instance_operators: Vec<String> = Vec::new(),
        /// PEM file with certificates to trust in addition to the public ones; empty: none.
        authority: PathBuf = PathBuf::new(),
        /// Time limit of a request to the provider.
        #[serde(with = "humantime_text")]
        timeout: Duration = Duration::from_secs(10),
    }
}

impl Oidc {
    /// Whether a provider is configured.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }
}

/// `[[accounts]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name to sign in with.
    pub name: AccountName,
    /// Initial password.
    pub password: Secret,
    /// Role.
    pub role: Role,
    /// Domain; `None`: all domains, for operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// SIP name within the domain.
    #[serde(default)]
    pub sip: String,
    /// Displayed name; empty: the name to sign in with.
    #[serde(default)]
    pub shown: String,
}

impl Account {
    /// Identity of who signs in with it.
    pub fn identity(&self) -> Identity {
        let shown = if self.shown.is_empty() { self.name.as_str() } else { &self.shown };
        Identity {
            account: self.name.clone(),
            shown: shown.into(),
            role: self.role,
            domain: self.domain.clone(),
            domain_id: None,
            sip: self.sip.as_str().into(),
        }
    }
}

/// The sample accounts: one for each role.
pub(super) fn samples() -> Vec<Account> {
    let domain = DomainName::parse("example.com").ok();
    let sample = |name: &str, role, sip: &str, shown: &str, domain: Option<DomainName>| {
        let name = AccountName::parse(name).ok()?;
        let (password, sip, shown) = (Secret::new(DEFAULT_ACCOUNT_PASSWORD), sip.into(), shown.into());
        Some(Account { name, password, role, domain, sip, shown })
    };
    let samples = [
        sample("anna", Role::Person, "anna", "Anna Berg", domain.clone()),
        sample("admin", Role::Rollout, "admin", "Alex Administrator", domain),
        sample("operator", Role::Operator, "", "Olga Operator", None),
    ];
    samples.into_iter().flatten().collect()
}
