//! The answer of the config directory to a phone (`docs/protocol/directory.md` section 4): reads path and query of
//! `GET /init` and writes the script.
//!
//! Decides on the query and on what the directory knows of the code. Looking up the code, counting wrong attempts and
//! the limits of 4.4 are not done here. No part of the query is copied into the answer.

use std::net::IpAddr;

use super::percent;
use super::script::{PROMPT, Script};
use crate::core::model::ids::{Code, mac_digits};

/// Longest product name, in bytes. The same limit as in the device protocol.
const MODEL_MAX: usize = 128;

/// Longest whole version text, in bytes. The same limit as in the device protocol.
const VERSION_MAX: usize = 256;

/// Longest build number, in bytes. The same limit as in the device protocol.
const BUILD_MAX: usize = 64;

/// Longest name in a path, in bytes.
const NAME_MAX: usize = 32;

/// A text of the query is longer than its limit (`docs/protocol/directory.md` 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text of the query is too long")]
pub struct TextTooLong;

/// The code in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitCode {
    /// None was sent, or an empty one.
    None,
    /// The phone shows the form and nothing was typed yet.
    Prompt,
    /// Twelve digits.
    Code(Code),
    /// Something else was typed, or its encoding is broken. Counts as a wrong code.
    Malformed,
}

/// A path at which phones are answered: `/init`, `/init/` or `/init/update-NAME.htm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitPath {
    /// Product name, from `NAME`.
    model: Option<Box<str>>,
}

impl InitPath {
    /// Reads a path as it was sent; `None` if it is another one. Percent-encoded spellings are others.
    pub fn read(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/init")?;
        if matches!(rest, "" | "/") {
            return Some(Self { model: None });
        }
        let name = rest.strip_prefix("/update-")?.strip_suffix(".htm")?;
        let fits = (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        fits.then(|| Self { model: Some(name.to_ascii_uppercase().into()) })
    }
}

/// The query of a phone. Everything is optional; an unreadable parameter counts as missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitRequest {
    /// MAC address, twelve hex digits in lower case.
    pub mac: Option<Box<str>>,
    /// Product name.
    pub model: Option<Box<str>>,
    /// Build number of the firmware.
    pub firmware: Option<Box<str>>,
    /// Build number of the boot code.
    pub bootcode: Option<Box<str>>,
    /// Local address, in its usual spelling.
    pub ip: Option<Box<str>>,
    /// The code.
    pub code: InitCode,
}

impl InitRequest {
    /// Reads path and query of `GET /init`, without the question mark. A text that would be stored and is too long is an
    /// error.
    pub fn read(path: InitPath, query: &str) -> Result<Self, TextTooLong> {
        let parameters = Parameters::read(query);
        let version = parameters.text(&["ver"], VERSION_MAX)?.map(Version::read).unwrap_or_default();
        let text = |name, longest| Ok(parameters.text(&[name], longest)?.map(Into::into));
        let request = Self {
            // These two have a form, so a text of any other length is none.
            mac: parameters.text(&["mac", "sn"], usize::MAX)?.and_then(mac_digits),
            ip: parameters
                .text(&["ip"], usize::MAX)?
                .and_then(|ip| ip.parse::<IpAddr>().ok())
                .map(|ip| ip.to_string().into()),
            model: text("type", MODEL_MAX)?.or(version.product).or(path.model),
            firmware: text("PROT", BUILD_MAX)?.or(version.firmware),
            bootcode: text("BOOT", BUILD_MAX)?.or(version.bootcode),
            code: parameters.code(),
        };
        // What comes from the version text is bounded as what comes by itself.
        let long = |text: &Option<Box<str>>, longest| text.as_ref().is_some_and(|text| text.len() > longest);
        if long(&request.model, MODEL_MAX) || long(&request.firmware, BUILD_MAX) || long(&request.bootcode, BUILD_MAX) {
            return Err(TextTooLong);
        }
        Ok(request)
    }
}

/// The decoded parameters in the order of the query; a value that cannot be decoded is `None`.
struct Parameters(Vec<(String, Option<String>)>);

impl Parameters {
    fn read(query: &str) -> Self {
        let parameters = query.split('&').filter_map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((percent::decode(name).ok()?, percent::decode(value).ok()))
        });
        Self(parameters.collect())
    }

    /// The value of the first of `names` that is present and usable, unless it is longer than `longest`.
    fn text(&self, names: &[&str], longest: usize) -> Result<Option<&str>, TextTooLong> {
        let good = |text: &&str| !text.is_empty() && !text.chars().any(char::is_control);
        let found = names.iter().find_map(|wanted| {
            let (_, value) = self.0.iter().find(|(name, value)| name == wanted && value.is_some())?;
            value.as_deref().filter(good)
        });
        if found.is_some_and(|text| text.len() > longest) { Err(TextTooLong) } else { Ok(found) }
    }

    fn code(&self) -> InitCode {
        let named = |wanted: &str| self.0.iter().find(|(name, _)| name == wanted);
        match named("PROVISIONING-CODE").or_else(|| named("code")) {
            None => InitCode::None,
            Some((_, None)) => InitCode::Malformed,
            Some((_, Some(text))) if text.is_empty() => InitCode::None,
            Some((_, Some(text))) if text == PROMPT => InitCode::Prompt,
            Some((_, Some(text))) => Code::parse_typed(text).map_or(InitCode::Malformed, InitCode::Code),
        }
    }
}

/// The parts of the version text for people: `13r3 sr9 IP112[13.6012], Bootcode[136012], HW[300]`.
#[derive(Default)]
struct Version {
    product: Option<Box<str>>,
    firmware: Option<Box<str>>,
    bootcode: Option<Box<str>>,
}

impl Version {
    fn read(text: &str) -> Self {
        let mut version = Self::default();
        for (n, piece) in text.split(']').enumerate() {
            let Some((before, inside)) = piece.split_once('[') else { continue };
            let word = before.rsplit(|c: char| c.is_whitespace() || c == ',').next().filter(|word| !word.is_empty());
            let build: String = inside.chars().filter(|c| *c != '.').collect();
            let is_build = !build.is_empty() && build.bytes().all(|b| b.is_ascii_digit());
            let build = is_build.then(|| build.into());
            match word {
                _ if n == 0 => (version.product, version.firmware) = (word.map(Into::into), build),
                Some("Bootcode") => version.bootcode = build,
                _ => {}
            }
        }
        version
    }
}

/// The script for a phone (`docs/protocol/directory.md` 4.1 to 4.3).
///
/// `target` is the address of Devices for the code, if the code is valid; unknown, expired and deleted codes have none
/// and are answered like malformed ones. `first_contact`: this MAC address has never asked before.
pub fn answer(request: &InitRequest, target: Option<&str>, first_contact: bool) -> String {
    let script = match (request.code, target) {
        (InitCode::Code(_), Some(url)) => Script::hand_over(url),
        (InitCode::Prompt, _) => Script::ask_for_code(false, first_contact),
        (InitCode::None | InitCode::Code(_) | InitCode::Malformed, _) => Script::ask_for_code(true, first_contact),
    };
    script.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<InitRequest, TextTooLong> {
        InitRequest::read(InitPath::read("/init").unwrap(), query)
    }

    fn code(query: &str) -> InitCode {
        read(query).unwrap().code
    }

    fn typed() -> InitCode {
        InitCode::Code(Code::parse("402817739164").unwrap())
    }

    const VER: &str = "ver=13r3%20sr9%20IP112%5B13.6012%5D%2C%20Bootcode%5B136013%5D%2C%20HW%5B300%5D";

    #[test]
    fn the_sample_of_the_protocol_is_read() {
        let query =
            format!("mac=00-90-33-A1-B2-C3&type=IP29&ip=192.0.2.17&{VER}&PROT=7&BOOT=8&PROVISIONING-CODE=402817739164");
        let request = read(&query).unwrap();
        let text = |text: &str| Some(Box::<str>::from(text));
        assert_eq!(
            request,
            InitRequest {
                mac: text("009033a1b2c3"),
                model: text("IP29"),
                firmware: text("7"),
                bootcode: text("8"),
                ip: text("192.0.2.17"),
                code: typed(),
            }
        );
        let request = read(&format!("{VER}&sn=00:90:33:a1:b2:c4")).unwrap();
        assert_eq!(
            (request.model, request.firmware, request.bootcode, request.mac),
            (text("IP112"), text("136012"), text("136013"), text("009033a1b2c4"))
        );
    }

    #[test]
    fn versions_of_other_forms_give_what_they_have() {
        let version = |ver: &str| {
            let request = read(&format!("ver={}", percent::encode(ver))).unwrap();
            (request.model, request.firmware, request.bootcode)
        };
        let text = |text: &str| Some(Box::<str>::from(text));
        assert_eq!(version("13r3 sr9"), (None, None, None));
        assert_eq!(version("IP112[beta]"), (text("IP112"), None, None));
        assert_eq!(version("13r3 sr9 [13.6012/136012/300]"), (None, None, None));
        assert_eq!(version("[[]]],Bootcode[1],["), (None, None, text("1")));
    }

    #[test]
    fn the_name_in_the_path_is_the_last_source_of_the_product() {
        let model = |query: &str| {
            let path = InitPath::read("/init/update-ip112.htm").unwrap();
            InitRequest::read(path, query).unwrap().model
        };
        assert_eq!(model("").as_deref(), Some("IP112"));
        assert_eq!(model("ver=13r3%20sr9").as_deref(), Some("IP112"));
        assert_eq!(model("ver=IP29%5B13.6012%5D").as_deref(), Some("IP29"));
        assert_eq!(model("type=IP222&ver=IP29%5B13.6012%5D").as_deref(), Some("IP222"));
        assert_eq!(read("").unwrap().model, None);
    }

    #[test]
    fn a_broken_parameter_counts_as_missing() {
        let request = read("mac=%zz&sn=009033a1b2c3&type=%ff&ip=here&PROT=%00&%zz=1&BOOT=").unwrap();
        assert_eq!(request.mac.as_deref(), Some("009033a1b2c3"));
        assert_eq!((request.model, request.ip, request.firmware, request.bootcode), (None, None, None, None));
        assert_eq!(read("mac=nonsense&sn=009033a1b2c3").unwrap().mac, None);
        assert_eq!(read("type=a+b").unwrap().model.as_deref(), Some("a+b"));
    }

    #[test]
    fn a_text_that_would_be_stored_has_a_longest() {
        for (name, longest) in [("type", 128), ("PROT", 64), ("BOOT", 64), ("ver", 256)] {
            let query = |bytes| format!("{name}={}", "x".repeat(bytes));
            assert!(read(&query(longest)).is_ok(), "{name}");
            assert_eq!(read(&query(longest + 1)), Err(TextTooLong), "{name}");
        }
        for ver in [format!("{}[1]", "x".repeat(129)), format!("a[{}]", "1".repeat(65))] {
            assert_eq!(read(&format!("ver={ver}")), Err(TextTooLong), "{ver}");
        }
        let other = format!("x={0}&mac={0}&ip={0}&code={0}", "1".repeat(900));
        assert_eq!(read(&other).map(|request| request.mac), Ok(None), "nothing of it is stored");
    }

    #[test]
    fn codes_of_all_kinds() {
        assert_eq!(code(""), InitCode::None);
        assert_eq!(code("PROVISIONING-CODE="), InitCode::None);
        assert_eq!(code("PROVISIONING-CODE=prompt"), InitCode::Prompt);
        assert_eq!(code("code=4028%201773-9164%23"), typed());
        assert_eq!(code("code=402817739164&PROVISIONING-CODE=prompt"), InitCode::Prompt);
        assert_eq!(code("PROVISIONING-CODE=402817739164&PROVISIONING-CODE=1"), typed());
        for broken in ["40281773916", "%zz", "402817739164%", "Prompt", "4028+17739164", "%00"] {
            assert_eq!(code(&format!("PROVISIONING-CODE={broken}&code=402817739164")), InitCode::Malformed, "{broken}");
        }
    }

    #[test]
    fn answers_are_exactly_those_of_the_directory() {
        const URL: &str = "wss://ap.example.org/example.com/devices/sysclients";
        let answer = |query: &str, target, first| super::answer(&read(query).unwrap(), target, first);
        let form = "# enter code\r\nvars create UPDATE/PROVISIONING-CODE h prompt\r\nmod cmd UP1 provision 1\r\n";
        let first = "# enter code\r\nvars create UPDATE/PROVISIONING-CODE h prompt\r\nconfig add UP1 /no-dhcp\r\n\
                     config write\r\nconfig activate\r\nmod cmd UP1 provision 1\r\n";
        assert_eq!(answer("", None, false), form);
        assert_eq!(answer("", Some(URL), true), first);
        assert_eq!(answer("code=prompt", Some(URL), false), "# enter code\r\nmod cmd UP1 provision 1\r\n");
        assert_eq!(
            answer("code=402817739164", Some(URL), true),
            "# ok\r\nconfig change SYSCLIENT /sysadmin \
             wss%3A%2F%2Fap.example.org%2Fexample.com%2Fdevices%2Fsysclients\r\n\
             config write\r\nconfig activate\r\nmod cmd UP1 provision 0\r\n"
        );
        for wrong in ["code=402817739164", "code=1", "code=%"] {
            assert_eq!(answer(wrong, None, false), form);
            assert_eq!(answer(wrong, None, true), first);
        }
        assert_eq!(answer("code=1", Some(URL), false), form);
    }

    proptest::proptest! {
        #[test]
        fn no_part_of_the_query_is_echoed(query in "[ -~]{0,60}", value in proptest::prelude::any::<String>()) {
            for query in [query, format!("code={value}&mac={value}&ver={value}")] {
                let Ok(request) = read(&query) else { continue };
                let expected = Script::ask_for_code(request.code != InitCode::Prompt, false).to_string();
                proptest::prop_assert_eq!(super::answer(&request, None, false), expected);
            }
        }
    }
}
