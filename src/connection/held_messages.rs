//! Messages of a client that arrive while its log-in is verified. They are kept in order and handled after it.
//!
//! The client is not simply left unread meanwhile: a log-in may have to wait, and it must be noticed when the client
//! goes away.

use std::collections::VecDeque;

/// Most messages that are kept.
const MOST: usize = 32;

/// More messages came than are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// The messages, oldest first.
#[derive(Debug, Default)]
pub struct HeldMessages {
    texts: VecDeque<String>,
    bytes: usize,
}

impl HeldMessages {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Keeps a message; all together have at most `longest` bytes.
    pub fn push(&mut self, text: String, longest: usize) -> Result<(), TooMany> {
        if self.texts.len() >= MOST || self.bytes + text.len() > longest {
            return Err(TooMany);
        }
        self.bytes += text.len();
        self.texts.push_back(text);
        Ok(())
    }

    /// Takes the oldest one.
    pub fn pop(&mut self) -> Option<String> {
        let text = self.texts.pop_front()?;
        self.bytes -= text.len();
        if self.texts.is_empty() {
            // The connection may live for months.
            self.texts = VecDeque::new();
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_and_are_bounded() {
        let mut held = HeldMessages::default();
        assert!(held.is_empty() && held.pop().is_none());
        assert_eq!(held.push("abc".into(), 5), Ok(()));
        assert_eq!(held.push("def".into(), 5), Err(TooMany));
        assert_eq!(held.push("de".into(), 5), Ok(()));
        assert_eq!((held.pop().as_deref(), held.is_empty()), (Some("abc"), false));
        assert_eq!(held.push("fgh".into(), 5), Ok(()));
        assert_eq!((held.pop(), held.pop(), held.pop()), (Some("de".into()), Some("fgh".into()), None));
        for _ in 0..MOST {
            assert_eq!(held.push(String::new(), 5), Ok(()));
        }
        assert_eq!(held.push(String::new(), 5), Err(TooMany));
    }
}
