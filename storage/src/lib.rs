//! Durable typed tables.
