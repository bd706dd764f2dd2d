//! Handles the identify of a device: looks up its record, decides, and enters it into a domain
//! (`docs/protocol/sysclient.md` sections 5 and 6). Also claims of analogue ports.

use std::sync::Arc;
use std::time::Duration;

use crate::attempts::{Asked, Attempt, SecretKind, Waiting};
use crate::clock;
use crate::core::model::device::{CodeState, Device, Domain, Facts, IssuedCode, Way};
use crate::core::model::ids::{CategoryId, Code, DeviceKey, DomainName, Secret};
use crate::core::model::quota::OverQuota;
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::core::policy::admin_password::{needs_random, to_send};
use crate::core::policy::entry::{
    AutoOffer, CodeOffer, Situation, Stage, Step, decide, entered_unproved, query_matters,
};
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

/// What a device offers to get in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// A code in its identify.
    Code(OfferedCode),
    /// The query of its address.
    Query,
    /// A code for an analogue port; `None`: malformed.
    Port(Option<Code>),
}

impl Offered {
    /// The code, to tell one guess from another.
    fn guess(&self) -> &[u8] {
        match self {
            Self::Code(OfferedCode::Code(code)) | Self::Port(Some(code)) => code.expose().as_bytes(),
            Self::Code(OfferedCode::None | OfferedCode::Malformed) | Self::Query | Self::Port(None) => b"",
        }
    }

    const fn kind(&self) -> SecretKind {
        match self {
            Self::Code(_) | Self::Port(_) => SecretKind::DeviceCode,
            Self::Query => SecretKind::DeviceToken,
        }
    }
}

/// Whether an offer may be decided in this claim (`docs/protocol/sysclient.md` 9.1).
#[derive(Debug)]
pub enum Turn {
    /// Its turn is asked for; it may have to wait.
    Ask,
    /// Its turn has come.
    Come(Attempt),
    /// It waits already: this claim is made as if there were no such offer.
    Waits,
}

/// An offer whose decision waits.
#[derive(Debug)]
pub struct Later {
    /// The offer.
    pub offered: Offered,
    /// Until when.
    pub waiting: Waiting,
}

/// Outcome of an identify.
#[derive(Debug)]
pub struct Claim {
    /// What has become of the device.
    pub claimed: Claimed,
    /// An offer that was not decided: the claim was made as if there were none.
    pub later: Option<Later>,
}

impl From<Claimed> for Claim {
    fn from(claimed: Claimed) -> Self {
        Self { claimed, later: None }
    }
}

/// Outcome of a request for an analogue port.
#[derive(Debug)]
pub enum PortOutcome {
    /// `None` for success, else the text for `0005` (`docs/protocol/sysclient.md` 3.5).
    Decided(Option<&'static str>),
    /// The decision waits.
    Later(Waiting),
}

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
    /// Whether its code may be decided.
    pub code: Turn,
    /// Whether its query may be decided.
    pub auto: Turn,
}

/// The record of the device as the caller of a claim has read it.
#[derive(Debug)]
pub enum Known {
    /// Not read, or not recently.
    Unasked,
    /// This record; `None`: it belongs to no domain.
    Now(Option<Box<Device>>),
}

/// What lets a device in.
enum Right<'a> {
    Code(&'a IssuedCode),
    Query,
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
        let found = self.store.find_device(key).await;
        found.map(|device| device.map(Box::new)).map_err(|error| unavailable(&error))
    }

    /// Decides about an identify and carries the decision out.
    pub async fn claim(&self, request: ClaimRequest<'_>) -> Claim {
        let key = request.identify.id.key();
        self.try_claim(&key, request).await.unwrap_or_else(|error| unavailable(&error).into())
    }

    /// Asks for the turn of an offer. `Err`: it waits, or was dropped at once.
    fn take_turn(
        &self,
        turn: Turn,
        offered: Offered,
        key: &DeviceKey,
        source: SourceKey,
    ) -> std::result::Result<Attempt, Option<Later>> {
        // Tokens are shared by many devices, so only their source counts.
        let who = (offered.kind() == SecretKind::DeviceCode).then_some(key.as_str());
        let asked = match turn {
            Turn::Come(attempt) => return Ok(attempt),
            Turn::Waits => return Err(None),
            Turn::Ask => self.attempts.ask(offered.kind(), who, source),
        };
        match asked {
            Asked::Now(attempt) => Ok(attempt),
            Asked::Later(waiting) => {
                count_registration(Registration::TooManyAttempts);
                Err(Some(Later { offered, waiting }))
            }
            Asked::Refused(_) => Err(None),
        }
    }

    async fn try_claim(&self, key: &DeviceKey, mut request: ClaimRequest<'_>) -> Result<Claim> {
        let code = request.identify.code;
        let mut later = None;
        let mut code_attempt = None;
        if code != OfferedCode::None {
            let turn = std::mem::replace(&mut request.code, Turn::Waits);
            match self.take_turn(turn, Offered::Code(code), key, request.source) {
                Ok(attempt) => code_attempt = Some(attempt),
                Err(waits) => later = waits,
            }
        }
        // A valid code goes before the query, so the query is not decided before the code.
        let code_waits = code != OfferedCode::None && code_attempt.is_none();
        let mut auto = if code_waits { Some(AutoOffer::None) } else { None };
        let mut code_is_gone = false;
        for _ in 0..DECISIONS {
            // After the first attempt another entry was faster, so the record of the caller is out of date.
            let known = std::mem::replace(&mut request.known, Known::Unasked);
            let device = match known {
                Known::Now(device) => device,
                Known::Unasked => self.store.find_device(key).await?.map(Box::new),
            };
            let issued = match code {
                OfferedCode::Code(code) if code_attempt.is_some() => self.store.find_code(code).await?,
                _ => None,
            };
            let auto = match &auto {
                Some(auto) => auto.clone(),
                None if leads_in(issued.as_ref(), device.as_deref()) => AutoOffer::None,
                None => {
                    let turn = std::mem::replace(&mut request.auto, Turn::Waits);
                    let (compared, waits) = self.compare_query(key, turn, &request, device.as_deref()).await?;
                    later = later.or(waits);
                    auto.insert(compared).clone()
                }
            };
            let found = self.find(key, &request, device, issued, auto).await?;
            let offer = match code {
                OfferedCode::None => CodeOffer::None,
                _ if code_waits => CodeOffer::None,
                _ if code_is_gone => CodeOffer::Bad,
                _ => found.code.as_ref().map_or(CodeOffer::Bad, CodeOffer::Found),
            };
            let verdict = decide(&Situation {
                key,
                device: found.device.as_deref(),
                code: offer,
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
            let (right, domain, category) = match (&verdict.step, &found.code) {
                (Step::EnterByCode, Some(code)) => (Right::Code(code), code.domain.clone(), code.category),
                (Step::EnterByQuery { domain, category }, _) => (Right::Query, domain.clone(), *category),
                _ => {
                    // Before anything is awaited, so that whoever leaves early is counted too.
                    settle_code(code_attempt, code, verdict.bad_code);
                    let claimed = self.not_entered(key, &request, found).await?;
                    return Ok(Claim { claimed, later });
                }
            };
            match self.enter(key, right, domain.clone(), category, &request.identify.facts).await {
                Ok(Entered::In(device)) => {
                    settle_code(code_attempt, code, verdict.bad_code);
                    return Ok(self.entered(device).await?.into());
                }
                Ok(Entered::CodeNotOpen) => code_is_gone = true,
                Ok(Entered::OwnedElsewhere) => {}
                Err(StoreError::OverQuota(over)) => {
                    settle_code(code_attempt, code, verdict.bad_code);
                    self.record_over_quota(key, &domain, &found, over);
                    let claimed = self.not_entered(key, &request, found).await?;
                    return Ok(Claim { claimed, later });
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Unavailable("the device changes hands too fast".into()))
    }

    /// Compares the query with its domain, if it is looked at and its turn has come.
    async fn compare_query(
        &self,
        key: &DeviceKey,
        turn: Turn,
        request: &ClaimRequest<'_>,
        device: Option<&Device>,
    ) -> Result<(AutoOffer, Option<Later>)> {
        if *request.query == Query::None || !query_matters(device) {
            return Ok((AutoOffer::None, None));
        }
        let (Some(guess), Query::Given(given)) = (request.query.guess(), request.query) else {
            Self::report_query(key, "incomplete");
            return Ok((AutoOffer::Bad, None));
        };
        let attempt = match self.take_turn(turn, Offered::Query, key, request.source) {
            Ok(attempt) => attempt,
            Err(later) => return Ok((AutoOffer::None, later)),
        };
        let check =
            |domain: Option<&Domain>| Some(request.query.check(domain)).filter(|auto| *auto != AutoOffer::WrongToken);
        let auto = self.tenants.check_secret(Some(&given.domain), check).await?.unwrap_or(AutoOffer::WrongToken);
        match &auto {
            AutoOffer::WrongToken => {
                Self::report_query(key, "wrong domain or token");
                attempt.wrong_secret(&guess);
            }
            AutoOffer::WrongCategory { domain, category } => {
                attempt.right();
                Self::report_query(key, "right token, but no such category for provisioning");
                metrics::count(Counter::WrongCategory);
                self.record_wrong_category(domain, category, key);
            }
            AutoOffer::None | AutoOffer::Bad | AutoOffer::Good { .. } => attempt.right(),
        }
        Ok((auto, None))
    }

    /// The operators of the domain see which category its devices name in vain.
    fn record_wrong_category(&self, domain: &DomainName, category: &str, key: &DeviceKey) {
        let (store, domain, category, key) =
            (Arc::clone(&self.store), domain.clone(), Box::<str>::from(category), key.clone());
        tokio::spawn(async move {
            if let Err(error) = store.record_misdirected(&domain, &category, &key).await {
                tracing::debug!(%error, "a device with a wrong category was not recorded");
            }
        });
    }

    fn report_query(key: &DeviceKey, why: &'static str) {
        static REFUSED: LogLimiter = LogLimiter::new();
        count_registration(Registration::BadToken);
        if let Some(unsaid) = REFUSED.due(clock::now()) {
            tracing::info!(device = %key, why, unsaid, "automatic provisioning refused");
        }
    }

    /// Counts an offer that was given up for another one while it waited: it is not looked up, and counts as bad.
    pub fn give_up(&self, offered: &Offered, key: &DeviceKey, source: SourceKey) {
        if offered.kind() == SecretKind::DeviceCode {
            let kind = offered.kind();
            self.attempts.count_unchecked(kind, Some(key.as_str()), source, offered.guess());
        }
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

    async fn find(
        &self,
        key: &DeviceKey,
        request: &ClaimRequest<'_>,
        device: Option<Box<Device>>,
        code: Option<IssuedCode>,
        auto: AutoOffer,
    ) -> Result<Found> {
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
        right: Right<'_>,
        domain: DomainName,
        category: CategoryId,
        facts: &Facts,
    ) -> Result<Entered> {
        let (right, administrative, name) = match right {
            Right::Code(code) => (EntryRight::Code(code.code), code.administrative, code.sip.clone()),
            Right::Query => (EntryRight::Auto, false, None),
        };
        let own = needs_random(right.way(), administrative);
        let entry = Entry {
            key: key.clone(),
            domain,
            category,
            right,
            password: random::letters_and_digits(PASSWORD_CHARS),
            admin_password: own.then(|| random::letters_and_digits(ADMIN_PASSWORD_CHARS)),
            name: name.filter(|name| !name.is_empty()),
            facts: facts.clone(),
        };
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

    async fn not_entered(&self, key: &DeviceKey, request: &ClaimRequest<'_>, found: Found) -> Result<Claimed> {
        let facts = &request.identify.facts;
        let Some(device) = found.device else {
            self.record_stranger(key, facts, request.source).await?;
            count_registration(Registration::Unassigned);
            return Ok(Claimed::Unknown);
        };
        if request.stage == Stage::Member && device.facts != *facts {
            self.store.refresh(&device.domain, key, facts).await?;
        }
        let mut challenge_after = Duration::ZERO;
        if request.stage == Stage::Open {
            count_registration(Registration::Challenged);
            challenge_after = self.attempts.challenge_delay(key, request.source);
        }
        let again_by_query = entered_unproved(&device)
            && !found.other_member
            && matches!(&found.auto, AutoOffer::Good { domain, .. } if *domain == device.domain);
        let domain = self.tenants.find(&device.domain).await?;
        let membership = membership(device, domain.as_deref());
        Ok(Claimed::Known { membership, again_by_query, challenge_after })
    }

    /// A member and the administrative password to send to it now; `None` if it does not belong to this domain any
    /// more.
    pub async fn membership(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Membership>> {
        let device = self.store.find_device(key).await?.filter(|device| device.domain == *domain);
        let tenant = self.tenants.find(domain).await?;
        Ok(device.map(|device| membership(Box::new(device), tenant.as_deref())))
    }

    /// A member puts an analogue port into operation (`docs/protocol/sysclient.md` 3.5).
    pub async fn claim_port(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        port: &str,
        code: Option<Code>,
        turn: Turn,
        source: SourceKey,
    ) -> PortOutcome {
        let offered = Offered::Port(code);
        let attempt = match self.take_turn(turn, offered, key, source) {
            Ok(attempt) => attempt,
            Err(Some(Later { waiting, .. })) => return PortOutcome::Later(waiting),
            Err(None) => return PortOutcome::Decided(Some("try again later")),
        };
        let claim = match code {
            Some(code) => self.store.claim_port(domain, key, port, code).await,
            None => Ok(PortClaim::CodeNotOpen),
        };
        PortOutcome::Decided(match claim {
            Ok(PortClaim::Recorded) => {
                attempt.right();
                metrics::count(Counter::Code(CodeEvent::Claimed));
                let subjects = std::iter::once(Subject::Device(key.clone())).chain(code.map(Subject::Code)).collect();
                self.record_event(domain, subjects, TimelineEvent::Port(port.into()));
                None
            }
            Ok(PortClaim::CodeNotOpen) => {
                metrics::count(Counter::Code(CodeEvent::Wrong));
                attempt.wrong_secret(offered.guess());
                Some("unknown code")
            }
            Ok(PortClaim::WrongDomain) => {
                attempt.wrong_secret(offered.guess());
                Some("wrong domain")
            }
            Err(error) => {
                tracing::warn!(%error, "port not claimed");
                Some("try again later")
            }
        })
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

/// The outcome of a code that was looked at.
fn settle_code(attempt: Option<Attempt>, code: OfferedCode, bad: bool) {
    let Some(attempt) = attempt else { return };
    if bad {
        count_registration(Registration::BadCode);
        metrics::count(Counter::Code(CodeEvent::Wrong));
        attempt.wrong_secret(Offered::Code(code).guess());
    } else {
        attempt.right();
    }
}

/// Whether a code lets the device in, so that its query need not be looked at.
fn leads_in(code: Option<&IssuedCode>, device: Option<&Device>) -> bool {
    let open = |code: &IssuedCode| matches!(code.state, CodeState::Open);
    code.is_some_and(|code| open(code) && device.is_none_or(|device| device.domain == code.domain))
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

/// The membership with the administrative password that the device gets.
pub(super) fn membership(device: Box<Device>, domain: Option<&Domain>) -> Membership {
    let hand_out = to_send(&device, domain);
    Membership { device, hand_out }
}
