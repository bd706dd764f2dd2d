//! Asks of the service client and the answers to them (`docs/protocol/devices-api.md` 2).
//!
//! Every ask has a `src` of its own, so answers may come in any order.

use serde_json::json;

use super::{Action, Ask, CallTag, MAX_OPEN, MAX_PENDING, UsersClient};
use crate::core::model::device::Category;
use crate::core::model::ids::{CategoryId, Code, DeviceKey};
use crate::core::model::time::Tick;
use crate::core::protocol::appws::message::{ApiError, Refusal};
use crate::core::protocol::json::{Object, Value};

/// What the service has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The categories.
    Categories(Vec<Category>),
    /// A new code.
    Code {
        /// The code.
        code: Code,
        /// End of validity, in Unix seconds.
        valid_until: u64,
    },
    /// The device that has used the code; `None`: the code is still open.
    Provisioned(Option<DeviceInfo>),
    /// The phones.
    Phones(Vec<DeviceInfo>),
}

/// Why an ask has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The client is not logged in.
    #[error("not logged in")]
    Offline,
    /// The connection was lost before the answer came. The service may have done what was asked.
    #[error("connection lost before the answer")]
    Lost,
    /// No answer within [`super::ANSWER_TIME`].
    #[error("no answer in time")]
    Timeout,
    /// More asks or open codes than [`MAX_PENDING`] or [`MAX_OPEN`].
    #[error("too many asks or open codes")]
    TooMany,
    /// The service has refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer lacks something.
    #[error("answer cannot be understood")]
    Malformed,
}

/// A device as the service describes it (`docs/protocol/devices-api.md` 1.3), as far as Users needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Number of the device in Devices.
    pub id: u64,
    /// Device key.
    pub hw_id: Box<str>,
    /// Configured name.
    pub name: Option<Box<str>>,
    /// Product.
    pub product: Box<str>,
    /// Version text.
    pub version: Box<str>,
    /// Device type.
    pub kind: Box<str>,
    /// Whether it is connected.
    pub online: bool,
}

impl DeviceInfo {
    /// Reads the member `device`: an object, or, as in the published sample, an array with one object.
    pub(super) fn read(message: &Object) -> Option<Self> {
        let device = match message.get("device")? {
            Value::Object(device) => device,
            Value::Array(devices) => match devices.as_slice() {
                [Value::Object(device)] => device,
                _ => return None,
            },
            _ => return None,
        };
        Self::of(device)
    }

    fn of(device: &Object) -> Option<Self> {
        Some(Self {
            id: device.u64("id")?,
            hw_id: device.str("hwId")?.into(),
            name: device.str("name").map(Into::into),
            product: device.str("product").unwrap_or_default().into(),
            version: device.str("version").unwrap_or_default().into(),
            kind: device.str("type").unwrap_or_default().into(),
            online: device.bool("online").unwrap_or_default(),
        })
    }
}

/// An ask on its way.
#[derive(Debug)]
pub(super) struct Asked {
    /// Whose it is; `None`: the client's own, after a reconnect.
    pub(super) ticket: Option<CallTag>,
    /// What was asked.
    pub(super) ask: Ask,
    /// When.
    pub(super) since: Tick,
    /// Parts of a list of categories that have come.
    parts: Vec<Category>,
    /// Parts of a list of phones that have come.
    phones: Vec<DeviceInfo>,
}

impl UsersClient {
    pub(super) fn ask(&mut self, ticket: CallTag, ask: Ask, now: Tick, actions: &mut Vec<Action>) {
        let error = if !self.is_ready() {
            AskError::Offline
        } else if self.pending.len() >= MAX_PENDING || self.open.len() >= MAX_OPEN {
            AskError::TooMany
        } else {
            self.request(Some(ticket), ask, now, actions);
            return;
        };
        actions.push(Action::Answer(ticket, Err(error)));
    }

    pub(super) fn request(&mut self, ticket: Option<CallTag>, ask: Ask, now: Tick, actions: &mut Vec<Action>) {
        self.last_src += 1;
        let src = self.last_src.to_string();
        let mut message = match &ask {
            Ask::Categories { kind: None } => json!({"mt": "GetProvisioningCategories"}),
            Ask::Categories { kind: Some(kind) } => json!({"mt": "GetProvisioningCategories", "type": kind}),
            Ask::Code { category, sip, rollout } => {
                let mut message = json!({"mt": "GetProvisioningCode", "category": category});
                if let Some(sip) = sip {
                    message["sip"] = json!(sip);
                }
                if *rollout {
                    message["rollout"] = json!(true);
                }
                message
            }
            Ask::Provisioned(code) => json!({"mt": "GetProvisionedDevice", "code": code}),
            Ask::Phones(keys) => {
                let keys: Vec<&str> = keys.iter().map(DeviceKey::as_str).collect();
                json!({"mt": "GetPhones", "hwIds": keys.join(",")})
            }
        };
        message["src"] = json!(src);
        self.pending.insert(self.last_src, Asked { ticket, ask, since: now, parts: Vec::new(), phones: Vec::new() });
        self.send(&message, now, actions);
    }

    /// Takes an answer; what belongs to no ask is dropped.
    pub(super) fn result(&mut self, message: &Object, actions: &mut Vec<Action>) {
        let Some(src) = message.str("src").and_then(|text| text.parse::<u64>().ok()) else { return };
        let Some(mut asked) = self.pending.remove(&src) else { return };
        let name = match asked.ask {
            Ask::Categories { .. } => "GetProvisioningCategoriesResult",
            Ask::Code { .. } => "GetProvisioningCodeResult",
            Ask::Provisioned(_) => "GetProvisionedDeviceResult",
            Ask::Phones(_) => "GetPhonesResult",
        };
        if message.str("mt") != Some(name) {
            self.pending.insert(src, asked);
            return;
        }
        let answer = match message.str("error").filter(|error| !error.is_empty()) {
            Some(error) => Err(AskError::Refused(Refusal::read(error))),
            None => match &asked.ask {
                Ask::Categories { .. } => {
                    read_categories(message, &mut asked.parts);
                    if message.bool("last") == Some(false) {
                        self.pending.insert(src, asked);
                        return;
                    }
                    Ok(Answer::Categories(std::mem::take(&mut asked.parts)))
                }
                Ask::Phones(_) => {
                    let items = message.array("phones").unwrap_or_default();
                    asked.phones.extend(items.iter().filter_map(|item| match item {
                        Value::Object(item) => DeviceInfo::of(item),
                        _ => None,
                    }));
                    if message.bool("last") == Some(false) {
                        self.pending.insert(src, asked);
                        return;
                    }
                    Ok(Answer::Phones(std::mem::take(&mut asked.phones)))
                }
                Ask::Code { .. } => self.new_code(message),
                Ask::Provisioned(_) if !message.has("device") => Ok(Answer::Provisioned(None)),
                Ask::Provisioned(_) => DeviceInfo::read(message)
                    .map_or(Err(AskError::Malformed), |device| Ok(Answer::Provisioned(Some(device)))),
            },
        };
        self.answered(&asked, answer, message.str("port"), actions);
    }

    fn new_code(&mut self, message: &Object) -> Result<Answer, AskError> {
        let code = message.str("code").and_then(|text| Code::parse(text).ok()).ok_or(AskError::Malformed)?;
        let valid_until = message.u64("validUntil").ok_or(AskError::Malformed)?;
        self.open.insert(code);
        Ok(Answer::Code { code, valid_until })
    }

    fn answered(
        &mut self,
        asked: &Asked,
        answer: Result<Answer, AskError>,
        port: Option<&str>,
        actions: &mut Vec<Action>,
    ) {
        if let Ask::Provisioned(code) = asked.ask {
            let own = asked.ticket.is_none();
            let was_open = self.open.contains(&code);
            match &answer {
                Ok(Answer::Provisioned(None)) => {
                    self.open.insert(code);
                }
                // A person who asks has the device in the answer. For the client's own asks it is the notice that was missed,
                // unless it has overtaken the answer.
                Ok(Answer::Provisioned(Some(device))) if own && was_open => {
                    self.used(code, device.clone(), port.map(Into::into), true, actions);
                }
                Err(AskError::Refused(Refusal::Api(ApiError::NotFound))) => {
                    self.open.remove(&code);
                    actions.extend(was_open.then_some(Action::Expired(code)));
                }
                // Such as too many requests, or an error of the service: asked again with the next batch.
                Err(_) if own => self.resume.push_back(code),
                _ => {}
            }
        }
        if let Some(ticket) = asked.ticket {
            actions.push(Action::Answer(ticket, answer));
        }
    }
}

fn read_categories(message: &Object, into: &mut Vec<Category>) {
    let items = message.array("categories").unwrap_or_default();
    into.extend(items.iter().filter_map(|item| {
        let Value::Object(item) = item else { return None };
        Some(Category {
            id: CategoryId(item.u64("id")?),
            name: item.str("name")?.into(),
            provisioning: item.bool("config").unwrap_or_default(),
        })
    }));
}
