//! Connections independent of their protocol: sockets, TLS, the gate in front of them, the table of open connections,
//! and who gives way when places get scarce.
//!
//! Carries the frames of a WebSocket between a peer and an actor, bounds the memory that a peer can use, and defines
//! the messages that reach the actor of a connection from outside. It must not know the protocols on the connections,
//! the actors, or the store. Implements the frame layer of `docs/protocol/sysclient.md` section 1 and
//! `docs/protocol/appwebsocket.md` section 1.

pub mod accept_gate;
pub mod client_stream;
pub mod handle;
pub mod held_messages;
pub mod http;
pub mod messages;
pub mod own;
pub mod places;
pub mod socket;
pub mod table;
pub mod timer;
pub mod tls;
