//! The selection of devices for a list or a subscription (`docs/protocol/devices-api.md` 3.1, 4.3 and 4.7).

use std::sync::Arc;

use super::message::{ApiError, optional};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{APP_PLATFORM, Category};
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{DeviceKey, DomainId};
use crate::core::protocol::json::{Object, Value};

/// Most `hwIds` in a request (`docs/protocol/devices-api.md` section 6); ids of domains and names of categories have the
/// same limit.
pub const MAX_NAMED: usize = 1000;

/// Names of categories in a filter (`docs/protocol/devices-api.md` 4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    whole: Box<str>,
    /// Sorted.
    parts: Vec<Box<str>>,
}

impl Names {
    /// Reads the text of a filter; `None`: it is empty, which is no filter.
    fn read(text: &str) -> Result<Option<Self>, ApiError> {
        if text.is_empty() {
            return Ok(None);
        }
        let parts = text.split(',').map(|part| part.trim_matches(' ')).filter(|part| !part.is_empty());
        let mut parts: Vec<Box<str>> = parts.take(MAX_NAMED + 1).map(Into::into).collect();
        if parts.len() > MAX_NAMED {
            return Err(ApiError::BadRequest);
        }
        parts.sort_unstable();
        Ok(Some(Self { whole: text.into(), parts }))
    }

    fn has(&self, name: &str) -> bool {
        self.parts.binary_search_by(|part| (**part).cmp(name)).is_ok()
    }

    /// Whether the whole text is a name that has a comma and that a category has.
    fn is_one(&self, is_category: impl Fn(&str) -> bool) -> bool {
        !Category::is_new_name(&self.whole) && is_category(&self.whole)
    }

    /// As the one name that its whole text is.
    fn as_one(&self) -> Self {
        Self { whole: self.whole.clone(), parts: vec![self.whole.clone()] }
    }
}

/// The domains that a request is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Within {
    /// All within the rights.
    #[default]
    Rights,
    /// This one; `None`: that of the log-in.
    Domain(Option<DomainId>),
}

/// Conditions that a device has to fulfil. The default is every device of a domain within the rights.
// Each condition is independent.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Types of devices; empty: all.
    pub types: Vec<Box<str>>,
    /// App platforms with App IP, too.
    pub with_app_ip: bool,
    /// Only those with analogue ports.
    pub just_fxs: bool,
    /// Only these devices, sorted.
    pub named: Option<Vec<DeviceKey>>,
    /// The domains that the request is about.
    pub within: Within,
    /// Only devices of these domains; `None`: of all within the rights.
    pub domains: Option<Vec<DomainId>>,
    /// Only devices of categories with these names.
    pub categories: Option<Names>,
    /// The names that the category has to be among as well.
    pub subcategories: Option<Names>,
    /// Devices of domains, as far as they fulfil the conditions.
    pub members: bool,
    /// Devices without a domain, whatever their category.
    pub unassigned: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            types: Vec::new(),
            with_app_ip: false,
            just_fxs: false,
            named: None,
            within: Within::default(),
            domains: None,
            categories: None,
            subcategories: None,
            members: true,
            unassigned: false,
        }
    }
}

/// The lists of the app interface (`docs/protocol/devices-api.md` 3.1): request, array, types.
const LISTS: [(&str, &str, &[&str]); 4] = [
    ("GetGateways", "gateways", &["GW", "VA"]),
    ("GetAppPlatforms", "appPlatforms", &[APP_PLATFORM]),
    ("GetPhones", "phones", &["PHONE"]),
    ("GetDects", "dects", &["DECT"]),
];

impl Selection {
    /// Reads a request of `docs/protocol/devices-api.md` 3.1, if `mt` is one. Also returns the name of the array.
    pub fn of_types(mt: &str, body: &Object) -> Result<Option<(&'static str, Self)>, ApiError> {
        let Some((_, array, types)) = LISTS.iter().find(|(name, ..)| *name == mt) else { return Ok(None) };
        let selection = Self { types: types.iter().map(|&name| name.into()).collect(), ..Self::of_request(body)? };
        // Only gateways are asked for by their ports. An app platform with App IP counts as a gateway without ports.
        let gateways = mt == "GetGateways";
        let (with_app_ip, just_fxs) = (gateways && !selection.just_fxs, gateways && selection.just_fxs);
        Ok(Some((array, Self { with_app_ip, just_fxs, ..selection })))
    }

    /// Reads `GetFilteredDevices` (`docs/protocol/devices-api.md` 4.7).
    pub fn filtered(body: &Object) -> Result<Self, ApiError> {
        let types = optional(body, "types", body.array("types"))?.unwrap_or_default();
        if types.len() > MAX_NAMED {
            return Err(ApiError::BadRequest);
        }
        let types = types.iter().map(|name| match name {
            Value::String(name) => Ok(Box::from(&**name)),
            // An unreadable type must not widen the list.
            _ => Err(ApiError::BadRequest),
        });
        let within = Within::Domain(optional(body, "domainId", body.u64("domainId"))?.map(DomainId));
        Ok(Self { types: types.collect::<Result<_, _>>()?, within, ..Self::of_request(body)? })
    }

    /// The members that both kinds of lists have.
    fn of_request(body: &Object) -> Result<Self, ApiError> {
        let named = match optional(body, "hwIds", body.str("hwIds"))? {
            // Without a single name it is no restriction, like the empty text of 4.3.
            Some(text) => commas(text)?,
            None => None,
        };
        // An invalid hardware identifier belongs to no device.
        let named = named.map(|ids| {
            let mut keys: Vec<_> = ids.into_iter().filter_map(|id| DeviceKey::parse(id).ok()).collect();
            keys.sort();
            keys.dedup();
            keys
        });
        let just_fxs = optional(body, "justFxs", body.bool("justFxs"))?.unwrap_or(false);
        Ok(Self { just_fxs, named, ..Self::default() })
    }

    /// Reads the filter of `GetDevices` (`docs/protocol/devices-api.md` 4.3).
    pub fn filter(body: &Object) -> Result<Self, ApiError> {
        let text = |name| optional(body, name, body.str(name)).map(Option::unwrap_or_default);
        let domains = match text("domainIds")? {
            "" => None,
            ids => {
                // An unreadable id must not widen the filter.
                let ids = commas(ids)?.unwrap_or_default().into_iter().map(str::parse);
                Some(ids.map(|id| id.map(DomainId).map_err(|_| ApiError::BadRequest)).collect::<Result<_, _>>()?)
            }
        };
        let (categories, subcategories) = (Names::read(text("categories")?)?, Names::read(text("subcategories")?)?);
        let unassigned = optional(body, "unassigned", body.bool("unassigned"))?.unwrap_or(false);
        let selects = domains.is_some() || categories.is_some() || subcategories.is_some();
        Ok(Self {
            domains,
            categories,
            subcategories,
            members: selects || !unassigned,
            unassigned: unassigned || !selects,
            ..Self::default()
        })
    }

    /// With every text that is the name of a category as this one name, although it has a comma.
    #[must_use]
    pub fn with_names(self: &Arc<Self>, is_category: impl Fn(&str) -> bool) -> Arc<Self> {
        let one = |names: &Option<Names>| names.as_ref().filter(|names| names.is_one(&is_category)).map(Names::as_one);
        match (one(&self.categories), one(&self.subcategories)) {
            (None, None) => Arc::clone(self),
            (categories, subcategories) => Arc::new(Self {
                categories: categories.or_else(|| self.categories.clone()),
                subcategories: subcategories.or_else(|| self.subcategories.clone()),
                ..Self::clone(self)
            }),
        }
    }

    /// Only what is taken of devices without a domain.
    #[must_use]
    pub fn of_unassigned(&self) -> Self {
        Self { members: false, ..self.clone() }
    }

    /// The path of the App IP, if that is what the device is selected for.
    pub fn app_ip_of<'a>(&self, view: &'a DeviceView) -> Option<&'a AppIpPath> {
        view.app_ip.as_ref().filter(|_| self.with_app_ip && *view.facts.platform == *APP_PLATFORM)
    }

    /// Whether a device within the rights is selected.
    pub fn takes(&self, view: &DeviceView) -> bool {
        let place = match view.domain {
            Some(domain) => {
                let named = |names: &Option<Names>| {
                    names.as_ref().is_none_or(|names| view.category_name.as_deref().is_some_and(|name| names.has(name)))
                };
                self.members
                    && self.domains.as_ref().is_none_or(|ids| ids.contains(&domain))
                    && named(&self.categories)
                    && named(&self.subcategories)
            }
            None => self.unassigned,
        };
        place
            && (self.types.is_empty() || self.types.contains(&view.facts.platform) || self.app_ip_of(view).is_some())
            && (!self.just_fxs || view.facts.fxs)
            && self.named.as_ref().is_none_or(|keys| keys.binary_search(&view.key).is_ok())
    }
}

/// The parts between commas, without blanks; `None` if there are none.
fn commas(text: &str) -> Result<Option<Vec<&str>>, ApiError> {
    let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).take(MAX_NAMED + 1).collect();
    match items.len() {
        0 => Ok(None),
        n if n > MAX_NAMED => Err(ApiError::BadRequest),
        _ => Ok(Some(items)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::device_view::tests::view;

    fn body(text: &str) -> Object<'_> {
        Object::parse(text.as_bytes()).unwrap()
    }

    fn filter(text: &str) -> Result<Selection, ApiError> {
        Selection::filter(&body(text))
    }

    #[test]
    fn a_filter_is_read() {
        let domains = Some(vec![DomainId(2), DomainId(3)]);
        let read = filter(r#"{"domainIds":"2, 3,","categories":"","unassigned":false}"#);
        assert_eq!(read, Ok(Selection { domains, ..Selection::default() }));
        assert_eq!(filter("{}"), Ok(Selection { unassigned: true, ..Selection::default() }));
        let alone = filter(r#"{"unassigned":true,"subcategories":null}"#).unwrap();
        assert!(alone.unassigned && !alone.members);
        // A text without a single name is a filter that takes nothing.
        for nothing in [r#"{"domainIds":","}"#, r#"{"categories":" , "}"#] {
            assert!(!filter(nothing).unwrap().takes(&view(1, 2, "PHONE")), "{nothing}");
        }
        let many = vec!["1"; MAX_NAMED].join(",");
        assert!(filter(&format!(r#"{{"domainIds":"{many}","categories":"{many}"}}"#)).is_ok());
        for bad in [
            r#"{"domainIds":"x"}"#.to_owned(),
            r#"{"domainIds":"-1"}"#.into(),
            r#"{"domainIds":2}"#.into(),
            r#"{"categories":4}"#.into(),
            r#"{"unassigned":"yes"}"#.into(),
            format!(r#"{{"domainIds":"{many},1"}}"#),
            format!(r#"{{"subcategories":"{many},1"}}"#),
        ] {
            assert_eq!(filter(&bad), Err(ApiError::BadRequest), "{bad}");
        }
    }

    #[test]
    fn filtered_devices_are_read() {
        let read = |text| Selection::filtered(&body(text));
        let all = read("{}").unwrap();
        assert_eq!(all, Selection { within: Within::Domain(None), ..Selection::default() });
        assert_eq!(read(r#"{"types":[]}"#), Ok(all));
        let some = read(r#"{"domainId":7,"justFxs":true,"types":["PHONE","X"],"hwIds":"device-1"}"#).unwrap();
        assert_eq!((some.within, some.types.len()), (Within::Domain(Some(DomainId(7))), 2));
        assert!(!some.takes(&view(1, 7, "PHONE")), "no analogue ports");
        assert!(read(r#"{"types":["PHONE"]}"#).unwrap().takes(&view(1, 7, "PHONE")));
        assert!(!read(r#"{"types":["phone"]}"#).unwrap().takes(&view(1, 7, "PHONE")));
        for bad in [r#"{"types":"PHONE"}"#, r#"{"types":[1]}"#, r#"{"domainId":"7"}"#, r#"{"justFxs":1}"#] {
            assert_eq!(read(bad), Err(ApiError::BadRequest), "{bad}");
        }
    }

    #[test]
    fn lists_of_types_are_read() {
        let read = |mt: &str, text: &str| Selection::of_types(mt, &body(text));
        assert_eq!(read("GetDevices", "{}"), Ok(None));
        let (array, gateways) =
            read("GetGateways", r#"{"justFxs":true,"hwIds":"b,00-90-33-41-a0-b1,a/b"}"#).unwrap().unwrap();
        assert_eq!((array, gateways.just_fxs), ("gateways", true));
        assert_eq!(gateways.types, ["GW", "VA"].map(Box::from));
        let keys = ["00903341a0b1", "b"].map(|key| DeviceKey::parse(key).unwrap());
        assert_eq!(gateways.named.as_deref(), Some(&keys[..]));
        assert_eq!(read("GetPhones", r#"{"hwIds":""}"#).unwrap().unwrap().1.named, None);
        assert_eq!(read("GetPhones", r#"{"hwIds":"a/b"}"#).unwrap().unwrap().1.named, Some(Vec::new()));
        assert!(!read("GetPhones", r#"{"justFxs":true}"#).unwrap().unwrap().1.just_fxs);
        let many = |count| format!(r#"{{"hwIds":"{}"}}"#, vec!["a"; count].join(","));
        assert!(read("GetDects", &many(1000)).is_ok());
        assert_eq!(read("GetDects", &many(1001)), Err(ApiError::BadRequest));
        assert_eq!(read("GetDects", r#"{"hwIds":["a"]}"#), Err(ApiError::BadRequest));
    }

    #[test]
    fn app_platforms_with_app_ip_are_gateways_without_ports() {
        let read = |mt: &str, text: &str| Selection::of_types(mt, &body(text)).unwrap().unwrap().1;
        let (gateways, platforms) = (read("GetGateways", "{}"), read("GetAppPlatforms", "{}"));
        let without = view(1, 2, APP_PLATFORM);
        let with = |kind| DeviceView { app_ip: Some(AppIpPath::parse("ip").unwrap()), ..view(1, 2, kind) };
        assert!(!gateways.takes(&without) && platforms.takes(&without));
        assert!(gateways.takes(&with(APP_PLATFORM)) && platforms.takes(&with(APP_PLATFORM)));
        assert_eq!(gateways.app_ip_of(&with(APP_PLATFORM)).map(AppIpPath::as_str), Some("ip/"));
        assert_eq!(platforms.app_ip_of(&with(APP_PLATFORM)), None);
        assert!(!read("GetGateways", r#"{"justFxs":true}"#).takes(&with(APP_PLATFORM)));
        assert!(!read("GetGateways", r#"{"hwIds":"other"}"#).takes(&with(APP_PLATFORM)));
        // The type of the device has changed since the path was set.
        assert!(!gateways.takes(&with("PHONE")) && gateways.app_ip_of(&with("GW")).is_none());
        assert!(!Selection::filtered(&body(r#"{"types":["GW"]}"#)).unwrap().takes(&with(APP_PLATFORM)));
    }

    #[test]
    fn every_condition_counts() {
        let view = view(1, 2, "PHONE");
        let selection = Selection::default;
        assert!(selection().takes(&view));
        let types = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        let names = |text: &str| Names::read(text).unwrap();
        for (no, yes) in [
            (
                Selection { types: types(&["GW"]), ..selection() },
                Selection { types: types(&["GW", "PHONE"]), ..selection() },
            ),
            (
                Selection { domains: Some(vec![DomainId(3)]), ..selection() },
                Selection { domains: Some(vec![DomainId(3), DomainId(2)]), ..selection() },
            ),
            (
                Selection { categories: names("desk phones"), ..selection() },
                Selection { categories: names(" Desk phones ,old"), ..selection() },
            ),
            (
                Selection { categories: names("Desk phones"), subcategories: names("4"), ..selection() },
                Selection { subcategories: names("old,Desk phones"), ..selection() },
            ),
            (
                Selection { named: Some(vec![DeviceKey::parse("x").unwrap()]), ..selection() },
                Selection { named: Some(vec![view.key.clone()]), ..selection() },
            ),
            (Selection { members: false, unassigned: true, ..selection() }, selection()),
            (Selection { just_fxs: true, ..selection() }, selection()),
        ] {
            assert!(!no.takes(&view), "{no:?}");
            assert!(yes.takes(&view), "{yes:?}");
        }
        let unassigned_device = DeviceView { domain: None, category: None, category_name: None, ..view };
        assert!(!selection().takes(&unassigned_device));
        let some = Selection { unassigned: true, categories: names("Lobby"), ..selection() };
        assert!(some.takes(&unassigned_device));
    }

    #[test]
    fn a_name_with_a_comma_counts_as_one_if_a_category_has_it() {
        let hall = |name: &str| DeviceView { category_name: Some(name.into()), ..view(1, 2, "PHONE") };
        let filter = Arc::new(filter(r#"{"categories":"Hall, left"}"#).unwrap());
        let without = filter.with_names(|_| false);
        assert!(without.takes(&hall("left")) && !without.takes(&hall("Hall, left")));
        let with = filter.with_names(|name| name == "Hall, left");
        assert!(!with.takes(&hall("left")) && with.takes(&hall("Hall, left")));
    }
}
