use std::fmt;

use crate::cri::AuthConfig;

/// Secrets never reach a log: of what is set only its presence is shown.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &str| if secret.is_empty() { "" } else { "[redacted]" };
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("auth", &hidden(&self.auth))
            .field("server_address", &self.server_address)
            .field("identity_token", &hidden(&self.identity_token))
            .field("registry_token", &hidden(&self.registry_token))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::PullImageRequest;

    #[test]
    fn no_secret_is_printed() {
        let auth = AuthConfig {
            username: "alice".into(),
            password: "s3cret-a".into(),
            auth: "s3cret-b".into(),
            server_address: "r.example".into(),
            identity_token: "s3cret-c".into(),
            registry_token: "s3cret-d".into(),
        };
        let printed = format!("{:?}", PullImageRequest { auth: Some(auth), ..PullImageRequest::default() });
        assert!(printed.contains("alice") && printed.contains("[redacted]"), "{printed}");
        assert!(!printed.contains("s3cret"), "{printed}");
    }
}
