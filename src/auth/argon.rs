//! argon2 with its working memory kept between calls. Some 19 MiB a hash, taken from the system
//! and given back each time, cost as much as a good part of the hash, and fragment the heap.

use super::Error;
use crate::limits::HASH_COST;
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// `$argon2id$v=19$...` with a random salt.
pub fn hash(password: &[u8]) -> Result<String, Error> {
    let params = Params::default();
    let salt = uuid::Uuid::new_v4().into_bytes();
    let mut out = [0u8; Params::DEFAULT_OUTPUT_LEN];
    compute(Algorithm::Argon2id, Version::V0x13, &params, password, &salt, &mut out).ok_or(Error::Hashing)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(|_| Error::Hashing)?,
        salt: Some(Salt::new(&salt).map_err(|_| Error::Hashing)?),
        hash: Some(Output::new(&out).map_err(|_| Error::Hashing)?),
    };
    Ok(hash.to_string())
}

/// True for a string that [`verify`] can compare with, at a bearable cost.
pub fn is_hash(text: &str) -> bool {
    parse(text).is_some()
}

pub fn verify(password: &[u8], text: &str) -> bool {
    let Some((algorithm, version, params, salt, expected)) = parse(text) else { return false };
    let mut out = vec![0u8; expected.as_bytes().len()];
    compute(algorithm, version, &params, password, salt.as_ref(), &mut out).is_some()
        && out.ct_eq(expected.as_bytes()).into()
}

fn parse(text: &str) -> Option<(Algorithm, Version, Params, Salt, Output)> {
    let hash = PasswordHash::new(text).ok()?;
    let algorithm = Algorithm::new(hash.algorithm.as_str()).ok()?;
    let version = match hash.version {
        Some(number) => Version::try_from(number).ok()?,
        None => Version::default(),
    };
    let params = Params::try_from(&hash).ok()?;
    let affordable = params.m_cost() <= HASH_COST.argon2_memory_kib
        && params.t_cost() <= HASH_COST.argon2_passes
        && params.p_cost() <= HASH_COST.argon2_lanes;
    if !affordable {
        return None;
    }
    Some((algorithm, version, params, hash.salt?, hash.hash?))
}

fn compute(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let mut memory = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    memory.resize(params.block_count(), Block::default());
    let argon = Argon2::new(algorithm, version, params.clone());
    let done = argon.hash_password_into_with_memory(password, salt, out, &mut memory);
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < KEPT && memory.len() <= Params::default().block_count() {
        idle.push(memory);
    }
    done.ok()
}

/// Memory of hashes that are not running now. Every hash overwrites it before it reads it.
static IDLE: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
const KEPT: usize = 4;
