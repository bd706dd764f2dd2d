//! Keys that had a meaning in the version before. They are warned of for one version and then become unknown keys,
//! which stop the start.

use super::sections::Config;
use super::values::Retired;

/// Each with its value.
fn all(config: &Config) -> [(&'static str, &'static str, Retired); 10] {
    let limits = &config.limits;
    [
        ("limits", "device_digests", limits.device_digests),
        ("limits", "device_codes", limits.device_codes),
        ("limits", "address", limits.address),
        ("limits", "logins", limits.logins),
        ("limits", "login_pause", limits.login_pause),
        ("limits", "init_mac", limits.init_mac),
        ("limits", "init_address", limits.init_address),
        ("limits", "init_per_minute", limits.init_per_minute),
        ("limits", "init_delay", limits.init_delay),
        ("pages", "attempts", config.pages.attempts),
    ]
}

/// Whether this is such a key.
pub(super) fn is_retired(section: &str, key: &str) -> bool {
    all(&Config::default()).iter().any(|(of, retired, _)| (*of, *retired) == (section, key))
}

/// A warning for each that the configuration has.
pub(super) fn warnings(config: &Config) -> impl Iterator<Item = String> {
    let given = all(config).into_iter().filter(|(_, _, value)| value.is_given());
    given.map(|(section, key, _)| format!("{section}.{key} has no meaning any more; remove it"))
}
