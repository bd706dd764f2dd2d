//! What the pages ask of the Users role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_rt::task::JoinHandle;
use tokio::sync::{Notify, broadcast};

use super::backend::{Backend, BackendStanding};
use super::code_request::{Wanted, ask_code};
use super::error::{Result, UsersRoleError};
use super::rollout_codes::make_codes;
use super::settings::Settings;
use super::tenant::{TenantShared, Work, supervise};
use crate::core::model::device::Category;
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Person, PersonId, Phone, PhoneApp, PhoneRequest, RequestId, UserPage, UserQuery};
use crate::core::session::app::client::{Answer, Ask, AskError, DeviceInfo, Login};
use crate::core::session::app::rights::OWN_USERS;
use crate::metrics::{self, Gauge};
use crate::store::{Bus, FailedOrder, OrderCounts, PutRequest, Store};
use crate::users_role::cancellation::{cancel, see_off};
use crate::users_role::change_feed::{ChangePublisher, Listeners, RequestChange};
use crate::users_role::devices_link::{Link, LinkStanding, Target};
use crate::users_role::devices_rest::Operators;
use crate::users_role::order_intake::Placing;
use crate::users_role::progress_poller::{PollHandle, ProgressPoller};
use crate::users_role::{entry_orders, open_codes, progress_poller};

/// Phones that are asked about in one request (`docs/protocol/devices-api.md` section 6).
const PHONES: usize = 1000;

/// Open codes of one person at most: nobody has more phones in their hands, and each code that is open is one that can be guessed.
const MAX_OPEN: u64 = 10;

struct Tenant {
    shared: Arc<TenantShared>,
    operators: Arc<Operators>,
}

/// The Users role on one node. It works as long as this lives.
pub struct UsersRole {
    tenants: BTreeMap<DomainName, Tenant>,
    listeners: Arc<Listeners>,
    tasks: Vec<JoinHandle<()>>,
}

/// How things stand for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStatus {
    /// The connection with Devices.
    pub devices: LinkStanding,
    /// The backend.
    pub backend: BackendStanding,
}

/// As long as this lives, Devices is asked how far a phone is.
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
    /// Begins to work, on the current actix system.
    pub fn start(store: &Arc<dyn Store>, backend: &Arc<dyn Backend>, settings: Settings) -> Result<Arc<Self>> {
        let settings = Arc::new(settings);
        let listeners = Arc::new(Listeners::of(settings.tenants.iter().map(|tenant| &tenant.domain)));
        let (mut tenants, mut tasks) = (BTreeMap::new(), Vec::new());
        for of in &settings.tenants {
            let domain = of.domain.clone();
            let placing = Placing {
                store: Arc::clone(store),
                domain: domain.clone(),
                teller: ChangePublisher::start(Arc::clone(store) as _, domain.clone()),
                orders: Arc::new(Notify::new()),
            };
            let operators = Operators::new(&settings.devices, &settings.tls, domain.clone(), of.password.clone())?;
            let tenant = Tenant {
                shared: Arc::new(TenantShared {
                    store: Arc::clone(store),
                    link: Link::new(),
                    backend: Arc::clone(backend),
                    placing,
                    lookout: ProgressPoller::default(),
                    rollouts: Notify::new(),
                }),
                operators: Arc::new(operators),
            };
            let login = Login {
                app: OWN_USERS.into(),
                domain: domain.as_str().into(),
                sip: OWN_USERS.into(),
                guid: "".into(),
                dn: "Users".into(),
                password: of.password.clone(),
            };
            let (shared, operators) = (Arc::clone(&tenant.shared), Arc::clone(&tenant.operators));
            let begin = {
                let settings = Arc::clone(&settings);
                move || work(&shared, &operators, &settings, &login)
            };
            tasks.push(actix_rt::spawn(supervise(domain.to_string(), begin)));
            tenants.insert(domain, tenant);
        }
        tasks.push(actix_rt::spawn(listen(Arc::clone(store) as _, Arc::clone(&listeners))));
        Ok(Arc::new(Self { tenants, listeners, tasks }))
    }

    /// Ends the work: the links go down, and orders that are under way are due again when their time is over. What is in the store
    /// can still be read.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Whether this domain is served.
    pub fn serves(&self, domain: &DomainName) -> bool {
        self.tenants.contains_key(domain)
    }

    fn served(&self, domain: &DomainName) -> Result<&Tenant> {
        self.tenants.get(domain).ok_or(UsersRoleError::NotFound("domain"))
    }

    pub(super) fn tenant(&self, domain: &DomainName) -> Result<&TenantShared> {
        Ok(&self.served(domain)?.shared)
    }

    /// Now, on the clock of the store, which decides what is over.
    pub async fn now(&self, domain: &DomainName) -> Result<UnixMillis> {
        Ok(self.tenant(domain)?.store.now().await?)
    }

    /// The categories that phones can enter.
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

    /// Category and phone app of a new phone. Of one that was left open (empty) because there is only one, it is that one.
    pub(super) async fn choose(&self, domain: &DomainName, category: &str, app: &str) -> Result<(Box<str>, Box<str>)> {
        let categories = self.categories(domain).await?;
        let category = chosen(categories.iter().map(|category| &*category.name), category);
        let category = category.ok_or(UsersRoleError::NoChoice("category"))?;
        let apps = self.phone_apps(domain).await?;
        let app = chosen(apps.iter().map(|app| &*app.name), app).ok_or(UsersRoleError::NoChoice("phone app"))?;
        Ok((category, app))
    }

    /// Asks for a phone for a person, in a category and with an app that may be empty if there is only one. The code is in the
    /// answer, and in the store before that. Nobody has more than ten open codes by it.
    pub async fn add_phone(&self, domain: &DomainName, of: &Person, category: &str, app: &str) -> Result<PhoneRequest> {
        let Tenant { shared, operators } = self.served(domain)?;
        let now = shared.store.now().await?;
        // The store has the last word. But what it will refuse need not be asked of Devices, which all persons share.
        let open = shared.store.requests_of(domain, &of.guid).await?;
        if open.iter().filter(|request| request.is_open(now)).count() as u64 >= MAX_OPEN {
            return Err(UsersRoleError::TooManyOpen);
        }
        let (category, app) = self.choose(domain, category, app).await?;
        let (person, sip, name) = (&of.guid, &*of.sip, &*of.name);
        let wanted = Wanted { domain, person, sip, name, category: &category, app: &app, rollout: None };
        let request = ask_code(&shared.link, &wanted, now).await?;
        if shared.store.put_request(&request, MAX_OPEN).await? == PutRequest::TooMany {
            // Asked for at the same time as others. Nobody can see it, so nobody could take it back.
            if let Err(error) = operators.revoke(request.code).await {
                tracing::warn!(%domain, person = %of.guid, %error, "a code that was one too many is open until it ends");
            }
            return Err(UsersRoleError::TooManyOpen);
        }
        shared.placing.teller.tell(&request);
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

    /// Takes the code of a request back. False if a phone has used it, or it has come to an end otherwise.
    pub async fn cancel(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        let Tenant { shared, operators } = self.served(domain)?;
        cancel(shared, operators, domain, id).await
    }

    /// The phones of a person, newest first. If Devices is to be asked and can be, they are as they are now, and one that it does
    /// not have any more is not among them; otherwise as they were when they came.
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

    /// What changes about the requests of a domain from now on, on any node.
    pub fn watch(&self, domain: &DomainName) -> Result<broadcast::Receiver<RequestChange>> {
        self.listeners.listen(domain).ok_or(UsersRoleError::NotFound("domain"))
    }

    /// Somebody looks at the progress of this request, for as long as the answer lives.
    pub fn look_at(&self, domain: &DomainName, id: &RequestId) -> Result<ProgressSubscription> {
        Ok(ProgressSubscription { _at: self.tenant(domain)?.lookout.look_at(id) })
    }

    /// How things stand. A list of users that nobody has asked for was not read yet; it is then.
    pub async fn standing(&self, domain: &DomainName) -> Result<TenantStatus> {
        let tenant = self.tenant(domain)?;
        let any = UserQuery { limit: 1, ..UserQuery::default() };
        if let Err(error) = tenant.backend.users(domain, &any).await {
            tracing::debug!(%domain, %error, "no user to be had");
        }
        Ok(TenantStatus { devices: tenant.link.standing(), backend: tenant.backend.standing(domain) })
    }

    /// Orders that have failed for good, newest first, from the one at `from` on.
    pub async fn failed_orders(&self, domain: &DomainName, from: u64, limit: usize) -> Result<Vec<FailedOrder>> {
        Ok(self.tenant(domain)?.store.failed_orders(domain, from, limit).await?)
    }

    /// Has an order that has failed carried out again. False if it has not failed.
    pub async fn send_again(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        let tenant = self.tenant(domain)?;
        let revived = tenant.store.retry_order(domain, id).await?;
        tenant.placing.orders.notify_one();
        Ok(revived)
    }

    /// How many orders wait or have failed.
    pub async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts> {
        Ok(self.tenant(domain)?.store.order_counts(domain).await?)
    }

    /// Shows how many orders there are, over all tenants.
    pub async fn show_figures(&self) -> crate::store::Result<()> {
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

/// What was chosen of these names.
fn chosen<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> Option<Box<str>> {
    let names: Vec<&str> = names.collect();
    match *names {
        [only] if wanted.is_empty() => Some(only.into()),
        _ => names.contains(&wanted).then(|| wanted.into()),
    }
}

/// The work of one tenant, begun anew.
fn work(shared: &Arc<TenantShared>, operators: &Arc<Operators>, settings: &Arc<Settings>, login: &Login) -> Work {
    let target = Target {
        url: settings.devices.clone(),
        tls: Arc::clone(&settings.tls),
        login: login.clone(),
        reconnect: settings.reconnect,
    };
    let (link, placing, node) = (shared.link.clone(), shared.placing.clone(), settings.node.clone());
    let looking = (shared.lookout.clone(), Arc::clone(operators));
    vec![
        Box::pin(link.keep_up(target, placing.clone())),
        Box::pin(open_codes::look_after(link.clone(), placing.clone(), node.clone())),
        Box::pin(entry_orders::carry_out(Arc::clone(&shared.backend), placing.clone(), Arc::clone(settings))),
        Box::pin(progress_poller::keep_looking(looking.0, looking.1, link, placing, Arc::clone(settings))),
        Box::pin(see_off(Arc::clone(shared), Arc::clone(operators))),
        Box::pin(make_codes(Arc::clone(shared), node)),
    ]
}

/// Passes on what the nodes say to the listeners of this one.
async fn listen(bus: Arc<dyn Bus>, listeners: Arc<Listeners>) {
    let mut signals = bus.subscribe();
    while let Some(signal) = signals.recv().await {
        listeners.pass_on(signal);
    }
}
