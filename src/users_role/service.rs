//! The service that the pages use: phone requests, roll-outs, users and the state of tenants. Starts the tasks of all
//! tenants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_rt::task::JoinHandle;
use tokio::sync::{Notify, broadcast};

use super::backend::{Backend, BackendStatus};
use super::code_request::{RequestDetails, ask_code};
use super::error::{Result, UsersRoleError};
use super::rollout_codes::make_codes;
use super::settings::Settings;
use super::tenant::{TenantShared, TenantTasks, supervise};
use crate::core::model::device::Category;
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Person, PersonId, Phone, PhoneApp, PhoneRequest, RequestId, UserPage, UserQuery};
use crate::core::session::app::client::{Answer, Ask, AskError, DeviceInfo, Login};
use crate::core::session::app::rights::OWN_USERS;
use crate::metrics::{self, Gauge};
use crate::store::{Bus, FailedOrder, OrderCounts, PutRequest, Store};
use crate::users_role::cancellation::{cancel, watch_removals};
use crate::users_role::change_feed::{ChangePublisher, Listeners, RequestChange};
use crate::users_role::devices_link::{Link, LinkStatus, Target};
use crate::users_role::devices_rest::OperatorApi;
use crate::users_role::order_intake::OrderIntake;
use crate::users_role::progress_poller::{PollHandle, ProgressPoller};
use crate::users_role::{entry_orders, open_codes, progress_poller};

/// Phones per request to Devices (`docs/protocol/devices-api.md` section 6).
const PHONES: usize = 1000;

/// Most open codes of one person; each open code is one that can be guessed.
const MAX_OPEN: u64 = 10;

struct Tenant {
    shared: Arc<TenantShared>,
    operator_api: Arc<OperatorApi>,
}

/// The Users role on one node; stops when dropped.
pub struct UsersRole {
    tenants: BTreeMap<DomainName, Tenant>,
    listeners: Arc<Listeners>,
    tasks: Vec<JoinHandle<()>>,
}

/// State of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStatus {
    /// The connection with Devices.
    pub devices: LinkStatus,
    /// The backend.
    pub backend: BackendStatus,
}

/// Keeps the progress of a request polled until dropped.
#[derive(Debug)]
pub struct ProgressSubscription {
    _at: Option<PollHandle>,
}

impl Drop for UsersRole {
    fn drop(&mut self) {
        self.stop();
    }
}

impl UsersRole {
    /// Starts the tasks of all tenants on the current actix system.
    pub fn start(store: &Arc<dyn Store>, backend: &Arc<dyn Backend>, settings: Settings) -> Result<Arc<Self>> {
        let settings = Arc::new(settings);
        let listeners = Arc::new(Listeners::of(settings.tenants.iter().map(|tenant| &tenant.domain)));
        let (mut tenants, mut tasks) = (BTreeMap::new(), Vec::new());
        for of in &settings.tenants {
            let domain = of.domain.clone();
            let intake = OrderIntake {
                store: Arc::clone(store),
                domain: domain.clone(),
                changes: ChangePublisher::start(Arc::clone(store) as _, domain.clone()),
                orders: Arc::new(Notify::new()),
            };
            let operator_api = OperatorApi::new(
                &settings.devices,
                &settings.tls,
                settings.own.as_ref(),
                domain.clone(),
                of.password.clone(),
            )?;
            let tenant = Tenant {
                shared: Arc::new(TenantShared {
                    store: Arc::clone(store),
                    link: Link::new(),
                    backend: Arc::clone(backend),
                    intake,
                    poller: ProgressPoller::default(),
                    rollouts: Notify::new(),
                }),
                operator_api: Arc::new(operator_api),
            };
            let login = Login {
                app: OWN_USERS.into(),
                domain: domain.as_str().into(),
                sip: OWN_USERS.into(),
                guid: "".into(),
                dn: "Users".into(),
                password: of.password.clone(),
            };
            let (shared, operator_api) = (Arc::clone(&tenant.shared), Arc::clone(&tenant.operator_api));
            let make_tasks = {
                let settings = Arc::clone(&settings);
                move || tenant_tasks(&shared, &operator_api, &settings, &login)
            };
            tasks.push(actix_rt::spawn(supervise(domain.to_string(), make_tasks)));
            tenants.insert(domain, tenant);
        }
        tasks.push(actix_rt::spawn(listen(Arc::clone(store) as _, Arc::clone(&listeners))));
        Ok(Arc::new(Self { tenants, listeners, tasks }))
    }

    /// Stops all tasks. Orders under way are due again when their lease ends. The store can still be read.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Whether this domain is served.
    pub fn serves(&self, domain: &DomainName) -> bool {
        self.tenants.contains_key(domain)
    }

    fn served_tenant(&self, domain: &DomainName) -> Result<&Tenant> {
        self.tenants.get(domain).ok_or(UsersRoleError::NotFound("domain"))
    }

    pub(super) fn tenant(&self, domain: &DomainName) -> Result<&TenantShared> {
        Ok(&self.served_tenant(domain)?.shared)
    }

    /// The current time on the clock of the store, which decides about expiry.
    pub async fn now(&self, domain: &DomainName) -> Result<UnixMillis> {
        Ok(self.tenant(domain)?.store.now().await?)
    }

    /// Categories for provisioning of phones.
    pub async fn categories(&self, domain: &DomainName) -> Result<Vec<Category>> {
        match self.tenant(domain)?.link.ask(Ask::Categories { kind: Some("PHONE".into()) }).await? {
            Answer::Categories(categories) => Ok(categories),
            _ => Err(AskError::Malformed.into()),
        }
    }

    /// The phone apps that can be chosen.
    pub async fn phone_apps(&self, domain: &DomainName) -> Result<Vec<PhoneApp>> {
        Ok(self.tenant(domain)?.backend.phone_apps(domain).await?)
    }

    /// Users of a domain.
    pub async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage> {
        Ok(self.tenant(domain)?.backend.users(domain, query).await?)
    }

    /// The user with this SIP name.
    pub async fn user(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>> {
        Ok(self.tenant(domain)?.backend.user_by_sip(domain, sip).await?)
    }

    /// Resolves category and phone app of a new phone. An empty name stands for the only one there is.
    pub(super) async fn choose(&self, domain: &DomainName, category: &str, app: &str) -> Result<(Box<str>, Box<str>)> {
        let categories = self.categories(domain).await?;
        let category = choose_name(categories.iter().map(|category| &*category.name), category);
        let category = category.ok_or(UsersRoleError::NoChoice("category"))?;
        let apps = self.phone_apps(domain).await?;
        let app = choose_name(apps.iter().map(|app| &*app.name), app).ok_or(UsersRoleError::NoChoice("phone app"))?;
        Ok((category, app))
    }

    /// Makes a phone request for a person. Category and app may be empty if there is only one of them. The request is
    /// stored before the code is returned. A person has at most ten open codes.
    pub async fn add_phone(&self, domain: &DomainName, of: &Person, category: &str, app: &str) -> Result<PhoneRequest> {
        let Tenant { shared, operator_api } = self.served_tenant(domain)?;
        let now = shared.store.now().await?;
        // The store enforces the limit; checking first avoids a request to Devices, whose rate all persons share.
        let open = shared.store.requests_of(domain, &of.guid).await?;
        if open.iter().filter(|request| request.is_open(now)).count() as u64 >= MAX_OPEN {
            return Err(UsersRoleError::TooManyOpen);
        }
        let (category, app) = self.choose(domain, category, app).await?;
        let (person, sip, name) = (&of.guid, &*of.sip, &*of.name);
        let wanted = RequestDetails { domain, person, sip, name, category: &category, app: &app, rollout: None };
        let request = ask_code(&shared.link, &wanted, now).await?;
        if shared.store.put_request(&request, MAX_OPEN).await? == PutRequest::TooMany {
            // Lost against concurrent requests. Nobody has seen this code, so revoke it.
            if let Err(error) = operator_api.revoke(request.code).await {
                tracing::warn!(%domain, person = %of.guid, %error, "surplus code not revoked; it stays open until it expires");
            }
            return Err(UsersRoleError::TooManyOpen);
        }
        shared.intake.changes.publish(&request);
        Ok(request)
    }

    /// One request.
    pub async fn request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> {
        Ok(self.tenant(domain)?.store.phone_request(domain, id).await?)
    }

    /// All requests of a person, newest first.
    pub async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> {
        Ok(self.tenant(domain)?.store.requests_of(domain, person).await?)
    }

    /// Revokes the code of a request. False if a phone has used it, or the request has ended otherwise.
    pub async fn cancel(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        let Tenant { shared, operator_api } = self.served_tenant(domain)?;
        cancel(shared, operator_api, domain, id).await
    }

    /// The phones of a person, newest first. With `ask`, and if Devices answers, with their current state and without
    /// those that Devices no longer has; otherwise as they were when they entered.
    pub async fn phones_of(&self, domain: &DomainName, person: &PersonId, ask: bool) -> Result<Vec<Phone>> {
        let tenant = self.tenant(domain)?;
        let requests = tenant.store.requests_of(domain, person).await?;
        let (mut seen, mut phones) = (BTreeSet::new(), Vec::new());
        for request in requests {
            let Some(facts) = request.phone else { continue };
            if seen.insert((facts.key.clone(), facts.port.clone())) {
                phones.push(Phone { request: request.id, facts, online: None, entry: request.entry });
            }
        }
        phones.truncate(PHONES);
        let keys: Vec<_> = phones.iter().filter(|p| p.facts.port.is_none()).map(|p| p.facts.key.clone()).collect();
        if keys.is_empty() || !ask {
            return Ok(phones);
        }
        let Ok(Answer::Phones(now)) = tenant.link.ask(Ask::Phones(keys)).await else { return Ok(phones) };
        let now: BTreeMap<&str, &DeviceInfo> = now.iter().map(|device| (&*device.hw_id, device)).collect();
        let present = phones.into_iter().filter_map(|mut phone| {
            if phone.facts.port.is_some() {
                return Some(phone);
            }
            let device = now.get(phone.facts.key.as_str())?;
            phone.facts.name.clone_from(&device.name);
            phone.facts.product.clone_from(&device.product);
            phone.facts.version.clone_from(&device.version);
            phone.online = Some(device.online);
            Some(phone)
        });
        Ok(present.collect())
    }

    /// Subscribes to changes of the requests of a domain, made on any node.
    pub fn watch(&self, domain: &DomainName) -> Result<broadcast::Receiver<RequestChange>> {
        self.listeners.listen(domain).ok_or(UsersRoleError::NotFound("domain"))
    }

    /// Polls the progress of this request while the returned value lives.
    pub fn follow_progress(&self, domain: &DomainName, id: &RequestId) -> Result<ProgressSubscription> {
        Ok(ProgressSubscription { _at: self.tenant(domain)?.poller.subscribe(id) })
    }

    /// State of a tenant. Reads one user first, because a file backend reads its list on first use.
    pub async fn status(&self, domain: &DomainName) -> Result<TenantStatus> {
        let tenant = self.tenant(domain)?;
        let any = UserQuery { limit: 1, ..UserQuery::default() };
        if let Err(error) = tenant.backend.users(domain, &any).await {
            tracing::debug!(%domain, %error, "user list not read");
        }
        Ok(TenantStatus { devices: tenant.link.status(), backend: tenant.backend.status(domain) })
    }

    /// Permanently failed orders, newest first, starting at `from`.
    pub async fn failed_orders(&self, domain: &DomainName, from: u64, limit: usize) -> Result<Vec<FailedOrder>> {
        Ok(self.tenant(domain)?.store.failed_orders(domain, from, limit).await?)
    }

    /// Retries a permanently failed order. False if it has not failed.
    pub async fn retry_order(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        let tenant = self.tenant(domain)?;
        let revived = tenant.store.retry_order(domain, id).await?;
        tenant.intake.orders.notify_one();
        Ok(revived)
    }

    /// Number of waiting and failed orders.
    pub async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts> {
        Ok(self.tenant(domain)?.store.order_counts(domain).await?)
    }

    /// Sets the gauges of waiting and failed orders, over all tenants.
    pub async fn update_gauges(&self) -> crate::store::Result<()> {
        let mut all = OrderCounts::default();
        for (domain, tenant) in &self.tenants {
            let counts = tenant.shared.store.order_counts(domain).await?;
            all.waiting += counts.waiting;
            all.failed += counts.failed;
        }
        metrics::set(Gauge::OrdersWaiting, all.waiting);
        metrics::set(Gauge::OrdersFailed, all.failed);
        Ok(())
    }
}

/// The name equal to `wanted`; if that is empty, the only name.
fn choose_name<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> Option<Box<str>> {
    let names: Vec<&str> = names.collect();
    match *names {
        [only] if wanted.is_empty() => Some(only.into()),
        _ => names.contains(&wanted).then(|| wanted.into()),
    }
}

/// The tasks of one tenant, freshly created.
fn tenant_tasks(
    shared: &Arc<TenantShared>,
    operator_api: &Arc<OperatorApi>,
    settings: &Arc<Settings>,
    login: &Login,
) -> TenantTasks {
    let target = Target {
        url: settings.devices.clone(),
        tls: Arc::clone(&settings.tls),
        own: settings.own.clone(),
        login: login.clone(),
        reconnect: settings.reconnect,
    };
    let (link, intake, node) = (shared.link.clone(), shared.intake.clone(), settings.node.clone());
    let polling = (shared.poller.clone(), Arc::clone(operator_api));
    vec![
        Box::pin(link.keep_up(target, intake.clone())),
        Box::pin(open_codes::poll_open_codes(link.clone(), intake.clone(), node.clone())),
        Box::pin(entry_orders::carry_out(Arc::clone(&shared.backend), intake.clone(), Arc::clone(settings))),
        Box::pin(progress_poller::poll_progress(polling.0, polling.1, link, intake, Arc::clone(settings))),
        Box::pin(watch_removals(Arc::clone(shared), Arc::clone(operator_api))),
        Box::pin(make_codes(Arc::clone(shared), node)),
    ]
}

/// Forwards signals of all nodes to the subscribers of this one.
async fn listen(bus: Arc<dyn Bus>, listeners: Arc<Listeners>) {
    let mut signals = bus.subscribe();
    while let Some(signal) = signals.recv().await {
        listeners.forward(signal);
    }
}
