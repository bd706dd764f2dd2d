//! Requests as typed calls: identifies the message and checks its members.
//!
//! A required member that is missing or of the wrong type is a bad request. An optional member of the wrong type
//! counts as absent – unless absence would widen the request: an unreadable `domainId` or `type` is a bad request, so
//! that a mistake never turns "this domain" into "my domain" or "phones" into "all".

use super::login::Login;
use super::message::{ApiError, DEVICES_API, Request, optional};
use super::search::{SEARCH_API, Search};
use super::select::Selection;
use crate::core::model::ids::{Code, ConfigId, DeviceKey, DomainId};
use crate::core::protocol::json::{Object, Value};

/// Longest SIP name that a code is asked for, in characters: it is kept with the code.
const SIP_MAX: usize = 128;

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Asks for a challenge (`docs/protocol/appwebsocket.md` 3.1).
    AppChallenge,
    /// Answers the challenge (`docs/protocol/appwebsocket.md` 3.2).
    AppLogin(Box<Login>),
    /// Asks whether a loaded page is still the current one (`docs/protocol/appwebsocket.md` 7.1).
    CheckBuild {
        /// The full address of the page.
        url: Box<str>,
    },
    /// Shows that the client is alive (`docs/protocol/appwebsocket.md` 7.4).
    KeepAlive,
    /// Asks what an app is (`docs/protocol/appwebsocket.md` 7.2).
    AppInfo {
        /// Name of the app.
        app: Box<str>,
    },
    /// A notice from a telephone exchange (`docs/protocol/appwebsocket.md` 7.3); it gets no answer.
    PbxInfo(PbxInfo),
    /// Asks for the session key (`docs/protocol/devices-api.md` 2.1).
    GetLoginInfo,
    /// The same with the release (`docs/protocol/devices-api.md` 4.1).
    GetUserInfo,
    /// Asks for the provisioning categories of a domain (`docs/protocol/devices-api.md` 2.2).
    GetProvisioningCategories {
        /// The domain; absent: that of the log-in.
        domain: Option<DomainId>,
        /// Only categories that apply to this type of device, as sent.
        device_type: Option<Box<str>>,
    },
    /// Asks for a code (`docs/protocol/devices-api.md` 2.3).
    GetProvisioningCode {
        /// The domain; absent: that of the log-in.
        domain: Option<DomainId>,
        /// Name of the category.
        category: Box<str>,
        /// SIP name of the user who will get the device.
        sip: Option<Box<str>>,
        /// Long validity.
        rollout: bool,
        /// The device gets the administrative password of the domain, if that hands one out.
        administrative: bool,
    },
    /// Asks which device has used a code (`docs/protocol/devices-api.md` 2.4).
    GetProvisionedDevice {
        /// The domain; absent: that of the log-in.
        domain: Option<DomainId>,
        /// The code.
        code: Code,
    },
    /// Asks for devices with passthrough addresses (`docs/protocol/devices-api.md` 3.1 and 4.7).
    GetDevicesOfTypes {
        /// Name of the array in the result.
        array: &'static str,
        /// Which devices.
        selection: Box<Selection>,
    },
    /// Asks for one device (`docs/protocol/devices-api.md` 3.2).
    GetDevice(DeviceKey),
    /// Asks for the analogue ports in operation (`docs/protocol/devices-api.md` 3.3).
    GetDevicePhones(DeviceKey),
    /// Removes an analogue port (`docs/protocol/devices-api.md` 3.4).
    RemoveDevicePhone {
        /// The gateway.
        device: DeviceKey,
        /// Name of the port.
        port: Box<str>,
    },
    /// Requests a page of the web server of a device (`docs/protocol/devices-api.md` 3.5).
    HttpGet {
        /// The whole address.
        uri: Box<str>,
    },
    /// Asks for the domains (`docs/protocol/devices-api.md` 4.2).
    GetDomains {
        /// Subscribes.
        subscribe: bool,
    },
    /// Asks for the device configurations of a domain (`docs/protocol/devices-api.md` 4.8).
    GetDeviceConfigs {
        /// The domain; absent: that of the log-in.
        domain: Option<DomainId>,
        /// Subscribes.
        subscribe: bool,
    },
    /// Asks for one device configuration (`docs/protocol/devices-api.md` 4.9).
    GetDeviceConfig {
        /// The domain; absent: that of the log-in.
        domain: Option<DomainId>,
        /// Its number.
        id: ConfigId,
    },
    /// Asks for devices (`docs/protocol/devices-api.md` 4.3).
    GetDevices {
        /// Which devices.
        filter: Box<Selection>,
        /// Subscribes.
        subscribe: bool,
    },
    /// Asks how many devices have no domain (`docs/protocol/devices-api.md` 4.4).
    GetUnassignedDevicesCount {
        /// Subscribes.
        subscribe: bool,
    },
    /// Switches the notices about devices on or off (`docs/protocol/devices-api.md` 4.5).
    SetDeviceFilter {
        /// On.
        subscribe: bool,
    },
    /// Searches devices and domains (`docs/protocol/devices-api.md` section 9).
    Search(Box<Search>),
    /// An unsolicited answer or notice, which is ignored without an answer (`docs/protocol/appwebsocket.md` 7.5).
    Ignored,
    /// No message of this service; answered with [`ApiError::UnknownMessage`].
    Unknown,
}

/// Data that a telephone exchange reports of itself. Members of the wrong type count as absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PbxInfo {
    /// Its domain.
    pub domain: Option<Box<str>>,
    /// Its name.
    pub pbx: Option<Box<str>>,
    /// Its DNS name.
    pub pbx_dns: Option<Box<str>>,
    /// Interfaces that it offers.
    pub apis: Vec<Box<str>>,
    /// Its version.
    pub version: Option<Box<str>>,
    /// Its build.
    pub build: Option<Box<str>>,
}

impl Call {
    /// Reads a request. Messages of Devices may come with or without `api` (`docs/protocol/devices-api.md`); the basic
    /// messages of the protocol have none, and with a foreign `api` every message is unknown.
    pub fn read(request: &Request) -> Result<Self, ApiError> {
        let call = match request.api.as_deref() {
            None => match basic(request)? {
                Some(call) => Some(call),
                None => devices(request)?,
            },
            Some(DEVICES_API) => devices(request)?,
            Some(SEARCH_API) if &*request.mt == "Search" => Some(Call::Search(Box::new(Search::read(&request.body)?))),
            Some(_) => None,
        };
        Ok(call.unwrap_or(if request.mt.ends_with("Result") { Self::Ignored } else { Self::Unknown }))
    }

    /// Whether the request, valid or not, is allowed before the log-in (`docs/protocol/appwebsocket.md` section 5);
    /// any other request, also with an `api`, closes the connection.
    pub fn is_allowed_before_login(request: &Request) -> bool {
        request.api.is_none() && matches!(&*request.mt, "AppChallenge" | "AppLogin" | "CheckBuild" | "KeepAlive")
    }

    /// Whether the call shows that its sender acts as Users (`docs/protocol/devices-api.md` 2.5).
    pub const fn acts_as_users(&self) -> bool {
        matches!(
            self,
            Self::GetProvisioningCategories { .. }
                | Self::GetProvisioningCode { .. }
                | Self::GetProvisionedDevice { .. }
        )
    }
}

fn basic(request: &Request) -> Result<Option<Call>, ApiError> {
    let body = &request.body;
    Ok(Some(match &*request.mt {
        "AppChallenge" => Call::AppChallenge,
        "AppLogin" => Call::AppLogin(Box::new(Login::read(request))),
        "CheckBuild" => Call::CheckBuild { url: required(body, "url")? },
        "KeepAlive" => Call::KeepAlive,
        "AppInfo" => Call::AppInfo { app: required(body, "app")? },
        "PbxInfo" => Call::PbxInfo(pbx_info(body)),
        _ => return Ok(None),
    }))
}

fn devices(request: &Request) -> Result<Option<Call>, ApiError> {
    let body = &request.body;
    Ok(Some(match &*request.mt {
        "GetLoginInfo" => Call::GetLoginInfo,
        "GetUserInfo" => Call::GetUserInfo,
        "GetProvisioningCategories" => Call::GetProvisioningCategories {
            domain: domain(body)?,
            device_type: optional(body, "type", body.str("type"))?.map(Into::into),
        },
        "GetProvisioningCode" => Call::GetProvisioningCode {
            domain: domain(body)?,
            category: required(body, "category")?,
            sip: optional(body, "sip", body.str("sip").filter(|sip| sip.chars().count() <= SIP_MAX))?.map(Into::into),
            rollout: optional(body, "rollout", body.bool("rollout"))?.unwrap_or(false),
            administrative: optional(body, "administrative", body.bool("administrative"))?.unwrap_or(false),
        },
        "GetProvisionedDevice" => {
            let (domain, code) = (domain(body)?, body.str("code").ok_or(ApiError::BadRequest)?);
            // A text that is not twelve digits is the code of nothing.
            Call::GetProvisionedDevice { domain, code: Code::parse(code).map_err(|_| ApiError::NotFound)? }
        }
        "GetDevice" => Call::GetDevice(hardware_id(body)?),
        "GetDevicePhones" => Call::GetDevicePhones(hardware_id(body)?),
        "RemoveDevicePhone" => {
            // Both members are checked before either is looked up.
            let (device, port) = (hardware_id(body), required(body, "id")?);
            Call::RemoveDevicePhone { device: device?, port }
        }
        "HttpGet" => Call::HttpGet { uri: required(body, "uri")? },
        "GetDomains" => Call::GetDomains { subscribe: subscribe(body)? },
        "GetDevices" => Call::GetDevices { filter: Box::new(Selection::filter(body)?), subscribe: subscribe(body)? },
        "GetFilteredDevices" => {
            Call::GetDevicesOfTypes { array: "devices", selection: Box::new(Selection::filtered(body)?) }
        }
        "GetDeviceConfigs" => Call::GetDeviceConfigs { domain: domain(body)?, subscribe: subscribe(body)? },
        "GetDeviceConfig" => {
            let (domain, id) = (domain(body)?, body.u64("id").ok_or(ApiError::BadRequest)?);
            Call::GetDeviceConfig { domain, id: ConfigId(id) }
        }
        "GetUnassignedDevicesCount" => Call::GetUnassignedDevicesCount { subscribe: subscribe(body)? },
        "SetDeviceFiler" | "SetDeviceFilter" => Call::SetDeviceFilter { subscribe: subscribe(body)? },
        mt => {
            let list = Selection::of_types(mt, body)?;
            return Ok(list.map(|(array, s)| Call::GetDevicesOfTypes { array, selection: Box::new(s) }));
        }
    }))
}

/// The member `hwId`. An invalid hardware identifier belongs to no device.
fn hardware_id(body: &Object) -> Result<DeviceKey, ApiError> {
    let text = body.str("hwId").ok_or(ApiError::BadRequest)?;
    DeviceKey::parse(text).map_err(|_| ApiError::NotFound)
}

fn subscribe(body: &Object) -> Result<bool, ApiError> {
    Ok(optional(body, "recvUpdates", body.bool("recvUpdates"))?.unwrap_or(false))
}

fn required(body: &Object, name: &str) -> Result<Box<str>, ApiError> {
    body.str(name).map(Into::into).ok_or(ApiError::BadRequest)
}

fn domain(body: &Object) -> Result<Option<DomainId>, ApiError> {
    Ok(optional(body, "domainId", body.u64("domainId"))?.map(DomainId))
}

fn pbx_info(body: &Object) -> PbxInfo {
    let text = |name: &str| body.str(name).map(Into::into);
    let apis = body.array("apis").unwrap_or_default().iter().filter_map(|api| match api {
        Value::String(name) => Some(Box::from(&**name)),
        _ => None,
    });
    PbxInfo {
        domain: text("domain"),
        pbx: text("pbx"),
        pbx_dns: text("pbxDns"),
        apis: apis.collect(),
        version: text("version"),
        build: text("build"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Call, ApiError> {
        Call::read(&Request::parse(text).unwrap())
    }

    #[test]
    fn published_requests_are_read() {
        assert_eq!(
            read(r#"{"mt":"GetProvisioningCategories","type":"PHONE","src":"a2"}"#),
            Ok(Call::GetProvisioningCategories { domain: None, device_type: Some("PHONE".into()) })
        );
        assert_eq!(
            read(
                r#"{"mt":"GetProvisioningCode","category":"Desk phones","sip":"anna","domainId":2,"rollout":true,"administrative":true}"#
            ),
            Ok(Call::GetProvisioningCode {
                domain: Some(DomainId(2)),
                category: "Desk phones".into(),
                sip: Some("anna".into()),
                rollout: true,
                administrative: true
            })
        );
        assert_eq!(
            read(r#"{"mt":"GetProvisionedDevice","code":"402817739164","api":"com.innovaphone.devices"}"#),
            Ok(Call::GetProvisionedDevice { domain: None, code: Code::parse("402817739164").unwrap() })
        );
        assert_eq!(
            read(r#"{"mt":"GetDeviceConfigs","recvUpdates":true,"domainId":2}"#),
            Ok(Call::GetDeviceConfigs { domain: Some(DomainId(2)), subscribe: true })
        );
        assert_eq!(
            read(r#"{"mt":"GetDeviceConfig","id":6}"#),
            Ok(Call::GetDeviceConfig { domain: None, id: ConfigId(6) })
        );
        assert_eq!(read(r#"{"mt":"AppInfo","app":"x"}"#), Ok(Call::AppInfo { app: "x".into() }));
        assert_eq!(read(r#"{"mt":"CheckBuild","url":"u"}"#), Ok(Call::CheckBuild { url: "u".into() }));
        let Ok(Call::PbxInfo(info)) = read(r#"{"mt":"PbxInfo","domain":"d","pbx":1,"pbxDns":"n","apis":["a",2,"b"]}"#)
        else {
            panic!("no PbxInfo")
        };
        assert_eq!((info.domain.as_deref(), info.pbx, info.apis.len()), (Some("d"), None, 2));
    }

    #[test]
    fn missing_and_widening_members_are_bad_requests() {
        for text in [
            r#"{"mt":"GetProvisioningCode"}"#,
            r#"{"mt":"GetProvisioningCode","category":4}"#,
            r#"{"mt":"GetProvisioningCode","category":"c","domainId":"2"}"#,
            r#"{"mt":"GetProvisioningCode","category":"c","domainId":2.0}"#,
            r#"{"mt":"GetProvisioningCode","category":"c","domainId":-2}"#,
            r#"{"mt":"GetProvisioningCode","category":"c","rollout":"yes"}"#,
            r#"{"mt":"GetProvisioningCode","category":"c","administrative":1}"#,
            r#"{"mt":"GetProvisioningCode","category":"c","sip":7}"#,
            &format!(r#"{{"mt":"GetProvisioningCode","category":"c","sip":"{}"}}"#, "x".repeat(SIP_MAX + 1)),
            r#"{"mt":"GetProvisioningCategories","type":1}"#,
            r#"{"mt":"GetProvisionedDevice","code":402817739164}"#,
            r#"{"mt":"GetDeviceConfigs","domainId":"2"}"#,
            r#"{"mt":"GetDeviceConfigs","recvUpdates":1}"#,
            r#"{"mt":"GetDeviceConfig"}"#,
            r#"{"mt":"GetDeviceConfig","id":"6"}"#,
            r#"{"mt":"AppInfo"}"#,
            r#"{"mt":"CheckBuild"}"#,
        ] {
            assert_eq!(read(text), Err(ApiError::BadRequest), "{text}");
        }
        assert_eq!(read(r#"{"mt":"GetProvisionedDevice","code":"12"}"#), Err(ApiError::NotFound));
        let nulls = r#"{"mt":"GetProvisioningCode","category":"c","domainId":null,"sip":null,"rollout":null}"#;
        let plain = Call::GetProvisioningCode {
            domain: None,
            category: "c".into(),
            sip: None,
            rollout: false,
            administrative: false,
        };
        assert_eq!(read(nulls), Ok(plain));
    }

    #[test]
    fn foreign_interfaces_and_answers_are_told_apart() {
        assert_eq!(read(r#"{"mt":"GetLoginInfo","api":"Other"}"#), Ok(Call::Unknown));
        assert_eq!(read(r#"{"mt":"AppChallenge","api":"com.innovaphone.devices"}"#), Ok(Call::Unknown));
        assert_eq!(read(r#"{"mt":"Search","search":"ab"}"#), Ok(Call::Unknown));
        assert_eq!(read(r#"{"mt":"GetDomains","api":"com.innovaphone.search"}"#), Ok(Call::Unknown));
        let search = read(r#"{"mt":"Search","search":"ab","api":"com.innovaphone.search"}"#);
        assert!(matches!(search, Ok(Call::Search(_))), "{search:?}");
        assert_eq!(read(r#"{"mt":"AppCheckLogin"}"#), Ok(Call::Unknown));
        assert_eq!(read(r#"{"mt":"RegisterResult"}"#), Ok(Call::Ignored));
        let allowed = |text: &str| Call::is_allowed_before_login(&Request::parse(text).unwrap());
        assert!(allowed(r#"{"mt":"AppChallenge","appObj":"x"}"#));
        assert!(!allowed(r#"{"mt":"GetLoginInfo"}"#));
    }
}
