//! Provisioning codes as Devices keeps them. What the directory keeps of a code is in `directory.rs`.

use super::Result;
use super::observed::store_trait;
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{IssuedCode, Requester};
use crate::core::model::ids::{CategoryId, Code, DeviceKey, DomainName, NodeId};
use crate::core::model::time::UnixMillis;

/// A code to be kept.
#[derive(Debug, Clone)]
pub struct CodeRecord {
    /// The code, drawn by the directory.
    pub code: Code,
    /// The domain that a device enters with it.
    pub domain: DomainName,
    /// The category that it enters.
    pub category: CategoryId,
    /// SIP name of the user.
    pub sip: Option<Box<str>>,
    /// Who requested it.
    pub requester: Requester,
    /// The node with the connection that requested it; `None`: no connection waits for the notice.
    pub holder: Option<NodeId>,
    /// Long validity.
    pub rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    pub administrative: bool,
    /// End of validity according to the directory.
    pub valid_until: UnixMillis,
}

/// Result of [`Codes::put_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutCode {
    /// It is kept.
    Kept,
    /// There is a record of this code already; it stays.
    Exists,
    /// The domain has `max_open` open codes of this kind (short or roll-out).
    TooMany,
}

/// A code in a list.
#[derive(Debug, Clone)]
pub struct CodeListing {
    /// The code.
    pub code: IssuedCode,
    /// When it was issued, on the clock of the store.
    pub issued: UnixMillis,
}

store_trait! {
    /// Provisioning codes. An unused code ends with its validity; then there is no record of it any more.
    pub trait Codes: Send + Sync {
        /// Keeps a new code until `valid_until`, unless the domain already has `max_open` open codes of its kind.
        async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> => PutCode;

        /// Looks a code up without knowing its domain, as a device presents it: open or used, but only within its
        /// validity.
        async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>> => FindCode;

        /// Looks a code up in a domain, for Users: open within its validity, used ones for 30 days.
        async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> => CodeIn;

        /// Records that a connection of `node` waits for the notice of this code, also if the notice is already in the
        /// mailbox.
        async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()> => HoldCode;

        /// Up to `limit` codes of a domain, newest first; those issued at the same time in an order of their own.
        /// Only codes behind `before` in this order. Fewer than `limit` are the last ones.
        async fn codes(
            &self,
            domain: &DomainName,
            before: Option<(UnixMillis, Code)>,
            limit: usize,
        ) -> Result<Vec<CodeListing>> => Codes;

        /// Ends an open code. False if there is no such open code in this domain.
        async fn revoke_code(&self, domain: &DomainName, code: Code) -> Result<bool> => RevokeCode;

        /// Lends an open code to a site: no device enters with it here. It is kept until 30 days after its validity.
        /// False if there is no such open code in this domain; one that is lent to this site already is true.
        async fn lend_code(&self, domain: &DomainName, code: Code, site: &SiteName) -> Result<bool> => LendCode;

        /// A device has used a lent code at this site: the code is used, and the notice is in the mailbox. False if it
        /// is not lent to this site.
        async fn settle_loan(
            &self,
            domain: &DomainName,
            code: Code,
            site: &SiteName,
            device: &DeviceKey,
            port: Option<&str>,
        ) -> Result<bool> => SettleLoan;
    }
}
