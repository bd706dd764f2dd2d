//! Finds head, body and end of an HTTP answer in the receive results (`docs/protocol/sysclient.md` 8.3 and 8.4).

use bytes::Bytes;

use super::chunked::{Chunked, take_at_most};
use super::head::{self, Framing, Head, Parsed};
use super::section::Section;
use super::{ANSWER_HEAD_MAX, Expects, Failure};

#[derive(Debug)]
enum State {
    Head(Section),
    Chunked(Chunked),
    /// This many bytes are still missing.
    Length(u64),
    UntilEnd,
    Complete,
}

/// An answer being received.
#[derive(Debug)]
pub(super) struct Answer {
    expects: Expects,
    state: State,
}

/// The result of one receive result.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The head, in the result in which it ends.
    pub(super) head: Option<Head>,
    /// Bytes of the body, decoded.
    pub(super) body: Bytes,
    /// The answer is complete.
    pub(super) complete: bool,
}

impl Answer {
    pub(super) fn new(expects: Expects) -> Self {
        Self { expects, state: State::Head(Section::default()) }
    }

    /// Handles the bytes of a receive result. An empty one ends the stream.
    pub(super) fn push(&mut self, mut input: Bytes) -> Result<Progress, Failure> {
        if input.is_empty() {
            return self.end().map(|()| Progress { complete: true, ..Progress::default() });
        }
        let mut progress = Progress::default();
        while let State::Head(section) = &mut self.state {
            let complete = section.take_to_blank_line(&mut input, ANSWER_HEAD_MAX).map_err(|_| Failure::TooLong)?;
            if !head::may_be_http(section.text()) {
                return Err(Failure::NotHttp);
            }
            if !complete {
                return Ok(progress);
            }
            match head::parse(section.text(), self.expects)? {
                Parsed::Interim => self.state = State::Head(Section::default()),
                Parsed::Final(head, framing) => {
                    progress.head = Some(head);
                    self.state = match framing {
                        Framing::None | Framing::Length(0) => State::Complete,
                        Framing::Chunked => State::Chunked(Chunked::new()),
                        Framing::Length(length) => State::Length(length),
                        Framing::UntilEnd | Framing::Pipe => State::UntilEnd,
                    };
                }
            }
        }
        progress.body = self.body(&mut input)?;
        progress.complete = matches!(self.state, State::Complete);
        Ok(progress)
    }

    fn body(&mut self, input: &mut Bytes) -> Result<Bytes, Failure> {
        match &mut self.state {
            State::Chunked(chunked) => {
                let mut out = Vec::new();
                if chunked.push(input, &mut out)? {
                    self.state = State::Complete;
                }
                Ok(out.into())
            }
            State::Length(left) => {
                let part = take_at_most(input, *left);
                *left -= part.len() as u64;
                if *left == 0 {
                    self.state = State::Complete;
                }
                Ok(part)
            }
            State::UntilEnd => Ok(std::mem::take(input)),
            State::Head(_) | State::Complete => Ok(Bytes::new()),
        }
    }

    /// Handles the end of the stream; an error if the answer is incomplete.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        match self.state {
            State::UntilEnd | State::Complete => {
                self.state = State::Complete;
                Ok(())
            }
            State::Head(_) | State::Chunked(_) | State::Length(_) => Err(Failure::Cut),
        }
    }
}
