//! How log lines are written: each line of the program, also of the libraries that it is made of, is limited in how
//! often it is written, because most of them can be caused at will by anybody who connects
//! (`docs/operations.md`, "Logs").
//!
//! The limiter stands behind the filter and in front of the format, so it sees every line that would be written and
//! needs no help where a line is logged. It must not look into the texts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::callsite::Identifier;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock;
use crate::core::model::time::Tick;
use crate::core::policy::log_limiter::LogLimiter;
use crate::metrics::{self, Counter};

/// Form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text, with colours if the output is a terminal.
    Text {
        /// Whether to use colours.
        colours: bool,
    },
    /// One JSON object per line.
    Json,
}

/// Installs the logging of the process.
pub fn install(
    filter: EnvFilter,
    form: Form,
    to: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<(), tracing_subscriber::util::TryInitError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to);
    match form {
        Form::Text { colours } => {
            let text = Limited::new(format::Format::default().with_ansi(colours), Form::Text { colours });
            builder.with_ansi(colours).event_format(text).finish().try_init()
        }
        Form::Json => {
            let json = Limited::new(format::Format::default().json().flatten_event(true), Form::Json);
            builder.fmt_fields(JsonFields::new()).event_format(json).finish().try_init()
        }
    }
}

/// A format that leaves out what its limiter does not let pass, and adds to the next line how many were left out.
struct Limited<F> {
    inner: F,
    form: Form,
    clock: fn() -> Tick,
    lines: RwLock<HashMap<Identifier, Arc<LogLimiter>>>,
}

impl<F> Limited<F> {
    fn new(inner: F, form: Form) -> Self {
        Self { inner, form, clock: clock::now, lines: RwLock::default() }
    }

    fn limiter(&self, line: Identifier) -> Arc<LogLimiter> {
        // The map is valid even if a thread has panicked while it held the lock.
        if let Some(known) = self.lines.read().unwrap_or_else(PoisonError::into_inner).get(&line) {
            return Arc::clone(known);
        }
        // There are as many as lines in the source of the program and its libraries.
        Arc::clone(self.lines.write().unwrap_or_else(PoisonError::into_inner).entry(line).or_default())
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(unsaid) = self.limiter(event.metadata().callsite()).due((self.clock)()) else {
            metrics::count(Counter::LinesSuppressed);
            return Ok(());
        };
        if unsaid == 0 {
            return self.inner.format_event(context, to, event);
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match self.form {
            Form::Text { .. } => writeln!(to, "{line} unsaid={unsaid}"),
            Form::Json => writeln!(to, "{},\"unsaid\":{unsaid}}}", line.strip_suffix('}').unwrap_or(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(bytes).unwrap().lines().map(ToOwned::to_owned).collect()
        }
    }

    #[test]
    fn each_line_is_limited_by_itself_and_says_what_was_left_out() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let lines = Lines::default();
        let to = lines.clone();
        let mut text = Limited::new(format::Format::default().with_ansi(false), Form::Text { colours: false });
        text.clock = || Tick(NOW.load(Ordering::Relaxed));
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).event_format(text).finish();
        tracing::subscriber::with_default(subscriber, || {
            let complain = |number: u64| tracing::error!(number, "a malformed request");
            (0..1_000).for_each(complain);
            tracing::warn!("another line");
            let written = lines.take();
            assert_eq!(written.len(), 21, "{written:#?}");
            assert!(written[20].ends_with("another line"), "{written:#?}");
            NOW.store(10_000, Ordering::Relaxed);
            complain(7);
            let written = lines.take();
            assert!(written[0].ends_with("a malformed request number=7 unsaid=980"), "{written:#?}");
        });
    }

    #[test]
    fn a_json_line_stays_an_object() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let lines = Lines::default();
        let to = lines.clone();
        let mut json = Limited::new(format::Format::default().json().flatten_event(true), Form::Json);
        json.clock = || Tick(NOW.load(Ordering::Relaxed));
        let builder = tracing_subscriber::fmt().fmt_fields(JsonFields::new()).with_writer(move || to.clone());
        tracing::subscriber::with_default(builder.event_format(json).finish(), || {
            let complain = || tracing::error!("a malformed request");
            (0..22).for_each(|_| complain());
            NOW.store(10_000, Ordering::Relaxed);
            complain();
        });
        let written = lines.take();
        let last: serde_json::Value = serde_json::from_str(written.last().unwrap()).unwrap();
        assert_eq!((&last["message"], &last["unsaid"]), (&"a malformed request".into(), &2.into()));
        assert!(written.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}
