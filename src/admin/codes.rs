//! Provisioning codes for operators: issue, list, show and revoke.

use std::sync::Arc;

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::{Category, CodeState, Domain, IssuedCode, Requester};
use crate::core::model::ids::{CategoryId, Code};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::registration::{CodeRequest, NewCode, NoCode};
use crate::store::{CodeListing, DeviceListing};

/// Codes that are read from the store at a time.
const PAGE: usize = 1000;

/// Most pages that one request searches for codes that match its filter.
const PAGES: usize = 10;

/// Code request of an operator.
#[derive(Debug, Clone)]
pub struct OperatorCodeRequest<'a> {
    /// Name or number of the category.
    pub category: &'a str,
    /// SIP name of the user.
    pub sip: Option<&'a str>,
    /// Long validity, as for a roll-out.
    pub rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    pub administrative: bool,
}

/// Filter for codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFilter {
    /// All codes.
    All,
    /// Unused codes.
    Open,
    /// Used codes.
    Used,
}

impl CodeFilter {
    const fn matches(self, state: &CodeState) -> bool {
        match self {
            Self::All => true,
            Self::Open => matches!(state, CodeState::Open),
            Self::Used => matches!(state, CodeState::Used { .. }),
        }
    }
}

impl From<NoCode> for AdminError {
    fn from(error: NoCode) -> Self {
        match error {
            NoCode::TooManyOpen => Self::TooMany("the domain has as many open codes of this kind as it may have"),
            NoCode::Directory(error) => {
                tracing::warn!(%error, "the directory has issued no code");
                Self::Unavailable("the config directory could not issue a code; try again later".into())
            }
            NoCode::Store(error) => error.into(),
        }
    }
}

/// The requester of codes that operators issue. No app logs in with this name, so the notice goes to any connection
/// that acts as Users.
pub(super) fn operator() -> Requester {
    Requester { app: "api".into(), sip: "".into() }
}

/// Finds a category for provisioning by name or number.
pub(super) fn category<'a>(domain: &'a Domain, named: &str) -> Result<&'a Category> {
    let by_number = || {
        let id = named.parse().ok().map(CategoryId)?;
        domain.categories.iter().find(|category| category.id == id)
    };
    let category = domain.category(named).or_else(by_number);
    let category = category.ok_or_else(|| AdminError::unfit("category", "the domain has no such category"))?;
    if category.provisioning {
        Ok(category)
    } else {
        Err(AdminError::unfit("category", "the category is not meant for provisioning"))
    }
}

impl Admin {
    /// Issues a code.
    pub async fn issue_code(
        &self,
        authority: &Authority,
        named: &str,
        request: &OperatorCodeRequest<'_>,
    ) -> Result<(Arc<Domain>, IssuedCode)> {
        let domain = self.domain(authority, named).await?;
        let category = category(&domain, request.category)?.id;
        let codes = &self.services.registration;
        let code_request = CodeRequest {
            domain: &domain,
            category,
            sip: request.sip.map(Into::into),
            requester: operator(),
            holder: None,
            rollout: request.rollout,
            administrative: request.administrative,
        };
        let NewCode { code, valid_until, .. } = codes.issue_code(&code_request).await?;
        codes.record_event(&domain.name, vec![Subject::Code(code)], TimelineEvent::Issued);
        self.record(authority, "code.issue", request.sip.unwrap_or_default(), Some(&domain.name)).await;
        let code = IssuedCode {
            code,
            domain: domain.name.clone(),
            category,
            sip: code_request.sip,
            requester: code_request.requester,
            holder: None,
            rollout: code_request.rollout,
            administrative: code_request.administrative,
            valid_until,
            state: CodeState::Open,
        };
        Ok((domain, code))
    }

    /// Up to `limit` codes older than the position `before`, newest first; and the position to continue from, if there
    /// may be more. A page may have less than `limit` codes although others follow.
    pub async fn codes(
        &self,
        authority: &Authority,
        domain: &Domain,
        mut before: Option<(UnixMillis, Code)>,
        limit: usize,
        filter: CodeFilter,
    ) -> Result<(Vec<CodeListing>, Option<(UnixMillis, Code)>)> {
        let size = if filter == CodeFilter::All { limit } else { PAGE };
        let mut found = Vec::new();
        for _ in 0..PAGES {
            self.still(authority, domain)?;
            let page = self.services.store.codes(&domain.name, before, size).await?;
            let last = page.len() < size;
            for listing in page {
                before = Some((listing.issued, listing.code.code));
                if filter.matches(&listing.code.state) {
                    found.push(listing);
                }
                if found.len() == limit {
                    return Ok((found, before));
                }
            }
            if last {
                return Ok((found, None));
            }
        }
        Ok((found, before))
    }

    /// Finds a code.
    pub async fn code(&self, authority: &Authority, named: &str, code: Code) -> Result<(Arc<Domain>, IssuedCode)> {
        let domain = self.domain(authority, named).await?;
        let found = self.services.store.code_in(&domain.name, code).await?;
        Ok((domain, found.ok_or(AdminError::NotFound("code"))?))
    }

    /// Revokes an open code. Afterwards it is treated like an unknown code.
    pub async fn revoke_code(&self, authority: &Authority, named: &str, code: Code) -> Result<()> {
        let (domain, issued) = self.code(authority, named, code).await?;
        if self.services.registration.revoke(&domain.name, code).await? {
            // Never the code itself: the log is read by more people than the list of codes.
            self.record(authority, "code.revoke", issued.sip.as_deref().unwrap_or_default(), Some(&domain.name)).await;
            return Ok(());
        }
        if let CodeState::Lent { site } = &issued.state {
            let why = format!("the code is lent to the site {site}, which may have used it; it ends with its validity");
            return Err(AdminError::Conflict(why));
        }
        // The code existed a moment ago, so a device has used it.
        Err(AdminError::Conflict("a device has used the code".into()))
    }

    /// Up to `limit` devices of a domain after the device `after`, sorted by number.
    pub async fn devices_after(
        &self,
        authority: &Authority,
        domain: &Domain,
        after: crate::core::model::ids::DeviceId,
        limit: usize,
    ) -> Result<Vec<DeviceListing>> {
        self.still(authority, domain)?;
        Ok(self.services.store.devices(&domain.name, after, limit).await?)
    }
}
