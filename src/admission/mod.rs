//! Admission: which connections and registrations may start now, which wait, and which are rejected; shared by the
//! threads of a process (`docs/operations.md`).
//!
//! Decides nothing: order, bounds and rates are in `src/core/policy/admission.rs`. It must not know connections,
//! devices or the store; a gate sees only ranks, lanes and permits.

pub mod controller;
pub(crate) mod gate;
pub(crate) mod process_resources;
