//! State machines of the connections: events in, actions out, no I/O.
//!
//! A session is the server's side of a connection, a client the other side; both take an event and the time, and
//! append actions that their shell carries out. Nothing here may use a socket, a store, a clock or an actor, or wait
//! for anything.
//!
//! * [`app`]: app connections (`docs/protocol/appwebsocket.md`, `docs/protocol/devices-api.md`).
//! * [`device`]: connections of devices (`docs/protocol/sysclient.md`).
//! * [`exchange`]: the connection to a telephone exchange (`docs/protocol/pbx.md`).

pub mod app;
pub mod device;
pub mod exchange;
