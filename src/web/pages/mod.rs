//! Pages for people, below `/ui/`: rendered here, alive without any script, and kept up to date by a small one.
//!
//! # Adding pages
//!
//! One module for each group of pages, with a `pub(super) const GROUP: Group`, and one line in [`GROUPS`]. That is all that has
//! to be touched here. Then:
//!
//! * a handler takes [`Page`] (whoever comes, with or without a session) or [`SignedIn`] (only with one), and for a `POST` also
//!   [`Fields`], which refuses forms without the token that `page.token` puts into them; the origin is checked before any handler.
//!   Domain and person are taken from [`SignedIn`], never from the address;
//! * a template extends `frame.html` and has a member `page`; `page.t("key")` is a text of `messages/{en,de}.toml`, and a test
//!   finds keys that are missing or not used. Templates escape what they are given, in attributes too;
//! * [`Page::answer`] renders; errors are [`PageError`]s, which become pages that say what to do. Headers are added to all answers;
//! * what changes by itself is inside an element with `data-part="NAME"`, and one element of the page has
//!   `data-live="/ui/…/events"`, an address answered by [`live::Live::stream`]: at every change the script reads the page again and
//!   renews the parts. Such a request only looks at the session, it does not prolong it;
//! * each change that is made is told to [`crate::accounts::SignIn::note`]. A service of its own is put into `app_data` where `app`
//!   wires.

mod account;
mod assets;
mod choice;
mod code;
mod cookies;
mod error;
mod fields;
mod guard;
mod home;
mod language;
pub mod live;
mod member;
mod messages;
pub mod oidc;
mod operator;
pub mod own_pages;
mod page;
mod profile;
mod progress;
mod progress_stream;
mod request_budget;
mod rollout;
mod sign_in;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web;

pub use error::PageError;
pub use fields::Fields;
pub use messages::Lang;
pub use page::{NavEntry, Page, SignedIn};
pub use request_budget::RequestBudget;

use crate::accounts::SignIn;
use crate::admin::Admin;
use crate::core::model::accounts::Role;
use crate::core::model::ids::DomainName;
use crate::users_role::UsersRole;

/// Result of a handler.
pub type Answer<T> = Result<T, PageError>;

/// Some pages that belong together.
pub struct Group {
    /// Who sees it.
    pub roles: &'static [Role],
    /// Its entries in the navigation, for somebody who sees it.
    pub entries: fn(&Page) -> Vec<NavEntry>,
    /// Its routes, below `/ui`.
    pub routes: fn(&mut web::ServiceConfig),
}

/// All groups, in the order of the navigation.
const GROUPS: &[Group] = &[
    home::GROUP,
    profile::GROUP,
    rollout::GROUP,
    operator::GROUP,
    sign_in::GROUP,
    oidc::GROUP,
    account::GROUP,
    language::GROUP,
];

/// What all pages share.
pub struct Pages {
    /// Who may come in.
    pub sign_in: Arc<SignIn>,
    /// The operators' service, where this process is a Devices service.
    pub admin: Option<Arc<Admin>>,
    /// The Users role, where this process plays it.
    pub users_role: Option<Arc<UsersRole>>,
    /// What persons may ask of Devices.
    pub request_budget: RequestBudget,
    /// Streams of events.
    pub live: live::Live,
    /// Where browsers find this service: scheme, host and port.
    pub origin: String,
    /// Cookies go over TLS only. Not so on plain loopback.
    pub secure: bool,
    /// Devices' own pages, where they have a listener.
    pub own_pages: Option<Arc<own_pages::OwnPages>>,
    /// Where else people may sign in.
    pub provider: Option<oidc::SignInAt>,
    /// People may sign in with accounts of this installation.
    pub local_accounts: bool,
}

impl Pages {
    /// The Users role, if it serves this domain.
    fn users_role_of(&self, domain: &DomainName) -> Option<&Arc<UsersRole>> {
        self.users_role.as_ref().filter(|users_role| users_role.serves(domain))
    }
}

/// Adds the pages.
pub fn routes(pages: web::Data<Pages>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let mut scope = web::scope("/ui").app_data(pages).wrap(from_fn(guard::guard));
        for group in GROUPS {
            scope = scope.configure(group.routes);
        }
        config
            .service(scope.configure(assets::routes).default_service(web::to(error::not_found)))
            .route("/", web::get().to(home::lead_in))
            .route("/ui", web::get().to(home::lead_in));
    }
}
