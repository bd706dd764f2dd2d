//! The close reasons of connections as a label.

use super::Label;
use crate::core::protocol::close::Close;

impl Label for Close {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &Close::ALL;
    const VALUES: &'static [&'static str] = &{
        let mut texts = [""; Close::ALL.len()];
        let mut at = 0;
        while at < texts.len() {
            texts[at] = Close::ALL[at].text();
            at += 1;
        }
        texts
    };

    fn as_str(self) -> &'static str {
        self.text()
    }

    fn index(self) -> usize {
        self as usize
    }
}
