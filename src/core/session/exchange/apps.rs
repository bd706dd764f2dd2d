//! The phone apps of an exchange (`docs/protocol/pbx.md` 2.5).

use super::settings::APPS_KEPT;
use crate::core::model::time::Tick;
use crate::core::protocol::json::{Object, Value};

/// A phone app that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneApp {
    /// Name of the app object, as in the device entry.
    pub name: Box<str>,
    /// Display title.
    pub title: Box<str>,
}

/// An app object.
#[derive(Debug, PartialEq, Eq)]
struct AppObject {
    name: Box<str>,
    title: Box<str>,
    is_phone_app: bool,
}

/// The app objects of an exchange, cached for a while.
#[derive(Debug, Default)]
pub struct Apps {
    objects: Vec<AppObject>,
    read_at: Option<Tick>,
}

impl Apps {
    /// Reads the answer to `GetAppObjects`.
    pub fn take(&mut self, answer: &Object<'_>, now: Tick) {
        let objects = answer.array("objects").unwrap_or_default().iter();
        self.objects = objects
            .filter_map(|object| {
                let Value::Object(object) = object else { return None };
                let text = |name: &str| object.str(name).filter(|text| !text.is_empty());
                let name = text("sip").or(text("app"))?.split('@').next()?;
                Some(AppObject {
                    name: name.into(),
                    title: text("title").unwrap_or(name).into(),
                    is_phone_app: text("deviceapp") == Some("phone"),
                })
            })
            .collect();
        self.read_at = Some(now);
    }

    /// Whether the cache is fresh.
    pub fn are_known(&self, now: Tick) -> bool {
        self.read_at.is_some_and(|read| now.since(read) < APPS_KEPT)
    }

    /// Clears the cache.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether there is an app object of this name.
    pub fn has(&self, name: &str) -> bool {
        self.objects.iter().any(|object| &*object.name == name)
    }

    /// The phone apps: those marked by the exchange, or else the configured names that exist.
    pub fn phone_apps(&self, configured: &[Box<str>]) -> Vec<PhoneApp> {
        let marked = self.objects.iter().any(|object| object.is_phone_app);
        let chosen = self
            .objects
            .iter()
            .filter(|object| if marked { object.is_phone_app } else { configured.contains(&object.name) });
        chosen.map(|object| PhoneApp { name: object.name.clone(), title: object.title.clone() }).collect()
    }
}

/// The configured phone apps, for an exchange that cannot be asked.
pub fn unchecked(configured: &[Box<str>]) -> Vec<PhoneApp> {
    configured.iter().map(|name| PhoneApp { name: name.clone(), title: name.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(objects: &str) -> Apps {
        let text = format!(r#"{{"objects":{objects}}}"#);
        let mut apps = Apps::default();
        apps.take(&Object::parse(text.as_bytes()).unwrap(), Tick(5));
        apps
    }

    #[test]
    fn marked_apps_go_before_configured_names() {
        let configured: [Box<str>; 2] = ["phone".into(), "none".into()];
        let plain = apps(r#"[{"sip":"phone@x","app":"a","title":"Telephone"},{"app":"users"},{"title":"no name"}]"#);
        assert_eq!(plain.phone_apps(&configured), [PhoneApp { name: "phone".into(), title: "Telephone".into() }]);
        assert!(plain.has("phone") && plain.has("users") && !plain.has("none") && !plain.has(""));
        let marked = apps(r#"[{"sip":"phone"},{"sip":"deskphone","deviceapp":"phone"}]"#);
        assert_eq!(marked.phone_apps(&configured), [PhoneApp { name: "deskphone".into(), title: "deskphone".into() }]);
        let others = r#"{"sip":"softphone","deviceapp":"softphone"},{"sip":"mobile","deviceapp":"rcc"}"#;
        let kinds = apps(&format!(r#"[{others},{{"sip":"deskphone","deviceapp":"phone"}}]"#));
        assert_eq!(kinds.phone_apps(&configured), [PhoneApp { name: "deskphone".into(), title: "deskphone".into() }]);
        // Marks of other kinds do not hide a configured name.
        let plain = apps(&format!(r#"[{others},{{"sip":"phone"}}]"#));
        assert_eq!(plain.phone_apps(&configured), [PhoneApp { name: "phone".into(), title: "phone".into() }]);
        assert!(marked.are_known(Tick(300_004)) && !marked.are_known(Tick(300_005)));
    }
}
