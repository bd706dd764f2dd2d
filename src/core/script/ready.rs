//! Ready scripts for people who run an update server of their own.

use super::{Command, Script, encode};
use crate::core::ids::Secret;

/// What an update server of version 12 has to add to its script, so that a newer device which it provisions forgets what the
/// provisioning service would have removed (mission document; `update-script.md` section 4).
pub fn v12_cleanup() -> Script {
    Script::clean_up()
}

/// The line that sends a device to the Devices service at `base`, and into a category of a domain by automatic provisioning
/// (`update-script.md` 5.1): the values are encoded, then the whole address once more. The result holds the token.
pub fn auto_provisioning_line(base: &str, domain: &str, token: &Secret, category: &str) -> Secret {
    let url = encode::auto_provisioning_url(base, domain, token, category);
    Secret::new(Command::sysadmin(url.expose()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_mission_document() {
        let lines: Vec<String> = v12_cleanup().0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines.join(" "),
            "config rem UP1 /provisioning config rem UP1 /provision vars del UPDATE/PROVISIONING-CODE config write \
             config activate"
        );
        let base = "wss://apdnsname.com/domain.com/devices/sysclients";
        let line = |token: &str, category| {
            auto_provisioning_line(base, "domain.com", &Secret::new(token), category).expose().to_owned()
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
}
