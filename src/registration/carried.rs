//! Codes that a bundle carries from a centre to a site (`docs/offline.md`): lent here, let in there.

use std::time::Duration;

use super::RegistrationService;
use super::new_code::NoCode;
use crate::core::model::bundle::SiteName;
use crate::core::model::device::CodeState;
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::metrics::{self, CodeEvent, Counter};
use crate::store::{CodeRecord, PutCode, StoreError};

/// What became of a code that was carried here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is new here.
    New,
    /// It was open here before.
    Open,
    /// A device has used it, or another domain has it.
    Over,
}

impl RegistrationService {
    /// Lends an open code to a site. From then on neither this broker nor its directory answers it. False if it is not
    /// open.
    pub async fn lend(&self, domain: &DomainName, code: Code, site: &SiteName) -> Result<bool, StoreError> {
        let lent = self.store.lend_code(domain, code, site).await?;
        if lent && let Err(error) = self.directory.give_back(code).await {
            // The directory still sends a phone with this code here, where the code is refused.
            tracing::debug!(%error, "lent code not given back to the directory");
        }
        Ok(lent)
    }

    /// Whether codes of another broker can be let in: the directory is in this process.
    pub fn admits_codes(&self) -> bool {
        self.directory.lists()
    }

    /// How many open codes of long validity a domain may have.
    pub const fn max_open_rollout(&self) -> u64 {
        self.limits.max_open_rollout
    }

    /// Keeps a code of another broker. The directory does not answer it yet.
    pub async fn admit(&self, record: &CodeRecord) -> Result<Admitted, NoCode> {
        let max_open = if record.rollout { self.limits.max_open_rollout } else { self.limits.max_open };
        let before = self.store.code_in(&record.domain, record.code).await?;
        match before.map(|before| before.state) {
            Some(CodeState::Open) => return Ok(Admitted::Open),
            Some(_) => return Ok(Admitted::Over),
            None => {}
        }
        match self.store.put_code(record, max_open).await? {
            PutCode::Kept => {
                metrics::count(Counter::Code(CodeEvent::IssuedRollout));
                self.record_event(&record.domain, vec![Subject::Code(record.code)], TimelineEvent::Issued);
                Ok(Admitted::New)
            }
            PutCode::Exists => Ok(Admitted::Over),
            PutCode::TooMany => Err(NoCode::TooManyOpen),
        }
    }

    /// Lists a code of another broker at the directory, for as long as it is valid.
    pub async fn list(&self, code: Code, left: Duration) -> Result<(), NoCode> {
        self.directory.list(code, left).await?;
        Ok(())
    }
}
