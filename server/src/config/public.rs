//! What an address that others can reach needs.

use super::{Config, ConfigError};

impl Config {
    /// Refuses an address that others can reach unless devices need a token and people a login.
    pub(crate) fn check_public(&self, password: Option<bool>) -> Result<(), ConfigError> {
        if self.is_local() {
            return Ok(());
        }
        let mut missing = Vec::new();
        if !self.receive.require_token {
            missing.push("receive.require_token = true");
        }
        if password == Some(false) && self.access.proxy_header.is_none() {
            missing.push("a password (heartbeat-server password)");
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Refused(format!(
            "listen = {} can be reached by others, so this is needed first: {}",
            self.listen,
            missing.join(" and ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, require_token: bool) -> Config {
        let text = format!("listen = \"{listen}\"\n[receive]\nrequire_token = {require_token}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_public_address_needs_both_a_token_and_a_password() {
        assert!(config("127.0.0.1:80", false).check_public(Some(false)).is_ok());
        assert!(config("[::1]:80", false).check_public(Some(false)).is_ok());
        assert!(config("0.0.0.0:80", true).check_public(Some(true)).is_ok());
        for (require_token, password) in [(false, true), (true, false), (false, false)] {
            let refused = config("0.0.0.0:80", require_token).check_public(Some(password));
            assert!(matches!(refused, Err(ConfigError::Refused(_))), "{require_token} {password}");
        }
    }
}
