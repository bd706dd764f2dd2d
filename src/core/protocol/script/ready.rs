//! Complete scripts for operators who run their own update server.

use url::Url;

use super::{Command, Script, encode};
use crate::core::model::ids::{DomainName, Secret};

/// Why the line cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AutoLineError {
    /// The address is not one of Devices.
    #[error("url: must be wss://HOST/DOMAIN/INSTANCE/sysclients, without a query")]
    Url,
    /// The domain name is invalid.
    #[error("domain: must be 1 to 253 letters, digits, dots, hyphens or underscores")]
    Domain,
    /// Automatic provisioning is off without a token.
    #[error("token: is empty")]
    Token,
    /// A category has a name.
    #[error("category: is empty")]
    Category,
    /// The line would be longer than devices accept (`docs/protocol/update-script.md` section 2).
    #[error("the line would be longer than 1999 bytes")]
    TooLong,
}

/// What an update server of version 12 has to add to its script, so that a newer device that it provisions removes
/// what the provisioning service would have removed (`docs/concept.md` section 12; `docs/protocol/update-script.md`
/// section 4).
pub fn v12_cleanup() -> Script {
    Script::clean_up()
}

/// The line that directs a device to the Devices service at `base`, and into a category of a domain by automatic
/// provisioning (`docs/protocol/update-script.md` 5.1): the values are encoded, then the whole address once more. The
/// result contains the token.
pub fn auto_provisioning_line(
    base: &str,
    domain: &str,
    token: &Secret,
    category: &str,
) -> Result<Secret, AutoLineError> {
    if !is_devices_address(base) {
        return Err(AutoLineError::Url);
    }
    DomainName::parse(domain).map_err(|_| AutoLineError::Domain)?;
    if token.is_empty() {
        return Err(AutoLineError::Token);
    }
    if category.is_empty() {
        return Err(AutoLineError::Category);
    }
    let url = encode::auto_provisioning_url(base, domain, token, category);
    let line = Command::sysadmin(url.expose()).to_string();
    if line.len() < 2000 { Ok(Secret::new(line)) } else { Err(AutoLineError::TooLong) }
}

/// `ws` is for laboratories only (`docs/protocol/sysclient.md` 1.1).
fn is_devices_address(text: &str) -> bool {
    let is_plain = text.starts_with("wss://") || text.starts_with("ws://");
    is_plain
        && text.bytes().all(|b| b.is_ascii_graphic())
        && text.ends_with("/sysclients")
        && Url::parse(text).is_ok_and(|url| {
            let segments = url.path_segments().map_or(0, |segments| segments.filter(|text| !text.is_empty()).count());
            let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            segments == 3 && bare && url.password().is_none()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_lines() {
        let lines: Vec<String> = v12_cleanup().0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines.join(" "),
            "config rem UP1 /provisioning config rem UP1 /provision vars del UPDATE/PROVISIONING-CODE config write \
             config activate"
        );
        let base = "wss://apdnsname.com/domain.com/devices/sysclients";
        let line = |token: &str, category| {
            auto_provisioning_line(base, "domain.com", &Secret::new(token), category).unwrap().expose().to_owned()
        };
        assert_eq!(
            line("1j2h3j12h3", "testcategory"),
            "config change SYSCLIENT /sysadmin wss%3A%2F%2Fapdnsname.com%2Fdomain.com%2Fdevices%2Fsysclients%3Fdomain%3D\
             domain.com%26token%3D1j2h3j12h3%26category%3Dtestcategory"
        );
        assert_eq!(
            line("abcdef#XYZ", "acme IP Phone"),
            "config change SYSCLIENT /sysadmin wss%3A%2F%2Fapdnsname.com%2Fdomain.com%2Fdevices%2Fsysclients%3Fdomain%3D\
             domain.com%26token%3Dabcdef%2523XYZ%26category%3Dacme%2520IP%2520Phone"
        );
    }

    #[test]
    fn invalid_parts_are_refused() {
        let base = "wss://h/d/i/sysclients";
        let line = |base: &str, domain: &str, token: &str, category: &str| {
            auto_provisioning_line(base, domain, &Secret::new(token), category).unwrap_err()
        };
        for base in [
            "https://h/d/i/sysclients",
            "wss:///d/i/sysclients",
            "wss://h/i/sysclients",
            "wss://h/d/i/",
            "wss://h/d/i/sysclients?a=b/sysclients",
            "wss://u@h/d/i/sysclients",
            "wss://h/d d/i/sysclients",
            "h/d/i/sysclients",
            "",
        ] {
            assert_eq!(line(base, "d", "t", "c"), AutoLineError::Url, "{base}");
        }
        assert_eq!(line(base, "a b", "t", "c"), AutoLineError::Domain);
        assert_eq!(line(base, "d", "", "c"), AutoLineError::Token);
        assert_eq!(line(base, "d", "t", ""), AutoLineError::Category);
        assert_eq!(line(base, "d", "t", &"x".repeat(2000)), AutoLineError::TooLong);
    }
}
