//! Which devices a list or a subscription is about (`docs/protocol/devices-api.md` 3.1 and 4.3).

use super::message::{ApiError, optional};
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{CategoryId, DeviceKey, DomainId};
use crate::core::protocol::json::Object;

/// Most `hwIds` in a request (`docs/protocol/devices-api.md` section 6); ids of domains and categories are held to the
/// same.
pub const MAX_NAMED: usize = 1000;

/// Which devices are meant. The default is: every device within the rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Types of devices; empty: all.
    pub types: &'static [&'static str],
    /// Only those with analogue ports.
    pub just_fxs: bool,
    /// Only these devices, sorted.
    pub named: Option<Vec<DeviceKey>>,
    /// Only devices of these domains; `None`: of all within the rights.
    pub domains: Option<Vec<DomainId>>,
    /// Only devices of these categories.
    pub categories: Option<Vec<CategoryId>>,
    /// The devices of no domain, instead of those that have one.
    pub unassigned: bool,
    /// Nothing at all: it was asked for something that none of our devices has.
    pub nothing: bool,
}

/// The lists of the app interface (`docs/protocol/devices-api.md` 3.1): request, array, types.
const LISTS: [(&str, &str, &[&str]); 4] = [
    ("GetGateways", "gateways", &["GW", "VA"]),
    ("GetAppPlatforms", "appPlatforms", &["APP_PLATFORM"]),
    ("GetPhones", "phones", &["PHONE"]),
    ("GetDects", "dects", &["DECT"]),
];

impl Selection {
    /// Reads a request of `docs/protocol/devices-api.md` 3.1, if `mt` is one. The name of the array comes with it.
    pub fn of_types(mt: &str, body: &Object) -> Result<Option<(&'static str, Self)>, ApiError> {
        let Some((_, array, types)) = LISTS.iter().find(|(name, ..)| *name == mt) else { return Ok(None) };
        let named = match optional(body, "hwIds", body.str("hwIds"))? {
            // Without a single name it is no restriction, like the empty text of 4.3.
            Some(text) => commas(text)?,
            None => None,
        };
        // What is no hardware identifier cannot be that of a device.
        let named = named.map(|ids| {
            let mut keys: Vec<_> = ids.into_iter().filter_map(|id| DeviceKey::parse(id).ok()).collect();
            keys.sort();
            keys.dedup();
            keys
        });
        let just_fxs = optional(body, "justFxs", body.bool("justFxs"))?.unwrap_or(false);
        let just_fxs = just_fxs && mt == "GetGateways";
        Ok(Some((array, Self { types, just_fxs, named, ..Self::default() })))
    }

    /// Reads the filter of `GetDevices` (`docs/protocol/devices-api.md` 4.3).
    pub fn filter(body: &Object) -> Result<Self, ApiError> {
        let text = |name| optional(body, name, body.str(name)).map(Option::unwrap_or_default);
        let numbers = |name| -> Result<Option<Vec<u64>>, ApiError> {
            let Some(items) = commas(text(name)?)? else { return Ok(None) };
            // An id that cannot be read must not widen the filter.
            items
                .into_iter()
                .map(|item| item.parse().map_err(|_| ApiError::BadRequest))
                .collect::<Result<_, _>>()
                .map(Some)
        };
        Ok(Self {
            domains: numbers("domainIds")?.map(|ids| ids.into_iter().map(DomainId).collect()),
            categories: numbers("categories")?.map(|ids| ids.into_iter().map(CategoryId).collect()),
            nothing: !text("subcategories")?.is_empty(),
            unassigned: optional(body, "unassigned", body.bool("unassigned"))?.unwrap_or(false),
            ..Self::default()
        })
    }

    /// Whether a device that is within the rights is meant.
    pub fn takes(&self, view: &DeviceView) -> bool {
        let has = |wanted: &Option<Vec<_>>, id| wanted.as_ref().is_none_or(|ids: &Vec<DomainId>| ids.contains(&id));
        let place = match view.domain {
            Some(domain) => !self.unassigned && has(&self.domains, domain),
            None => self.unassigned,
        };
        let category = match (&self.categories, view.category) {
            (Some(wanted), Some(category)) => wanted.contains(&category),
            (Some(_), None) => self.unassigned,
            (None, _) => true,
        };
        place
            && category
            && !self.nothing
            && (self.types.is_empty() || self.types.contains(&&*view.facts.platform))
            && (!self.just_fxs || view.facts.fxs)
            && self.named.as_ref().is_none_or(|keys| keys.binary_search(&view.key).is_ok())
    }
}

/// What stands between the commas, without blanks; `None` if nothing does.
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

    #[test]
    fn a_filter_is_read() {
        let filter = Selection::filter(&body(r#"{"domainIds":"2, 3,","categories":"","unassigned":false}"#)).unwrap();
        assert_eq!(filter, Selection { domains: Some(vec![DomainId(2), DomainId(3)]), ..Selection::default() });
        assert_eq!(Selection::filter(&body("{}")), Ok(Selection::default()));
        assert!(Selection::filter(&body(r#"{"subcategories":"a"}"#)).unwrap().nothing);
        let many = vec!["1"; MAX_NAMED].join(",");
        assert!(Selection::filter(&body(&format!(r#"{{"domainIds":"{many}"}}"#))).is_ok());
        for bad in [
            r#"{"domainIds":"x"}"#.to_owned(),
            r#"{"domainIds":"-1"}"#.into(),
            r#"{"domainIds":2}"#.into(),
            r#"{"categories":"4;5"}"#.into(),
            r#"{"unassigned":"yes"}"#.into(),
            format!(r#"{{"domainIds":"{many},1"}}"#),
        ] {
            assert_eq!(Selection::filter(&body(&bad)), Err(ApiError::BadRequest), "{bad}");
        }
    }

    #[test]
    fn lists_of_types_are_read() {
        let read = |mt: &str, text: &str| Selection::of_types(mt, &body(text));
        assert_eq!(read("GetDevices", "{}"), Ok(None));
        let (array, gateways) =
            read("GetGateways", r#"{"justFxs":true,"hwIds":"b,00-90-33-41-a0-b1,a/b"}"#).unwrap().unwrap();
        assert_eq!((array, gateways.types, gateways.just_fxs), ("gateways", &["GW", "VA"][..], true));
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
    fn every_condition_counts() {
        let view = view(1, 2, "PHONE");
        let selection = Selection::default;
        assert!(selection().takes(&view));
        for (no, yes) in [
            (Selection { types: &["GW"], ..selection() }, Selection { types: &["GW", "PHONE"], ..selection() }),
            (
                Selection { domains: Some(vec![DomainId(3)]), ..selection() },
                Selection { domains: Some(vec![DomainId(3), DomainId(2)]), ..selection() },
            ),
            (
                Selection { categories: Some(vec![CategoryId(5)]), ..selection() },
                Selection { categories: Some(vec![CategoryId(4)]), ..selection() },
            ),
            (
                Selection { named: Some(vec![DeviceKey::parse("x").unwrap()]), ..selection() },
                Selection { named: Some(vec![view.key.clone()]), ..selection() },
            ),
            (Selection { unassigned: true, ..selection() }, selection()),
            (Selection { nothing: true, ..selection() }, selection()),
            (Selection { just_fxs: true, ..selection() }, selection()),
        ] {
            assert!(!no.takes(&view), "{no:?}");
            assert!(yes.takes(&view), "{yes:?}");
        }
        let unassigned_device = DeviceView { domain: None, category: None, ..view };
        assert!(!selection().takes(&unassigned_device));
        assert!(Selection { unassigned: true, ..selection() }.takes(&unassigned_device));
    }
}
