//! What is at the bottom of an error that others are wrapped around.

use std::error::Error;

/// The innermost cause of an error; the error itself if it has none. It says what has happened ("connection refused"), while those
/// around it often say only what was being done, or an address that nobody should read.
pub fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("connection refused")]
        Bottom,
        #[error("while sending to a secret address")]
        Around(#[source] Box<Layer>),
    }

    #[test]
    fn the_bottom_is_found_through_all_layers() {
        assert_eq!(innermost(&Layer::Bottom).to_string(), "connection refused");
        let twice = Layer::Around(Box::new(Layer::Around(Box::new(Layer::Bottom))));
        assert_eq!(innermost(&twice).to_string(), "connection refused");
    }
}
