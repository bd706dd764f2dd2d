//! Rows of the protocol.
