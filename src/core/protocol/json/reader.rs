//! The parser behind [`super::Object::parse`].

use std::borrow::Cow;

use super::{JsonError, MAX_DEPTH, Member, Object, Value, is_white_space};

/// Initial capacity for members.
const MEMBERS: usize = 16;

/// A recursive descent parser; recursion is bounded by [`MAX_DEPTH`].
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads the whole text as one value with nothing but white space around it.
    pub(super) fn whole(mut self) -> Result<Value<'a>, JsonError> {
        let value = self.value(1)?;
        self.white_space();
        if self.at == self.text.len() { Ok(value) } else { Err(JsonError::Syntax) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.next()? == byte { Ok(()) } else { Err(JsonError::Syntax) }
    }

    fn white_space(&mut self) {
        while self.peek().is_some_and(|b| is_white_space(char::from(b))) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        self.white_space();
        match self.peek().ok_or(JsonError::Syntax)? {
            b'{' => self.object(depth).map(Value::Object),
            b'[' => self.array(depth).map(Value::Array),
            b'"' => self.string().map(Value::String),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(JsonError::Syntax)
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object<'a>, JsonError> {
        self.at += 1;
        // About as many as a message has; nested objects have few or none.
        let mut members: Vec<Member<'a>> = Vec::with_capacity(if depth == 1 { MEMBERS } else { 0 });
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Object(members));
        }
        loop {
            self.white_space();
            if self.peek() != Some(b'"') {
                return Err(JsonError::Syntax);
            }
            let name = self.string()?;
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            let start = self.at;
            let value = self.value(depth + 1)?;
            members.push(Member { name, value, span: (position(start), position(self.at)) });
            // Checked each time the object has doubled: a hostile one is refused before it takes much memory.
            if members.len().is_power_of_two() && has_repeated_name(&members) {
                return Err(JsonError::Repeated);
            }
            self.white_space();
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return Err(JsonError::Syntax),
            }
        }
        if has_repeated_name(&members) { Err(JsonError::Repeated) } else { Ok(Object(members)) }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.white_space();
            match self.next()? {
                b',' => {}
                b']' => return Ok(items),
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return Err(JsonError::Syntax),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(Cow::Borrowed(&self.text[start..self.at])))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.next()?.is_ascii_digit() {
            return Err(JsonError::Syntax);
        }
        self.skip_digits();
        Ok(())
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let plain = self.unescaped();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut out = plain.to_owned();
        loop {
            match self.next()? {
                b'"' => return Ok(Cow::Owned(out)),
                b'\\' => out.push(self.escape()?),
                _ => return Err(JsonError::Syntax),
            }
            out.push_str(self.unescaped());
        }
    }

    /// Reads up to the next quote, backslash or control character.
    fn unescaped(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
        self.at += end;
        // Both ends are next to an ASCII byte, so this is a character boundary.
        &rest[..end]
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(JsonError::Syntax),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&high) {
            if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                return Err(JsonError::Surrogate);
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(JsonError::Surrogate);
            }
            0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        } else {
            high
        };
        char::from_u32(code).ok_or(JsonError::Surrogate)
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut n = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(JsonError::Syntax)?;
            n = n * 16 + digit;
        }
        Ok(n)
    }
}

/// A position in a text; messages are far shorter than the four GiB where this saturates.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Small objects are compared pairwise; large ones are sorted first, so that a hostile object does not take quadratic
/// time.
fn has_repeated_name(members: &[Member<'_>]) -> bool {
    if members.len() <= 24 {
        return members.iter().enumerate().any(|(n, m)| members[..n].iter().any(|o| o.name == m.name));
    }
    let mut names: Vec<&str> = members.iter().map(|m| &*m.name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}
