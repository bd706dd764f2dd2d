//! Handles the identify of a device: looks up its record, decides, and enters it into a domain
//! (`docs/protocol/sysclient.md` sections 5 and 6). Also claims of analogue ports.

use crate::clock;
use crate::core::model::device::{Device, Domain, Facts, IssuedCode, Way};
use crate::core::model::ids::{CategoryId, Code, DeviceKey, DomainName, Secret};
use crate::core::model::quota::OverQuota;
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::core::policy::entry::{AutoOffer, CodeOffer, Situation, Stage, Step, decide, entered_unproved};
use crate::core::policy::limits::SourceKey;
use crate::core::policy::log_limiter::LogLimiter;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::auth::PASSWORD_CHARS;
use crate::core::session::device::event::{Claimed, Membership};
use crate::core::session::device::query::Query;
use crate::metrics::{self, CodeEvent, Counter, Registration};
use crate::random;
use crate::store::{Entered, Entry, EntryRight, PortClaim, Result, StoreError, Whereabouts};

use super::RegistrationService;

/// Characters of the random administrative password (`docs/protocol/sysclient.md` 3.4).
const ADMIN_PASSWORD_CHARS: usize = 24;

/// Decisions for one identify at most: if another entry was faster, the decision is made again.
const DECISIONS: usize = 3;

/// An identify and the connection that it came on.
#[derive(Debug)]
pub struct ClaimRequest<'a> {
    /// The identify.
    pub identify: &'a Identify,
    /// The progress of the connection so far.
    pub stage: Stage,
    /// The query of its address.
    pub query: &'a Query,
    /// The source address.
    pub source: SourceKey,
    /// The connection.
    pub here: &'a Whereabouts,
    /// The record of the device, if the caller has read it.
    pub known: Known,
}

/// The record of the device as the caller of a claim has read it.
#[derive(Debug)]
pub enum Known {
    /// Not read, or not recently.
    Unasked,
    /// This record; `None`: it belongs to no domain.
    Now(Option<Box<Device>>),
}

/// The records that a decision is based on.
struct Found {
    device: Option<Box<Device>>,
    code: Option<IssuedCode>,
    auto: AutoOffer,
    other_member: bool,
}

impl RegistrationService {
    /// The record of a device, read before the claim; `Err` is the outcome of the claim if it is clear already.
    pub async fn look_up(&self, key: &DeviceKey) -> std::result::Result<Option<Box<Device>>, Claimed> {
        if let Some(blocked) = self.blocked(key) {
            return Err(blocked);
        }
        let found = self.store.find_device(key).await;
        found.map(|device| device.map(Box::new)).map_err(|error| unavailable(&error))
    }

    fn blocked(&self, key: &DeviceKey) -> Option<Claimed> {
        self.attempt_limiter.device_blocked(key).then(|| {
            count_registration(Registration::TooManyAttempts);
            Claimed::Blocked
        })
    }

    /// Decides about an identify and carries the decision out.
    pub async fn claim(&self, request: ClaimRequest<'_>) -> Claimed {
        let key = request.identify.id.key();
        if let Some(blocked) = self.blocked(&key) {
            return blocked;
        }
        self.try_claim(&key, request).await.unwrap_or_else(|error| unavailable(&error))
    }

    async fn try_claim(&self, key: &DeviceKey, mut request: ClaimRequest<'_>) -> Result<Claimed> {
        let mut code_is_gone = false;
        for _ in 0..DECISIONS {
            // After the first attempt another entry was faster, so the record of the caller is out of date.
            let known = std::mem::replace(&mut request.known, Known::Unasked);
            let found = self.find(key, &request, known).await?;
            let code = match request.identify.code {
                OfferedCode::None => CodeOffer::None,
                _ if code_is_gone => CodeOffer::Bad,
                _ => found.code.as_ref().map_or(CodeOffer::Bad, CodeOffer::Found),
            };
            let verdict = decide(&Situation {
                key,
                device: found.device.as_deref(),
                code,
                auto: found.auto.clone(),
                other_member: found.other_member,
                stage: request.stage,
            });
            if verdict.other_domain {
                // The person at the phone is not informed, so the operator has to be
                // (`docs/protocol/sysclient.md` section 5).
                tracing::info!(device = %key, "entry refused: the device belongs to another domain");
                count_registration(Registration::OtherDomain);
                self.record_other_domain(key, &found);
            }
            let (ticket, domain, category) = match (&verdict.step, &found.code) {
                (Step::EnterByCode, Some(code)) => (EntryRight::Code(code.code), code.domain.clone(), code.category),
                (Step::EnterByQuery { domain, category }, _) => (EntryRight::Auto, domain.clone(), *category),
                _ => {
                    if verdict.bad_code {
                        count_registration(Registration::BadCode);
                        metrics::count(Counter::Code(CodeEvent::Wrong));
                        self.attempt_limiter.count_bad_code(key, request.source);
                    }
                    if verdict.bad_token {
                        tracing::info!(device = %key, "automatic provisioning refused: incomplete or wrong query");
                        count_registration(Registration::BadToken);
                        self.attempt_limiter.count_wrong_token(request.source);
                    }
                    return self.not_entered(key, &request, found, verdict.bad_code).await;
                }
            };
            match self.enter(key, ticket, domain.clone(), category, &request.identify.facts).await {
                Ok(Entered::In(device)) => return self.entered(device).await,
                Ok(Entered::CodeNotOpen) => code_is_gone = true,
                Ok(Entered::OwnedElsewhere) => {}
                Err(StoreError::OverQuota(over)) => {
                    self.record_over_quota(key, &domain, &found, over);
                    return self.not_entered(key, &request, found, false).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Unavailable("the device changes hands too fast".into()))
    }

    /// The device's event goes to its domain and the code's event to that of the code: neither domain learns of the
    /// other one.
    fn record_other_domain(&self, key: &DeviceKey, found: &Found) {
        if let Some(device) = &found.device {
            self.record_event(&device.domain, vec![Subject::Device(key.clone())], TimelineEvent::OtherDomain);
        }
        if let Some(code) = &found.code {
            self.record_event(&code.domain, vec![Subject::Code(code.code)], TimelineEvent::OtherDomain);
        }
    }

    /// The domain has no room for the device. The code stays open.
    fn record_over_quota(&self, key: &DeviceKey, domain: &DomainName, found: &Found, over: OverQuota) {
        tracing::info!(device = %key, %domain, %over, "entry refused");
        count_registration(Registration::OverQuota);
        if let Some(code) = &found.code {
            self.record_event(domain, vec![Subject::Code(code.code)], TimelineEvent::OverQuota);
        }
    }

    async fn find(&self, key: &DeviceKey, request: &ClaimRequest<'_>, known: Known) -> Result<Found> {
        let device = match known {
            Known::Now(device) => device,
            Known::Unasked => self.store.find_device(key).await?.map(Box::new),
        };
        let code = match request.identify.code {
            OfferedCode::Code(code) => self.store.find_code(code).await?,
            OfferedCode::None | OfferedCode::Malformed => None,
        };
        let tenant = match request.query {
            Query::Given(given) => self.tenants.find(&given.domain).await?,
            Query::None | Query::Bad => None,
        };
        let auto = request.query.check(tenant.as_deref());
        // Only a second entry can close another connection, so only then it matters whether there is one.
        let again =
            |device: &Device| code.is_some() || entered_unproved(device) && matches!(auto, AutoOffer::Good { .. });
        let other_member = match &device {
            Some(device) if request.stage != Stage::Member && again(device) => {
                let other = self.store.whereabouts(&device.domain, key).await?;
                other.is_some_and(|other| other != *request.here)
            }
            _ => false,
        };
        Ok(Found { device, code, auto, other_member })
    }

    async fn enter(
        &self,
        key: &DeviceKey,
        right: EntryRight,
        domain: DomainName,
        category: CategoryId,
        facts: &Facts,
    ) -> Result<Entered> {
        let admin_password = (right == EntryRight::Auto).then(|| random::letters_and_digits(ADMIN_PASSWORD_CHARS));
        let password = random::letters_and_digits(PASSWORD_CHARS);
        let entry = Entry { key: key.clone(), domain, category, right, password, admin_password, facts: facts.clone() };
        self.store.enter(&entry).await
    }

    async fn entered(&self, device: Box<Device>) -> Result<Claimed> {
        count_registration(match device.way {
            Way::Code => Registration::EnteredCode,
            Way::Auto => Registration::EnteredAuto,
            Way::Manual => Registration::EnteredManual,
        });
        tracing::info!(device = %device.key, domain = %device.domain, way = ?device.way, "device has entered");
        let mut subjects = vec![Subject::Device(device.key.clone())];
        if let (Way::Code, Some(code)) = (device.way, device.entry_code) {
            metrics::count(Counter::Code(CodeEvent::Claimed));
            self.forget_code(code);
            subjects.push(Subject::Code(code));
        }
        self.record_event(&device.domain, subjects, TimelineEvent::Entered(device.way));
        let domain = self.tenants.find(&device.domain).await?;
        Ok(Claimed::Entered(membership(device, domain.as_deref())))
    }

    async fn not_entered(
        &self,
        key: &DeviceKey,
        request: &ClaimRequest<'_>,
        found: Found,
        bad_code: bool,
    ) -> Result<Claimed> {
        let facts = &request.identify.facts;
        let Some(device) = found.device else {
            self.record_stranger(key, facts, request.source).await?;
            count_registration(Registration::Unassigned);
            return Ok(Claimed::Unknown { bad_code });
        };
        if request.stage == Stage::Member && device.facts != *facts {
            self.store.refresh(&device.domain, key, facts).await?;
        }
        if request.stage == Stage::Open {
            count_registration(Registration::Challenged);
        }
        let again_by_query = entered_unproved(&device)
            && !found.other_member
            && matches!(&found.auto, AutoOffer::Good { domain, .. } if *domain == device.domain);
        let domain = self.tenants.find(&device.domain).await?;
        let membership = membership(device, domain.as_deref());
        Ok(Claimed::Known { membership, again_by_query, bad_code })
    }

    /// A member and the administrative password to send to it now; `None` if it does not belong to this domain any
    /// more.
    pub async fn membership(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Membership>> {
        let device = self.store.find_device(key).await?.filter(|device| device.domain == *domain);
        let tenant = self.tenants.find(domain).await?;
        Ok(device.map(|device| membership(Box::new(device), tenant.as_deref())))
    }

    /// A member puts an analogue port into operation. `None` for success, else the text for `0005`
    /// (`docs/protocol/sysclient.md` 3.5).
    pub async fn claim_port(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        port: &str,
        code: Option<Code>,
        source: SourceKey,
    ) -> Option<&'static str> {
        let claim = match code {
            _ if self.attempt_limiter.device_blocked(key) => return Some("try again later"),
            Some(code) => self.store.claim_port(domain, key, port, code).await,
            None => Ok(PortClaim::CodeNotOpen),
        };
        match claim {
            Ok(PortClaim::Recorded) => {
                metrics::count(Counter::Code(CodeEvent::Claimed));
                let subjects = std::iter::once(Subject::Device(key.clone())).chain(code.map(Subject::Code)).collect();
                self.record_event(domain, subjects, TimelineEvent::Port(port.into()));
                None
            }
            Ok(PortClaim::CodeNotOpen) => {
                metrics::count(Counter::Code(CodeEvent::Wrong));
                self.attempt_limiter.count_bad_code(key, source);
                Some("unknown code")
            }
            Ok(PortClaim::WrongDomain) => Some("wrong domain"),
            Err(error) => {
                tracing::warn!(%error, "port not claimed");
                Some("try again later")
            }
        }
    }

    /// The device has answered a challenge with `password`.
    pub async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) {
        if let Err(error) = self.store.confirm(domain, key, password).await {
            // The password stays tentative; the next answer to a challenge confirms it.
            tracing::warn!(%error, device = %key, "password not confirmed");
        }
    }

    /// A member reports new facts of itself.
    pub async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) {
        if let Err(error) = self.store.refresh(domain, key, facts).await {
            tracing::warn!(%error, device = %key, "facts not stored");
        }
    }
}

fn unavailable(error: &StoreError) -> Claimed {
    static FAILED: LogLimiter = LogLimiter::new();
    // Without the store every claim fails, and a log line for each would be a load of its own.
    if let Some(unsaid) = FAILED.due(clock::now()) {
        tracing::warn!(%error, unsaid, "claim failed");
    }
    count_registration(Registration::Unavailable);
    Claimed::Unavailable
}

pub(super) fn count_registration(outcome: Registration) {
    metrics::count(Counter::Registered(outcome));
}

/// The membership with the administrative password that the device gets (`docs/protocol/sysclient.md` 3.4): the random
/// one after automatic provisioning, else that of the domain.
pub(super) fn membership(device: Box<Device>, domain: Option<&Domain>) -> Membership {
    let hand_out = match device.way {
        Way::Auto => device.admin_password.clone(),
        Way::Code | Way::Manual => domain.map(|d| d.admin_password.clone()).filter(|p| !p.is_empty()),
    };
    Membership { device, hand_out }
}
