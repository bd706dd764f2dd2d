//! Extractors for users of a domain that the Users role of this process serves.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use super::{Answer, Page, PageError, Pages, SignedIn};
use crate::clock;
use crate::core::model::accounts::Role;
use crate::core::model::ids::DomainName;
use crate::core::model::users_role::Person;
use crate::users_role::UsersRole;

/// A signed-in user of a domain, with the Users role. The domain is taken from the session.
pub(super) struct Member {
    pub signed: SignedIn,
    pub page: Page,
    pub pages: web::Data<Pages>,
    pub users_role: Arc<UsersRole>,
    pub domain: DomainName,
}

impl Member {
    /// Refuses other roles.
    pub fn only(self, role: Role) -> Answer<Self> {
        self.signed.only(role)?;
        Ok(self)
    }

    /// Adds an entry to the audit log.
    pub async fn note(&self, what: &str, to: &str) {
        self.pages.sign_in.note(&self.signed.session.actor(), what, to, Some(&self.domain)).await;
    }
}

impl FromRequest for Member {
    type Error = PageError;
    type Future = Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let signed = SignedIn::from_request(request, payload).into_inner();
        let pages = request.app_data::<web::Data<Pages>>().cloned().ok_or(PageError::Internal);
        ready(signed.and_then(|signed| {
            let (pages, domain) = (pages?, signed.domain()?.clone());
            let users_role = pages.users_role_of(&domain).cloned().ok_or(PageError::NotServed)?;
            Ok(Self { page: signed.page.clone(), signed, pages, users_role, domain })
        }))
    }
}

/// A person who is in the list of users.
pub(super) struct Owner {
    pub member: Member,
    pub person: Person,
}

impl Owner {
    /// Takes requests to Devices from the budget of this person.
    pub fn take_budget(&self, requests: u32) -> Answer<()> {
        let taken = self.pages.request_budget.take(&self.domain, &self.person.guid, requests, clock::now());
        taken.map_err(PageError::TooMany)
    }
}

impl std::ops::Deref for Owner {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.member
    }
}

impl FromRequest for Owner {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let member = Member::from_request(request, payload).into_inner();
        Box::pin(async move {
            let member = member?.only(Role::Person)?;
            let person = member.users_role.user(&member.domain, &member.signed.who().sip).await?;
            Ok(Self { person: person.ok_or(PageError::NoUser)?, member })
        })
    }
}

/// A roll-out administrator.
pub(super) struct Administrator(pub Member);

impl std::ops::Deref for Administrator {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.0
    }
}

impl FromRequest for Administrator {
    type Error = PageError;
    type Future = Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let member = Member::from_request(request, payload).into_inner();
        ready(member.and_then(|member| member.only(Role::Rollout)).map(Self))
    }
}
