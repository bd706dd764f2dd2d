//! The pages, and who may use them, out of the configuration.

use std::sync::Arc;

use actix_web::web;
use anyhow::Context as _;
use url::Url;

use crate::accounts::{Hashing, NewAccount, Settings, SignIn};
use crate::config::{Config, DEFAULT_ACCOUNT_PASSWORD, Role};
use crate::core::limits::Quota;
use crate::lifecycle::Shutdown;
use crate::store::Store;
use crate::store::seal::Sealer;
use crate::web::pages::Pages;
use crate::web::pages::live::Live;

/// The pages, if this process has any: a directory alone has nothing to show.
pub(super) async fn pages(
    config: &Config,
    store: &Arc<dyn Store>,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<web::Data<Pages>>> {
    if !config.pages.enabled || !config.plays(Role::Devices) {
        return Ok(None);
    }
    let hashing = Hashing::new();
    let sign_in = SignIn::new(Arc::clone(store), Sealer::new(&config.master_key()), hashing, settings(config));
    let loopback = config.server.listen.ip().is_loopback();
    let good = |account: &&crate::config::Account| loopback || account.password.expose() != DEFAULT_ACCOUNT_PASSWORD;
    let accounts: Vec<_> = config.accounts.iter().filter(good).map(new_account).collect();
    sign_in.ensure_accounts(&accounts).await.context("making the configured accounts")?;
    let sign_in = Arc::new(sign_in);
    let url = Url::parse(&config.server.public_url).context("server.public_url")?;
    Ok(Some(web::Data::new(Pages {
        live: Live::new(Arc::clone(&sign_in), shutdown.clone()),
        sign_in,
        origin: url.origin().ascii_serialization(),
        secure: !(url.scheme() == "http" && config.server.listen.ip().is_loopback()),
    })))
}

fn settings(config: &Config) -> Settings {
    let (pages, limits) = (&config.pages, &config.limits);
    let quota = |attempts| Quota { attempts, window: limits.window, block: limits.login_pause };
    Settings {
        idle: pages.session_idle,
        whole: pages.session_max,
        per_account: quota(pages.attempts),
        per_source: quota(limits.logins),
        max_tracked: limits.max_tracked,
        loopback: config.server.listen.ip().is_loopback(),
    }
}

fn new_account(account: &crate::config::Account) -> NewAccount {
    NewAccount { identity: account.identity(), password: account.password.clone() }
}
