//! Builds the pages and their sign-in from the configuration.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use actix_web::web;
use anyhow::Context as _;
use url::Url;

use super::own_pages::OwnPagesAddress;
use crate::accounts::oidc::{Provider, ProviderSettings, roots};
use crate::accounts::{Hashing, NewAccount, Settings, SignIn};
use crate::admin::Admin;
use crate::config::{Config, DEFAULT_ACCOUNT_PASSWORD, Oidc, Role, is_delivered};
use crate::core::model::ids::DomainName;
use crate::core::policy::oidc_claims::{DomainFrom, Mapping, Roles};
use crate::lifecycle::Shutdown;
use crate::node::Node;
use crate::store::Store;
use crate::store::seal::Sealer;
use crate::users_role::UsersRole;
use crate::web::pages::live::Live;
use crate::web::pages::oidc::{CALLBACK, SignInAt};
use crate::web::pages::own_pages::OwnPages;
use crate::web::pages::{Pages, RequestBudget};

/// The pages; `None` if they are off or this process does not have the role devices.
pub(super) async fn pages(
    config: &Config,
    node: &Arc<Node>,
    shutdown: &Shutdown,
    admin: Option<&Arc<Admin>>,
    users_role: Option<&Arc<UsersRole>>,
    device_pages: Option<&OwnPagesAddress>,
) -> anyhow::Result<Option<web::Data<Pages>>> {
    if !config.pages.enabled || !config.plays(Role::Devices) {
        return Ok(None);
    }
    let hashing = Hashing::new();
    let sealer = node.store().sealer();
    let sign_in =
        SignIn::new(Arc::clone(node.store()), sealer.clone(), hashing, Arc::clone(node.attempts()), settings(config))
            .bound_to(Arc::clone(node.tenants()));
    let loopback = config.is_loopback_only();
    let usable = |account: &&crate::config::Account| loopback || !is_delivered(&account.password);
    let accounts: Vec<_> = config.accounts.iter().filter(usable).map(new_account).collect();
    sign_in.ensure_accounts(&accounts).await.context("making the configured accounts")?;
    let sign_in = Arc::new(sign_in);
    let (mut signals, listening) = (node.store().subscribe(), Arc::downgrade(&sign_in));
    actix_rt::spawn(async move {
        while let Some(signal) = signals.recv().await {
            let Some(sign_in) = listening.upgrade() else { return };
            sign_in.signal(signal);
        }
    });
    let provider = provider(config, node.store(), &sealer)?;
    let url = Url::parse(&config.server.public_url).context("server.public_url")?;
    let origin = url.origin().ascii_serialization();
    let own_pages = device_pages.map(|address| {
        Arc::new(OwnPages {
            store: Arc::clone(node.store()),
            directory: Arc::clone(node.directory()),
            sign_in: Arc::clone(&sign_in),
            sealer,
            origin: address.origin.clone(),
            framed_by: origin.clone(),
            open_for: config.pages.device_open,
        })
    });
    Ok(Some(web::Data::new(Pages {
        live: Live::new(Arc::clone(&sign_in), shutdown.clone()),
        sign_in,
        request_budget: RequestBudget::new(config.pages.questions_per_person, config.limits.max_tracked),
        admin: admin.cloned(),
        users_role: users_role.cloned(),
        origin,
        devices_url: config.sysclients_url(),
        secure: !(url.scheme() == "http" && config.server.listen.ip().is_loopback()),
        own_pages,
        provider,
        local_accounts: config.pages.local_accounts,
    })))
}

/// Checks the file that [`provider`] reads.
pub(super) fn check_files(config: &Config) -> anyhow::Result<()> {
    let oidc = &config.pages.oidc;
    if oidc.is_on() {
        roots(authority(oidc))?;
    }
    Ok(())
}

fn authority(oidc: &Oidc) -> Option<&Path> {
    Some(&*oidc.authority).filter(|file| !file.as_os_str().is_empty())
}

/// The OpenID provider, if one is configured. It is not contacted here.
fn provider(config: &Config, store: &Arc<dyn Store>, sealer: &Sealer) -> anyhow::Result<Option<SignInAt>> {
    let oidc = &config.pages.oidc;
    if !oidc.is_on() {
        return Ok(None);
    }
    let domain = if oidc.domain_of_email {
        DomainFrom::Email
    } else if oidc.domain.is_empty() {
        DomainFrom::Claim(oidc.domain_claim.clone())
    } else {
        DomainFrom::Fixed(DomainName::parse(&oidc.domain).context("pages.oidc.domain")?)
    };
    let roles = Roles {
        claim: oidc.role_claim.clone(),
        person: oidc.persons.clone(),
        rollout: oidc.rollout.clone(),
        operator: oidc.operators.clone(),
        instance: oidc.instance_operators.clone(),
    };
    let mapping = Mapping {
        account: oidc.account_claim.clone(),
        shown: oidc.name_claim.clone(),
        sip: oidc.sip_claim.clone(),
        domain,
        roles,
    };
    let settings = ProviderSettings {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: oidc.client_secret.clone(),
        redirect: format!("{}{CALLBACK}", config.server.public_url),
        scopes: oidc.scopes.clone(),
        mapping,
        authority: authority(oidc).map(Path::to_owned),
        timeout: oidc.timeout,
    };
    let host = Url::parse(&oidc.issuer).context("pages.oidc.issuer")?.host_str().unwrap_or_default().to_owned();
    let name = if oidc.name.is_empty() { host } else { oidc.name.clone() };
    let provider = Provider::new(settings, Arc::clone(store), sealer.clone())?;
    Ok(Some(SignInAt { provider, name }))
}

/// Text for a first start: address of the pages, sample accounts, and the command for a simulated phone. `None` if the
/// sample accounts do not work.
pub(super) fn welcome(config: &Config, listen: SocketAddr) -> Option<String> {
    let samples = || config.accounts.iter().filter(|account| account.password.expose() == DEFAULT_ACCOUNT_PASSWORD);
    let pages = config.pages.enabled && config.pages.local_accounts;
    if !listen.ip().is_loopback()
        || !config.is_loopback_only()
        || !pages
        || !config.plays(Role::Devices)
        || samples().next().is_none()
    {
        return None;
    }
    let url = &config.server.public_url;
    let mut text = format!("Pages: {url}/ui/   Sign in with one of these, password {DEFAULT_ACCOUNT_PASSWORD}:\n");
    for account in samples() {
        let domain = account.domain.as_ref().map_or("all domains", |domain| domain.as_str());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<10} {:<9} of {domain}", account.name.as_str(), account.role.as_str());
    }
    text.push_str("A simulated phone, which asks for the code on its terminal:\n");
    let _ =
        writeln!(text, "  cargo run --release -p loadtest -- phone --init-url {url}/init --mac 00903341a0b1 --poll 2");
    Some(text)
}

fn settings(config: &Config) -> Settings {
    Settings { idle: config.pages.session_idle, whole: config.pages.session_max, loopback: config.is_loopback_only() }
}

fn new_account(account: &crate::config::Account) -> NewAccount {
    NewAccount { identity: account.identity(), password: account.password.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_text_is_shown_on_loopback_only() {
        let config = Config::default();
        let text = welcome(&config, config.server.listen).unwrap();
        for part in ["http://127.0.0.1:8080/ui/", "anna", "rollout", "operator", "all domains", "--init-url http://127"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(welcome(&config, SocketAddr::from(([192, 0, 2, 1], 80))), None);
        let own = Config { accounts: Vec::new(), ..config };
        assert_eq!(welcome(&own, own.server.listen), None);
    }
}
