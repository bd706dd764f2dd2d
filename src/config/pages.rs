//! The keys of the pages and of the accounts that may use them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::section::section;
use super::values::humantime_text;
use crate::core::model::accounts::{AccountName, Identity, Role};
use crate::core::model::ids::{DomainName, Secret};

/// Password of the sample accounts as they are delivered; it serves on loopback only.
pub const DEFAULT_ACCOUNT_PASSWORD: &str = "change-me-too";

section! {
    /// `[pages]`
    Pages {
        /// Pages for people are served below `/ui/`.
        enabled: bool = true,
        /// A session that is not used for this long ends.
        #[serde(with = "humantime_text")]
        session_idle: Duration = Duration::from_secs(2 * 3600),
        /// A session ends after this long at the latest.
        #[serde(with = "humantime_text")]
        session_max: Duration = Duration::from_secs(12 * 3600),
        /// Wrong passwords per account.
        attempts: u32 = 10,
        /// Questions to Devices that one person may cause within ten seconds.
        questions_per_person: u32 = 24,
        /// Listener for devices' own pages; port 0: one that is free.
        device_listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        /// Where browsers find it; empty: at its own address, but not on this machine alone if the pages are elsewhere.
        device_url: String = String::new(),
        /// A device's own pages, once opened, are open for this long.
        #[serde(with = "humantime_text")]
        device_open: Duration = Duration::from_secs(10 * 60),
        /// Accounts of this installation may sign in.
        local_accounts: bool = true,
        /// Signing in at an OpenID provider.
        oidc: Oidc = Oidc::default(),
    }
}

section! {
    /// `[pages.oidc]`
    Oidc {
        /// Address of the provider as it calls itself; empty: none.
        issuer: String = String::new(),
        /// Who this service is there.
        client_id: String = String::new(),
        /// What proves it; empty: a public client.
        client_secret: Secret = Secret::default(),
        /// What the button says behind "Sign in with"; empty: the host of the provider.
        name: String = String::new(),
        /// What is asked for.
        scopes: Vec<String> = ["openid", "profile", "email"].map(String::from).to_vec(),
        /// Claim that tells users apart.
        account_claim: String = "sub".into(),
        /// Claim with the name that is shown.
        name_claim: String = "name".into(),
        /// Claim with the SIP name.
        sip_claim: String = "preferred_username".into(),
        /// The domain of everybody.
        domain: String = String::new(),
        /// Claim with the domain.
        domain_claim: String = String::new(),
        /// The domain is that of the e-mail address, if the provider has verified it.
        domain_of_email: bool = false,
        /// Claim with roles or groups; empty: everybody is a person.
        role_claim: String = String::new(),
        /// Values that make a person; empty: everybody is one.
        persons: Vec<String> = Vec::new(),
        /// Values that make a roll-out administrator.
        rollout: Vec<String> = Vec::new(),
        /// Values that make an operator of the domain.
        operators: Vec<String> = Vec::new(),
        /// Values that make an operator of the whole instance.
        instance_operators: Vec<String> = Vec::new(),
        /// PEM file with certificates that are trusted besides the public ones; empty: none.
        authority: PathBuf = PathBuf::new(),
        /// Longest wait for an answer of the provider.
        #[serde(with = "humantime_text")]
        timeout: Duration = Duration::from_secs(10),
    }
}

impl Oidc {
    /// Whether there is a provider.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }
}

/// `[[accounts]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What is signed in with.
    pub name: AccountName,
    /// The password at first.
    pub password: Secret,
    /// What it may do.
    pub role: Role,
    /// In which domain; `None`: in all, for operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// SIP name within the domain.
    #[serde(default)]
    pub sip: String,
    /// The name that is shown; empty: that which is signed in with.
    #[serde(default)]
    pub shown: String,
}

impl Account {
    /// Who signs in by it.
    pub fn identity(&self) -> Identity {
        let shown = if self.shown.is_empty() { self.name.as_str() } else { &self.shown };
        Identity {
            account: self.name.clone(),
            shown: shown.into(),
            role: self.role,
            domain: self.domain.clone(),
            sip: self.sip.as_str().into(),
        }
    }
}

/// One of each role.
pub(super) fn samples() -> Vec<Account> {
    let domain = DomainName::parse("example.com").ok();
    let of = |name: &str, role, sip: &str, shown: &str, domain: Option<DomainName>| {
        let name = AccountName::parse(name).ok()?;
        let (password, sip, shown) = (Secret::new(DEFAULT_ACCOUNT_PASSWORD), sip.into(), shown.into());
        Some(Account { name, password, role, domain, sip, shown })
    };
    let samples = [
        of("anna", Role::Person, "anna", "Anna Berg", domain.clone()),
        of("admin", Role::Rollout, "admin", "Alex Administrator", domain),
        of("operator", Role::Operator, "", "Olga Operator", None),
    ];
    samples.into_iter().flatten().collect()
}
