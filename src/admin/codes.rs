//! Codes as operators handle them.

use std::sync::Arc;

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::{Category, CodeState, Domain, IssuedCode, Requester};
use crate::core::model::ids::{CategoryId, Code};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::registration::{CodeRequest, NewCode, NoCode};
use crate::store::{CodeListing, DeviceListing};

/// Codes that are looked at together.
const PAGE: usize = 1000;

/// Pages that one request looks through for codes that pass its filter.
const PAGES: usize = 10;

/// A code that an operator wants.
#[derive(Debug, Clone)]
pub struct OperatorCodeRequest<'a> {
    /// Name of the category, or its number.
    pub category: &'a str,
    /// SIP name of the user.
    pub sip: Option<&'a str>,
    /// Long validity.
    pub rollout: bool,
}

/// Which codes are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFilter {
    /// All.
    All,
    /// Those that nobody has used.
    Open,
    /// Those that a device has used.
    Used,
}

impl CodeFilter {
    const fn passes(self, state: &CodeState) -> bool {
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
                tracing::warn!(%error, "no code from the directory");
                Self::Unavailable("no code could be had from the config directory; try again later".into())
            }
            NoCode::Store(error) => error.into(),
        }
    }
}

/// Who asks when it is an operator. Nobody logs in to wait for the notice by this name, so it goes to whoever acts as Users.
pub(super) fn operator() -> Requester {
    Requester { app: "api".into(), sip: "".into() }
}

/// The provisioning category with this name or number.
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
        };
        let NewCode { code, valid_until } = codes.issue_code(&code_request).await?;
        codes.record_event(&domain.name, vec![Subject::Code(code)], TimelineEvent::Issued);
        let code = IssuedCode {
            code,
            domain: domain.name.clone(),
            category,
            sip: code_request.sip,
            requester: code_request.requester,
            holder: None,
            rollout: code_request.rollout,
            valid_until,
            state: CodeState::Open,
        };
        Ok((domain, code))
    }

    /// Up to `limit` codes, newest first, from behind the position `before`; and the position to go on from, if there may be
    /// more. A page may have less than `limit` and others follow all the same.
    pub async fn codes(
        &self,
        domain: &Domain,
        mut before: Option<(UnixMillis, Code)>,
        limit: usize,
        filter: CodeFilter,
    ) -> Result<(Vec<CodeListing>, Option<(UnixMillis, Code)>)> {
        let size = if filter == CodeFilter::All { limit } else { PAGE };
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let page = self.services.store.codes(&domain.name, before, size).await?;
            let last = page.len() < size;
            for listing in page {
                before = Some((listing.issued, listing.code.code));
                if filter.passes(&listing.code.state) {
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

    /// A code.
    pub async fn code(&self, authority: &Authority, named: &str, code: Code) -> Result<(Arc<Domain>, IssuedCode)> {
        let domain = self.domain(authority, named).await?;
        let found = self.services.store.code_in(&domain.name, code).await?;
        Ok((domain, found.ok_or(AdminError::NotFound("code"))?))
    }

    /// Ends an open code. Afterwards it is like one that never was.
    pub async fn revoke_code(&self, authority: &Authority, named: &str, code: Code) -> Result<()> {
        let (domain, _) = self.code(authority, named, code).await?;
        if self.services.registration.revoke(&domain.name, code).await? {
            return Ok(());
        }
        // It was there a moment ago: a device has used it, before or just now.
        Err(AdminError::Conflict("a device has used the code".into()))
    }

    /// Up to `limit` devices of a domain, by number, after this one.
    pub async fn devices_after(
        &self,
        domain: &Domain,
        after: crate::core::model::ids::DeviceId,
        limit: usize,
    ) -> Result<Vec<DeviceListing>> {
        Ok(self.services.store.devices(&domain.name, after, limit).await?)
    }
}
