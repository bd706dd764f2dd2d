//! Generates inputs: a seed, changed by a few random edits.
//!
//! There is no coverage to steer by on a stable compiler, so the seeds are whole, valid inputs of every kind, and the
//! edits know the words that matter at the place where they are made.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy as _, any, prop_oneof};

/// One change of a text.
#[derive(Debug, Clone)]
enum Edit {
    /// Removes bytes.
    Cut(u16, u8),
    /// Overwrites a byte.
    Put(u16, u8),
    /// Flips one bit.
    Flip(u16, u8),
    /// Inserts a word of the dictionary.
    Word(u16, usize),
    /// Inserts any bytes.
    Bytes(u16, Vec<u8>),
    /// Repeats a part up to 255 times.
    Repeat(u16, u8, u8),
    /// Ends the text here.
    End(u16),
}

/// Words that have a meaning in more than one format.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\0",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "%",
    "%00",
    "%2",
    "%0d%0a",
    "+",
    "&",
    "=",
    "?",
    "#",
    ";",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "4294967295",
    "0",
    "\u{feff}",
    "\u{202e}",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "HTTP/1.1 ",
    " ",
    "\t",
];

fn edits(dictionary: usize) -> impl proptest::strategy::Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (any::<u16>(), any::<u8>()).prop_map(|(at, count)| Edit::Cut(at, count)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (any::<u16>(), 0_u8..8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (any::<u16>(), 0..dictionary).prop_map(|(at, word)| Edit::Word(at, word)),
        (any::<u16>(), vec(any::<u8>(), 0..20)).prop_map(|(at, bytes)| Edit::Bytes(at, bytes)),
        (any::<u16>(), 1_u8..20, any::<u8>()).prop_map(|(at, count, times)| Edit::Repeat(at, count, times)),
        any::<u16>().prop_map(Edit::End),
    ];
    vec(edit, 0..8)
}

fn change(text: &mut Vec<u8>, edit: &Edit, dictionary: &[Vec<u8>]) {
    let place = |at: u16| usize::from(at) % (text.len() + 1);
    match edit {
        Edit::Cut(at, count) => {
            let at = place(*at);
            let end = (at + usize::from(*count)).min(text.len());
            text.drain(at..end);
        }
        Edit::Put(at, byte) => {
            let at = place(*at);
            if let Some(place) = text.get_mut(at) {
                *place = *byte;
            }
        }
        Edit::Flip(at, bit) => {
            let at = place(*at);
            if let Some(place) = text.get_mut(at) {
                *place ^= 1 << bit;
            }
        }
        Edit::Word(at, word) => {
            let at = place(*at);
            text.splice(at..at, dictionary[*word].iter().copied());
        }
        Edit::Bytes(at, bytes) => {
            let at = place(*at);
            text.splice(at..at, bytes.iter().copied());
        }
        Edit::Repeat(at, count, times) => {
            let at = place(*at);
            let part = text[at..(at + usize::from(*count)).min(text.len())].repeat(usize::from(*times));
            text.splice(at..at, part);
        }
        Edit::End(at) => text.truncate(place(*at)),
    }
}

/// Inputs made from `seeds`; now and then two of them joined, or any bytes at all.
pub fn inputs(seeds: Vec<Vec<u8>>, words: &[&str]) -> BoxedStrategy<Vec<u8>> {
    let dictionary: Vec<Vec<u8>> = WORDS.iter().chain(words).map(|word| word.as_bytes().to_vec()).collect();
    let count = seeds.len();
    let seed = prop_oneof![
        12 => (0..count).prop_map(Some),
        1 => Just(None),
    ];
    let start = (seed, 0..count, 0_u8..10, vec(any::<u8>(), 0..200)).prop_map(move |(seed, other, join, bytes)| {
        let mut text = seed.map_or(bytes, |seed| seeds[seed].clone());
        if join == 0 {
            text.extend_from_slice(&seeds[other]);
        }
        text
    });
    (start, edits(dictionary.len()))
        .prop_map(move |(mut text, edits)| {
            for edit in &edits {
                change(&mut text, edit, &dictionary);
            }
            text
        })
        .boxed()
}
