//! The password of people, hashed with Argon2id.

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString, rand_core::OsRng},
};

use crate::limits::{PASSWORD_MAX, PASSWORD_MIN};

/// The setting that holds the hash.
pub(crate) const SETTING: &str = "password";

/// The hash of a new password.
///
/// # Errors
/// It is too short or too long.
pub(crate) fn hash(password: &str) -> Result<String, String> {
    if password.chars().count() < PASSWORD_MIN || password.len() > PASSWORD_MAX {
        return Err(format!(
            "a password has {PASSWORD_MIN} characters at least and {PASSWORD_MAX} bytes at most"
        ));
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash =
        Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// Whether this is the password. Takes some 20 ms on purpose.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    password.len() <= PASSWORD_MAX
        && PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_is_right() {
        let hash = hash("correct horse").unwrap();
        assert!(verify("correct horse", &hash));
        assert!(!verify("correct horsf", &hash));
        assert!(!verify("", &hash));
        assert!(!verify("correct horse", "no hash"));
        assert!(!hash.contains("horse"));
    }

    #[test]
    fn short_and_huge_passwords_are_refused() {
        assert!(hash("1234567").is_err());
        assert!(hash(&"x".repeat(PASSWORD_MAX + 1)).is_err());
    }
}
