//! Requests about categories and codes (`docs/protocol/devices-api.md` section 2).

use std::sync::Arc;

use crate::core::model::device::{Category, CodeState, Domain};
use crate::core::model::ids::{Code, DomainId};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::core::policy::jobs::Task;
use crate::core::protocol::appws::message::ApiError;
use crate::core::session::app::event::Answer;
use crate::core::session::app::rights::Rights;
use crate::directory::DirectoryError;
use crate::mailbox::{address_notice, device_view};
use crate::metrics::{self, CodeEvent, Counter};
use crate::registration::{CodeRequest, NewCode, NoCode};
use crate::store::StoreError;

use super::AppQueries;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::OverQuota(over) = error {
            tracing::info!(%over, "request of an app refused");
            return Self::TooManyRequests;
        }
        tracing::warn!(%error, "request failed");
        Self::Internal
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        tracing::warn!(%error, "no code from the directory");
        metrics::count(Counter::Code(CodeEvent::DirectoryUnavailable));
        match error {
            DirectoryError::RateLimited { .. } => Self::TooManyRequests,
            DirectoryError::Refused(_)
            | DirectoryError::Unauthorized
            | DirectoryError::IdempotencyConflict
            | DirectoryError::Unavailable(_) => Self::DirectoryUnavailable,
        }
    }
}

impl From<NoCode> for ApiError {
    fn from(error: NoCode) -> Self {
        match error {
            NoCode::TooManyOpen => Self::TooManyRequests,
            NoCode::Directory(error) => error.into(),
            NoCode::Store(error) => error.into(),
        }
    }
}

/// A code that an app requests.
pub struct WantedCode<'a> {
    /// Name of the category.
    pub category: &'a str,
    /// SIP name of the user.
    pub sip: Option<Box<str>>,
    /// Long validity.
    pub rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    pub administrative: bool,
}

impl AppQueries {
    /// The domain with this number, or that of the log-in. A domain outside the rights counts as one that does not
    /// exist.
    pub(super) async fn domain(
        &self,
        rights: &Rights,
        id: Option<DomainId>,
    ) -> std::result::Result<Arc<Domain>, ApiError> {
        let domain = match id {
            Some(id) => self.tenants.by_id(id).await?,
            None => self.tenants.find(&rights.domain).await?,
        };
        let Some(domain) = domain else { return Err(ApiError::NotFound) };
        let from = (!rights.admin).then_some(&rights.domain);
        if self.tenants.reach(from, &domain.name).await? { Ok(domain) } else { Err(ApiError::NotFound) }
    }

    /// The categories for provisioning. With a device type only those that suit it: that have a configuration for it,
    /// or none at all, so that a domain without jobs is not without categories (`docs/protocol/devices-api.md` 2.2).
    pub async fn categories(
        &self,
        rights: &Rights,
        id: Option<DomainId>,
        device_type: Option<&str>,
    ) -> std::result::Result<Answer, ApiError> {
        let domain = self.domain(rights, id).await?;
        let jobs = self.tenants.jobs(&domain.name);
        let suits = |category: &Category| {
            let Some(device_type) = device_type else { return true };
            let mut kinds =
                jobs.iter().filter(|job| job.order.matches(category.id)).filter_map(|job| match &job.order.task {
                    Task::Config(configuration) => Some(configuration.kind),
                    Task::Update(_) => None,
                });
            let Some(first) = kinds.next() else { return true };
            first.lists_category(device_type) || kinds.any(|kind| kind.lists_category(device_type))
        };
        let categories = domain.categories.iter().filter(|c| c.provisioning && suits(c)).cloned().collect();
        Ok(Answer::Categories { name: domain.name.clone(), domain: domain.id, categories })
    }

    /// Issues a code.
    pub async fn issue_code(
        &self,
        rights: &Rights,
        id: Option<DomainId>,
        wanted: WantedCode<'_>,
    ) -> std::result::Result<Answer, ApiError> {
        let domain = self.domain(rights, id).await?;
        let category = domain.category(wanted.category).ok_or(ApiError::NotFound)?;
        if !category.provisioning {
            return Err(ApiError::NotAProvisioningCategory);
        }
        let request = CodeRequest {
            domain: &domain,
            category: category.id,
            sip: wanted.sip,
            requester: rights.requester.clone(),
            holder: Some(self.node.clone()),
            rollout: wanted.rollout,
            administrative: wanted.administrative,
        };
        let NewCode { code, valid_until, url } = self.registration.issue_code(&request).await?;
        self.registration.record_event(&domain.name, vec![Subject::Code(code)], TimelineEvent::Issued);
        Ok(Answer::Code { name: domain.name.clone(), code, valid_until, url })
    }

    /// The device that has used a code.
    pub async fn device_of_code(
        &self,
        rights: &Rights,
        id: Option<DomainId>,
        code: Code,
    ) -> std::result::Result<Answer, ApiError> {
        let domain = self.domain(rights, id).await?;
        let issued = self.store.code_in(&domain.name, code).await?.ok_or(ApiError::NotFound)?;
        if issued.holder.is_none() {
            // No connection waits for the notice any more, so it is addressed to the one that asks now. A connection
            // that requested the code and still waits keeps its priority.
            address_notice(&*self.store, &self.node, &domain.name, code).await?;
        }
        let name = domain.name.clone();
        let device = match issued.state {
            CodeState::Open | CodeState::Lent { .. } => None,
            CodeState::Used { by, .. } => {
                let view = device_view(&*self.store, &self.tenants, &domain.name, &by).await?;
                Some(Box::new(view.ok_or(ApiError::NotFound)?))
            }
        };
        Ok(Answer::Device { name, code, device })
    }
}
