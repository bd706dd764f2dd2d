//! The state file of a simulated phone: one JSON file, readable by its owner only.
//!
//! It is written to a temporary file and then renamed, so a crash leaves the old or the new file.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::model::ids::HardwareId;
use crate::core::session::device::client::Memory;
use crate::core::session::device::settings::Settings;

/// Content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersistedState {
    /// Passwords and code.
    pub(super) memory: Memory,
    /// Variables and configuration.
    pub(super) settings: Settings,
}

/// Error of reading or writing the state file.
#[derive(Debug, thiserror::Error)]
#[error("state file {path}: {cause}")]
pub struct StateFileError {
    path: PathBuf,
    cause: std::io::Error,
}

/// Reads the file; `None` if it does not exist. The file of another phone is an error.
pub(super) fn load(path: &Path, id: &HardwareId) -> Result<Option<PersistedState>, StateFileError> {
    let failed = |cause| StateFileError { path: path.into(), cause };
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed)?,
    };
    let state: PersistedState = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    if *state.settings.machine.mac != *id.as_str() {
        let other = format!("it belongs to the phone {}", state.settings.machine.mac);
        return Err(failed(std::io::Error::new(ErrorKind::InvalidData, other)));
    }
    Ok(Some(state))
}

/// Writes the file; it is synced to disk when this returns.
pub(super) fn save(path: &Path, state: &PersistedState) -> Result<(), StateFileError> {
    let failed = |cause| StateFileError { path: path.into(), cause };
    let text = serde_json::to_vec_pretty(state).map_err(|error| failed(error.into()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::Secret;
    use crate::sim::phone::PhoneOptions;

    fn id() -> HardwareId {
        HardwareId::parse("00903341a0b1").unwrap()
    }

    fn state() -> PersistedState {
        let machine = super::super::machine(&PhoneOptions::new(id()));
        let memory = Memory { password: Some(Secret::new("x".repeat(32))), ..Memory::default() };
        PersistedState { memory, settings: Settings::factory(machine, "http://config.example.org/init") }
    }

    #[test]
    fn what_is_saved_is_loaded_and_a_broken_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phone.json");
        assert!(load(&path, &id()).unwrap().is_none(), "no file: as delivered");
        save(&path, &state()).unwrap();
        save(&path, &state()).unwrap();
        let loaded = load(&path, &id()).unwrap().unwrap();
        assert_eq!((loaded.memory, loaded.settings), (state().memory, state().settings));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

        let other = HardwareId::parse("00903341a0b2").unwrap();
        assert!(load(&path, &other).unwrap_err().to_string().ends_with("it belongs to the phone 00903341a0b1"));

        std::fs::write(&path, "{}garbage").unwrap();
        let error = load(&path, &id()).unwrap_err().to_string();
        assert!(error.contains("phone.json"), "{error}");
        assert!(save(&folder.path().join("absent/phone.json"), &state()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phone.json");
        save(&path, &state()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}
