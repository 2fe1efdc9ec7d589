//! Passwords: how they are kept and how they are checked. New ones are argon2id; older schemes
//! are verified, so that imported entries keep working.

mod argon;
mod scheme;

pub use scheme::{Error, generate, hash, is_hashed, same_secret, verify};
