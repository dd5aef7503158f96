//! What a caller is answered: a receiver's answer as its endpoint maps it, or one that is
//! remembered.
//!
//! [`map`] fills templates, [`cache`] keeps answers for a while.

pub mod cache;
pub mod map;
