//! Pages for persons, roll-out administrators and operators, below `/ui/`. They are rendered on the server and work
//! without script; a small script keeps them up to date.
//!
//! # Adding pages
//!
//! A group of pages is a module with a `pub(super) const GROUP: Group` and one line in [`GROUPS`]. Rules for its
//! handlers:
//!
//! * A handler takes [`Page`] (session optional) or [`SignedIn`] (session required), and for `POST` also [`Fields`],
//!   which refuses forms without the token of `page.token`. The origin is checked before any handler. Domain and person
//!   are taken from [`SignedIn`], never from the address.
//! * A template extends `frame.html` and has a member `page`. `page.t("key")` is a text of `messages/{en,de}.toml`; a
//!   test finds missing and unused keys. Templates escape all values, in attributes too.
//! * [`Page::answer`] renders. Errors are [`PageError`]s, which become error pages. Security headers are added to all
//!   answers.
//! * Parts of a page that change by themselves are elements with `data-part="NAME"`, and one element of the page has
//!   `data-live="/ui/…/events"`, an address answered by [`live::Live::stream`]. At every event the script loads the
//!   page again and replaces the parts. Such a request does not prolong the session.
//! * Each change is recorded with [`crate::accounts::SignIn::note`]. Services that handlers need are put into
//!   `app_data` by `app`.

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

/// A group of pages.
pub struct Group {
    /// Roles that see it.
    pub roles: &'static [Role],
    /// Its entries in the navigation.
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

/// Services and settings that all pages share.
pub struct Pages {
    /// Sign-in, sessions and accounts.
    pub sign_in: Arc<SignIn>,
    /// The operators' service, if this process has the role devices.
    pub admin: Option<Arc<Admin>>,
    /// The Users role, if this process has it.
    pub users_role: Option<Arc<UsersRole>>,
    /// Budget of requests to Devices per person.
    pub request_budget: RequestBudget,
    /// Streams of events.
    pub live: live::Live,
    /// Public origin of this service: scheme, host and port.
    pub origin: String,
    /// Address that devices connect to.
    pub devices_url: String,
    /// Cookies are sent over TLS only, however the request came; false on loopback without TLS.
    pub secure: bool,
    /// Devices' own pages, if they have a listener.
    pub own_pages: Option<Arc<own_pages::OwnPages>>,
    /// OpenID provider, if configured.
    pub provider: Option<oidc::SignInAt>,
    /// Whether accounts of this installation may sign in.
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
            .route("/", web::get().to(home::redirect_to_start))
            .route("/ui", web::get().to(home::redirect_to_start));
    }
}
