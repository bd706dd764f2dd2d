//! Answers to the questions of app connections: categories, codes, and which device took one (`devices-api.md` section 2).

use std::sync::Arc;

use crate::clock::Stopwatch;
use crate::core::appws::message::ApiError;
use crate::core::device::{CodeState, Device, Domain};
use crate::core::ids::{Code, DeviceKey, DomainId, DomainName};
use crate::core::users::event::{Answer, Ask, Delivery, DeviceView};
use crate::core::users::rights::Rights;
use crate::directory::DirectoryError;
use crate::metrics::{self, CodeEvent, Counter, Timer};
use crate::random;
use crate::store::{NewCode, PutCode, Result, StoreError};

use super::Codes;

/// A code of the directory that is known here already is drawn again this often.
const DRAWS: usize = 3;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
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

impl Codes {
    /// Answers a question within the rights of its connection.
    pub async fn answer(&self, rights: &Rights, ask: Ask) -> Answer {
        let answer = match ask {
            Ask::Categories { domain } => self.categories(rights, domain).await,
            Ask::Code { domain, category, sip, rollout } => self.issue(rights, domain, &category, sip, rollout).await,
            Ask::Device { domain, code } => self.provisioned(rights, domain, code).await,
        };
        answer.unwrap_or_else(Answer::Failed)
    }

    /// The domain that is meant. One outside the rights looks like one that does not exist.
    async fn domain(&self, rights: &Rights, id: Option<DomainId>) -> std::result::Result<Arc<Domain>, ApiError> {
        let domain = match id {
            Some(id) => self.tenants.by_id(id).await?,
            None => self.tenants.find(&rights.domain).await?,
        };
        let Some(domain) = domain else { return Err(ApiError::NotFound) };
        let from = (!rights.admin).then_some(&rights.domain);
        if self.tenants.reach(from, &domain.name).await? { Ok(domain) } else { Err(ApiError::NotFound) }
    }

    async fn categories(&self, rights: &Rights, id: Option<DomainId>) -> std::result::Result<Answer, ApiError> {
        let domain = self.domain(rights, id).await?;
        let categories = domain.categories.iter().filter(|c| c.provisioning).cloned().collect();
        Ok(Answer::Categories { name: domain.name.clone(), domain: domain.id, categories })
    }

    async fn issue(
        &self,
        rights: &Rights,
        id: Option<DomainId>,
        category: &str,
        sip: Option<Box<str>>,
        rollout: bool,
    ) -> std::result::Result<Answer, ApiError> {
        let watch = Stopwatch::start();
        let domain = self.domain(rights, id).await?;
        let category = domain.category(category).ok_or(ApiError::NotFound)?;
        if !category.provisioning {
            return Err(ApiError::NotAProvisioningCategory);
        }
        let max_open = if rollout { self.limits.max_open_rollout } else { self.limits.max_open };
        for _ in 0..DRAWS {
            let issued = self.directory.issue(rollout, &random::guid()).await?;
            let new = NewCode {
                code: issued.code,
                domain: domain.name.clone(),
                category: category.id,
                sip: sip.clone(),
                requester: rights.requester.clone(),
                holder: Some(self.node.clone()),
                rollout,
                valid_until: issued.valid_until,
            };
            let put = self.store.put_code(&new, max_open).await;
            if matches!(put, Ok(PutCode::Kept)) {
                let event = if rollout { CodeEvent::IssuedRollout } else { CodeEvent::Issued };
                metrics::count(Counter::Code(event));
                metrics::observe(Timer::CodeIssue, watch.elapsed());
                let (name, code) = (domain.name.clone(), issued.code);
                return Ok(Answer::Code { name, code, valid_until: issued.valid_until });
            }
            // Nobody will ever be told this code, so the directory need not keep it.
            let _ = self.directory.give_back(issued.code).await;
            if put? == PutCode::TooMany {
                metrics::count(Counter::Code(CodeEvent::TooManyOpen));
                return Err(ApiError::TooManyRequests);
            }
        }
        Err(ApiError::DirectoryUnavailable)
    }

    async fn provisioned(
        &self,
        rights: &Rights,
        id: Option<DomainId>,
        code: Code,
    ) -> std::result::Result<Answer, ApiError> {
        let domain = self.domain(rights, id).await?;
        let issued = self.store.code_in(&domain.name, code).await?.ok_or(ApiError::NotFound)?;
        if issued.holder.is_none() {
            // Nobody waits for the notice any more, so it is addressed to who asks now. Whoever requested the code is not put
            // aside by somebody who only asks about it.
            self.store.hold_code(&domain.name, code, &self.node).await?;
        }
        let name = domain.name.clone();
        let device = match issued.state {
            CodeState::Open => None,
            CodeState::Used { by, .. } => {
                Some(Box::new(self.view(&domain.name, &by).await?.ok_or(ApiError::NotFound)?))
            }
        };
        Ok(Answer::Device { name, code, device })
    }

    /// The device that has used a code, and the port if it was for one; `None` if there is no such device (any more).
    pub async fn taker(&self, domain: &DomainName, code: Code) -> Result<Option<Delivery>> {
        let Some(issued) = self.store.code_in(domain, code).await? else { return Ok(None) };
        let CodeState::Used { by, port } = issued.state else { return Ok(None) };
        Ok(self.view(domain, &by).await?.map(|device| Delivery { code, port, device }))
    }

    /// A device of this domain as clients see it; `None` if it is not of this domain (any more).
    pub async fn view(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<DeviceView>> {
        let device = self.store.find_device(key).await?;
        let Some(device) = device.filter(|d| d.domain == *domain) else { return Ok(None) };
        let Some(tenant) = self.tenants.find(domain).await? else { return Ok(None) };
        let online = self.store.whereabouts(domain, key).await?.is_some();
        let category = category_name(&tenant, &device);
        Ok(Some(DeviceView { domain: tenant.id, online, category, device }))
    }
}

fn category_name(domain: &Domain, device: &Device) -> Option<Box<str>> {
    domain.categories.iter().find(|c| c.id == device.category).map(|c| c.name.clone())
}
