//! The pass in an address of a device's own pages: session, domain and end of validity. Does no I/O.

use crate::core::model::hex;
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::time::UnixMillis;
use crate::store::SessionHash;
use crate::store::seal::Sealer;
use crate::web::pages::Lang;

/// Longest pass in an address, in characters.
const LONGEST: usize = 2048;

/// A pass for one device. It is sealed for that device, so it cannot be forged or used for another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pass {
    /// End of validity, on the clock of the store.
    pub until: UnixMillis,
    /// Language of the operator.
    pub lang: Lang,
    /// Session that it belongs to; it ends with that.
    pub session: SessionHash,
    /// Domain of the device when the pass was issued.
    pub domain: DomainName,
}

fn purpose(device: &DeviceKey) -> String {
    format!("own pages of {device}")
}

impl Pass {
    /// The sealed form for the address.
    pub fn seal(&self, sealer: &Sealer, device: &DeviceKey) -> String {
        let Self { until, lang, session, domain } = self;
        let text = format!("{} {} {} {domain}", until.0, lang.code(), session.as_str());
        hex::encode(sealer.seal_handed_out(&purpose(device), &text))
    }

    /// Opens a pass from an address with this device. Does not check its validity.
    pub fn open(sealer: &Sealer, device: &DeviceKey, text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok().filter(|_| text.len() <= LONGEST)?;
        let text = sealer.open_handed_out(&purpose(device), &bytes).ok()?;
        let mut parts = text.expose().splitn(4, ' ');
        let mut next = || parts.next();
        Some(Self {
            until: UnixMillis(next()?.parse().ok()?),
            lang: Lang::parse(next()?)?,
            session: SessionHash::from_text(next()?),
            domain: DomainName::parse(next()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_its_device_only() {
        let sealer = Sealer::random();
        let [device, other] = ["009033410001", "009033410002"].map(|key| DeviceKey::parse(key).unwrap());
        let pass = Pass {
            until: UnixMillis(1_700_000_000_123),
            lang: Lang::De,
            session: SessionHash::of(&sealer, "shown"),
            domain: DomainName::parse("example.com").unwrap(),
        };
        let text = pass.seal(&sealer, &device);
        assert_eq!(Pass::open(&sealer, &device, &text), Some(pass.clone()));
        assert_eq!(Pass::open(&sealer, &other, &text), None);
        assert_eq!(Pass::open(&Sealer::random(), &device, &text), None);
        for wrong in ["", "5d0c", &text[2..], &text[..text.len() - 2], &text.replace(&text[..2], "zz")] {
            assert_eq!(Pass::open(&sealer, &device, wrong), None, "{wrong}");
        }
        assert_ne!(pass.seal(&sealer, &device), text, "never the same twice");
        // The hash of a session is useless without the cookie, and is not readable in the address either.
        assert!(!text.contains(pass.session.as_str()));
    }
}
