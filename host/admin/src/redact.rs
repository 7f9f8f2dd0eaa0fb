use std::fmt;

use crate::proto::Credentials;

/// Secrets never reach a log: of what is set only its presence is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &str| if secret.is_empty() { "" } else { "[redacted]" };
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("auth", &hidden(&self.auth))
            .field("identity_token", &hidden(&self.identity_token))
            .field("registry_token", &hidden(&self.registry_token))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let secret = || "s3cret".to_owned();
        let all = Credentials {
            username: "alice".into(),
            password: secret(),
            auth: secret(),
            identity_token: secret(),
            registry_token: secret(),
        };
        let printed = format!("{all:?}");
        assert!(printed.contains("alice") && !printed.contains("s3cret"), "{printed}");
    }
}
