//! Lists in several parts (`docs/protocol/devices-api.md` 1.1), written item by item, so that a long list is never in
//! memory as a whole.

use serde_json::json;

use super::message::Request;

/// Most items in one part.
pub const MAX_ITEMS: usize = 1000;

/// Most bytes of items in one part.
pub const MAX_ITEM_BYTES: usize = 256 * 1024;

/// The part that is being written.
#[derive(Debug)]
pub struct Part {
    array: &'static str,
    items: String,
    count: usize,
}

impl Part {
    /// A list whose array has this name; the name needs no escapes.
    pub const fn new(array: &'static str) -> Self {
        Self { array, items: String::new(), count: 0 }
    }

    /// Adds an item, which is JSON text. Returns the previous part if it is full.
    pub fn add(&mut self, request: &Request, item: &str) -> Option<String> {
        let full = self.count == MAX_ITEMS || (self.count > 0 && self.items.len() + 1 + item.len() > MAX_ITEM_BYTES);
        let before = full.then(|| {
            let text = self.text(request, false);
            (self.items, self.count) = (String::new(), 0);
            text
        });
        if self.count > 0 {
            self.items.push(',');
        }
        self.items.push_str(item);
        self.count += 1;
        before
    }

    /// The last part.
    pub fn finish(&self, request: &Request) -> String {
        self.text(request, true)
    }

    fn text(&self, request: &Request, last: bool) -> String {
        let mut text = request.answer(json!({ "last": last }));
        // The answer is an object with members, so it ends with the brace before which the array is inserted.
        text.truncate(text.len().saturating_sub(1));
        format!("{text},\"{}\":[{}]}}", self.array, self.items)
    }
}

/// Writes a whole list.
pub fn all(request: &Request, array: &'static str, items: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut part = Part::new(array);
    let mut texts: Vec<_> = items.into_iter().filter_map(|item| part.add(request, &item)).collect();
    texts.push(part.finish(request));
    texts
}
