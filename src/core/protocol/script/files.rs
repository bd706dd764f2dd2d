//! Standard file names, derived from the product name (`docs/protocol/update-script.md` sections 1 and 3.3).
//!
//! If the identify of a device names its firmware and boot code files, those names are used instead.

/// The short product name: in lower case, cut at the first `-`.
fn short(product: &str) -> String {
    product.split('-').next().unwrap_or_default().to_lowercase()
}

/// The firmware file: `IP112` → `ip112.bin`, `IP29-4` → `ip29.bin`.
pub fn firmware(product: &str) -> String {
    format!("{}.bin", short(product))
}

/// The boot code file: `IP112` → `boot112.bin`; a name without `ip` is used as a whole.
pub fn boot_code(product: &str) -> String {
    let short = short(product);
    format!("boot{}.bin", short.strip_prefix("ip").unwrap_or(&short))
}

/// The script requested when the update address ends with `/`: `IP112` → `update-ip112.htm`.
pub fn update_script(product: &str) -> String {
    format!("update-{}.htm", short(product))
}
