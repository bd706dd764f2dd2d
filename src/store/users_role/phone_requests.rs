//! Phone requests: which person has requested which phone, with which code, and how far that is.

use std::time::Duration;

use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{PersonId, PhoneRequest, Progress, RequestId};
use crate::store::Result;
use crate::store::observed::store_trait;

/// An expired or cancelled request is kept this long, so that its person can read why it has no phone.
pub const KEEP_OVER: Duration = Duration::from_secs(24 * 3600);

/// Result of [`PhoneRequests::put_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutRequest {
    /// It is kept.
    Kept,
    /// Its person has the maximum number of open codes.
    TooMany,
}

store_trait! {
    /// Phone requests. One whose code is not used ends 30 days after the code, because its notice may come until
    /// then; one that expired or was cancelled ends a day later, or with its roll-out; one that has a phone stays.
    pub trait PhoneRequests: Send + Sync {
        /// Keeps new requests of one domain. An existing one stays as it is.
        async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()> => PutRequests;

        /// Keeps a new request, unless its person has `max_open` open codes: within their validity, not cancelled,
        /// and without a phone, including those of roll-outs. An existing one stays as it is and counts as kept.
        async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest> => PutRequests;

        /// One request.
        async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> => Requests;

        /// All requests of a person, newest first.
        async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> => Requests;

        /// The request with this code.
        async fn request_with_code(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>> => Requests;

        /// Up to `limit` codes whose phone is not known yet and whose validity ends at `from` or later, sorted by
        /// that end.
        async fn codes_without_phone(
            &self,
            domain: &DomainName,
            from: UnixMillis,
            limit: usize,
        ) -> Result<Vec<(UnixMillis, Code)>> => Requests;

        /// Changes the progress of a request from `from` to `to`. False, without a change, unless it is `from` now.
        async fn advance_request(
            &self,
            request: &PhoneRequest,
            from: Progress,
            to: Progress,
        ) -> Result<bool> => Advance;

        /// Removes a request, with its order. False if there is none.
        async fn forget_request(&self, request: &PhoneRequest) -> Result<bool> => ForgetRequest;
    }
}
