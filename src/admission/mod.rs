//! Admission: who may begin now, who waits, who is sent away, shared by the threads of a process
//! (`docs/operations.md`).
//!
//! Decides nothing: order, bounds and rates are in `src/core/policy/admission.rs`. It must not know connections,
//! devices or the store; what passes a gate is a rank, a lane and a permit.

pub mod controller;
pub(crate) mod gate;
pub(crate) mod process_resources;
