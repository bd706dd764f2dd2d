//! The search interface (`docs/protocol/devices-api.md` section 9): reading a search, matching, choosing the best hits,
//! and writing them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::message::{ApiError, Request, optional, write};
use crate::core::model::device_view::{DeviceView, DomainView};
use crate::core::protocol::json::Object;

/// The name of the interface.
pub const SEARCH_API: &str = "com.innovaphone.search";

/// Hits without `count`, and at most.
const HITS: (u64, u64) = (20, 100);
/// A shorter text finds nothing, in characters.
const SHORTEST: usize = 2;
/// Relevance of a hit whose name begins with the text, and of any other; low is more relevant.
const RELEVANCE: (u16, u16) = (1000, 2000);

/// What is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// In lower case; empty: finds nothing.
    text: Box<str>,
    /// The text without the separators of hardware identifiers.
    bare: Box<str>,
    kind: Option<Box<str>>,
    most: usize,
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

impl Search {
    /// Reads a request.
    pub fn read(body: &Object) -> Result<Self, ApiError> {
        let text = body.str("search").ok_or(ApiError::BadRequest)?;
        // An unreadable type must not widen the search.
        let kind = optional(body, "type", body.str("type"))?.map(Into::into);
        let count = optional(body, "count", body.u64("count"))?.unwrap_or(HITS.0).min(HITS.1);
        let long = |text: String| if text.chars().count() < SHORTEST { String::new() } else { text };
        let text = long(text.to_lowercase());
        let bare = long(bare(&text));
        Ok(Self { text: text.into(), bare: bare.into(), kind, most: usize::try_from(count).unwrap_or_default() })
    }

    /// Whether devices can be found.
    pub fn wants_devices(&self) -> bool {
        self.wants("device")
    }

    /// Whether domains can be found.
    pub fn wants_domains(&self) -> bool {
        self.wants("app")
    }

    fn wants(&self, kind: &str) -> bool {
        !self.text.is_empty() && self.most > 0 && self.kind.as_deref().is_none_or(|wanted| wanted == kind)
    }

    fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&*self.text)
    }

    fn finds(&self, view: &DeviceView) -> bool {
        let key = view.key.as_str();
        view.name.as_deref().is_some_and(|name| self.is_in(name))
            || self.is_in(key)
            || (!self.bare.is_empty() && bare(&key.to_lowercase()).contains(&*self.bare))
            || self.is_in(&view.facts.product)
    }
}

/// The best hits of a search. Holds no more than are wanted, however many are found.
#[derive(Debug)]
pub struct Hits {
    search: Search,
    /// By relevance, name and number.
    found: BTreeMap<(u16, Box<str>, u64, &'static str), Value>,
}

impl Hits {
    /// None yet.
    pub const fn new(search: Search) -> Self {
        Self { search, found: BTreeMap::new() }
    }

    /// Takes a device within the rights, if it is found.
    pub fn device(&mut self, view: &DeviceView) {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Details<'a> {
            hw_id: &'a str,
            product: &'a str,
            r#type: &'a str,
            domain_id: u64,
            online: bool,
        }
        if !self.search.wants_devices() || !self.search.finds(view) {
            return;
        }
        let details = Details {
            hw_id: view.key.as_str(),
            product: &view.facts.product,
            r#type: &view.facts.platform,
            domain_id: view.domain.map_or(0, |domain| domain.0),
            online: view.online,
        };
        let dn = view.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(view.key.as_str());
        self.hit(dn, view.id.0, "device", serde_json::to_value(details).unwrap_or_default());
    }

    /// Takes a domain within the rights, if it is found.
    pub fn domain(&mut self, view: &DomainView) {
        if self.search.wants_domains() && self.search.is_in(view.name.as_str()) {
            self.hit(view.name.as_str(), view.id.0, "app", Value::Object(Map::new()));
        }
    }

    fn hit(&mut self, dn: &str, id: u64, kind: &'static str, details: Value) {
        let begins = dn.to_lowercase().starts_with(&*self.search.text);
        let relevance = if begins { RELEVANCE.0 } else { RELEVANCE.1 };
        self.found.insert((relevance, dn.into(), id, kind), details);
        if self.found.len() > self.search.most {
            self.found.pop_last();
        }
    }

    /// `SearchInfo` for each of them, and `SearchResult`.
    pub fn answers(self, request: &Request) -> Vec<String> {
        #[derive(Serialize)]
        struct Info<'a> {
            dn: &'a str,
            r#type: &'a str,
            relevance: u16,
            #[serde(flatten)]
            details: BTreeMap<&'a str, Value>,
        }
        let (src, api) = (request.src.as_deref(), request.api.as_deref());
        let info = |((relevance, dn, _, kind), details): ((u16, Box<str>, u64, &'static str), Value)| {
            let details = BTreeMap::from([(kind, details)]);
            write("SearchInfo", src, api, Info { dn: &dn, r#type: kind, relevance, details })
        };
        let mut texts: Vec<_> = self.found.into_iter().map(info).collect();
        texts.push(request.answer(Map::new()));
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::device_view::tests::view;
    use crate::core::model::ids::{DeviceKey, DomainId, DomainName};

    fn request(text: &str) -> Request {
        Request::parse(text).unwrap()
    }

    fn search(members: &str) -> Result<Search, ApiError> {
        Search::read(&request(&format!(r#"{{"mt":"Search",{members}}}"#)).body)
    }

    fn device(id: u64, key: &str, name: Option<&str>) -> DeviceView {
        DeviceView { key: DeviceKey::parse(key).unwrap(), name: name.map(Into::into), ..view(id, 2, "PHONE") }
    }

    fn found(members: &str, devices: &[DeviceView]) -> Vec<(String, u64)> {
        let mut hits = Hits::new(search(members).unwrap());
        for view in devices {
            hits.device(view);
        }
        for (id, name) in [(2, "example.com"), (3, "home.example")] {
            hits.domain(&DomainView {
                id: DomainId(id),
                name: DomainName::parse(name).unwrap(),
                deploy_admin_passwords: false,
                is_instance_domain: false,
                categories: Vec::new(),
                settings: 0,
            });
        }
        let texts = hits.answers(&request(r#"{"mt":"Search"}"#));
        assert_eq!(texts.last().unwrap(), r#"{"mt":"SearchResult"}"#);
        let read = |text: &String| serde_json::from_str::<Value>(text).unwrap();
        let infos = texts[..texts.len() - 1].iter().map(read);
        infos.map(|info| (info["dn"].as_str().unwrap().into(), info["relevance"].as_u64().unwrap())).collect()
    }

    #[test]
    fn the_sample_of_the_protocol() {
        let ask = request(r#"{"mt":"Search","api":"com.innovaphone.search","search":"IP11","src":"s1"}"#);
        let mut hits = Hits::new(Search::read(&ask.body).unwrap());
        hits.device(&device(31, "00903341a0b1", None));
        assert_eq!(
            hits.answers(&ask),
            [
                concat!(
                    r#"{"mt":"SearchInfo","src":"s1","api":"com.innovaphone.search","dn":"00903341a0b1","#,
                    r#""type":"device","relevance":2000,"device":{"domainId":2,"hwId":"00903341a0b1","online":true,"#,
                    r#""product":"IP112","type":"PHONE"}}"#
                ),
                r#"{"mt":"SearchResult","src":"s1","api":"com.innovaphone.search"}"#
            ]
        );
    }

    #[test]
    fn texts_are_found_in_names_identifiers_and_products() {
        let phones = [device(1, "00903341a0b1", Some("Lobby left")), device(2, "00903341a0b2", None)];
        let dns = |text: &str| -> Vec<String> {
            found(&format!(r#""search":"{text}""#), &phones).into_iter().map(|(dn, _)| dn).collect()
        };
        for (text, expected) in [
            ("LOBBY", &["Lobby left"][..]),
            ("00-90-33-41-A0-B2", &["00903341a0b2"]),
            ("a0:b1", &["Lobby left"]),
            ("ip112", &["00903341a0b2", "Lobby left"]),
            ("left lobby", &[]),
            ("b", &[]),
            ("--", &[]),
            ("", &[]),
            ("EXAMPLE", &["example.com", "home.example"]),
        ] {
            assert_eq!(dns(text), expected, "{text}");
        }
    }

    #[test]
    fn what_begins_with_the_text_comes_first() {
        let named = |id, name: &str| device(id, &format!("key-{id}"), Some(name));
        let phones = [named(1, "zz exam"), named(2, "exam b"), named(3, "Exam a"), named(4, "an exam")];
        let hits = [("Exam a", 1000), ("exam b", 1000), ("example.com", 1000), ("an exam", 2000)];
        let hits = hits.map(|(dn, relevance)| (dn.to_owned(), relevance));
        assert_eq!(found(r#""search":"exam","count":4"#, &phones), hits);
        assert_eq!(found(r#""search":"exam","type":"device""#, &phones).len(), 4);
        assert_eq!(found(r#""search":"exam","type":"app""#, &phones).len(), 2);
        assert!(found(r#""search":"exam","type":"contact""#, &phones).is_empty());
        assert!(found(r#""search":"exam","count":0"#, &phones).is_empty());
        let many: Vec<_> = (0..150).map(|id| named(id, "exam")).collect();
        assert_eq!(found(r#""search":"exam""#, &many).len(), 20);
        assert_eq!(found(r#""search":"exam","count":1000"#, &many).len(), 100);
    }

    #[test]
    fn unreadable_members_are_bad_requests() {
        for bad in [r#""a":1"#, r#""search":1"#, r#""search":"ab","type":1"#, r#""search":"ab","count":-1"#] {
            assert_eq!(search(bad), Err(ApiError::BadRequest), "{bad}");
        }
    }
}
