//! Issuing and revoking of codes: the directory draws a code, the store keeps its domain, category and user.

use std::sync::Arc;

use crate::clock::Stopwatch;
use crate::core::model::device::{Domain, Requester};
use crate::core::model::ids::{CategoryId, Code, DomainName, NodeId};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::directory::{DirectoryError, IssuedByDirectory};
use crate::metrics::{self, CodeEvent, Counter, Timer};
use crate::random;
use crate::store::{CodeRecord, PutCode, StoreError};

use super::RegistrationService;

/// How often a code is drawn at most, if the directory draws codes that are known here already.
const DRAWS: usize = 3;

/// A request for a code.
#[derive(Debug, Clone)]
pub struct CodeRequest<'a> {
    /// The domain that a device enters with it.
    pub domain: &'a Domain,
    /// The category that it enters.
    pub category: CategoryId,
    /// SIP name of the user.
    pub sip: Option<Box<str>>,
    /// Who requests it.
    pub requester: Requester,
    /// The node with the connection that requests it; `None`: no connection waits for the notice.
    pub holder: Option<NodeId>,
    /// Long validity.
    pub rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    pub administrative: bool,
}

/// A new code.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// The code.
    pub code: Code,
    /// End of its validity.
    pub valid_until: UnixMillis,
    /// The address that a device with this code connects to.
    pub url: Box<str>,
}

/// Why there is no code. Nothing is stored then.
#[derive(Debug, thiserror::Error)]
pub enum NoCode {
    /// The domain has as many open codes of this kind as it may have.
    #[error("the domain has too many open codes")]
    TooManyOpen,
    /// The directory has issued none.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store does not answer, or refuses it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistrationService {
    /// Issues a code. The caller records the event, since it knows the subjects.
    pub async fn issue_code(&self, request: &CodeRequest<'_>) -> Result<NewCode, NoCode> {
        let watch = Stopwatch::start();
        let max_open = if request.rollout { self.limits.max_open_rollout } else { self.limits.max_open };
        for _ in 0..DRAWS {
            let issued = self.directory.issue(request.rollout, &random::guid()).await?;
            let record = CodeRecord {
                code: issued.code,
                domain: request.domain.name.clone(),
                category: request.category,
                sip: request.sip.clone(),
                requester: request.requester.clone(),
                holder: request.holder.clone(),
                rollout: request.rollout,
                administrative: request.administrative,
                valid_until: issued.valid_until,
            };
            let put = self.store.put_code(&record, max_open).await;
            if matches!(put, Ok(PutCode::Kept)) {
                self.still_there(request.domain, issued.code).await?;
                let event = if request.rollout { CodeEvent::IssuedRollout } else { CodeEvent::Issued };
                metrics::count(Counter::Code(event));
                metrics::observe(Timer::CodeIssue, watch.elapsed());
                let (IssuedByDirectory { code, valid_until }, url) = (issued, self.directory.address().into());
                return Ok(NewCode { code, valid_until, url });
            }
            // Nobody gets this code, so the directory need not keep it.
            let _ = self.directory.give_back(issued.code).await;
            if put? == PutCode::TooMany {
                metrics::count(Counter::Code(CodeEvent::TooManyOpen));
                return Err(NoCode::TooManyOpen);
            }
        }
        Err(DirectoryError::Unavailable("it gives codes that are in use".into()).into())
    }

    /// Takes a new code back if its domain was deleted meanwhile: another domain may have taken its name.
    async fn still_there(&self, domain: &Domain, code: Code) -> Result<(), NoCode> {
        if self.tenants.find(&domain.name).await?.is_some_and(|now| now.id == domain.id) {
            return Ok(());
        }
        self.store.revoke_code(&domain.name, code).await?;
        let _ = self.directory.give_back(code).await;
        Err(StoreError::Unavailable("the domain was deleted".into()).into())
    }

    /// Ends an open code, here and in the directory. False if there is no such open code in this domain.
    pub async fn revoke(&self, domain: &DomainName, code: Code) -> Result<bool, StoreError> {
        let revoked = self.store.revoke_code(domain, code).await?;
        if revoked {
            metrics::count(Counter::Code(CodeEvent::Revoked));
            self.record_event(domain, vec![Subject::Code(code)], TimelineEvent::Revoked);
            if let Err(error) = self.directory.give_back(code).await {
                // The directory still sends a phone with this code here, where the code is refused.
                tracing::debug!(%error, "code not given back to the directory");
            }
        }
        Ok(revoked)
    }

    /// Gives a used code back to the directory in the background. If that fails, the directory keeps it until it
    /// expires.
    pub(super) fn forget_code(&self, code: Code) {
        let directory = Arc::clone(&self.directory);
        tokio::spawn(async move {
            if let Err(error) = directory.give_back(code).await {
                tracing::debug!(%error, "code not given back to the directory");
            }
        });
    }
}
