//! Making a code: drawn by the directory, kept here.

use std::sync::Arc;

use crate::clock::Stopwatch;
use crate::core::model::device::{Domain, Requester};
use crate::core::model::ids::{CategoryId, Code, DomainName, NodeId};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::directory::DirectoryError;
use crate::metrics::{self, CodeEvent, Counter, Timer};
use crate::random;
use crate::store::{CodeRecord, PutCode, StoreError};

use super::RegistrationService;

/// A code of the directory that is known here already is drawn again this often.
const DRAWS: usize = 3;

/// A code that somebody wants.
#[derive(Debug, Clone)]
pub struct CodeRequest<'a> {
    /// The domain that a device enters with it.
    pub domain: &'a Domain,
    /// The category that it enters.
    pub category: CategoryId,
    /// SIP name of the user.
    pub sip: Option<Box<str>>,
    /// Who asks.
    pub requester: Requester,
    /// The node with the connection that asks; `None`: nobody waits for the notice.
    pub holder: Option<NodeId>,
    /// Long validity.
    pub rollout: bool,
}

/// A fresh code.
#[derive(Debug, Clone, Copy)]
pub struct NewCode {
    /// The code.
    pub code: Code,
    /// End of its validity.
    pub valid_until: UnixMillis,
}

/// Why there is no code. Nothing is kept of it.
#[derive(Debug, thiserror::Error)]
pub enum NoCode {
    /// The domain has as many open codes of this kind as it may have.
    #[error("the domain has too many open codes")]
    TooManyOpen,
    /// The directory gives none.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store does not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistrationService {
    /// Makes a code. It is for the caller to say whose timeline that belongs to.
    pub async fn make(&self, wish: &CodeRequest<'_>) -> Result<NewCode, NoCode> {
        let watch = Stopwatch::start();
        let max_open = if wish.rollout { self.limits.max_open_rollout } else { self.limits.max_open };
        for _ in 0..DRAWS {
            let issued = self.directory.issue(wish.rollout, &random::guid()).await?;
            let new = CodeRecord {
                code: issued.code,
                domain: wish.domain.name.clone(),
                category: wish.category,
                sip: wish.sip.clone(),
                requester: wish.requester.clone(),
                holder: wish.holder.clone(),
                rollout: wish.rollout,
                valid_until: issued.valid_until,
            };
            let put = self.store.put_code(&new, max_open).await;
            if matches!(put, Ok(PutCode::Kept)) {
                let event = if wish.rollout { CodeEvent::IssuedRollout } else { CodeEvent::Issued };
                metrics::count(Counter::Code(event));
                metrics::observe(Timer::CodeIssue, watch.elapsed());
                return Ok(NewCode { code: issued.code, valid_until: issued.valid_until });
            }
            // Nobody will ever be told this code, so the directory need not keep it.
            let _ = self.directory.give_back(issued.code).await;
            if put? == PutCode::TooMany {
                metrics::count(Counter::Code(CodeEvent::TooManyOpen));
                return Err(NoCode::TooManyOpen);
            }
        }
        Err(DirectoryError::Unavailable("it gives codes that are in use".into()).into())
    }

    /// Ends an open code, here and in the directory. False if there is no such open code in this domain.
    pub async fn revoke(&self, domain: &DomainName, code: Code) -> Result<bool, StoreError> {
        let revoked = self.store.revoke_code(domain, code).await?;
        if revoked {
            metrics::count(Counter::Code(CodeEvent::Revoked));
            self.note(domain, vec![Subject::Code(code)], TimelineEvent::Revoked);
            if let Err(error) = self.directory.give_back(code).await {
                // A phone is still led here with it, where it is refused.
                tracing::debug!(%error, "code not given back to the directory");
            }
        }
        Ok(revoked)
    }

    /// The directory need not know this code any more. That it forgets it early is only tidy, so nobody waits for it.
    pub(super) fn forget_code(&self, code: Code) {
        let directory = Arc::clone(&self.directory);
        tokio::spawn(async move {
            if let Err(error) = directory.give_back(code).await {
                tracing::debug!(%error, "code not given back to the directory");
            }
        });
    }
}
