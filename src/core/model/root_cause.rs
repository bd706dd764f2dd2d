//! Finds the innermost cause of an error.

use std::error::Error;

/// The innermost cause of an error; the error itself if it has none. It tells what has happened ("connection
/// refused"), while the errors around it often only tell what was being done, or contain an address that must not be
/// logged.
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
    fn the_innermost_cause_is_found_through_all_layers() {
        assert_eq!(innermost(&Layer::Bottom).to_string(), "connection refused");
        let twice = Layer::Around(Box::new(Layer::Around(Box::new(Layer::Bottom))));
        assert_eq!(innermost(&twice).to_string(), "connection refused");
    }
}
