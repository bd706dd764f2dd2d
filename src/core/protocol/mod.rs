//! Messages and texts of the protocols: parsing and writing without any state of a connection.
//!
//! Checks only what a single message shows. Nothing here may use a session or decide about rights; that is up to
//! [`crate::core::session`] and [`crate::core::policy`].
//!
//! * [`appws`]: app connections (`docs/protocol/appwebsocket.md`, `docs/protocol/devices-api.md`).
//! * [`bundle`]: files between a centre and a site that never meet (`docs/offline.md`).
//! * [`close`]: reasons to close a WebSocket, with code and text.
//! * [`csv`]: cells that a spreadsheet does not take for formulas.
//! * [`device_config`]: device configurations as JSON (`docs/protocol/devices-api.md` 4.10).
//! * [`forwarded`]: the header fields in which HTTP proxies name their clients.
//! * [`frame_guard`]: checks of WebSocket frame headers before the payload is buffered.
//! * [`init`]: the answer to `GET /init` of a phone (`docs/protocol/directory.md` section 4).
//! * [`json`]: a strict JSON reader.
//! * [`loopback`]: whether an address is on this machine.
//! * [`percent`]: strict percent-encoding.
//! * [`proxy_header`]: the header of the PROXY protocol.
//! * [`script`]: update scripts (`docs/protocol/update-script.md`).
//! * [`sysclient`]: device connections (`docs/protocol/sysclient.md`).

pub mod appws;
pub mod bundle;
pub mod close;
pub mod csv;
pub mod device_config;
pub mod forwarded;
pub mod frame_guard;
pub mod init;
pub mod json;
pub mod loopback;
pub mod percent;
pub mod proxy_header;
pub mod script;
pub mod sysclient;
