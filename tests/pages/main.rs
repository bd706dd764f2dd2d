//! The pages as a browser without a script sees them: over real sockets, on an embedded store and on a real `redis-server`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod browser;
mod ended;
mod entries;
mod many;
mod offline_guess;
mod oidc;
mod oidc_refused;
mod operators;
mod own_pages;
mod persons;
mod provider;
#[allow(dead_code)]
#[path = "../support/receiver.rs"]
mod receiver;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use provbroker::config::{Account, Config};
use provbroker::core::model::accounts::{AccountName, Role};
use provbroker::core::model::ids::{DomainName, Secret};

use crate::support::broker::{DOMAIN, OTHER};
use crate::support::secrets;

/// Password of all accounts of these tests.
const PASSWORD: &str = "password of the pages";

/// An account of each kind.
fn accounts(config: &mut Config) {
    secrets::note(PASSWORD);
    let account = |name: &str, role, domain: Option<&str>| Account {
        name: AccountName::parse(name).unwrap(),
        password: Secret::new(PASSWORD),
        role,
        domain: domain.map(|name| DomainName::parse(name).unwrap()),
        sip: if domain.is_some() { name.into() } else { String::new() },
        shown: format!("<b>{name}</b>"),
    };
    config.accounts = vec![
        account("anna", Role::Person, Some(DOMAIN)),
        account("otto", Role::Person, Some(OTHER)),
        account("admin", Role::Rollout, Some(DOMAIN)),
        account("operator", Role::Operator, Some(DOMAIN)),
        account("stranger", Role::Operator, Some(OTHER)),
        account("root", Role::Operator, None),
    ];
}
