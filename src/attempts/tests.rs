//! The service over a store in memory: who waits, who is told, and what is left when somebody goes away.
