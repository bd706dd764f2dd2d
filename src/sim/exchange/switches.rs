//! Behaviour of the simulated exchange where the protocol leaves it open, and faults (`docs/protocol/pbx.md` section
//! 7).

use std::collections::BTreeSet;
use std::time::Duration;

/// When the connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the update is applied.
    Before,
    /// After it is applied, before the answer.
    After,
}

/// The action of a concurrent editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Adds an entry to what is there.
    Add(Box<str>),
    /// Restores the entries from before the last update and adds this one.
    Overwrite(Box<str>),
    /// Removes an entry.
    Remove(Box<str>),
    /// Deletes the user.
    Delete,
}

/// A concurrent editor: after the given message has been handled, it edits the user of that message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    /// Type of the message.
    pub mt: &'static str,
    /// After this many of them.
    pub nth: usize,
    /// Its action.
    pub edit: Edit,
}

/// All switches.
// Each switch is independent.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone)]
pub struct Switches {
    /// Granted interfaces.
    pub apis: BTreeSet<Box<str>>,
    /// Delay of every message.
    pub delay: Duration,
    /// Delay of the answer to `UpdateObject`.
    pub update_delay: Duration,
    /// Drops the connection at the next `UpdateObject`.
    pub cut: Option<Cut>,
    /// Answers in fragments of 4096 bytes.
    pub fragments: bool,
    /// Unknown members in every message.
    pub extra_members: bool,
    /// The end of a pass is a row without GUID, instead of no row.
    pub end_is_empty_row: bool,
    /// A client's own change is sent back as a notice.
    pub echo: bool,
    /// An unknown object is an `error`, instead of an empty result.
    pub unknown_is_error: bool,
    /// An interface that is not granted answers with an `error`, instead of not at all.
    pub not_granted_is_error: bool,
    /// `GetObject` hides `sreg mr voip gk-id prim`.
    pub hide: bool,
    /// Entries count as registered after this time.
    pub registered_after: Option<Duration>,
    /// `GetRegs` spells hardware ids with capitals and hyphens, and shows foreign ones.
    pub strange_registrations: bool,
    /// This many updates are refused with this JSON as `error`.
    pub refuse: Option<(usize, Box<str>)>,
    /// This many updates create an object instead of changing the one that they name.
    pub create_instead: usize,
    /// The answer to an update names the changed object.
    pub name_updated: bool,
    /// `SearchUsers` always returns the same page.
    pub repeat_page: bool,
    /// A column that the table does not offer.
    pub lacks: Option<Box<str>>,
    /// `PbxInfo` comes after `AppInfo`.
    pub app_info_first: bool,
    /// No answers at all after the log-in.
    pub mute: bool,
    /// Concurrent editors.
    pub editors: Vec<Editor>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            apis: ["PbxAdminApi", "PbxTableUsers", "Services"].map(Into::into).into(),
            delay: Duration::ZERO,
            update_delay: Duration::ZERO,
            cut: None,
            fragments: false,
            extra_members: false,
            end_is_empty_row: false,
            echo: true,
            unknown_is_error: true,
            not_granted_is_error: false,
            hide: false,
            registered_after: None,
            strange_registrations: false,
            refuse: None,
            create_instead: 0,
            name_updated: false,
            repeat_page: false,
            lacks: None,
            app_info_first: false,
            mute: false,
            editors: Vec::new(),
        }
    }
}
