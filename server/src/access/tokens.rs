//! Tokens of devices and programs.
//!
//! They are looked up by the hash of the secret, in memory; the engine replaces them when people have changed them.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock},
};

use super::secret::hash;
use crate::{
    store::{TokenRow, TokenUse},
    time::UnixMs,
};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a token is needed: Authorization: Bearer TOKEN")]
    Missing,
    #[error("this token is not known, or was revoked")]
    Unknown,
    #[error("this token has expired")]
    Expired,
    #[error("this token is for something else")]
    Wrong,
}

#[derive(Debug, Default)]
struct Known {
    by_hash: HashMap<Vec<u8>, TokenRow>,
    /// Devices that have a token of their own; no other token is accepted for them.
    bound: HashSet<String>,
    newest: i64,
}

/// All tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens(RwLock<Known>);

impl Tokens {
    /// Takes these in place of the old ones.
    pub(crate) fn replace(&self, rows: Vec<TokenRow>) {
        let mut known = Known::default();
        for row in rows {
            known.add(row);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Adds these, which are newer than all that are known.
    pub(crate) fn add(&self, rows: Vec<TokenRow>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            known.add(row);
        }
    }

    /// The largest number of a token.
    pub(crate) fn newest(&self) -> i64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// Whether a heartbeat of `hardware_id` may come with this token. The answer is the token's group.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn device(
        &self,
        bearer: Option<&str>,
        hardware_id: &str,
        required: bool,
        now: UnixMs,
    ) -> Result<Option<String>, Refusal> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let bound = known.bound.contains(hardware_id);
        let Some(bearer) = bearer else {
            return if required || bound { Err(Refusal::Missing) } else { Ok(None) };
        };
        let token = known.find(bearer, now)?;
        match &token.purpose {
            TokenUse::Device(device) if device == hardware_id => Ok(token.group.clone()),
            TokenUse::Devices if !bound => Ok(token.group.clone()),
            _ => Err(Refusal::Wrong),
        }
    }

    /// Whether this is a token that could come with a heartbeat at all; asked before the body is read.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn some_device(
        &self,
        bearer: Option<&str>,
        required: bool,
        now: UnixMs,
    ) -> Result<(), Refusal> {
        let Some(bearer) = bearer else { return if required { Err(Refusal::Missing) } else { Ok(()) } };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match known.find(bearer, now)?.purpose {
            TokenUse::Device(_) | TokenUse::Devices => Ok(()),
            TokenUse::Enrol | TokenUse::Read => Err(Refusal::Wrong),
        }
    }

    /// Whether this token may enrol devices, and into which group.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn enrol(&self, bearer: Option<&str>, now: UnixMs) -> Result<Option<String>, Refusal> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let token = known.find(bearer.ok_or(Refusal::Missing)?, now)?;
        if token.purpose == TokenUse::Enrol { Ok(token.group.clone()) } else { Err(Refusal::Wrong) }
    }

    /// Whether this token may read the API and the metrics.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn read(&self, bearer: &str, now: UnixMs) -> Result<(), Refusal> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.find(bearer, now)?.purpose == TokenUse::Read { Ok(()) } else { Err(Refusal::Wrong) }
    }
}

impl Known {
    fn add(&mut self, row: TokenRow) {
        if let TokenUse::Device(device) = &row.purpose {
            self.bound.insert(device.clone());
        }
        self.newest = self.newest.max(row.id);
        self.by_hash.insert(row.hash.clone(), row);
    }

    fn find(&self, bearer: &str, now: UnixMs) -> Result<&TokenRow, Refusal> {
        let token = self.by_hash.get(&hash(bearer)).ok_or(Refusal::Unknown)?;
        if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
            Err(Refusal::Expired)
        } else {
            Ok(token)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1000);

    fn tokens() -> Tokens {
        let row = |secret: &str, purpose, expires_at: Option<i64>| TokenRow {
            id: 0,
            hash: hash(secret),
            purpose,
            group: Some("north".to_owned()),
            created_at: UnixMs(0),
            expires_at: expires_at.map(UnixMs),
        };
        let tokens = Tokens::default();
        tokens.replace(vec![
            row("all", TokenUse::Devices, Some(1001)),
            row("old", TokenUse::Devices, Some(1000)),
            row("own", TokenUse::Device("pi1".to_owned()), None),
            row("enrol", TokenUse::Enrol, None),
            row("read", TokenUse::Read, None),
        ]);
        tokens
    }

    #[test]
    fn each_token_is_good_for_its_own_use_only() {
        let tokens = tokens();
        let north = Ok(Some("north".to_owned()));
        assert_eq!(tokens.device(Some("all"), "pi2", true, NOW), north);
        assert_eq!(tokens.device(Some("own"), "pi1", true, NOW), north);
        assert_eq!(tokens.device(Some("own"), "pi2", true, NOW), Err(Refusal::Wrong));
        for other in ["enrol", "read"] {
            assert_eq!(tokens.device(Some(other), "pi2", false, NOW), Err(Refusal::Wrong));
            assert_eq!(tokens.some_device(Some(other), false, NOW), Err(Refusal::Wrong));
        }
        assert_eq!(tokens.enrol(Some("enrol"), NOW), north);
        assert_eq!(tokens.enrol(Some("all"), NOW), Err(Refusal::Wrong));
        assert_eq!(tokens.read("read", NOW), Ok(()));
        assert_eq!(tokens.read("own", NOW), Err(Refusal::Wrong));
    }

    #[test]
    fn rejects_other_tokens_for_a_device_with_its_own_token() {
        let tokens = tokens();
        assert_eq!(tokens.device(Some("all"), "pi1", false, NOW), Err(Refusal::Wrong));
        assert_eq!(tokens.device(None, "pi1", false, NOW), Err(Refusal::Missing));
    }

    #[test]
    fn a_wrong_token_is_refused_even_where_none_is_needed() {
        let tokens = tokens();
        assert_eq!(tokens.device(None, "pi2", false, NOW), Ok(None));
        assert_eq!(tokens.device(None, "pi2", true, NOW), Err(Refusal::Missing));
        assert_eq!(tokens.device(Some("guess"), "pi2", false, NOW), Err(Refusal::Unknown));
        assert_eq!(tokens.device(Some("old"), "pi2", false, NOW), Err(Refusal::Expired));
    }
}
